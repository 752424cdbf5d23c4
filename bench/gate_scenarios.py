"""Scenarios of one window: no difference in its many forms, a gain, a harm, guardrails, candidates, slices."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from bench.calibration import Array, Simulation, by_conversation, passes, reported_effects
from bench.gate_cells import ALPHA, LEVELS, MARGIN, RULES, Scenario, Yes, agree, scored, tested
from sia_dagster.core.statistics.intervals import skew_corrected_interval


def one_test(simulate: Simulation, n: int, effect: float = 0.0) -> Scenario:
    """One evaluator, one candidate, one look."""

    def windows(generator: np.random.Generator, count: int) -> dict[str, Array | Yes]:
        scores = simulate(generator, (count, n), effect)
        found = scored(scores, generator)
        variance = np.asarray(skew_corrected_interval(found.differences, found.weights, ALPHA).variance)
        result: dict[str, Array | Yes] = {"naive": found.mean > 0}
        for name, alpha in LEVELS.items():
            result[f"accept_{name}"] = found.accepts(alpha)
            result[f"reject_{name}"] = found.rejects(alpha)
            agree(scores, found, alpha)
        result["detectable"] = reported_effects(found.differences, found.weights, variance)
        return result

    return windows


def guardrail(simulate: Simulation, n: int, effect: float) -> Scenario:
    """Whether a guardrail passes; beside it, whether "the point estimate is above -margin"."""

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        differences, weights = by_conversation(simulate(generator, (count, n), effect))
        low = np.asarray(skew_corrected_interval(differences, weights, ALPHA).low)
        means = (weights * differences).sum(axis=1) / weights.sum(axis=1)
        return {"accept_05": low > -MARGIN, "naive": means > -MARGIN}

    return windows


def three_evaluators(
    n: int, simulations: Sequence[Simulation], effects: Sequence[float], *, margin: float = MARGIN
) -> Scenario:
    """A primary and two guardrails on the same conversations: all must hold. Naive: the primary's mean went up."""

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        primary, *others = (
            scored(simulate(generator, (count, n), effect), generator)
            for simulate, effect in zip(simulations, effects, strict=True)
        )
        keep = np.logical_and.reduce([other.low(ALPHA) > -margin for other in others])
        accepted = {f"accept_{name}": primary.accepts(alpha) & keep for name, alpha in LEVELS.items()}
        return {**accepted, "naive": primary.mean > 0}

    return windows


def five_candidates(n: int, rate: float = 0.7, candidates: int = 5) -> Scenario:
    """Candidates that are all no better: the best on `n` selection conversations goes on to `n` held-out ones.

    Naive: the best mean of the selection is above that of the policy in force.
    """
    limit = ndtri(rate)

    def arms(generator: np.random.Generator, count: int) -> Array:
        hardness = generator.standard_normal((count, 1, n))
        own = generator.standard_normal((count, candidates + 1, n))
        return np.asarray(np.sqrt(0.5) * (hardness + own) < limit, dtype=float)

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        selection, holdout = arms(generator, count), arms(generator, count)
        gains = selection[:, 1:].mean(axis=2) - selection[:, :1].mean(axis=2)
        best = gains.argmax(axis=1)
        goes_on = gains.max(axis=1) > 0
        rows = np.arange(count)
        found = tested(holdout[rows, best + 1] - holdout[:, 0], np.ones((count, n)), generator)
        accepted = {f"accept_{name}": found.accepts(alpha) & goes_on for name, alpha in LEVELS.items()}
        return {**accepted, "naive": goes_on}

    return windows


SLICES: tuple[tuple[float, ...], ...] = ((0.6, 0.4), (0.5, 0.3, 0.2), (0.7, 0.3))
"""Shares of the values of three dimensions of traffic, which are independent of each other."""


def slices(n: int, lost: float, rate: float = 0.7) -> Scenario:
    """Whether any slice is said to lose; with `lost`, whether the 30 % of the second dimension that lose it are named.

    The rule of the product: upper end at the guardrails' level, over the number of slices that are tested, below 0.
    """
    limit = ndtri(rate)

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        values = [generator.choice(len(shares), (count, n), p=shares) for shares in SLICES]
        goal = np.where(values[1] == 1, ndtri(rate - lost), limit)
        hardness, old, new = np.sqrt(0.5) * generator.standard_normal((3, count, n))
        differences = (hardness + new < goal).astype(float) - (hardness + old < limit)
        members = [held == value for held, shares in zip(values, SLICES, strict=True) for value in range(len(shares))]
        loses = losing(differences, members)
        return {"accept_05": loses.any(axis=0), "named": loses[3], "naive": naive_losers(differences, members)}

    return windows


def losing(differences: Array, members: Sequence[Yes]) -> Yes:
    """(slices, windows): by the interval of each slice's own conversations."""
    big = np.array([member.sum(axis=1) >= RULES.slice_conversations for member in members])
    found = np.zeros(big.shape, dtype=bool)
    for window in range(differences.shape[0]):
        alpha = ALPHA / max(1, int(big[:, window].sum()))
        for number, member in enumerate(members):
            if big[number, window]:
                own = differences[window][member[window]]
                found[number, window] = skew_corrected_interval(own, np.ones(len(own)), alpha).high < 0
    return found


def naive_losers(differences: Array, members: Sequence[Yes]) -> Yes:
    """Whether the mean of any slice went down by more than the guardrails' margin."""
    means = [(differences * member).sum(axis=1) / np.maximum(member.sum(axis=1), 1) for member in members]
    return np.asarray(np.min(means, axis=0) < -MARGIN)


JUDGE_FLIPS = (0.05, 0.10, 0.15)
NEAR_TOP = (0.95, 0.98)
CLUSTERED = passes(0.7, longest=5)
