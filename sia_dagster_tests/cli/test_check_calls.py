"""`sia check` lists the calls and policies of a window, so that a user can write `where`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.cli.check.calls import SHOWN, Calls, calls_finding, calls_in
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.corpora.spoken import DESK, DESK_LATER, TITLES, filled, spoke, version
from sia_dagster_tests.worlds.cli_world import FIRST, Sia, configure, enter, loop_entry, registry
from sia_dagster_tests.worlds.cli_world import version as entry

LOCAL = LocalTracesConfig(source="local", path="traces")
ARIZE = ArizeTracesConfig(source="arize", project="desk", space_id="s")
PHOENIX = PhoenixTracesConfig(source="phoenix")
NAMED = Actions(system_prompt=DESK, variables=("customer", "since"), model="model-a")


def two_calls(**other: Any) -> list[Sample]:
    return [*filled(range(30)), *(spoke(n, TITLES, **other) for n in range(30, 40))]


def look(samples: Sequence[Sample], traces: TracesConfig = LOCAL, counts: Mapping[tuple[str, str], int] = {}) -> Calls:
    return calls_in(traces, samples, counts, [])


def test_calls_are_listed_by_name_model_and_prompt() -> None:
    samples = [*two_calls(name="Title", model="b"), *filled(range(40, 42), model="b")]
    rows = look(samples, counts={("ChatCompletion", "model-a"): 900, ("Title", "b"): 70}).rows
    assert [(r.name, r.model, r.calls, r.samples, r.in_force, r.same_call) for r in rows] == [
        ("ChatCompletion", "model-a", 900, 30, True, True),
        ("ChatCompletion", "b", 2, 2, True, True),
        ("Title", "b", 70, 10, False, False),
    ]
    assert rows[0].prompt == "You answer the customers of a bicycle shop. The customer is…"
    assert rows[0].origin == "recovered template"
    assert rows[0].share == 30 / 42


@pytest.mark.parametrize(
    ("traces", "other", "where"),
    [
        (LOCAL, {"name": "Title"}, "name = 'ChatCompletion'"),
        (ARIZE, {"name": "Title"}, "name = 'ChatCompletion'"),
        (PHOENIX, {"name": "Title"}, "name == 'ChatCompletion'"),
        (LOCAL, {"model": "b"}, "attributes.llm.model_name = 'model-a'"),
        (PHOENIX, {"model": "b"}, "llm.model_name == 'model-a'"),
        (LOCAL, {}, None),
    ],
)
def test_where_is_in_the_language_of_the_store(traces: TracesConfig, other: dict[str, Any], where: str | None) -> None:
    found = look(two_calls(**other), traces)
    assert found.where == where
    finding = calls_finding(found)
    assert isinstance(finding, tuple)
    sentence = finding[1]
    assert finding[0] == "warn"
    assert sentence.startswith("75% of the samples are of this loop's call")
    assert sentence.endswith(where or "set traces.where by another column")


def test_where_goes_on_from_the_condition_that_is_set() -> None:
    several = [*two_calls(name="Title"), *filled(range(40, 44), name="Chat")]
    set_already = LOCAL.model_copy(update={"where": " latency_ms > 3 OR true "})
    assert look(several, set_already).where == "(latency_ms > 3 OR true) AND (name = 'Chat' OR name = 'ChatCompletion')"
    phoenix = PHOENIX.model_copy(update={"where": "latency_ms > 3"})
    assert look(several, phoenix).where == "(latency_ms > 3) and (name == 'Chat' or name == 'ChatCompletion')"


def test_a_suggestion_holds_variables_by_name_and_none_that_a_trace_names() -> None:
    several = [*filled(range(30), name="${HOME}"), *(spoke(n, TITLES, name="Title") for n in range(30, 35))]
    tenant = LOCAL.model_copy(update={"where": "tenant = '${TENANT}'"})
    assert look(several, tenant).where == "(tenant = '${TENANT}') AND name = '$${HOME}'"


@pytest.mark.parametrize("name", ["it's", "back\\slash", "two\nlines", ""])
def test_a_name_that_cannot_stand_in_quotes_is_not_suggested(name: str) -> None:
    samples = [*filled(range(30), name=name), *(spoke(n, TITLES, name="Title") for n in range(30, 35))]
    assert look(samples).where is None


def test_one_call_passes_and_versions_are_counted() -> None:
    assert calls_finding(look([spoke(n, TITLES) for n in range(9)])) == "one call, one prompt"
    versions = [*filled(range(20)), *filled(range(20, 40), DESK_LATER)]
    found = calls_in(LOCAL, versions, {}, [version(1, NAMED)])
    assert calls_finding(found) == "one call, 2 prompts"
    assert [row.prompt for row in found.rows][1] == "… warm, name the order, write a few lines and never promise…"


def test_prompts_without_a_template_are_explained() -> None:
    words = [f"{a} {b} {c}" for a in ("red", "old") for b in ("boats", "hats") for c in ("sail", "burn", "sing")]
    found = look([spoke(n, text) for n, text in enumerate(words)])
    assert str(calls_finding(found)).startswith("one call, 12 prompts; no template was found for some prompts: ")
    assert "no template" not in str(calls_finding(look([spoke(n, text) for n, text in enumerate(words[:5])])))


def span(number: int, sample: Sample) -> dict[str, Any]:
    texts = {"system": sample.system_prompt, "user": f"question {number}"}
    messages = [{"message.role": role, "message.content": text} for role, text in texts.items()]
    return {
        "context.span_id": sample.span_id,
        "context.trace_id": sample.trace_id,
        "name": sample.name,
        "start_time": f"{FIRST.start:%Y-%m-%d}T{number // 60:02}:{number % 60:02}:00Z",
        "status_code": "OK",
        "attributes.openinference.span.kind": "LLM",
        "attributes.llm.model_name": sample.model,
        "attributes.llm.input_messages": messages,
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": "answer"}],
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project over a file of spans, whose `where` lets every call pass."""
    enter(tmp_path, monkeypatch)
    with SimulatedProvider() as provider:
        configure(tmp_path, provider.base_url, loops=[loop_entry().replace("name = 'ChatCompletion'", "")])
        yield tmp_path


