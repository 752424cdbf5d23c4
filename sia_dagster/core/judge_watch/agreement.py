"""Whether an evaluator judges as people do: its answers beside what people annotated under its name."""

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
    """One answer of the application that people and the evaluator judge differently."""

    span_id: str
    people: EvalMetrics
    evaluator: EvalMetrics
    distance: float
    """How far apart, as a share of the evaluator's range; 1 between labels."""


class Agreement(Kappa):
    """An evaluator beside people, over the answers that both judged."""

    evaluator: str
    method: Literal["unweighted", "linear"]
    """`unweighted` on labels, `linear` on numbers."""
    annotated: int
    """Answers that people annotated under the evaluator's name."""
    n: int
    """Those that can be compared: people's word is on the evaluator's scale, and the evaluator gave one itself."""
    same: int
    """Answers that both judged exactly the same."""
    disagreements: tuple[Disagreement, ...] = ()
    """The farthest apart first, ties by span id."""


class _Both(NamedTuple):
    """What was said of one answer."""

    span_id: str
    people: EvalMetrics
    evaluator: EvalMetrics


def agreement(samples: Iterable[Sample], constants: Sequence[EvalConstant]) -> tuple[Agreement, ...]:
    """Every judge and function beside people's annotations of its name, in the order of `constants`.

    Samples hold the evaluator's word in `evals` and people's in `annotations`. Evaluators that nobody annotated are
    left out, and `platform` ones, whose score is people's word already. Labels are compared without regard to case,
    blanks and underscores; people's score without such a label stands for the one rail with that score. Numbers within
    the evaluator's range are compared instead where more answers have them, and where all rails are numbers (`1..5`).
    """
    said: dict[str, list[_Both]] = {constant.name: [] for constant in constants if constant.kind != "platform"}
    for sample in samples:
        evals = {metrics.name: metrics for metrics in sample.evals if metrics.error is None}
        for word in sample.annotations:
            if word.name in said:
                said[word.name].append(_Both(sample.span_id, word, evals.get(word.name, EvalMetrics(name=word.name))))
    return tuple(_agreement(constant, said[constant.name]) for constant in constants if said.get(constant.name))


class _Scale:
    """How answers are read: as one of the evaluator's labels, or as a share of its range."""

    def __init__(self, constant: EvalConstant, said: Iterable[EvalMetrics]) -> None:
        """`said` is the evaluator's own word, which shows the labels of a function."""
        self._low, self._span = constant.low, constant.high - constant.low
        self._rails = _rails(constant, said)
        self.graded = bool(self._rails) and all(as_number(label) is not None for label in self._rails)

    def label(self, said: EvalMetrics) -> str | None:
        """The rail that is named, else the only one with this score."""
        folded = _folded(said)
        if folded in self._rails:
            return folded
        there = [rail for rail, score in self._rails.items() if _equal(score, said.score)]
        return there[0] if len(there) == 1 else None

    def share(self, said: EvalMetrics) -> float | None:
        """Where the rail's score, else its own, else the number that is its label lies in the range, 0..1."""
        readings = (self._rails.get(_folded(said)), said.score, as_number(said.label or ""))
        score = next((reading for reading in readings if reading is not None), None)
        if score is None or self._span <= 0:
            return None
        share = round((score - self._low) / self._span, 9) if math.isfinite(score) else math.nan
        return share if 0 <= share <= 1 else None


def _rails(constant: EvalConstant, said: Iterable[EvalMetrics]) -> dict[str, float | None]:
    """The labels, folded, with their scores: the constant's own, and those that the evaluator used.

    None is the score of a label that has none, or more than one.
    """
    used: dict[str, set[float | None]] = {}
    for metrics in said:
        if metrics.label:
            used.setdefault(_folded(metrics), set()).add(metrics.score)
    rails: dict[str, float | None] = {}
    if used and used.keys() <= _BOOLEANS:
        # A function that said the same of all has not used its other answer.
        rails = {"true": constant.high, "false": constant.low}
    rails |= {label: next(iter(scores)) if len(scores) == 1 else None for label, scores in used.items()}
    return {**rails, **{_fold(label): score for label, score in constant.rails.items()}}


def _agreement(constant: EvalConstant, said: Sequence[_Both]) -> Agreement:
    scale = _Scale(constant, [both.evaluator for both in said])
    labels = [] if scale.graded else _read(said, scale.label)
    numbers = _read(said, scale.share)
    if len(numbers) > len(labels):
        found, apart = number_kappa(*_sides(numbers)), _apart(numbers, lambda people, mine: abs(people - mine))
    else:
        found, apart = label_kappa(*_sides(labels)), _apart(labels, lambda people, mine: float(people != mine))
    compared = max(len(labels), len(numbers))
    return Agreement(
        evaluator=constant.name,
        method="linear" if len(numbers) > len(labels) else "unweighted",
        annotated=len(said),
        n=compared,
        same=compared - len(apart),
        disagreements=apart,
        **found.model_dump(),
    )


def _read(said: Iterable[_Both], read: Callable[[EvalMetrics], Answer | None]) -> list[tuple[_Both, Answer, Answer]]:
    """The answers of which both sides' words can be read, people's first."""
    found = []
    for both in said:
        people, evaluator = read(both.people), read(both.evaluator)
        if people is not None and evaluator is not None:
            found.append((both, people, evaluator))
    return found


def _sides(read: Iterable[tuple[_Both, Answer, Answer]]) -> tuple[list[Answer], list[Answer]]:
    pairs = [(people, evaluator) for _, people, evaluator in read]
    return [people for people, _ in pairs], [evaluator for _, evaluator in pairs]


def _apart(
    read: Iterable[tuple[_Both, Answer, Answer]], distance: Callable[[Answer, Answer], float]
) -> tuple[Disagreement, ...]:
    found = [
        Disagreement(**both._asdict(), distance=distance(people, evaluator))
        for both, people, evaluator in read
        if people != evaluator
    ]
    return tuple(sorted(found, key=lambda one: (-one.distance, one.span_id)))


def _equal(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


def _folded(said: EvalMetrics) -> str:
    return _fold(said.label or "")


def _fold(label: str) -> str:
    """What is compared of a label: `Partly helpful` is the rail `partly_helpful`."""
    return "".join(label.replace("_", " ").split()).casefold()
