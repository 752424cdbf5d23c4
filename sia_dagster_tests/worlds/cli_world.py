"""A project's folder as the command's tests see it, and the command as a user calls it."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.cli import main
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WeekPlan, week_windows, write_traffic

FIRST, SECOND = week_windows()[:2]


NOWHERE = "http://127.0.0.1:9/v1"
"""Where no endpoint listens."""


VARIABLES = ("SIA_CONFIG", "DAGSTER_HOME", "OPENAI_API_KEY", "OPENAI_BASE_URL", "SIA_JUDGE_MODEL", "SIA_TEST_KEY")


OLD = Actions(system_prompt="Be polite.\nBe brief.", model="small", parameters={"temperature": 0.2})


NEW = OLD.model_copy(update={"system_prompt": "Be polite.\nName the order.\nBe brief.", "model": "large"})


LAST = Actions(system_prompt="Be polite.\nName the order [bold]and\x1b[31m why.", model="large")


@dataclass(frozen=True)
class StageResult:
    """What a user sees of one call."""

    code: int
    out: str
    err: str


Sia = Callable[..., StageResult]


def caller(capsys: pytest.CaptureFixture[str]) -> Sia:
    """The command in this process: `sia("policy", "list")`."""

    def call(*arguments: str) -> StageResult:
        code = 0
        try:
            main(arguments)
        except SystemExit as leave:
            code = int(leave.code or 0)
        seen = capsys.readouterr()
        return StageResult(code, seen.out, seen.err)

    return call


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in `folder`, with a wide terminal and none of the variables that the command reads."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project's folder, worked in; a module that wants more in it has a fixture of this name."""
    return enter(tmp_path, monkeypatch)


@pytest.fixture
def sia(folder: Path, capsys: pytest.CaptureFixture[str]) -> Sia:
    """The command, called in `folder`."""
    return caller(capsys)


@pytest.fixture
def provider() -> Iterator[SimulatedProvider]:
    """The demo's models on loopback."""
    with SimulatedProvider() as running:
        yield running


def loop_entry(
    name: str = "desk", window: str = "weekly", promotion: str = "manual", template: str = "correctness"
) -> str:
    """One entry of `loops`, over the demo's models."""
    return textwrap.indent(
        textwrap.dedent(f"""\
        - name: {name}
          traces: {{source: local, path: traces/, where: "name = 'ChatCompletion'"}}
          window: {window}
          start: {FIRST.key}
          sample_limit: 120
          evaluators:
            - name: correctness
              kind: llm_classify
              model: simulated-judge
              template: {template}
              rails: {{correct: 1, incorrect: 0}}
          policy: {{model: simulated-optimizer, candidates: 2}}
          watch: {{anchors: 8, probes: 4}}
          validation: {{primary: correctness, repeats: 1, noise_conversations: 5}}
          promotion: {promotion}
        """),
        "  ",
    )


def configure(folder: Path, base_url: str, *, loops: Sequence[str] = (), llm: Sequence[str] = ()) -> Path:
    """Write `sia.yaml`; `llm` are further lines of its section, by default with the demo's prices."""
    lines = llm or [
        "prices: {simulated-judge: {input: 0.15, output: 0.6}, simulated-optimizer: {input: 2.5, output: 10},"
        " simulated-application: {input: 0.15, output: 0.6}}"
    ]
    section = textwrap.indent("\n".join([f"base_url: {base_url}", "max_attempts: 1", *lines]), "  ")
    path = folder / "sia.yaml"
    path.write_text(f"llm:\n{section}\nloops:\n{''.join(loops or [loop_entry()])}", encoding="utf-8")
    return path


def write_week(folder: Path, conversations: int = 122, window: TimeWindow = FIRST, **plan: int) -> None:
    """The window's traffic under the demo's first prompt."""
    write_traffic(folder / "traces", window, None, WeekPlan(conversations=conversations, **plan))


def version(number: int, actions: Actions, **fields: object) -> PolicyVersion:
    """An entry of the registry that a window promoted, a week after the one before."""
    primary = EvaluatorComparison(
        evaluator="correctness", role="primary", n=59, baseline_mean=0.39, candidate_mean=0.68, difference=0.29
    )
    given = {
        "version": number,
        "loop": "desk",
        "kind": "promote",
        "actions": actions,
        "at": datetime(2026, 10, 5, tzinfo=UTC) + timedelta(weeks=number - 1),
        "parent": number - 1 or None,
        "replaced": OLD if number == 1 else None,
        "window": week_windows()[number - 1],
        "evidence": (primary,),
        "by": "Ada",
    }
    return PolicyVersion.model_validate({**given, **fields})


def registry(folder: Path, *entries: PolicyVersion) -> PolicyFiles:
    """The registry of `desk` with these entries."""
    store = PolicyFiles(folder / ".sia", "desk")
    for entry in entries:
        store.append(entry)
    return store
