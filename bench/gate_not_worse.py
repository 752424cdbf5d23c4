"""Windows in which a candidate is to be as good for less money: what is accepted at the margin, and of what is as good.

Costs vary as answers do, and a part of the traffic may lose where the rest makes up for it. As in the product, the
candidate has to be shown to cost less, the primary evaluator and each large slice to keep their level, and no slice may
lose.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from bench.calibration import Array, graded
from bench.gate_cells import ALPHA, LEVELS, RULES, WEEKLY, Scenario, Share, Yes, collect
from bench.gate_looks import Answers, Decides, Part, Seen, Twice, in_looks, only_once
from bench.gate_scenarios import SLICES
from sia_dagster.core.statistics.intervals import detectable_effect, planning_spread, skew_corrected_interval

PRICE = 1 / 3
"""What a call of the cheaper model costs, of what it cost before."""
SPREAD = 0.6
"""Of the logarithm of a call's cost: lengths of requests and answers vary."""


class Traffic(NamedTuple):
    """Windows of a candidate with another model: (windows, conversations)."""

    answers: Answers
    old_cost: Array
    new_cost: Array
    slices: tuple[Yes, ...] = ()
    """The conversations of each slice."""


Draw = Callable[[np.random.Generator, int], Traffic]


def saves(old: Array, new: Array, level: float) -> tuple[Yes, Yes]:
    """Whether each window shows that the candidate costs less, and that it costs more, by `compare_costs`."""
    dearest = np.maximum(old, new).max(axis=1, keepdims=True)
    bounds = skew_corrected_interval((old - new) / dearest, np.ones(old.shape), level)
    return np.asarray(bounds.low > 0), np.asarray(bounds.high < 0)


def not_worse(traffic: Traffic, margin: float) -> Decides:
    """The verdict of the second question at one look."""

    def decides(part: Part, level: float, others: float, _: np.random.Generator) -> Seen:
        size = part.differences.shape[1]
        bounds = skew_corrected_interval(part.differences, part.weights, level)
        less, more = saves(traffic.old_cost[part.places, :size], traffic.new_cost[part.places, :size], level)
        accepts, rejects = (bounds.low > -margin) & less, (bounds.high < -margin) | more
        for place in np.flatnonzero(~rejects) if traffic.slices else ():
            members = [each[part.places[place], :size] for each in traffic.slices]
            loses, open_ = in_slices(part.differences[place], members, others, margin)
            rejects[place] |= loses
            accepts[place] &= not (loses or open_)
        mean = part.differences.mean(axis=1)
        error = (mean - np.asarray(bounds.low)) / -ndtri(level)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = np.where(error > 0, ndtr(-(mean + margin) / error), 1.0)
        return Seen(np.asarray(accepts), np.asarray(rejects), p)

    return decides


def in_slices(differences: Array, members: Sequence[Yes], level: float, margin: float) -> tuple[bool, bool]:
    """Whether a slice loses; whether a large one is not shown to hold, or any tested one is seen to fall."""
    ones = np.ones(len(differences))
    variance = float(skew_corrected_interval(differences, ones, level).variance)
    spread = planning_spread(differences, ones, variance)
    parts = [differences[member] for member in members if member.sum() >= RULES.slice_conversations]
    tested = [own for own in parts if len(own) < len(differences)]
    loses = open_ = False
    for own in tested:
        weights = np.ones(len(own))
        loses |= bool(skew_corrected_interval(own, weights, level / len(tested)).high < 0)
        if not (loses or open_) and skew_corrected_interval(own, weights, level).low <= -margin:
            open_ = bool(own.mean() < -margin or detectable_effect(len(own), spread, level) <= margin)
    return loses, open_


def cheaper(answers: Twice, n: int, effect: float, price: float = PRICE) -> Draw:
    """All of the traffic changes by `effect`; a call costs `price` of what it cost, at each its own length."""

    def draw(generator: np.random.Generator, count: int) -> Traffic:
        drawn = answers(generator, (count, n), effect)
        length, old, new = generator.standard_normal((3, count, n))
        costs = [np.exp(SPREAD * np.sqrt(0.5) * (length + own)) for own in (old, new)]
        return Traffic(drawn, costs[0], price * costs[1])

    return draw


