"""Rare catastrophes: a few conversations lose much, the others gain what makes up for it, or the margin less.

The product's bound beside others (`bench.gate_bounds`), at the level of guardrails and at the weekly one.
"""

from collections.abc import Callable, Mapping

import numpy as np

from bench.calibration import Array, Scores, Simulation, by_conversation, graded, one_sample, passes
from bench.gate_bounds import BOUNDS, low_of_product
from bench.gate_cells import LEVELS, MARGIN, MIN_EFFECT, Scenario, Yes, tested


def collapsing(share: float, loss: float, noise: float = 0.02) -> Simulation:
    """A share of the conversations loses, the others gain what makes up for it."""

    def simulate(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Scores:
        lost = generator.random(size) < share
        others = (effect + share * loss) / (1 - share) + noise * generator.standard_normal(size)
        return one_sample(np.zeros(size), np.where(lost, -loss, others))

    return simulate


def skewed(simulate: Simulation, n: int, effect: float) -> Scenario:
    """Both keys, with each bound as the second."""

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, Yes]:
        differences, weights = by_conversation(simulate(generator, (count, n), effect))
        found = tested(differences, weights, generator)
        result = {"naive": found.mean > 0}
        for level, alpha in LEVELS.items():
            shown = (found.p <= alpha) & (found.mean >= MIN_EFFECT)
            result |= {f"{name}, {level}": shown & bound(differences, weights, alpha) for name, bound in BOUNDS.items()}
        return result

    return windows


def guarded(simulate: Simulation, n: int, effect: float) -> Scenario:
    """A guardrail: whether the product's bound lies above minus the margin; "naive": whether the mean does."""

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, Array | Yes]:
        differences, weights = by_conversation(simulate(generator, (count, n), effect))
        means = (weights * differences).sum(axis=1) / weights.sum(axis=1)
        lows = {level: low_of_product(differences, weights, alpha) for level, alpha in LEVELS.items()}
        return {f"product, {level}": low > -MARGIN for level, low in lows.items()} | {"naive": means > -MARGIN}

    return windows


def _row(simulate: Simulation, effect: float) -> Callable[[int], Scenario]:
    return lambda n: skewed(simulate, n, effect)


SKEWED: dict[str, Callable[[int], Scenario]] = {
    "no difference: 1 in 25 loses 0.96": _row(collapsing(0.04, 0.96), 0.0),
    "no difference: 1 in 10 loses 0.5": _row(collapsing(0.10, 0.5), 0.0),
    "no difference: 1 in 10 loses 1": _row(collapsing(0.10, 1.0), 0.0),
    "no difference: 1 in 20 loses 0.6": _row(collapsing(0.05, 0.6), 0.0),
    "no difference: 1 in 33 loses 0.8": _row(collapsing(0.03, 0.8), 0.0),
    "no difference: 1 in 50 loses 1": _row(collapsing(0.02, 1.0), 0.0),
    "better: 70 % pass, +0.10": _row(passes(0.7), 0.10),
    "better: 70 % pass, +0.15": _row(passes(0.7), 0.15),
    "better: graded, +0.08": _row(graded, 0.08),
    "better: clustered, +0.15": _row(passes(0.7, longest=5, flips=0.05), 0.15),
}
GUARDED: dict[str, Callable[[int], Scenario]] = {
    "at its margin: 1 in 25 loses 0.96": lambda n: guarded(collapsing(0.04, 0.96), n, -MARGIN),
    "at its margin: 1 in 20 loses 1, no other gains": lambda n: guarded(collapsing(0.05, 1.0, 0.0), n, -MARGIN),
    "at its margin: 1 in 12 loses 1": lambda n: guarded(collapsing(0.08, 1.0), n, -MARGIN),
    "at its margin: 98 % pass": lambda n: guarded(passes(0.98), n, -MARGIN),
}
