"""What can be wrong with traces, evaluators, the endpoint and the budget, and what a window makes of it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest

from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject
from sia_dagster.defs.names import STAGES
from sia_dagster.defs.run_failures import failure_reasons
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.spans import SimulatedCall, llm_span, surrounding_spans, table
from simulation.loops import (
    CORRECTNESS,
    FIRST,
    IS_BRIEF,
    NAME,
    SECOND,
    WEEKS,
    Desk,
    checks,
    desk,
    failure,
    materialized,
    metadata,
    simulated,
)
from simulation.servers import Body, Reply, completion, refusal

PAYING = ("eval_results", "judge_watch", "updated_policy", "validation_results")


NEVER = Event()


def raises(sample: Sample) -> bool:
    """Cannot read what it is given."""
    raise LookupError(f"nothing known of {sample.span_id[:2]}")


def hangs(sample: Sample) -> bool:
    """Waits for what never comes."""
    return NEVER.wait(60)


def seldom_raises(sample: Sample) -> bool:
    """Fails on about one sample in sixteen."""
    if sample.span_id.startswith("0"):
        raise LookupError("nothing known")
    return True


def code(function: Callable[[Sample], bool], **fields: Any) -> JsonObject:
    """A code evaluator of this module."""
    return {"name": function.__name__, "kind": "code", "function": f"{__name__}:{function.__name__}", **fields}


def call(number: int, *, fails: bool = False) -> SimulatedCall:
    return SimulatedCall(
        user=f"customer-{number}",
        session=f"session-{number}",
        trace=f"trace-{number}",
        span=f"{number:016x}",
        start=WEEKS[0].start + timedelta(hours=1 + number),
        history=(Message(role="user", content=f"Where is my order {10_000 + 7 * number}?"),),
        fails=fails,
    )


def only_errors() -> list[JsonObject]:
    return [llm_span(call(number, fails=True), BASE_POLICY)[0] for number in range(5)]


def only_other_kinds() -> list[JsonObject]:
    return [row for number in range(5) for row in surrounding_spans(call(number), BASE_POLICY)]


def only_other_calls() -> list[JsonObject]:
    return [{**llm_span(call(number), BASE_POLICY)[0], "name": "Embedding"} for number in range(5)]


def only_another_week() -> list[JsonObject]:
    later = [call(number).model_copy(update={"start": WEEKS[1].start}) for number in range(5)]
    return [llm_span(one, BASE_POLICY)[0] for one in later]


def write_rows(found: Desk, rows: list[JsonObject]) -> Path:
    path = found.folder / "traces" / "rows.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(rows), path)
    return path


@pytest.mark.parametrize(
    ("rows", "calls"), [(only_errors, 5), (only_other_kinds, 0), (only_other_calls, 0), (only_another_week, 0)]
)
def test_a_window_without_usable_calls_decides_nothing(
    tmp_path: Path, rows: Callable[[], list[JsonObject]], calls: int
) -> None:
    with desk(tmp_path) as (found, server):
        write_rows(found, rows())
        result = found.run()
    assert result.success
    assert materialized(result) == set(STAGES)
    assert not server.requests
    assert (len(found.rows("traces")), found.rows("eval_results")) == (calls, [])
    state = found.document("baseline_state_actions", StateActions)
    assert (state.samples, state.actions, state.policy_share) == ((), None, None)
    update = found.document("updated_policy", PolicyUpdate)
    assert (update.changed, update.candidates) == (False, ())
    assert "the policy stays" in update.reason
    report = found.document("validation_results", ValidationReport)
    assert (report.verdict, report.rows) == ("inconclusive", ())
    assert found.document("promoted_policy", Promotion).promoted is None
    assert found.versions == ()
    claims = checks(result)
    failed = {name for name, claim in claims.items() if not claim.passed}
    assert failed == {"window_has_traces", "one_policy_spoke", "every_split_has_samples", "candidate_is_better"}
    assert {claims[name].severity.value for name in failed} == {"WARN"}
    assert metadata(result, "traces")["error_share"] == (1.0 if calls else 0.0)
    assert Path(metadata(result, "validation_results")["report"]).is_file()


def test_a_window_without_traffic_keeps_the_policy_in_force(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(0, conversations=4)
        found.put_in_force("Be brief.", WEEKS[0].end)
        assert found.run(SECOND).success
    state = found.document("baseline_state_actions", StateActions, SECOND)
    assert state.actions
    assert (state.actions.system_prompt, state.policy_version) == ("Be brief.", 1)
    assert found.document("updated_policy", PolicyUpdate, SECOND).candidate == state.actions


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("traces.parquet", b"no parquet at all", "it is no Parquet, JSON or CSV"),
        ("traces.json", b"<html></html>", "an HTML page"),
        ("traces.jsonl", b'{"name": "ChatCompletion"}\n', "of no form that is read"),
    ],
)
def test_a_bad_file_is_named_and_fails_the_window_only_where_there_is_no_other(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with desk(tmp_path) as (found, _):
        (tmp_path / "traces").mkdir()
        (tmp_path / "traces" / name).write_bytes(content)
        stage, told = failure(found.run(FIRST, "traces"))
        found.write(conversations=4)
        beside = found.run(FIRST, "traces")
    assert stage == "traces"
    assert name in told
    assert said in told
    assert told.startswith(f"loop desk, window {FIRST}: ")
    assert beside.success
    rows = [record.data for record in metadata(beside, "traces")["funnel"].records]
    assert [said in row["why"] for row in rows if str(row["first"]).startswith(name)] == [True]


def test_no_trace_file_at_all_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        stage, told = failure(found.run())
    assert stage == "traces"
    assert str(tmp_path / "traces") in told
    assert "set `traces.path`" in told


def test_a_condition_that_does_not_fit_is_quoted(tmp_path: Path) -> None:
    with desk(tmp_path, traces={"source": "local", "path": "traces", "where": "kind = 'a'"}) as (found, _):
        found.write(conversations=4)
        stage, told = failure(found.run())
    assert stage == "traces"
    assert "kind = 'a'" in told


def test_a_span_with_broken_json_is_skipped_and_counted(tmp_path: Path) -> None:
    rows = [llm_span(call(number), BASE_POLICY)[0] for number in range(8)]
    rows[3] |= {"attributes.llm.input_messages": ['{"message.role": '], "attributes.input.value": '{"messages": ['}
    with desk(tmp_path) as (found, _):
        write_rows(found, rows)
        result = found.run()
    assert result.success
    bad = rows[3]["context.span_id"]
    seen = metadata(result, "eval_results")
    assert (seen["samples"], seen["spans_skipped"]) == (7, 1)
    state = found.document("baseline_state_actions", StateActions)
    assert [bad in sentence for sentence in state.skipped] == [True]
    assert bad not in {row["span_id"] for row in found.rows("eval_results")}
    readable = checks(result)["spans_are_readable"]
    assert (readable.passed, readable.severity.value) == (False, "WARN")
    assert bad in str(readable.description)


def test_a_record_that_is_no_span_is_counted_with_its_file(tmp_path: Path) -> None:
    rows = table([llm_span(call(number), BASE_POLICY)[0] for number in range(1, 4)]).to_pylist()
    lines = [json.dumps(row) for row in rows]
    path = tmp_path / "traces" / "spans.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([*lines, '{"context.span_id": null, "start_time": 1}']), encoding="utf-8")
    with desk(tmp_path) as (found, _):
        result = found.run(FIRST, "traces")
    assert result.success
    seen = metadata(result, "traces")
    assert (seen["dagster/row_count"], seen["records_unreadable"]) == (3, 1)
    losses = [record.data for record in seen["funnel"].records if record.data["is_loss"]]
    assert [(loss["step"], loss["records"], loss["first"]) for loss in losses] == [
        ("cannot be read", 1, "spans.jsonl, line 4")
    ]


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [(code(raises), "LookupError: nothing known"), (code(hangs, timeout_seconds=0.05), "no answer within 0.05 s")],
)
def test_an_evaluator_that_fails_on_all_stops_the_window_after_its_rows_are_stored(
    tmp_path: Path, evaluator: JsonObject, said: str
) -> None:
    with desk(tmp_path, evaluators=[CORRECTNESS, evaluator]) as (found, _):
        found.write(conversations=6)
        result = found.run()
    assert not result.success
    assert materialized(result) == {"traces", "eval_results"}
    rows = [row for row in found.rows("eval_results") if row["evaluator"] == evaluator["name"]]
    assert rows
    assert all(row["score"] is None and said in row["error"] for row in rows)
    judged = [row for row in found.rows("eval_results") if row["evaluator"] == "correctness"]
    assert all(row["score"] is not None and row["error"] is None for row in judged)
    claim = checks(result)["unscored_share_is_low"]
    assert (claim.passed, claim.severity.value) == (False, "ERROR")
    assert said in str(claim.description)
    assert metadata(result, "eval_results")["unscored"] == len(rows)


def test_a_few_failures_are_rows_and_the_rest_stands(tmp_path: Path) -> None:
    with desk(tmp_path, evaluators=[CORRECTNESS, IS_BRIEF, code(seldom_raises)]) as (found, _):
        found.write()
        result = found.run()
    assert result.success
    assert materialized(result) == set(STAGES)
    rows = found.rows("eval_results")
    failed = [row for row in rows if row["error"]]
    assert failed
    assert {row["evaluator"] for row in failed} == {"seldom_raises"}
    assert all(row["span_id"].startswith("0") for row in failed)
    assert checks(result)["unscored_share_is_low"].passed


def test_an_evaluator_that_changed_in_between_must_judge_again(tmp_path: Path) -> None:
    """Like with like: what scored the logged outputs scores the replayed ones."""
    with desk(tmp_path) as (found, _):
        found.write(conversations=6)
        assert found.run(FIRST, "traces", "eval_results").success
        changed = found.with_loop(evaluators=[{**CORRECTNESS, "template": "helpfulness"}, IS_BRIEF])
        stage, told = failure(changed.run(FIRST, "baseline_state_actions"))
        assert changed.run(FIRST).success
    assert stage == "baseline_state_actions"
    assert "correctness changed since this window was evaluated: materialise it again from eval_results on" in told


def answering(model: str, answer: Callable[[Body, int], Reply | Body]) -> Callable[[Body, int], Reply | Body]:
    """The demo's models, but for one."""
    return lambda body, n: answer(body, n) if body["model"] == model else simulated(body)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda body, n: completion(json.dumps({"explanation": "Hm.", "label": "perhaps"})), "perhaps"),
        (lambda body, n: completion('{"explanation": "It is', finish_reason="length"), "cut off"),
        (
            lambda body, n: Reply(body=b'{"choices": [', headers={"Content-Type": "application/json"}),
            "no answer after 2",
        ),
        (lambda body, n: refusal(500, "The server is tired.", retry_after="0"), "The server is tired."),
        (lambda body, n: refusal(429, "Slow down.", retry_after="0"), "Slow down."),
        (lambda body, n: Reply(drop=True), "no answer after 2"),
    ],
    ids=["off its rails", "truncated", "broken JSON", "500", "429", "dropped"],
)
def test_a_judge_that_gives_no_label_leaves_errors_and_no_guess(
    tmp_path: Path, answer: Callable[[Body, int], Reply | Body], said: str
) -> None:
    with desk(tmp_path, answering("simulated-judge", answer)) as (found, _):
        found.write(conversations=2)
        result = found.run()
    assert not result.success
    assert materialized(result) == {"traces", "eval_results"}
    judged = [row for row in found.rows("eval_results") if row["evaluator"] == "correctness"]
    assert judged
    assert all(row["label"] is None and row["score"] is None and said in row["error"] for row in judged)


