"""`sia check`: what would keep a window from running, found before anything is paid for."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.engine.money.list_prices import prices_source
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.worlds.cli_world import (
    FIRST,
    NEW,
    SECOND,
    Sia,
    configure,
    loop_entry,
    registry,
    version,
    write_week,
)
from simulation.servers import ScriptedServer

MODELS = ("judge", "optimizer", "application")
CHECKS = [
    "configuration",
    "references",
    "credentials",
    "storage",
    "endpoint",
    "desk: spans",
    "desk: samples",
    "desk: calls",
    "desk: held out",
    "desk: cost",
]


def checked(sia: Sia, *arguments: str) -> dict[str, tuple[str, str]]:
    """The result and the words of each check."""
    document = json.loads(sia("check", "--window", FIRST.key, "--json", *arguments).out)
    return {finding["check"]: (finding["result"], finding["found"]) for finding in document["checks"]}


def test_all_checks_pass_on_a_loop_that_can_run(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder)
    seen = sia("check", "--window", FIRST.key)
    assert (seen.code, seen.err) == (0, "")
    assert all(name in seen.out for name in CHECKS)
    assert re.search(rf"window {FIRST.key}: 1\d\d calls, 120 of them would be evaluated", seen.out)
    assert "all 120 can be used; 120 of 120 can be replayed" in " ".join(seen.out.split())
    assert f"desk {FIRST.key}: estimated cost" in seen.out
    assert "judge correctness (simulated-judge)" in seen.out
    assert sum(provider.calls.values()) == 0
    assert not (folder / ".sia").exists()


def test_json_holds_findings_and_the_estimate_by_stage(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 40)
    document = json.loads(sia("check", "--window", FIRST.key, "--json").out)
    assert document["ok"]
    assert [finding["check"] for finding in document["checks"]] == CHECKS
    (window,) = document["windows"]
    assert (window["loop"], window["window"], window["skipped"]) == ("desk", FIRST.key, 0)
    stages = {"eval_results", "judge_watch", "next_window_results", "updated_policy", "validation_results"}
    assert {line["stage"] for line in window["estimate"]} == stages
    assert window["total"]["calls"] == sum(line["spend"]["calls"] for line in window["estimate"])
    assert window["total"]["cost_usd"] > 0


def test_a_configuration_that_does_not_load_is_the_only_finding(sia: Sia, folder: Path) -> None:
    configure(folder, "http://127.0.0.1:9/v1", llm=["budget: 3"])
    seen = sia("check")
    assert seen.code == 1
    assert "llm.budget: unknown key" in seen.out
    assert "sia.yaml:4" in seen.out
    assert seen.err == "Error: 1 of 1 checks failed: configuration\n"
    document = json.loads(sia("check", "--json").out)
    assert (document["ok"], len(document["checks"]), document["windows"]) == (False, 1, [])


def test_a_template_that_is_not_there_fails_references_and_cost(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url, loops=[loop_entry(template="prompts/mine.md")])
    write_week(folder, 20)
    found = checked(sia)
    assert found["references"][0] == "fail"
    assert "loops.0.evaluators.0.template" in found["references"][1]
    assert found["desk: cost"][0] == "fail"
    (folder / "prompts").mkdir()
    (folder / "prompts" / "mine.md").write_text("Is it right?\n{output}", encoding="utf-8")
    assert {result for result, _ in checked(sia).values()} == {"pass"}


def test_a_variable_that_is_set_is_named_and_its_value_is_not(
    sia: Sia, folder: Path, provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = loop_entry() + "    notify: {webhook: '${SIA_TEST_HOOK}'}\n"
    configure(folder, provider.base_url, llm=["api_key: ${SIA_TEST_KEY}"], loops=[hook])
    write_week(folder, 20)
    missing = sia("check")
    assert missing.code == 1
    assert "SIA_TEST_KEY is not set" in missing.out
    monkeypatch.setenv("SIA_TEST_KEY", "k-123")
    monkeypatch.setenv("SIA_TEST_HOOK", "https://example.com/h-456")
    seen = sia("check", "--window", FIRST.key)
    assert "SIA_TEST_KEY is set, SIA_TEST_HOOK is set" in seen.out
    assert "k-123" not in seen.out + seen.err
    assert "h-456" not in seen.out + seen.err


def test_an_endpoint_that_is_not_there_fails_and_the_rest_is_still_looked_at(sia: Sia, folder: Path) -> None:
    with SimulatedProvider() as gone:
        configure(folder, gone.base_url)
    write_week(folder, 20)
    seen = sia("check", "--window", FIRST.key)
    assert seen.code == 1
    assert "gives no usable answer" in seen.out
    assert "can be used" in seen.out
    assert seen.err == "Error: 1 of 10 checks failed: endpoint\n"


def test_a_model_that_is_not_listed_is_a_warning(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url, loops=[loop_entry().replace("simulated-judge", "simulated-juge")])
    write_week(folder, 20)
    result, found = checked(sia)["endpoint"]
    assert result == "warn"
    assert "does not list simulated-juge" in found
    assert sia("check", "--window", FIRST.key).code == 0


def test_an_endpoint_without_a_list_passes(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, f"{provider.base_url}/elsewhere")
    write_week(folder, 20)
    assert checked(sia)["endpoint"] == ("pass", f"{provider.base_url}/elsewhere answers; it does not list its models")


def test_a_window_without_traces_fails_with_what_to_look_at(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 20, SECOND)
    seen = sia("check", "--window", FIRST.key)
    assert seen.code == 1
    assert f"window {FIRST.key} of desk holds no call of the application" in seen.out
    assert "desk: cost" not in seen.out


def test_a_window_whose_calls_all_failed_says_so(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 20)
    rewrite(folder, "status_code", "ERROR")
    result, found = checked(sia)["desk: spans"]
    assert result == "fail"
    assert "none of them has an output without an error" in found


def rewrite(folder: Path, column: str, value: str | list[str], count: int | None = None) -> None:
    """Put `value` into the column of the week's file, in the first `count` spans that have one there."""
    (path,) = (folder / "traces").glob("*.parquet")
    table = pq.read_table(path)
    place, old = table.column_names.index(column), table[column].to_pylist()
    held = [row for row, was in enumerate(old) if was is not None][:count]
    new = pa.array([value if row in held else was for row, was in enumerate(old)], table.schema.field(place).type)
    pq.write_table(table.set_column(place, column, new), path)


