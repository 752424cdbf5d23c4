"""Whether a judge scores the same outputs as before: two tests over outputs that it judged twice when frozen."""

from collections.abc import Sequence
from typing import NamedTuple

from sia_dagster.core.statistics import MIN_CONVERSATIONS, plus_two

DRIFT_ALPHA = 0.01
"""One-sided level of each end of the drift's interval and of the odd-one-out test: an alarm blocks a promotion."""


class Shift(NamedTuple):
    """The mean change of a judge's scores, and its interval, in the evaluator's own units."""

    mean: float
    low: float
    high: float

    def beyond(self, tolerance: float) -> bool:
        """Whether the interval leaves out 0 and the mean is farther from 0 than `tolerance`, in the same units."""
        return abs(self.mean) > tolerance and (self.low > 0 or self.high < 0)


class AnchorDraws(NamedTuple):
    """A judge's scores of one frozen output: twice when it was frozen, and now."""

    first: float
    second: float
    now: float

    @property
    def change(self) -> float:
        """From the mean of the first two to now."""
        return self.now - (self.first + self.second) / 2


class Drift(NamedTuple):
    """The result over the three draws of each anchor."""

    shift: Shift
    disagreement: float
    """Share of pairs (one of the first two draws, now) with different scores."""
    noise: float
    """Share of anchors whose first two draws have different scores."""
    odd_p: float
    """One-sided p of the odd-one-out test."""
    drifted: bool
    anchors: int

    @property
    def numbers(self) -> dict[str, float | bool]:
        """The fields of `JudgeWatch`."""
        return {
            "shift": self.shift.mean,
            "ci_low": self.shift.low,
            "ci_high": self.shift.high,
            "disagreement": self.disagreement,
            "noise": self.noise,
            "drifted": self.drifted,
        }

    def sentence(self, *, since_window: str) -> str:
        """The result in words, to follow the judge's name."""
        return (
            f"{'drifted' if self.drifted else 'is steady'}: its mean score of {self.anchors} anchors moved by "
            f"{self.shift.mean:+.2f} (interval {self.shift.low:+.2f} to {self.shift.high:+.2f}) since window "
            f"{since_window}; {self.disagreement:.0%} are scored differently (p = {self.odd_p:.2g}); "
            f"its own first two draws differed in {self.noise:.0%}"
        )


def mean_shift(changes: Sequence[float], scale: float, alpha: float) -> Shift | None:
    """The mean of `changes` with the plus-two interval at one-sided level `alpha` for each end.

    Changes lie within `scale`, the evaluator's range. None below MIN_CONVERSATIONS changes. Formula and source:
    `statistics.plus_two`; each output counts as one, since the judge varies here and not the traffic.
    """
    if len(changes) < MIN_CONVERSATIONS:
        return None
    import numpy as np

    given = np.array(changes) / scale
    bounds = plus_two(given, np.ones(len(changes)), alpha)
    return Shift(float(np.mean(given)) * scale, float(bounds.low) * scale, float(bounds.high) * scale)


def odd_one_out_p(odd: int, differing: int) -> float:
    """One-sided exact p of "today's draw is the odd one of three too often".

    For an unchanged judge the three draws of one output are exchangeable. So where exactly one of them differs from the
    other two (`differing` outputs), it is today's in a third of the cases: `odd` of those is binomial with p = 1/3,
    whatever the outputs and however noisy the judge. 1 where nothing differs. (The conditional binomial test of
    McNemar, Psychometrika 12, 1947, with three draws instead of two.)
    """
    from scipy.special import bdtrc

    return float(bdtrc(odd - 1, differing, 1 / 3))


def drift_of(draws: Sequence[AnchorDraws], scale: float, tolerance: float) -> Drift | None:
    """Whether the judge drifted; None below MIN_CONVERSATIONS anchors. `tolerance` is a share of `scale`.

    It drifted where the mean moved by more than the tolerance and the interval leaves out 0 (it became lenient or
    strict), or where it disagrees with its first draws by more than the tolerance above its own noise and the
    odd-one-out test is below DRIFT_ALPHA (it changed in both directions, which no mean shows). Noise and changes
    within the tolerance are not distinguished.
    """
    shift = mean_shift([each.change for each in draws], scale, DRIFT_ALPHA)
    if shift is None:
        return None
    noisy = [each for each in draws if each.first != each.second]
    odd = sum(each.first == each.second != each.now for each in draws)
    differing = odd + sum(each.now in (each.first, each.second) for each in noisy)
    disagreement = sum((each.first != each.now) + (each.second != each.now) for each in draws) / (2 * len(draws))
    noise = len(noisy) / len(draws)
    p = odd_one_out_p(odd, differing)
    moved = shift.beyond(tolerance * scale)
    differs = disagreement - noise > tolerance and p < DRIFT_ALPHA
    return Drift(shift, disagreement, noise, p, moved or differs, len(draws))
