"""What goes back to the trace store, whatever the store."""

from datetime import UTC, datetime

import pytest

from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.evaluators.write_back import evaluations_to_write
from sia_dagster.core.records.evaluation import EvalMetrics, EvaluatorKind
from sia_dagster.core.records.span_evaluations import NotTaken, WriteReport

START = datetime(2026, 9, 14, tzinfo=UTC)
STARTED = {"s1": START, "s2": START}


def metrics_of(name: str, source: EvaluatorKind = "llm_classify", **fields: object) -> EvalMetrics:
    return EvalMetrics.model_validate({"name": name, "source": source, **fields})


def test_every_score_goes_back_to_its_span_in_one_order() -> None:
    correct = metrics_of("correctness", label="correct", score=1.0, explanation="It is.")
    short = metrics_of("is_short", source="code", score=0.0)
    found = evaluations_to_write({"s2": (short, correct), "s1": (correct,)}, STARTED)
    assert [(e.span_id, e.evaluator, e.kind) for e in found] == [
        ("s1", "correctness", "llm_classify"),
        ("s2", "correctness", "llm_classify"),
        ("s2", "is_short", "code"),
    ]
    assert found[0].model_dump(include={"label", "score", "explanation", "started"}) == {
        "label": "correct",
        "score": 1.0,
        "explanation": "It is.",
        "started": START,
    }
    assert found == evaluations_to_write({"s1": (correct,), "s2": (correct, short)}, STARTED)


@pytest.mark.parametrize(
    "metrics",
    [
        metrics_of("correctness", error="the judge answered off its rails"),
        metrics_of("csat", source="platform", score=1.0, label="good"),
        metrics_of("correctness", explanation="An explanation alone is no evaluation."),
    ],
    ids=["failed", "the platform's own", "explanation alone"],
)
def test_what_adds_nothing_is_not_sent(metrics: EvalMetrics) -> None:
    assert evaluations_to_write({"s1": (metrics,)}, STARTED) == ()


def test_a_label_alone_goes_back() -> None:
    assert evaluations_to_write({"s1": (metrics_of("tone", label="kind"),)}, STARTED)[0].score is None


def test_evaluations_of_spans_that_the_window_no_longer_samples_are_refused() -> None:
    evals = {"s3": (metrics_of("tone", score=1.0),), "s1": (metrics_of("tone", score=1.0),)}
    with pytest.raises(WriteBackError, match=r"1 evaluated spans .* the first s3.*`eval_results` again"):
        evaluations_to_write(evals, STARTED)


@pytest.mark.parametrize(
    ("report", "complete"),
    [
        (WriteReport(offered=2, updated=2, shortened=1), True),
        (WriteReport(offered=2, updated=1, too_old=("s1",)), True),
        (WriteReport(offered=2, updated=1, unmatched=("s1",)), False),
        (WriteReport(offered=2, updated=1, not_taken=(NotTaken(span_id="s1", evaluator="e", reason="r"),)), False),
        (WriteReport(offered=2, updated=1, faults=("the server failed",)), False),
    ],
)
def test_a_report_is_complete_where_nothing_more_could_be_taken(report: WriteReport, complete: bool) -> None:
    assert report.complete is complete


def test_a_report_is_summed_up_in_one_sentence() -> None:
    assert WriteReport(offered=2, updated=2).summary == "2 of 2 evaluations are in the trace store."
    report = WriteReport(
        offered=9,
        updated=4,
        unmatched=("s1", "s2"),
        too_old=("s0",),
        not_taken=(NotTaken(span_id="s3", evaluator="tone", reason="its score is nan"),),
        faults=("the server failed", "and again"),
    )
    assert report.summary == (
        "4 of 9 evaluations are in the trace store; 1 spans are too old to be updated; "
        "2 spans are unknown to the store, the first s1; 1 were not taken, the first since its score is nan; "
        "the server failed and again."
    )
