"""A platform score is what the trace store recorded of the span, or an error that says why there is none."""

import asyncio
from typing import Any

import pytest

from sia_dagster.core.config.loop import PlatformConfig
from sia_dagster.core.evaluators.platform import PlatformEvaluator
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster_tests.worlds.evaluation_samples import sample


def recorded(**fields: Any) -> EvalMetrics:
    return EvalMetrics(**{"name": "csat", "source": "platform", **fields})


@pytest.mark.parametrize(
    ("record", "score", "error"),
    [
        (recorded(score=0.5, label="ok", explanation="meh"), 0.5, None),
        (recorded(label="0.25"), 0.25, None),
        (recorded(label="good"), None, "eval.csat has neither a score nor a label that is a number"),
        (recorded(), None, "eval.csat has neither a score nor a label that is a number"),
        (recorded(score=2.0), None, "the score 2 is not within 0 .. 1, the evaluator's low and high"),
        (recorded(label="nan"), None, "the score nan is not within 0 .. 1, the evaluator's low and high"),
        (recorded(error="timed out"), None, "timed out"),
        (
            EvalMetrics(name="csat", score=1.0, source="code"),
            None,
            "the trace carries no annotation.csat and no eval.csat",
        ),
        (
            EvalMetrics(name="other", score=1.0, source="platform"),
            None,
            "the trace carries no annotation.csat and no eval.csat",
        ),
    ],
)
def test_a_platform_score_is_what_the_trace_carries(
    record: EvalMetrics, score: float | None, error: str | None
) -> None:
    evaluator = PlatformEvaluator(PlatformConfig(name="csat", kind="platform"))
    metrics = asyncio.run(evaluator.score(sample(evals=(record,)), "logged/0"))
    assert (metrics.name, metrics.score, metrics.error, metrics.source) == ("csat", score, error, "platform")
    assert metrics.fingerprint == evaluator.constant.fingerprint


@pytest.mark.parametrize(
    ("people", "platform", "score", "explanation"),
    [
        (recorded(score=0.25), recorded(score=0.75, explanation="fine"), 0.25, "annotated by people"),
        (recorded(score=0.0, explanation="rude"), None, 0.0, "rude (annotated by people)"),
        (recorded(label="0.5"), recorded(score=0.75), 0.5, "annotated by people"),
        (recorded(label="bad"), recorded(score=0.75, explanation="fine"), 0.75, "fine"),
        (EvalMetrics(name="other", score=0.0, source="platform"), recorded(score=0.75), 0.75, None),
    ],
)
def test_peoples_annotation_goes_before_the_platforms_own(
    people: EvalMetrics, platform: EvalMetrics | None, score: float, explanation: str | None
) -> None:
    evaluator = PlatformEvaluator(PlatformConfig(name="csat", kind="platform"))
    given = sample(annotations=(people,), evals=(platform,) if platform else ())
    metrics = asyncio.run(evaluator.score(given, "logged/0"))
    assert (metrics.score, metrics.explanation, metrics.error) == (score, explanation, None)


@pytest.mark.parametrize(
    ("people", "error"),
    [
        (recorded(label="bad"), "annotation.csat has neither a score nor a label that is a number"),
        (recorded(score=2.0), "the score 2 is not within 0 .. 1, the evaluator's low and high"),
    ],
)
def test_peoples_annotation_off_the_scale_is_an_error_that_names_it(people: EvalMetrics, error: str) -> None:
    evaluator = PlatformEvaluator(PlatformConfig(name="csat", kind="platform"))
    for evals in ((), (recorded(label="good"),)):
        metrics = asyncio.run(evaluator.score(sample(annotations=(people,), evals=evals), "logged/0"))
        assert (metrics.score, metrics.error) == (None, error)


def test_a_platform_constant_has_its_range() -> None:
    constant = PlatformEvaluator(PlatformConfig(name="csat", kind="platform", low=1, high=5)).constant
    assert (constant.low, constant.high) == (1.0, 5.0)
    assert (
        constant.criteria == "recorded by the trace store: what people said as annotation.csat, else its own eval.csat"
    )