def models(rate: float, alike: float) -> Twice:
    """Pass or fail under two models, twice each; `alike` is the share of an answer's luck that its request decides."""

    def answers(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Answers:
        return differing(generator, np.full(size, rate), np.full(size, rate + effect), alike)

    return answers


def differing(generator: np.random.Generator, old: Array, new: Array, alike: float) -> Answers:
    """Two answers of each model to each sample, at each sample's own pass rates."""
    hard = np.sqrt(alike) * generator.standard_normal(old.shape)
    luck = np.sqrt(1 - alike) * generator.standard_normal((2, 2, *old.shape))
    passed = [hard + own < ndtri(np.minimum(rate, 1.0)) for own, rate in zip(luck, (old, new), strict=True)]
    differences = passed[1].astype(float) - passed[0]
    return Answers(differences[0], differences.mean(axis=0), np.ones(old.shape))


def losing_slice(n: int, loss: float, *, rest_gains: bool, rate: float = 0.8, alike: float = 0.9) -> Draw:
    """The last of seven slices, 30 % of the traffic, loses `loss`; the rest stays, or gains what makes up for it."""

    def draw(generator: np.random.Generator, count: int) -> Traffic:
        values = [generator.choice(len(shares), (count, n), p=shares) for shares in SLICES]
        members = [held == value for held, shares in zip(values, SLICES, strict=True) for value in range(len(shares))]
        gained = loss * SLICES[-1][1] / SLICES[-1][0] if rest_gains else 0.0
        new = np.where(members[-1], rate - loss, rate + gained)
        answers = differing(generator, np.full((count, n), rate), new, alike)
        costs = np.exp(SPREAD * generator.standard_normal((count, n)))
        return Traffic(answers, costs, PRICE * costs, tuple(members))

    return draw


def asked(draw: Draw, margin: float) -> Scenario:
    """Whether windows accept in the product's looks; "naive": cheaper, and the mean lies above minus the margin."""

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, npt.NDArray[Any]]:
        traffic = draw(generator, count)
        cost = traffic.new_cost.sum(axis=1) < traffic.old_cost.sum(axis=1)
        result: dict[str, npt.NDArray[Any]] = {"naive": (traffic.answers.once.mean(axis=1) > -margin) & cost}
        for name, level in LEVELS.items():
            found = in_looks(traffic.answers, level, generator, decides=not_worse(traffic, margin))
            result |= {f"accept_{name}": found.accepted, f"calls_{name}": found.calls}
            result[f"refused_{name}"] = ~(found.accepted | found.futile | found.undecided)
        return result

    return windows


KINDS: dict[str, Twice] = {
    "70 % pass, half by the request": models(0.7, 0.5),
    "90 % pass, half by the request": models(0.9, 0.5),
    "90 % pass, nearly all by the request": models(0.9, 0.9),
    "graded": only_once(graded),
}
"""How alike two models answer decides how many conversations it takes."""
MARGINS = (RULES.guardrail_margin, 2 * RULES.guardrail_margin)
SIZES = (60, 120, 240)


def at_the_margin() -> Mapping[str, Callable[[int], Scenario]]:
    """Windows in which an accept is an error: the margin is lost, or nothing is saved."""
    lost: dict[str, Callable[[int], Scenario]] = {
        f"{kind}, loses its margin of {margin:.2f}": _row(answers, -margin, margin)
        for kind, answers in KINDS.items()
        for margin in MARGINS
    }
    dear = {"graded, as good, costs the same": _row(KINDS["graded"], 0.0, MARGINS[0], 1.0)}
    return lost | dear


def as_good() -> Mapping[str, Callable[[int], Scenario]]:
    """Windows in which the candidate is as good, and costs less."""
    equal: dict[str, Callable[[int], Scenario]] = {
        f"{kind}, as good, margin {margin:.2f}": _row(answers, 0.0, margin)
        for kind, answers in KINDS.items()
        for margin in MARGINS
    }
    saved = {f"graded, as good, saves {1 - price:.0%}": _row(KINDS["graded"], 0.0, 0.1, price) for price in (0.9, 0.8)}
    return equal | saved


def in_a_slice() -> Mapping[str, Callable[[int], Scenario]]:
    """Windows of seven slices in which 30 % of the traffic lose; and such where none does."""
    return {
        "seven slices, as good": _losing(0.0, rest_gains=False),
        "30 % lose 0.10, the rest gains it": _losing(0.1, rest_gains=True),
        "30 % lose 0.20, the rest gains it": _losing(0.2, rest_gains=True),
        "30 % lose 0.30, the rest gains it": _losing(0.3, rest_gains=True),
        "30 % lose 0.20, the rest stays": _losing(0.2, rest_gains=False),
    }


def _losing(loss: float, *, rest_gains: bool) -> Callable[[int], Scenario]:
    return lambda n: asked(losing_slice(n, loss, rest_gains=rest_gains), MARGINS[0])


def _row(answers: Twice, effect: float, margin: float, price: float = PRICE) -> Callable[[int], Scenario]:
    return lambda n: asked(cheaper(answers, n, effect, price), margin)


def table(windows: int) -> dict[str, Any]:
    """All rows at all sizes: shares by name, printed as they come. Slices take long, so a quarter of the windows."""
    result: dict[str, Any] = {}
    parts = (
        ("must not be accepted", at_the_margin(), windows),
        ("as good", as_good(), windows),
        ("a part loses", in_a_slice(), windows // 4),
    )
    for seed, (title, rows, each) in enumerate(parts):
        columns = [f"accepted, {ALPHA}", f"accepted, {WEEKLY:.5f}", "refused", "calls", "mean > -margin"]
        print(f"\n{title:<58}" + "".join(f"{column:>28}" for column in columns))
        for number, (name, sized) in enumerate(rows.items()):
            for n in SIZES:
                found = collect(sized(n), each, 8000 + 1000 * seed + 10 * number + SIZES.index(n))
                shares = {key: Share.of(hits) for key, hits in found.items() if hits.dtype == bool}
                calls = float(found["calls_week"].mean())
                cell = {key: share._asdict() for key, share in shares.items()} | {"calls": calls}
                result.setdefault(name, {})[str(n)] = cell
                told = [shares[key].told() for key in ("accept_05", "accept_week", "refused_week")]
                row = [*told, f"{calls:.2f}", f"{shares['naive'].share:.3f}"]
                print(f"{name + f', n = {n}':<58}" + "".join(f"{column:>28}" for column in row), flush=True)
    return result


if __name__ == "__main__":
    table(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
