"""Skewed gains at the weekly level: the product's bound beside one that adds the same conversations at every level.

Adding two conversations' worth of spread is right at 0.05, but at a finer level a window would miss a rare collapse
oftener than the level allows; so the product adds in proportion to z squared (`intervals.times_added`).
"""

from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from bench.calibration import Array, Scores, Simulation, by_conversation, graded, one_sample, passes
from bench.gate_cells import MIN_EFFECT, WEEKLY, Scenario, Yes, tested
from sia_dagster.core.statistics.intervals import PLAIN_LEVEL, plus_two


def collapsing(share: float, loss: float) -> Simulation:
    """A share of the conversations loses, the others gain what makes up for it."""

    def simulate(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Scores:
        lost = generator.random(size) < share
        gain = effect + np.where(lost, -loss, loss * share / (1 - share)) + 0.02 * generator.standard_normal(size)
        return one_sample(np.zeros(size), gain)

    return simulate


def same_low(differences: Array, weights: Array, alpha: float) -> Array:
    """The lower end with what is added at 0.05, whatever the level."""
    size = differences.shape[-1] + 2
    plain = plus_two(differences, weights, PLAIN_LEVEL)
    half = stdtrit(size - 1, 1 - alpha) * np.sqrt(plain.variance / (size - 1))
    return np.asarray(plain.middle - half)


def skewed(simulate: Simulation, n: int, effect: float) -> Scenario:
    """One look at the weekly level, by either bound."""

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        differences, weights = by_conversation(simulate(generator, (count, n), effect))
        found = tested(differences, weights, generator)
        shown = (found.p <= WEEKLY) & (found.mean >= MIN_EFFECT)
        return {
            "product": found.accepts(WEEKLY),
            "same": np.asarray(shown & (same_low(differences, weights, WEEKLY) > 0)),
            "naive": found.mean > 0,
        }

    return windows


def _row(simulate: Simulation, effect: float) -> Callable[[int], Scenario]:
    return lambda n: skewed(simulate, n, effect)


SKEWED: dict[str, Callable[[int], Scenario]] = {
    "no difference: 1 in 10 loses 0.5": _row(collapsing(0.10, 0.5), 0.0),
    "no difference: 1 in 20 loses 0.6": _row(collapsing(0.05, 0.6), 0.0),
    "no difference: 1 in 33 loses 0.8": _row(collapsing(0.03, 0.8), 0.0),
    "no difference: 1 in 50 loses 1": _row(collapsing(0.02, 1.0), 0.0),
    "better: 70 % pass, +0.15": _row(passes(0.7), 0.15),
    "better: graded, +0.08": _row(graded, 0.08),
}
