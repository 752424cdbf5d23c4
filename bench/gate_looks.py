"""Two looks at a holdout, with a stop where the result is clear or out of reach."""

from typing import NamedTuple

import numpy as np

from bench.calibration import Array, Simulation, by_conversation
from bench.gate_cells import ALPHA, Scenario, Tested, Yes, tested
from sia_dagster.core.gate.trial import FUTILE
from sia_dagster.core.statistics.group_sequential import conditional_power, look_levels, plan_looks


class Stopped(NamedTuple):
    """How two looks at many windows ended."""

    accepted: Yes
    futile: Yes
    undecided: Yes
    """After both looks."""
    calls: Array
    """The share of a plain replay that was paid for."""


def two_looks(differences: Array, weights: Array, alpha: float, generator: np.random.Generator) -> Stopped:
    """Look at the first half, go on where nothing is clear, and look at all.

    As in the product, what is out of reach is told at the guardrails' level, which is the coarser one, and too few
    conversations for two looks (`plan_looks`) are looked at once.
    """
    size = differences.shape[1]
    first_look, *rest = plan_looks([str(place) for place in range(size)], 2)
    if not rest:
        return _at_once(tested(differences, weights, generator), alpha)
    first_level, last_level = look_levels(alpha, 2)
    half = len(first_look)
    first = tested(differences[:, :half], weights[:, :half], generator)
    last = tested(differences, weights, generator)
    early, refused = first.accepts(first_level), first.rejects(first_level)
    power = conditional_power(first.p, max(alpha, ALPHA))
    hopeless = ~early & ~refused & (power < FUTILE)
    goes_on = ~early & ~refused & ~hopeless
    accepted = early | (goes_on & last.accepts(last_level))
    undecided = goes_on & ~accepted & ~last.rejects(last_level)
    return Stopped(accepted, hopeless, undecided, np.where(goes_on, 1.0, half / size))


def _at_once(found: Tested, alpha: float) -> Stopped:
    accepted = found.accepts(alpha)
    none = np.zeros_like(accepted)
    return Stopped(accepted, none, ~accepted & ~found.rejects(alpha), np.ones(len(accepted)))


def looked_at(simulate: Simulation, n: int, effect: float, alpha: float) -> Scenario:
    """One window with two looks; beside it the same window with one look at all of it."""

    def windows(generator: np.random.Generator, count: int) -> dict[str, Array | Yes]:
        differences, weights = by_conversation(simulate(generator, (count, n), effect))
        plain = tested(differences, weights, generator)
        found = two_looks(differences, weights, alpha, generator)
        return {
            "accept": found.accepted,
            "plain": plain.accepts(alpha),
            "naive": plain.mean > 0,
            "futile": found.futile,
            "calls": found.calls,
        }

    return windows
