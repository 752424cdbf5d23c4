"""Failures grouped by what evaluators said of them: what the updater is to mend, biggest group first."""

import re
from collections.abc import Iterable, Sequence

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value

FAILURE_SHORTFALL = 0.25
"""A score this share of its range below the best is a failure: one step of rails `1..5`."""


SAME_WORDS = 0.5
"""The Jaccard similarity of two explanations' words from which they say the same."""


class FailedSample(Value):
    """One sample that one evaluator marked down."""

    sample: Sample
    metric: EvalMetrics


class Cluster(Value):
    """Failures of one evaluator with one label, whose explanations share words."""

    evaluator: str
    label: str | None
    failures: tuple[FailedSample, ...]
    """By span id; the first one's explanation is the one the others were compared with."""


def shortfall(metric: EvalMetrics, constant: EvalConstant) -> float | None:
    """How far below the best the score is, as a share of the evaluator's range; None without a score."""
    if metric.score is None:
        return None
    worst, best = (
        min(constant.rails.values(), default=constant.low),
        max(constant.rails.values(), default=constant.high),
    )
    return (best - metric.score) / (best - worst) if best > worst else 0.0


def find_failed_samples(samples: Iterable[Sample], constant: EvalConstant) -> tuple[FailedSample, ...]:
    """The samples that this evaluator marked down by FAILURE_SHORTFALL or more, by span id."""
    found = (
        FailedSample(sample=sample, metric=metric)
        for sample in samples
        for metric in sample.evals
        if metric.name == constant.name and (shortfall(metric, constant) or 0.0) >= FAILURE_SHORTFALL
    )
    return tuple(sorted(found, key=lambda failure: failure.sample.span_id))


def find_clusters(samples: Sequence[Sample], constants: Sequence[EvalConstant]) -> tuple[Cluster, ...]:
    """The failures grouped; the primary evaluator's groups first, since it decides, and the biggest first.

    Ties go by the evaluators' order, then by span id, so that the same failures in any order give the same groups.
    """
    ranked = []
    for place, constant in enumerate(constants):
        for cluster in _clusters_of(find_failed_samples(samples, constant)):
            first = cluster.failures[0].sample.span_id
            ranked.append(((not constant.primary, -len(cluster.failures), place, first), cluster))
    return tuple(cluster for _, cluster in sorted(ranked, key=lambda pair: pair[0]))


def _clusters_of(failures: Sequence[FailedSample]) -> list[Cluster]:
    """Each failure joins the group whose first explanation is most like its own, or opens a new one."""
    groups: list[tuple[str | None, frozenset[str], list[FailedSample]]] = []
    for failure in failures:
        label, words = failure.metric.label, words_of(failure.metric.explanation or "")
        peers = [group for group in groups if group[0] == label]
        closest = max(peers, key=lambda group: similarity(words, group[1]), default=None)
        if closest and similarity(words, closest[1]) >= SAME_WORDS:
            closest[2].append(failure)
        else:
            groups.append((label, words, [failure]))
    return [Cluster(evaluator=g[0].metric.name, label=label, failures=tuple(g)) for label, _, g in groups]


def words_of(explanation: str) -> frozenset[str]:
    """The words of three letters or more, casefolded: numbers and names of units tell samples apart, not failures."""
    return frozenset(re.findall(r"[^\W\d_]{3,}", explanation.casefold()))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: shared words by all words; two texts without words are alike."""
    return len(one & other) / len(one | other) if one or other else 1.0