def test_an_endpoint_that_hangs_is_an_error_of_the_row(tmp_path: Path) -> None:
    with desk(tmp_path, answering("simulated-judge", lambda body, n: Reply(delay=30))) as (found, _):
        found.write(conversations=1)
        result = found.with_llm(timeout_seconds=0.1, max_attempts=1).run()
    assert materialized(result) == {"traces", "eval_results"}
    errors = [row["error"] for row in found.rows("eval_results") if row["evaluator"] == "correctness"]
    assert all("no reply within 0.1 seconds" in error for error in errors)


def test_replays_that_fail_stop_the_window_before_a_promotion(tmp_path: Path) -> None:
    """The application's model is down by the time the held-out samples are replayed."""
    selected: list[str] = []

    def tired(body: Body, n: int) -> Reply | Body:
        if selected and body["messages"][-1]["content"] not in selected:
            return refusal(400, "This conversation is too odd.")
        return simulated(body)

    with desk(tmp_path, answering("simulated-application", tired)) as (found, _):
        found.write()
        first = found.run(FIRST, *STAGES[: STAGES.index("baseline_state_actions") + 1])
        assert first.success
        state = found.document("baseline_state_actions", StateActions)
        selected += [sample.request for sample in (*state.of("train"), *state.of("selection"))]
        result = found.run()
    assert not result.success
    # What comes after the stage with the failed check does not run, the exam of the window before among it.
    assert materialized(result) == set(STAGES) - {"next_window_results", "promoted_policy"}
    claim = checks(result)["replays_are_scored"]
    assert (claim.passed, claim.severity.value) == (False, "ERROR")
    report = found.document("validation_results", ValidationReport)
    assert report.verdict == "inconclusive"
    assert any("too odd" in str(row.candidate.error) for row in report.rows)
    assert found.versions == ()