def write(folder: Path, samples: Sequence[Sample]) -> None:
    (folder / "traces").mkdir()
    lines = [json.dumps(span(number, sample)) for number, sample in enumerate(samples)]
    (folder / "traces" / "spans.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_the_command_shows_the_table_and_what_to_write(sia: Sia, folder: Path) -> None:
    write(folder, two_calls(name="Write a title"))
    seen = sia("check", "--window", FIRST.key)
    assert seen.code == 0
    assert f"desk {FIRST.key}: calls and policies" in seen.out
    assert "You answer the customers of a bicycle shop." in seen.out
    assert "another call" in seen.out
    assert "set traces.where: name = 'ChatCompletion'" in " ".join(seen.out.split())


def test_the_table_is_readable_in_a_narrow_terminal(sia: Sia, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    write(folder, two_calls(name="Write a title"))
    lines = sia("check", "--window", FIRST.key).out.splitlines()
    assert any("ChatCompletion" in line and "model-a, in force (recovered" in line for line in lines)
    assert any("You answer the customers of a" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_what_it_suggests_leaves_this_loops_call_alone(sia: Sia, folder: Path) -> None:
    write(folder, two_calls(name="Write a title"))
    (window,) = json.loads(sia("check", "--window", FIRST.key, "--json").out)["windows"]
    assert window["suggested_where"] == "name = 'ChatCompletion'"
    assert [row["calls"] for row in window["calls_found"]] == [30, 10]
    configuration = (folder / "sia.yaml").read_text(encoding="utf-8")
    (folder / "sia.yaml").write_text(
        configuration.replace('where: ""', f'where: "{window["suggested_where"]}"'), encoding="utf-8"
    )
    document = json.loads(sia("check", "--window", FIRST.key, "--json").out)
    assert [row["samples"] for row in document["windows"][0]["calls_found"]] == [30]
    assert document["windows"][0]["suggested_where"] is None
    found = {finding["check"]: finding["found"] for finding in document["checks"]}
    assert found["desk: calls"] == "one call, one prompt"


def test_the_registrys_versions_are_named(sia: Sia, folder: Path) -> None:
    write(folder, two_calls())
    registry(folder, entry(1, NAMED, at=FIRST.start, replaced=None, window=None))
    (window,) = json.loads(sia("check", "--window", FIRST.key, "--json").out)["windows"]
    assert [row["origin"] for row in window["calls_found"]] == ["version 1", "text as sent"]


def test_a_long_table_is_cut_and_hostile_names_are_shown_as_text(sia: Sia, folder: Path) -> None:
    write(folder, [spoke(n, TITLES, name=f"[bold]call {n}\x1b[31m") for n in range(SHOWN + 5)])
    seen = sia("check", "--window", FIRST.key)
    assert "[bold]call 0⟨U+001B⟩[31m" in seen.out
    assert "and 5 more; --json lists all" in seen.out
    assert "\x1b" not in seen.out
