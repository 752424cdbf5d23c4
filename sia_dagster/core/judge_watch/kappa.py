"""Cohen's kappa of people and an evaluator: the agreement beyond chance.

Kappa is (observed - expected) / (1 - expected), where `expected` is the agreement of two judges who give each answer as
often, but independently (Cohen, Educational and Psychological Measurement 20, 1960). 1 is always the same, 0 is chance.
With linear weights an answer that is near counts for its nearness (Cohen, Psychological Bulletin 70, 1968). The
interval is kappa -+ 1.96 standard errors by the large-sample formula of Fleiss, Cohen and Everitt (Psychological
Bulletin 72, 1969), written here over answers instead of cells. It takes answers as independent, so it is a little
narrow where one conversation has many, and it is rough below some 30 answers.

Written here and not taken from a library: statsmodels and scikit-learn take a table of categories, and here numbers
are compared without being binned; neither is a dependency for these few lines. The tests check kappa and its interval
against statsmodels.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from statistics import fmean

from sia_dagster.core.records.value import Value

Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

_TINY = 1e-9


class Kappa(Value):
    """Kappa over the same answers. No number is ever NaN: undefined ones are None, with a `reason`."""

    observed: float | None = None
    """The observed agreement, 0..1: the share of equal labels, or the mean nearness of numbers."""
    expected: float | None = None
    """The agreement expected by chance alone."""
    kappa: float | None = None
    ci_low: float | None = None
    """Of the two-sided 95 % interval, cut at -1 and 1."""
    ci_high: float | None = None
    reason: str = ""
    """Why there is no kappa, or no interval; empty where there are both."""


def label_kappa(people: Sequence[str], evaluator: Sequence[str]) -> Kappa:
    """Unweighted: labels are equal or not. Both sides' labels of the same answers, in the same order."""
    near = [float(p == e) for p, e in zip(people, evaluator, strict=True)]
    rows, columns = _shares(people, among=evaluator), _shares(evaluator, among=people)
    return _kappa(near, rows, columns, _undefined_reason(people, evaluator))


def number_kappa(people: Sequence[float], evaluator: Sequence[float]) -> Kappa:
    """Linear weights: numbers, all within 0..1, are as near as one minus their distance."""
    near = [1 - abs(p - e) for p, e in zip(people, evaluator, strict=True)]
    rows, columns = _mean_nearness(people, among=evaluator), _mean_nearness(evaluator, among=people)
    return _kappa(near, rows, columns, _undefined_reason(people, evaluator))


def _kappa(near: Sequence[float], rows: Sequence[float], columns: Sequence[float], undefined: str) -> Kappa:
    """`near` is each answer's weight; `rows` and `columns` are its mean weight against all of the other side."""
    if not near:
        return Kappa(reason=undefined)
    observed, expected = fmean(near), fmean(rows)
    chance = 1 - expected
    found = Kappa(observed=observed, expected=expected, reason=undefined)
    if undefined or chance < _TINY:
        return found.model_copy(update={"reason": undefined or "all answers lie too close together"})
    kappa = (observed - expected) / chance
    terms = zip(near, rows, columns, strict=True)
    squares = fmean((weight * chance - (row + column) * (1 - observed)) ** 2 for weight, row, column in terms)
    variance = squares - (observed * expected - 2 * expected + observed) ** 2
    if variance < _TINY * chance**2:
        reason = f"the {len(near)} answers all agree or differ by the same amount, which leaves the interval no width"
        return found.model_copy(update={"kappa": kappa, "reason": reason})
    half = Z * math.sqrt(variance / len(near)) / chance**2
    return found.model_copy(
        update={"kappa": kappa, "ci_low": max(kappa - half, -1.0), "ci_high": min(kappa + half, 1.0)}
    )


def _undefined_reason(people: Sequence[str | float], evaluator: Sequence[str | float]) -> str:
    """Why these answers cannot distinguish agreement from chance; empty where they can."""
    if len(people) < 2:
        return "kappa needs at least two answers that both judged"
    constant = [who for who, given in (("people", people), ("the evaluator", evaluator)) if len(set(given)) == 1]
    return f"{' and '.join(constant)} judged all {len(people)} answers the same" if constant else ""


def _shares(labels: Sequence[str], *, among: Sequence[str]) -> list[float]:
    """The share of each label `among` those."""
    counts = Counter(among)
    return [counts[label] / len(among) for label in labels]


def _mean_nearness(numbers: Sequence[float], *, among: Sequence[float]) -> list[float]:
    """One minus the mean distance of each number to those `among`."""
    ordered = sorted(among)
    sums = list(accumulate(ordered, initial=0.0))

    def near(place: float) -> float:
        below = bisect_right(ordered, place)
        apart = place * (2 * below - len(ordered)) - 2 * sums[below] + sums[-1]
        return 1 - apart / len(ordered)

    return [near(number) for number in numbers]
