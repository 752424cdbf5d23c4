"""Failures grouped by their label and explanation, the biggest group first."""

from collections.abc import Sequence

from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.search.failed_samples import FailedSample, find_failed_samples
from sia_dagster.core.text import word_grams

SAME_WORDS = 0.5
"""Explanations whose words have at least this Jaccard similarity are of one group."""
_SHORTEST_WORD = 3


class Cluster(Value):
    """Failures of one evaluator with one label, whose explanations share words."""

    evaluator: str
    label: str | None
    failures: tuple[FailedSample, ...]
    """By span id; the others were compared with the explanation of the first."""


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
    """Each failure joins the group whose first explanation is most similar to its own, or opens a new one."""
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
    """The words of three letters or more, in any script: numbers and units differ by sample, not by failure."""
    return frozenset(word_grams(explanation, _SHORTEST_WORD))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: shared words by all words; 1 for two texts without words."""
    return len(one & other) / len(one | other) if one or other else 1.0
