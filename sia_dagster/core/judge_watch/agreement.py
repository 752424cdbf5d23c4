"""The agreement of an evaluator with people: its results beside the annotations under its name."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, TypeVar

from sia_dagster.core.judge_watch.kappa import Kappa, label_kappa, number_kappa
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import as_number

_BOOLEANS = {"true", "false"}

Answer = TypeVar("Answer", str, float)


class Disagreement(Value):
    """One answer of the application that people and the evaluator score differently."""

    span_id: str
    people: EvalMetrics
    evaluator: EvalMetrics
    distance: float
    """How far apart, as a share of the evaluator's range; 1 between labels."""


class Agreement(Kappa):
    """The agreement of an evaluator and people, over the answers that both judged."""

    evaluator: str
    method: Literal["unweighted", "linear"]
    """`unweighted` on labels, `linear` on numbers."""
    annotated: int
    """Answers that people annotated under the evaluator's name."""
    n: int
    """Those that can be compared: the annotation is on the evaluator's scale, and the evaluator has a result."""
    same: int
    """Answers that both judged exactly the same."""
    disagreements: tuple[Disagreement, ...] = ()
    """The farthest apart first, ties by span id."""


class _Pair(NamedTuple):
    """Both results for one answer."""

    span_id: str
    people: EvalMetrics
    evaluator: EvalMetrics


def agreement(samples: Iterable[Sample], constants: Sequence[EvalConstant]) -> tuple[Agreement, ...]:
    """Every judge and function beside people's annotations of its name, in the order of `constants`.

    Samples hold the evaluator's result in `evals` and people's in `annotations`. Evaluators without annotations are
    left out, and `platform` ones, whose scores are annotations already. Labels are compared without regard to case,
    blanks and underscores; an annotation without such a label stands for the one rail with its score. Numbers within
    the evaluator's range are compared instead where more answers have them, and where all rails are numbers (`1..5`).
    """
    pairs: dict[str, list[_Pair]] = {constant.name: [] for constant in constants if constant.kind != "platform"}
    for sample in samples:
        evals = {metrics.name: metrics for metrics in sample.evals if metrics.error is None}
        for people in sample.annotations:
            if people.name in pairs:
                result = evals.get(people.name, EvalMetrics(name=people.name))
                pairs[people.name].append(_Pair(sample.span_id, people, result))
    return tuple(_agreement(constant, pairs[constant.name]) for constant in constants if pairs.get(constant.name))


class _Scale:
    """How results are read: as one of the evaluator's labels, or as a share of its range."""

    def __init__(self, constant: EvalConstant, results: Iterable[EvalMetrics]) -> None:
        """`results` are the evaluator's own, which show the labels of a function."""
        self._low, self._span = constant.low, constant.high - constant.low
        self._rails = _rails(constant, results)
        self.graded = bool(self._rails) and all(as_number(label) is not None for label in self._rails)

    def label(self, result: EvalMetrics) -> str | None:
        """The rail that is named, else the only one with this score."""
        folded = _folded(result)
        if folded in self._rails:
            return folded
        rails = [rail for rail, score in self._rails.items() if _equal(score, result.score)]
        return rails[0] if len(rails) == 1 else None

    def share(self, result: EvalMetrics) -> float | None:
        """The place in the range, 0..1, of the rail's score, else its own score, else the number that is its label."""
        readings = (self._rails.get(_folded(result)), result.score, as_number(result.label or ""))
        score = next((reading for reading in readings if reading is not None), None)
        if score is None or self._span <= 0:
            return None
        share = round((score - self._low) / self._span, 9) if math.isfinite(score) else math.nan
        return share if 0 <= share <= 1 else None


def _rails(constant: EvalConstant, results: Iterable[EvalMetrics]) -> dict[str, float | None]:
    """The labels, folded, with their scores: the constant's own, and those that the evaluator used.

    None is the score of a label that has none, or more than one.
    """
    used: dict[str, set[float | None]] = {}
    for metrics in results:
        if metrics.label:
            used.setdefault(_folded(metrics), set()).add(metrics.score)
    rails: dict[str, float | None] = {}
    if used and used.keys() <= _BOOLEANS:
        # A function with one result for all samples has not used its other label.
        rails = {"true": constant.high, "false": constant.low}
    rails |= {label: next(iter(scores)) if len(scores) == 1 else None for label, scores in used.items()}
    return {**rails, **{_fold(label): score for label, score in constant.rails.items()}}


def _agreement(constant: EvalConstant, pairs: Sequence[_Pair]) -> Agreement:
    scale = _Scale(constant, [pair.evaluator for pair in pairs])
    labels = [] if scale.graded else _read(pairs, scale.label)
    numbers = _read(pairs, scale.share)
    if len(numbers) > len(labels):
        found, apart = number_kappa(*_sides(numbers)), _apart(numbers, lambda people, result: abs(people - result))
    else:
        found, apart = label_kappa(*_sides(labels)), _apart(labels, lambda people, result: float(people != result))
    compared = max(len(labels), len(numbers))
    return Agreement(
        evaluator=constant.name,
        method="linear" if len(numbers) > len(labels) else "unweighted",
        annotated=len(pairs),
        n=compared,
        same=compared - len(apart),
        disagreements=apart,
        **found.model_dump(),
    )


def _read(pairs: Iterable[_Pair], read: Callable[[EvalMetrics], Answer | None]) -> list[tuple[_Pair, Answer, Answer]]:
    """The pairs of which both results can be read, people's first."""
    found = []
    for pair in pairs:
        people, evaluator = read(pair.people), read(pair.evaluator)
        if people is not None and evaluator is not None:
            found.append((pair, people, evaluator))
    return found


def _sides(read: Iterable[tuple[_Pair, Answer, Answer]]) -> tuple[list[Answer], list[Answer]]:
    pairs = [(people, evaluator) for _, people, evaluator in read]
    return [people for people, _ in pairs], [evaluator for _, evaluator in pairs]


def _apart(
    read: Iterable[tuple[_Pair, Answer, Answer]], distance: Callable[[Answer, Answer], float]
) -> tuple[Disagreement, ...]:
    found = [
        Disagreement(**pair._asdict(), distance=distance(people, evaluator))
        for pair, people, evaluator in read
        if people != evaluator
    ]
    return tuple(sorted(found, key=lambda one: (-one.distance, one.span_id)))


def _equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _folded(result: EvalMetrics) -> str:
    return _fold(result.label or "")


def _fold(label: str) -> str:
    """The label as it is compared: `Partly helpful` is the rail `partly_helpful`."""
    return "".join(label.replace("_", " ").split()).casefold()
