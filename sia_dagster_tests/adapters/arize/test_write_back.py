"""Evaluations back to Arize: each is on its span or accounted for, whatever the store does meanwhile."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight
from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_traces import ArizeTraces
from sia_dagster.adapters.arize.evaluations import (
    LONGEST_EXPLANATION,
    LONGEST_LABEL,
    MARK,
    ArizeEvaluations,
    batches,
    frame,
    prepare,
)
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.ports.trace_store import EvaluationStore, SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import SpanEvaluation, WriteReport
from simulation.arize_flight import KEY, NOW, PROJECT, ArizeFlight

START = datetime(2026, 11, 9, tzinfo=UTC)
OLD = NOW - timedelta(days=40)


@pytest.fixture
def store(store: ArizeFlight) -> ArizeFlight:
    store.add_table(spans(["a", "b", "c"]))
    return store


def spans(ids: Sequence[str], start: datetime = START) -> pa.Table:
    nanoseconds = int(start.timestamp()) * 10**9
    return pa.table(
        {
            "context.span_id": list(ids),
            "start_time": [nanoseconds] * len(ids),
            "attributes.openinference.span.kind": ["LLM"] * len(ids),
            "attributes.output.value": ["done"] * len(ids),
        }
    )


def said(span_id: str, evaluator: str = "helpful", **more: Any) -> SpanEvaluation:
    return SpanEvaluation(
        **({"span_id": span_id, "evaluator": evaluator, "kind": "code", "started": START, "score": 1.0} | more)
    )


def write(store: ArizeFlight, evaluations: Sequence[SpanEvaluation], **changes: Any) -> WriteReport:
    target: EvaluationStore = ArizeEvaluations(store.connection(**changes), wait=lambda seconds: None)
    return target.write(evaluations, now=NOW)


def test_evaluations_stand_on_their_spans(store: ArizeFlight) -> None:
    report = write(
        store,
        [
            said("a", label="good", score=0.75, explanation="It answers."),
            said("b", label="bad", score=None),
            said("b", "brief", score=0.0),
        ],
    )
    assert report == WriteReport(offered=3, updated=3)
    assert report.complete
    assert store.evaluations == {
        "a": {"eval.helpful.score": 0.75, "eval.helpful.label": "good", "eval.helpful.explanation": "It answers."},
        "b": {
            "eval.helpful.score": None,
            "eval.helpful.label": "bad",
            "eval.helpful.explanation": None,
            "eval.brief.score": 0.0,
        },
    }


def test_what_was_written_comes_back_with_the_spans(store: ArizeFlight) -> None:
    write(store, [said("a", label="good", score=0.5)])
    window = TimeWindow(key="w", start=START, end=START + timedelta(days=1))
    query = SpanQuery(window=window, recorded=("helpful",), annotated=())
    rows = [row for batch in ArizeTraces(store.connection()).spans(query) for row in batch.to_pylist()]
    assert {row["span_id"]: row["evals"] for row in rows} == {
        "a": '{"helpful":{"label":"good","score":"0.5"}}',
        "b": None,
        "c": None,
    }


def test_the_same_call_again_changes_nothing(store: ArizeFlight) -> None:
    evaluations = [said("a"), said("b", label="bad"), said("unknown")]
    first = write(store, evaluations)
    stored = {span: dict(columns) for span, columns in store.evaluations.items()}
    assert write(store, evaluations) == first
    assert store.evaluations == stored
    assert store.seen.puts[0].equals(store.seen.puts[1].select(store.seen.puts[0].column_names))


def test_an_evaluation_is_replaced_by_a_later_one(store: ArizeFlight) -> None:
    write(store, [said("a", score=0.1)])
    write(store, [said("a", score=0.9)])
    assert store.evaluations["a"] == {"eval.helpful.score": 0.9}


def test_nothing_to_say_is_nothing_to_send(store: ArizeFlight) -> None:
    assert write(store, []) == WriteReport()
    assert store.seen.puts == []


def test_booleans_and_integers_go_as_floats(store: ArizeFlight) -> None:
    write(store, [said("a", score=True), said("b", score=3), said("c", score=0.5)])
    (sent,) = store.seen.puts
    assert sent.schema.field("eval.helpful.score").type == pa.float64()
    assert [store.evaluations[span]["eval.helpful.score"] for span in "abc"] == [1.0, 3.0, 0.5]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_left_out_and_named(store: ArizeFlight, score: float) -> None:
    report = write(store, [said("a", score=score, label="good"), said("b")])
    assert (report.offered, report.updated) == (2, 1)
    (left_out,) = report.not_taken
    assert (left_out.span_id, left_out.evaluator) == ("a", "helpful")
    assert "not a finite number" in left_out.reason
    assert not report.complete
    assert set(store.evaluations) == {"b"}


@pytest.mark.parametrize(
    ("evaluation", "reason"),
    [
        (said("a", "tone-of-voice"), "rename it"),
        (said("a", "tone.voice"), "rename it"),
        (said("a", ""), "rename it"),
        (said("a", "tone\n"), "rename it"),
        (said("a", score=None, explanation="since it is so"), "neither a score nor a label"),
        (said("a", score=None, label=""), "neither a score nor a label"),
        (said(""), "names no span"),
    ],
)
def test_what_the_store_would_drop_without_a_word_is_named(
    store: ArizeFlight, evaluation: SpanEvaluation, reason: str
) -> None:
    report = write(store, [evaluation, said("b")])
    assert [reason in entry.reason for entry in report.not_taken] == [True]
    assert report.updated == 1
    assert set(store.evaluations) == {"b"}


def test_all_unfit_is_reported_and_nothing_is_sent(store: ArizeFlight) -> None:
    report = write(store, [said("a", score=math.nan)])
    assert (report.offered, report.updated, len(report.not_taken), report.faults) == (1, 0, 1, ())
    assert store.seen.puts == []


def test_long_texts_are_cut_with_a_mark(store: ArizeFlight) -> None:
    exact = "e" * LONGEST_EXPLANATION
    report = write(
        store,
        [
            said("a", label="l" * 101, explanation="e" * 10_001),
            said("b", label="l" * 100, explanation=exact),
            said("unknown", label="l" * 101),
        ],
    )
    cut, whole = store.evaluations["a"], store.evaluations["b"]
    assert cut["eval.helpful.label"] == "l" * 99 + "…"
    assert cut["eval.helpful.explanation"] == "e" * (LONGEST_EXPLANATION - len(MARK)) + MARK
    assert (whole["eval.helpful.label"], whole["eval.helpful.explanation"]) == ("l" * 100, exact)
    assert report.shortened == 1, "of those that were taken"
    assert report.updated == 2


def test_half_an_emoji_can_be_sent(store: ArizeFlight) -> None:
    assert write(store, [said("a", explanation="fine \ud83d")]).updated == 1
    assert store.evaluations["a"]["eval.helpful.explanation"] == "fine �"


def test_of_repeated_evaluations_the_last_is_sent_once(store: ArizeFlight) -> None:
    report = write(store, [said("a", score=0.0), said("b"), said("a", score=1.0)])
    (sent,) = store.seen.puts
    assert sent["context.span_id"].to_pylist() == ["a", "b"]
    assert (report.offered, report.updated) == (2, 2)
    assert store.evaluations["a"]["eval.helpful.score"] == 1.0


def test_unknown_spans_are_told_from_old_ones(store: ArizeFlight) -> None:
    store.add_table(spans(["ancient"], OLD))
    report = write(
        store,
        [
            said("zz"),
            said("yy"),
            said("ancient", started=OLD),
            said("ancient", "brief", started=OLD),
            said("lost", started=OLD),
            said("a"),
        ],
    )
    assert (report.offered, report.updated) == (6, 1)
    assert report.unmatched == ("yy", "zz")
    assert report.too_old == ("ancient", "lost")
    assert not report.complete
    assert report.faults == ()


def test_spans_that_are_too_old_alone_leave_the_report_complete(store: ArizeFlight) -> None:
    report = write(store, [said("a"), said("gone", started=OLD)])
    assert report.too_old == ("gone",)
    assert report.complete


def test_an_old_span_that_the_store_still_takes_is_updated(store: ArizeFlight) -> None:
    store.now = OLD
    store.add_table(spans(["ancient"], OLD))
    assert write(store, [said("ancient", started=OLD)]) == WriteReport(offered=1, updated=1)


def test_none_matched_is_a_report_and_no_error(store: ArizeFlight) -> None:
    report = write(store, [said("x"), said("y")])
    assert (report.updated, report.unmatched) == (0, ("x", "y"))


def test_twenty_five_thousand_rows_go_in_batches(store: ArizeFlight) -> None:
    names = [f"s{number:05}" for number in range(25_000)]
    store.add_table(spans(names))
    report = write(store, [said(name, explanation="because") for name in reversed(names)])
    assert (report.offered, report.updated, report.complete) == (25_000, 25_000, True)
    assert [put.num_rows for put in store.seen.puts] == [10_000, 10_000, 5_000]
    assert len(store.evaluations) == 25_000


def test_no_evaluator_overwrites_what_another_batch_says(store: ArizeFlight) -> None:
    store.evaluations["b"] = {"eval.brief.score": 0.25}
    write(store, [said("a"), said("b"), said("a", "brief")])
    assert store.evaluations["b"] == {"eval.brief.score": 0.25, "eval.helpful.score": 1.0}
    assert [put.num_rows for put in store.seen.puts] == [1, 2]


def test_no_empty_column_is_ever_sent(store: ArizeFlight) -> None:
    write(store, [said("a"), said("b", "tone", score=None, label="kind"), said("c", "brief", explanation="so")])
    for put in store.seen.puts:
        assert all(put[name].null_count < put.num_rows for name in put.column_names)
    assert {frozenset(put.column_names) for put in store.seen.puts} == {
        frozenset({"context.span_id", "eval.helpful.score"}),
        frozenset({"context.span_id", "eval.tone.label"}),
        frozenset({"context.span_id", "eval.brief.score", "eval.brief.explanation"}),
    }


def test_a_busy_store_is_asked_again(store: ArizeFlight) -> None:
    store.fail("put", flight.FlightUnavailableError("too many requests"), times=2)
    assert write(store, [said("a")]) == WriteReport(offered=1, updated=1)
    assert len(store.seen.puts) == 3


def test_a_silent_store_is_asked_again(store: ArizeFlight) -> None:
    store.hang("put")
    assert write(store, [said("a")], timeout_seconds=0.3) == WriteReport(offered=1, updated=1)


def test_after_an_error_half_way_what_was_taken_is_known(store: ArizeFlight) -> None:
    store.add_table(spans([f"s{number}" for number in range(9)]))
    store.fail("put", flight.FlightInternalError("out of memory"), after=1, times=99)
    target = ArizeEvaluations(store.connection(max_attempts=2), wait=lambda seconds: None, batch_rows=3)
    report = target.write([said(f"s{number}") for number in range(9)], now=NOW)
    assert (report.offered, report.updated) == (9, 3)
    assert [entry.span_id for entry in report.not_taken] == ["s3", "s4", "s5", "s6", "s7", "s8"]
    assert all("out of memory" in entry.reason for entry in report.not_taken)
    (fault,) = report.faults
    assert fault.endswith("[2 attempts]")
    assert sorted(store.evaluations) == ["s0", "s1", "s2"]
    assert len(store.seen.puts) == 3, "the last batch is not tried against a store that is down"


def test_a_batch_that_is_refused_for_itself_does_not_hold_up_the_others(store: ArizeFlight) -> None:
    store.fail("put", pa.ArrowInvalid("evaluation name is taken"), after=1)
    report = write(store, [said("a", "first"), said("a", "second"), said("a", "third")])
    assert report.updated == 2
    assert [(entry.evaluator, entry.span_id) for entry in report.not_taken] == [("second", "a")]
    assert "evaluation name is taken" in report.faults[0]


def test_an_error_after_which_all_arrived_at_the_second_call(store: ArizeFlight) -> None:
    store.fail("put", flight.FlightInternalError("out of memory"), after=1)
    evaluations = [said(span, name) for span in "abc" for name in ("first", "second")]
    assert not write(store, evaluations, max_attempts=1).complete
    assert write(store, evaluations, max_attempts=1) == WriteReport(offered=6, updated=6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"api_key": SecretStr("ak-wrong-one")}, "ARIZE_API_KEY"),
        ({"space_id": "U3BhY2U6OTk5"}, "ARIZE_SPACE_ID"),
        ({"project": "not_there"}, "ARIZE_MODEL_ID"),
    ],
)
def test_where_nothing_can_be_sent_it_is_an_error_that_says_what_to_set(
    store: ArizeFlight, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(WriteBackError, match=told) as caught:
        write(store, [said("a"), said("b", "brief")], **changes)
    assert "ak-" not in str(caught.value)
    assert store.evaluations == {}
    assert len(store.seen.puts) == 0, "the door is shut, and nobody knocks twice"


def test_a_store_that_is_down_is_an_error(store: ArizeFlight) -> None:
    settings = store.connection(max_attempts=2)
    store.__exit__()
    target = ArizeEvaluations(settings, wait=lambda seconds: None)
    with pytest.raises(WriteBackError, match=r"cannot be reached.*\[2 attempts\]"):
        target.write([said("a")], now=NOW)


def test_an_answer_that_forgets_rows_is_said(store: ArizeFlight) -> None:
    store.manners.forgets = 1
    report = write(store, [said("a"), said("b"), said("zz")])
    assert (report.updated, report.unmatched) == (1, ("zz",))
    assert report.faults == (
        "3 evaluations 'helpful' were sent, but Arize answered for 2; write them again, and look at the spans in Arize "
        "if this happens again",
    )
    assert not report.complete


def test_the_request_names_space_project_and_key(store: ArizeFlight) -> None:
    write(store, [said("a")])
    assert store.headers["auth-token-bin"] == [KEY.encode()]
    assert PROJECT in store.tables


TEXTS = st.none() | st.text(max_size=12) | st.sampled_from(["x" * 100, "x" * 101, "e" * 10_000, "e" * 10_001])

EVALUATIONS = st.lists(
    st.builds(
        SpanEvaluation,
        span_id=st.sampled_from(["", "a", "b", "c"]),
        evaluator=st.sampled_from(["helpful", "brief", "not-good"]),
        kind=st.just("code"),
        started=st.just(START),
        label=TEXTS,
        score=st.none() | st.floats(),
        explanation=TEXTS,
    ),
    max_size=12,
)


@given(EVALUATIONS)
def test_every_evaluation_is_sent_or_named_once(evaluations: list[SpanEvaluation]) -> None:
    prepared = prepare(evaluations)
    offered = {(e.evaluator, e.span_id) for e in evaluations}
    sent = [(row.evaluator, row.span_id) for row in prepared.rows]
    left_out = [(entry.evaluator, entry.span_id) for entry in prepared.not_taken]
    assert Counter(sent + left_out) == Counter(offered)
    assert prepared.shortened <= set(sent)
    assert sent == sorted(sent)


@given(EVALUATIONS)
def test_what_is_sent_is_what_the_store_takes(evaluations: list[SpanEvaluation]) -> None:
    for row in prepare(evaluations).rows:
        assert row.span_id
        assert row.label is None or 1 <= len(row.label) <= LONGEST_LABEL
        assert row.explanation is None or 1 <= len(row.explanation) <= LONGEST_EXPLANATION
        assert row.label is not None or row.score is not None
        assert row.score is None or math.isfinite(row.score)


@given(EVALUATIONS, st.integers(1, 4))
def test_batches_hold_one_evaluator_and_all_rows(evaluations: list[SpanEvaluation], size: int) -> None:
    rows = prepare(evaluations).rows
    cut = list(batches(rows, size))
    assert [row for batch in cut for row in batch] == list(rows)
    assert all(1 <= len(batch) <= size for batch in cut)
    assert all(len({row.evaluator for row in batch}) == 1 for batch in cut)


@given(EVALUATIONS)
def test_frames_pass_the_packages_own_validation(evaluations: list[SpanEvaluation]) -> None:
    from arize.spans.validation.evals import evals_validation

    for batch in batches(prepare(evaluations).rows):
        table = frame(batch)
        assert evals_validation.validate_dataframe_form(evals_dataframe=table) == []
        assert evals_validation.validate_values(evals_dataframe=table, project_name=PROJECT) == []
        assert not table.isna().all().any()
