"""What goes back to the trace store, whatever the store."""

from datetime import UTC, datetime

import pytest

from sia_dagster.core.models import EvalMetrics, EvaluatorKind
from sia_dagster.core.write_back import NotTaken, WriteReport, evaluations_to_write

START = datetime(2026, 9, 14, tzinfo=UTC)
STARTED = {"s1": START, "s2": START}


def said(name: str, source: EvaluatorKind = "llm_classify", **fields: object) -> EvalMetrics:
    return EvalMetrics.model_validate({"name": name, "source": source, **fields})


def test_every_score_goes_back_to_its_span_in_one_order() -> None:
    correct = said("correctness", label="correct", score=1.0, explanation="It is.")
    short = said("is_short", source="code", score=0.0)
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
        said("correctness", error="the judge answered off its rails"),
        said("csat", source="platform", score=1.0, label="good"),
        said("correctness", explanation="An explanation alone is no evaluation."),
    ],
    ids=["failed", "the platform's own", "explanation alone"],
)
def test_what_says_nothing_new_stays_here(metrics: EvalMetrics) -> None:
    assert evaluations_to_write({"s1": (metrics,)}, STARTED) == ()


def test_a_label_alone_goes_back() -> None:
    assert evaluations_to_write({"s1": (said("tone", label="kind"),)}, STARTED)[0].score is None


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