def test_traces_that_are_not_there_fail(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    seen = sia("check", "--window", FIRST.key)
    assert seen.code == 1
    assert str(folder / "traces") in seen.out
    assert "1 of 6 checks failed: desk: spans" in seen.err


def test_a_window_that_is_not_closed_fails(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    assert "'2999-01-01' is not a closed window of desk" in sia("check", "--window", "2999-01-01").out


def test_the_window_is_by_default_the_latest_closed(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 20)
    (window,) = json.loads(sia("check", "--json").out)["windows"]
    assert window["window"] > FIRST.key


@pytest.mark.parametrize(
    ("lines", "result", "text"),
    [
        (["prices: {simulated-judge: {input: 1, output: 1}}"], "warn", "simulated-application, simulated-optimizer is"),
        (["budget_usd: 5"], "fail", "llm.budget_usd cannot be enforced, since the price of"),
        (["budget_tokens: 9000000"], "warn", "add it to llm.prices"),
    ],
)
def test_unknown_prices_are_told(
    sia: Sia, folder: Path, provider: SimulatedProvider, lines: list[str], result: str, text: str
) -> None:
    configure(folder, provider.base_url, llm=lines)
    write_week(folder, 30)
    found = checked(sia)["desk: cost"]
    assert (found[0], text in found[1]) == (result, True)


PRICED = "prices: {simulated-judge: &p {input: 9, output: 9}, simulated-optimizer: *p, simulated-application: *p}"


@pytest.mark.parametrize(
    ("cap", "result", "text"),
    [
        ("budget_usd: 0.01", "warn", "more than llm.budget_usd (0.01), where the run would stop"),
        ("budget_tokens: 5000", "warn", "more than llm.budget_tokens (5,000), where the run would stop"),
        ("budget_usd: 500", "pass", "USD"),
    ],
)
def test_a_window_over_its_budget_is_a_warning(
    sia: Sia, folder: Path, provider: SimulatedProvider, cap: str, result: str, text: str
) -> None:
    configure(folder, provider.base_url, llm=[PRICED, cap])
    write_week(folder, 30)
    found = checked(sia)["desk: cost"]
    assert found[0] == result
    assert found[1].endswith(text)


@pytest.mark.parametrize(("count", "expected"), [(1, "pass"), (12, "warn"), (None, "fail")])
def test_spans_that_cannot_be_read_are_counted_and_named(
    sia: Sia, folder: Path, provider: SimulatedProvider, count: int | None, expected: str
) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    rewrite(folder, "attributes.llm.input_messages", "[{broken", count)
    result, found = checked(sia)["desk: samples"]
    assert result == expected
    assert "cannot be used; the first: span " in found


def test_every_loop_is_checked_unless_one_is_named(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url, loops=[loop_entry("desk"), loop_entry("office")])
    write_week(folder, 30)
    registry(folder, version(1, NEW, at=FIRST.start, window=None))
    found = checked(sia)
    assert {"desk: spans", "office: spans"} <= found.keys()
    assert "desk: version 1; office: no policy promoted yet" in found["storage"][1]
    assert "desk: spans" not in checked(sia, "--loop", "office")


def test_the_estimate_is_of_the_policy_in_force(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    registry(folder, version(1, NEW, at=FIRST.start, window=None))
    assert "replay (large)" in sia("check", "--window", FIRST.key).out


def test_a_registry_that_cannot_be_read_fails_storage_and_calls(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    broken = folder / ".sia" / "policies" / "desk" / "000001.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{", encoding="utf-8")
    found = checked(sia)
    assert [name for name, (result, _) in found.items() if result == "fail"] == ["storage", "desk: calls"]


def test_the_demo_is_checked_over_its_own_provider(sia: Sia, folder: Path) -> None:
    write_week(folder / ".sia" / "demo", 30)
    found = checked(sia)
    assert {result for result, _ in found.values()} == {"pass"}
    assert "SIMULATED models" in found["configuration"][1]


def test_every_stage_is_looked_for_at_its_own_endpoint(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    with SimulatedProvider() as other:
        stages = f"stages: {{judge: {{base_url: {other.base_url}}}, update: {{timeout_seconds: 9}}}}"
        configure(folder, provider.base_url, llm=[stages])
        write_week(folder, 20)
        result, found = checked(sia)["endpoint"]
    assert result == "pass"
    assert found.count("answers and lists the configured models") == 2
    assert provider.base_url in found
    assert other.base_url in found


def test_a_model_is_looked_for_where_it_would_be_called(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    with ScriptedServer(lambda body, n: body, models=["something-else"]) as other:
        configure(folder, provider.base_url, llm=[f"stages: {{judge: {{base_url: {other.base_url}}}}}"])
        write_week(folder, 20)
        result, found = checked(sia)["endpoint"]
    assert result == "warn"
    assert f"{other.base_url} answers, but does not list simulated-judge: " in found
    assert f"{provider.base_url} answers and lists the configured models" in found


def test_the_variable_of_a_stages_key_is_looked_for(
    sia: Sia, folder: Path, provider: SimulatedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, provider.base_url, llm=["stages: {judge: {api_key: '${SIA_TEST_KEY}'}}"])
    write_week(folder, 20)
    monkeypatch.setenv("SIA_TEST_KEY", "k-123")
    assert checked(sia)["credentials"] == ("pass", "SIA_TEST_KEY is set")


def test_an_estimate_names_the_source_of_list_prices(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    write_week(folder, 20)
    configure(folder, provider.base_url)
    assert "list prices" not in checked(sia)["desk: cost"][1]
    lists = "prices: {simulated-application: {input: 1, output: 1}, simulated-optimizer: {input: 1, output: 1}}"
    configure(folder, provider.base_url, llm=[lists], loops=[loop_entry().replace("simulated-judge", "gpt-4o-mini")])
    assert f"(list prices of {prices_source()})" in checked(sia)["desk: cost"][1]


def test_a_stage_in_batches_is_estimated_at_half_its_price(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    write_week(folder, 20)
    prices = "prices: {" + ", ".join(f"simulated-{name}: {{input: 1, output: 1}}" for name in MODELS) + "}"
    costs = []
    for mode in ("direct", "batch"):
        configure(folder, provider.base_url, llm=[prices, f"stages: {{judge: {{mode: {mode}}}}}"])
        (window,) = json.loads(sia("check", "--window", FIRST.key, "--json").out)["windows"]
        costs.append({line["work"]: line["spend"]["cost_usd"] for line in window["estimate"]})
    direct, batch = costs
    assert batch["judge correctness"] == pytest.approx(direct["judge correctness"] / 2)
    assert batch["replay"] == direct["replay"]


def test_every_record_is_followed_from_its_file_to_the_replay(
    sia: Sia, folder: Path, provider: SimulatedProvider
) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    traces = folder / "traces"
    (traces / "manifest.json").write_text('{"entries": []}')
    (traces / "broken.jsonl").write_text('{"context.span_id": "a"}\n{"context.span_id": "b", "start_time": "no')
    rewrite(folder, "status_code", "ERROR", 4)
    seen = sia("check", "--window", FIRST.key, "--json")
    (window,) = json.loads(seen.out)["windows"]
    funnel = window["funnel"]
    steps = [(loss["step"], loss["records"]) for loss in funnel["losses"]]
    assert any(step == "answer" for step, _ in steps)
    assert funnel["records"] == funnel["sampled"] + sum(records for step, records in steps if step != "file")
    assert funnel["sampled"] == funnel["readable"] == funnel["replayable"] == window["samples"]
    assert {loss["example"].split(",")[0] for loss in funnel["losses"] if loss["step"] == "record"} == {
        "broken.jsonl",
        "manifest.json",
    }
    table = sia("check", "--window", FIRST.key).out
    assert all(text in table for text in ("records", "cannot be read", "without an answer", "can be replayed"))


def test_a_window_without_calls_names_those_that_hold_some(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    found = checked(sia, "--window", SECOND.key)["desk: spans"]
    assert found[0] == "fail"
    assert f"windows that hold calls: {FIRST.key} (" in found[1]


def test_a_window_that_would_pay_for_nothing_fails(sia: Sia, folder: Path, provider: SimulatedProvider) -> None:
    configure(folder, provider.base_url)
    write_week(folder, 30)
    hidden = [{"message.role": "system", "message.content": "Be kind."}, {"message.role": "user"}]
    hidden[1]["message.content"] = "__REDACTED__"
    rewrite(folder, "attributes.llm.input_messages", list(map(json.dumps, hidden)))
    found = checked(sia)
    assert found["desk: samples"][0] == "fail"
    assert "none of" in found["desk: samples"][1]
    assert "desk: cost" not in found