def test_an_endpoint_that_dies_while_candidates_are_compared_stops_the_window_and_says_so(tmp_path: Path) -> None:
    def down(body: Body, n: int) -> Reply | Body:
        return simulated(body) if n < 5 else refusal(400, "This conversation is too odd.")

    with desk(tmp_path, answering("simulated-application", down)) as (found, _):
        found.write()
        result = found.run()
    assert not result.success
    assert "validation_results" not in materialized(result)
    claim = checks(result)["selection_is_scored"]
    assert (claim.passed, claim.severity.value) == (False, "ERROR")
    (told,) = failure_reasons(result.all_events)
    assert told.startswith(f"loop {NAME}, window {FIRST}: the check selection_is_scored of updated_policy stopped")
    assert "of the search have no score (allowed: 20%)" in told


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(401, "Incorrect API key provided: sk-desk-0123456789.", code="invalid_api_key"), "DESK_KEY"),
        (refusal(404, "The model `simulated-judge` does not exist.", code="model_not_found"), "'simulated-judge'"),
        (refusal(429, "You exceeded your current quota.", code="insufficient_quota"), "no quota left"),
    ],
)
def test_an_endpoint_that_refuses_stops_at_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Reply, said: str
) -> None:
    monkeypatch.setenv("DESK_KEY", "sk-desk-0123456789")
    with desk(tmp_path, lambda body, n: answer) as (found, server):
        found.write()
        result = found.with_llm(api_key="DESK_KEY").run()
    stage, told = failure(result)
    assert (stage, materialized(result)) == ("eval_results", {"traces"})
    assert said in told
    assert "sk-desk-0123456789" not in told
    assert "then run the window again" in told
    assert len(server.requests) <= 8


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, object], dict[str, float], int]]:
    """What an undisturbed window stores, its cost by stage, and its requests."""
    with desk(tmp_path_factory.mktemp("undisturbed")) as (found, server):
        found.write()
        result = found.run()
        assert result.success
        costs = {stage: float(metadata(result, stage)["cost_usd"]) for stage in PAYING}
        yield found.contents(), costs, len(server.requests)


