"""The samples that an evaluator marked down: what a candidate is to improve."""

from collections.abc import Iterable

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value

FAILURE_SHORTFALL = 0.25
"""A score this share of its range below the best is a failure: one step of rails `1..5`."""


class FailedSample(Value):
    """One sample that one evaluator marked down."""

    sample: Sample
    metric: EvalMetrics


def shortfall(metric: EvalMetrics, constant: EvalConstant) -> float | None:
    """How far below the best the score is, as a share of the evaluator's range; None without a score."""
    return None if metric.score is None else (constant.high - metric.score) / constant.scale


def find_failed_samples(samples: Iterable[Sample], constant: EvalConstant) -> tuple[FailedSample, ...]:
    """The samples that this evaluator marked down by FAILURE_SHORTFALL or more, by span id."""
    found = (
        FailedSample(sample=sample, metric=metric)
        for sample in samples
        for metric in sample.evals
        if metric.name == constant.name and (shortfall(metric, constant) or 0.0) >= FAILURE_SHORTFALL
    )
    return tuple(sorted(found, key=lambda failure: failure.sample.span_id))
