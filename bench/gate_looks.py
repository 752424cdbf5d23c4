"""Looks at a holdout: a stop where the result is clear or out of reach, and a second answer where all leave it open."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from bench.calibration import Array, Simulation, by_conversation
from bench.gate_cells import ALPHA, LEVELS, RULES, Scenario, Yes, tested
from sia_dagster.core.statistics.group_sequential import DESIGNS, conditional_power, look_levels, plan_looks

LOOKS = RULES.looks


class Stopped(NamedTuple):
    """How the looks at many windows ended."""

    accepted: Yes
    futile: Yes
    undecided: Yes
    """After all looks."""
    calls: Array
    """The share of replaying all conversations once that was paid for."""


class Answers(NamedTuple):
    """Paired differences of many windows (windows, conversations) in the order of looks."""

    once: Array
    twice: Array
    """Means over two answers to each sample."""
    weights: Array


class Part(NamedTuple):
    """What a look sees of the windows that are still open: (windows, conversations)."""

    differences: Array
    weights: Array
    places: npt.NDArray[np.intp]
    """Of these windows among all."""


class Seen(NamedTuple):
    """What a look finds in each of these windows."""

    accepts: Yes
    rejects: Yes
    p: Array


Decides = Callable[[Part, float, float, np.random.Generator], Seen]
"""What a look finds at a level of its own, and one of guardrails and slices."""


def gains(part: Part, level: float, _: float, generator: np.random.Generator) -> Seen:
    """Whether the candidate is better."""
    found = tested(part.differences, part.weights, generator)
    return Seen(found.accepts(level), found.rejects(level), found.p)


def in_looks(
    answers: Answers, alpha: float, generator: np.random.Generator, looks: int = LOOKS, decides: Decides = gains
) -> Stopped:
    """Look at more and more, and stop where it is clear or out of reach.

    As in the product, what is out of reach is told at the guardrails' level, which is the coarser one, and too few
    conversations for several looks (`plan_looks`) are looked at once.
    """
    count, size = answers.once.shape
    planned = plan_looks([str(place) for place in range(size)], looks)
    if len(planned) == 1:
        everything = Part(answers.once, answers.weights, np.arange(count))
        return _at_once(decides(everything, alpha, ALPHA, generator))
    design, levels, others = DESIGNS[looks], look_levels(alpha, looks), look_levels(ALPHA, looks)
    accepted, futile, refused, open_ = *np.zeros((3, count), dtype=bool), np.ones(count, dtype=bool)
    calls = np.zeros(count)
    for look, groups in enumerate(planned):
        second = design.second_answers and look == len(planned) - 1
        calls[open_] = 2.0 if second else len(groups) / size
        differences = (answers.twice if second else answers.once)[open_, : len(groups)]
        places = np.flatnonzero(open_)
        part = Part(differences, answers.weights[open_, : len(groups)], places)
        found = decides(part, levels[look], others[look], generator)
        yes, no = found.accepts, found.rejects & ~found.accepts
        accepted[places[yes]], refused[places[no]] = True, True
        if look < len(planned) - 1:
            power = conditional_power(found.p, max(alpha, ALPHA), looks, look)
            futile[places[~yes & ~no & (power < design.futile_below[look])]] = True
        open_ = ~(accepted | futile | refused)
        if not open_.any():
            break
    return Stopped(accepted, futile, open_, calls)


def _at_once(found: Seen) -> Stopped:
    none = np.zeros_like(found.accepts)
    return Stopped(found.accepts, none, ~found.accepts & ~found.rejects, np.ones(len(none)))


def only_once(simulate: Simulation) -> "Twice":
    """A simulation whose second answers are its first ones, as at temperature 0."""

    def answers(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Answers:
        differences, weights = by_conversation(simulate(generator, size, effect))
        return Answers(differences, differences, weights)

    return answers


Twice = Callable[[np.random.Generator, tuple[int, int], float], Answers]


def passes_twice(rate: float, alike: float = 0.5, flips: float = 0.0) -> Twice:
    """Pass or fail, as `calibration.passes`, with a second answer to each sample that is as hard as the first."""

    def answers(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Answers:
        hardness = np.sqrt(alike) * generator.standard_normal(size)

        def arm(goal: float) -> Array:
            luck = np.sqrt(1 - alike) * generator.standard_normal((2, *size))
            passed = hardness + luck < ndtri(min(goal, 1.0))
            return np.asarray(passed ^ (generator.random((2, *size)) < flips), dtype=float)

        differences = arm(rate + effect) - arm(rate)
        return Answers(differences[0], differences.mean(axis=0), np.ones(size))

    return answers


def targeted(rate: float, alike: float = 0.95) -> Twice:
    """Answers hardly vary, and the edit repairs a cause: the gain lies where the old policy nearly always fails.

    The hardest conversations keep failing; those below them pass under the new policy as if they were `rate` hard.
    """

    def answers(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Answers:
        limit = ndtri(rate)
        hard = generator.standard_normal(size)
        repaired = (hard > limit) & (generator.random(size) < effect / (1 - rate))
        easier = np.where(repaired, -np.abs(hard), hard)

        def arm(hardness: Array) -> Array:
            luck = np.sqrt(1 - alike) * generator.standard_normal((2, *size))
            return np.asarray(np.sqrt(alike) * hardness + luck < limit, dtype=float)

        differences = arm(easier) - arm(hard)
        return Answers(differences[0], differences.mean(axis=0), np.ones(size))

    return answers


def looked_at(answers: Twice, n: int, effect: float, alpha: float) -> Scenario:
    """One window in the product's looks; beside it in two looks, and in one look at all of it."""

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, npt.NDArray[Any]]:
        drawn = answers(generator, (count, n), effect)
        result: dict[str, npt.NDArray[Any]] = {"naive": drawn.once.mean(axis=1) > 0}
        for name, looks in (("accept", LOOKS), ("two", 2), ("plain", 1)):
            found = in_looks(drawn, alpha, generator, looks)
            result |= {name: found.accepted, f"{name} calls": found.calls, f"{name} futile": found.futile}
        return result

    return windows


def in_all_looks(answers: Twice, n: int, effect: float = 0.0) -> Scenario:
    """Windows in the product's looks at both levels, for the tables of errors."""

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, Yes]:
        drawn = answers(generator, (count, n), effect)
        found = {f"accept_{name}": in_looks(drawn, alpha, generator).accepted for name, alpha in LEVELS.items()}
        return {**found, "naive": drawn.once.mean(axis=1) > 0}

    return windows


LOOKED_AT: dict[str, Twice] = {"70 % pass": passes_twice(0.7), "answers hardly vary, one cause repaired": targeted(0.7)}