def test_a_window_whose_budget_is_reached_continues_when_it_is_raised(
    tmp_path: Path, undisturbed: tuple[dict[str, object], dict[str, float], int]
) -> None:
    """It is raised four times, to the middle of each stage that pays, and then to enough."""
    contents, costs, requests = undisturbed
    paid = 0
    with desk(tmp_path) as (found, server):
        found.write()
        for number, stage in enumerate(PAYING):
            cap = sum(costs[name] for name in PAYING[:number]) + costs[stage] / 2
            failed, told = failure(found.with_llm(budget_usd=cap).run())
            assert failed == stage
            assert f"of {cap:.6g} USD are spent" in told
            assert "raise llm.budget_usd and run the window again" in told
            # A search that stops within a step has no rows to count.
            assert "Missing: " in told or stage == "updated_policy"
            assert paid < len(server.requests) < requests
            paid = len(server.requests)
        again = found.with_llm(budget_usd=2 * sum(costs.values())).run()
    assert again.success
    assert len(server.requests) == requests
    assert found.contents() == contents


def test_a_budget_that_is_reached_is_in_the_failure_as_numbers(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(conversations=10)
        result = found.with_llm(budget_tokens=1500).run()
    (event,) = [event for event in result.all_events if event.is_step_failure]
    told = event.step_failure_data.user_failure_data
    assert told
    numbers = {name: value.value for name, value in told.metadata.items()}
    assert numbers["error"] == "SpendCapReached"
    assert numbers["budget_tokens"] == 1500
    assert 0 < float(str(numbers["spent_tokens"])) <= 1500


def test_a_trace_that_gives_orders_is_quoted_and_promotes_nothing_of_its_own(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, server):
        found.write(injected=True)
        assert found.run().success
    update = found.document("updated_policy", PolicyUpdate)
    obeyed = [candidate for candidate in update.candidates if "refunds.example.com" in candidate.actions.system_prompt]
    assert "stopped_by_guard" in {candidate.status for candidate in obeyed}
    assert "chosen" not in {candidate.status for candidate in obeyed}
    assert all("refunds.example.com" not in version.actions.system_prompt for version in found.versions)
    replayed = [body for body in server.requests if body["model"] == "simulated-application"]
    assert all("refunds.example.com" not in str(body["messages"][0]["content"]) for body in replayed)
