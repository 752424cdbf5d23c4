"""Size and power of the verdict on simulated windows with known truth; no model is called.

Each cell is a kind of traffic, a number of conversations and a true difference. Printed beside each other: the share
of windows that test and interval accept (with `min_effect` 0.02, as the product requires) and the share that the rule
`mean(new) > mean(old)` accepts; of guardrails, the share that passes and the share that "point estimate above -margin"
lets pass. The interval is the product's own function over many windows at once; the permutation test is the same sign
flips, with one set of flips for a chunk of windows. One window of each chunk goes through `compare` and `decide`
themselves, and must get the same verdict.

    python bench/calibration.py [windows a cell, default 4000]
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.verdict import decide
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.statistics.compare import ComparisonRule, compare
from sia_dagster.core.statistics.intervals import detectable_effect, skew_corrected_interval

Array = npt.NDArray[np.float64]
SIZES = (20, 40, 80, 160)
ALPHA, MIN_EFFECT, MARGIN = 0.05, 0.02, 0.05
FLIPS, CHUNK, CHECKED = 1999, 250, 1
RESULTS = Path(__file__).parent / "results" / "calibration.json"


class Scores(NamedTuple):
    """Scores of many windows: (windows, conversations, samples); `samples` is how many of the last axis count."""

    old: Array
    new: Array
    samples: Array


Simulation = Callable[[np.random.Generator, tuple[int, int], float], Scores]


def passes(rate: float, *, alike: float = 0.5, repeats: int = 1, longest: int = 1, flips: float = 0.0) -> Simulation:
    """Pass or fail at `rate`; a judge flips a share of answers.

    How hard a conversation is, is shared by its 1 to `longest` samples and by both arms (correlation `alike`).
    """

    def simulate(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Scores:
        shape = (*size, longest)
        hardness = np.sqrt(alike) * generator.standard_normal((*size, 1))
        arms = []
        for goal in (rate, rate + effect):
            scored = np.zeros(shape)
            for _ in range(repeats):
                answer = hardness + np.sqrt(1 - alike) * generator.standard_normal(shape) < ndtri(min(goal, 1.0))
                scored += answer ^ (generator.random(shape) < flips)
            arms.append(scored / repeats)
        return Scores(arms[0], arms[1], generator.integers(1, longest + 1, size).astype(float))

    return simulate


def graded(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Scores:
    """Scores around 0.6 with half of their spread of 0.2 shared by both arms."""
    shared, old, new = 0.2 * np.sqrt(0.5) * generator.standard_normal((3, *size))
    return one_sample(np.clip(0.6 + shared + old, 0, 1), np.clip(0.6 + effect + shared + new, 0, 1))


def collapse(generator: np.random.Generator, size: tuple[int, int], effect: float) -> Scores:
    """One conversation in twenty loses 0.6, the others gain what makes up for it: the mean difference is `effect`."""
    lost = generator.random(size) < 0.05
    gain = effect + np.where(lost, -0.6, 0.6 * 0.05 / 0.95) + 0.02 * generator.standard_normal(size)
    return one_sample(np.full(size, 0.7), 0.7 + gain)


def one_sample(old: Array, new: Array) -> Scores:
    return Scores(old[..., None], new[..., None], np.ones(old.shape))


def by_conversation(scores: Scores) -> tuple[Array, Array]:
    """Differences (windows, conversations) and their weights, which are alike."""
    counted = np.arange(scores.old.shape[2]) < scores.samples[..., None]
    differences = ((scores.new - scores.old) * counted).sum(axis=2) / scores.samples
    return differences, np.ones(differences.shape)


def flip_p(weighted: Array, generator: np.random.Generator) -> Array:
    """One-sided sign-flip p of each window; `FLIPS` flips, shared by the windows of a chunk."""
    signs = generator.choice((-1.0, 1.0), (weighted.shape[1], FLIPS))
    observed = weighted.sum(axis=1, keepdims=True)
    reached = np.count_nonzero(weighted @ signs >= observed - 1e-9, axis=1)
    return np.asarray((1 + reached) / (FLIPS + 1), dtype=float)


class Cell(NamedTuple):
    """Shares of a cell's windows, and the mean smallest detectable effect that its windows report."""

    accepted: float
    naive: float
    permutation_alone: float
    interval_alone: float
    covered: float
    detectable: float
    guardrail_passed: float
    point_within_margin: float


def measure(simulate: Simulation, n: int, effect: float, windows: int, seed: int) -> Cell:
    """Simulate one cell in chunks; check a few windows of each against `compare` and `decide`."""
    generator = np.random.default_rng([seed, n])
    parts = []
    for _ in range(windows // CHUNK):
        scores = simulate(generator, (CHUNK, n), effect)
        differences, weights = by_conversation(scores)
        p_values = flip_p(weights * differences, generator)
        bounds = skew_corrected_interval(differences, weights, ALPHA)
        means = (weights * differences).sum(axis=1) / weights.sum(axis=1)
        accepted = (p_values <= ALPHA) & (bounds.low > 0) & (means >= MIN_EFFECT)
        agree(scores, accepted, p_values)
        parts.append(
            (
                accepted,
                means > 0,
                p_values <= ALPHA,
                bounds.low > 0,
                (bounds.low <= effect) & (effect <= bounds.high),
                reported_effects(differences, weights, bounds.variance),
                bounds.low > -MARGIN,
                means > -MARGIN,
            )
        )
    return Cell(*(float(np.concatenate(column).mean()) for column in zip(*parts, strict=True)))


def reported_effects(differences: Array, weights: Array, variance: Array) -> Array:
    """The smallest detectable effect of each window, by the product's formula."""
    scaled = weights / weights.mean(axis=1, keepdims=True)
    middle = (scaled * differences).mean(axis=1, keepdims=True)
    own = (scaled**2 * (differences - middle) ** 2).sum(axis=1) / (differences.shape[1] - 1)
    spread: Array = np.sqrt(np.maximum(own, variance))
    return detectable_effect(differences.shape[1], spread, ALPHA)


def agree(scores: Scores, accepted: npt.NDArray[np.bool_], p_values: Array) -> None:
    """Hold a few windows against the product's own verdict, but where p is within its resampling error of alpha."""
    for window in range(CHECKED):
        found = compare(
            rows_of(scores, window),
            EvalConstant(name="q", kind="code", fingerprint=""),
            role="primary",
            rule=ComparisonRule(alpha=ALPHA, min_effect=MIN_EFFECT, seed=str(window)),
        )
        verdict = verdict_of(found, len(scores.samples[window]))
        if (verdict == "accept") != accepted[window] and abs(p_values[window] - ALPHA) > 0.02:
            raise AssertionError(f"the benchmark and the product disagree: {found}, p = {p_values[window]}")


def verdict_of(found: EvaluatorComparison, n: int) -> str:
    rule = ComparisonRule(alpha=ALPHA, min_effect=MIN_EFFECT)
    given = CriteriaInput(comparisons=(found,), rule=rule, conversations=n, candidate_changed=True)
    return decide(given).verdict


def rows_of(scores: Scores, window: int) -> list[ValidationRow]:
    def arm(score: float) -> ArmOutcome:
        return ArmOutcome(output="", evals=(EvalMetrics(name="q", score=score),))

    return [
        ValidationRow(span_id=f"{c}/{s}", conversation_id=str(c), baseline=arm(old), candidate=arm(new))
        for c, samples in enumerate(scores.samples[window])
        for s, (old, new) in enumerate(
            zip(scores.old[window, c, : int(samples)], scores.new[window, c, : int(samples)], strict=True)
        )
    ]


CLUSTERED = passes(0.7, longest=5, flips=0.05)
ROWS: tuple[tuple[str, Simulation, float], ...] = (
    ("false accepts: 70 % pass", passes(0.7), 0.0),
    ("false accepts: 70 % pass, 3 repeats", passes(0.7, repeats=3), 0.0),
    ("false accepts: 70 % pass, arms nearly alike", passes(0.7, alike=0.95), 0.0),
    ("false accepts: 98 % pass", passes(0.98), 0.0),
    ("false accepts: graded", graded, 0.0),
    ("false accepts: clustered, judge flips 5 %", CLUSTERED, 0.0),
    ("false accepts: one in twenty collapses", collapse, 0.0),
    ("power: 70 % pass, +0.10", passes(0.7), 0.10),
    ("power: 70 % pass, +0.10, 3 repeats", passes(0.7, repeats=3), 0.10),
    ("power: 70 % pass, arms nearly alike, +0.10", passes(0.7, alike=0.95), 0.10),
    ("power: 70 % pass, +0.15", passes(0.7), 0.15),
    ("power: 70 % pass, +0.25", passes(0.7), 0.25),
    ("power: 98 % pass, +0.02", passes(0.98), 0.02),
    ("power: graded, +0.08", graded, 0.08),
    ("power: clustered, judge flips 5 %, +0.15", CLUSTERED, 0.15),
    ("guardrail: 95 % pass, nothing lost", passes(0.95), 0.0),
    ("guardrail: 95 % pass, margin lost", passes(0.95), -MARGIN),
    ("guardrail: 70 % pass, margin lost", passes(0.7), -MARGIN),
)
DETECTABLE: tuple[tuple[str, Simulation], ...] = (
    ("70 % pass", passes(0.7)),
    ("arms nearly alike", passes(0.7, alike=0.95)),
    ("graded", graded),
)


def run(windows: int) -> dict[str, dict[str, dict[str, float]]]:
    """All cells: row, then conversations, then figures."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for seed, (name, simulate, effect) in enumerate(ROWS):
        cells = {n: measure(simulate, n, effect, windows, seed) for n in SIZES}
        results[name] = {str(n): cell._asdict() for n, cell in cells.items()}
        keys = [c.guardrail_passed if name.startswith("guardrail") else c.accepted for c in cells.values()]
        naive = [c.point_within_margin if name.startswith("guardrail") else c.naive for c in cells.values()]
        show(name, [f"{a:.3f} ({b:.2f})" for a, b in zip(keys, naive, strict=True)])
    for seed, (name, simulate) in enumerate(DETECTABLE, start=len(ROWS)):
        told = [measure(simulate, n, 0.0, windows, seed).detectable for n in SIZES]
        power = [measure(simulate, n, mde, windows, seed).accepted for n, mde in zip(SIZES, told, strict=True)]
        cells_told = zip(SIZES, told, power, strict=True)
        results[f"smallest detectable effect: {name}"] = {str(n): {"effect": e, "power": p} for n, e, p in cells_told}
        show(f"detectable effect (power): {name}", [f"{e:.3f} ({p:.2f})" for e, p in zip(told, power, strict=True)])
    return results


def show(name: str, columns: list[str]) -> None:
    print(f"{name:<48}" + "".join(f"{column:>15}" for column in columns), flush=True)


def main() -> None:
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    started = time.perf_counter()
    show("test and interval (mean(new) > mean(old))", [f"n = {n}" for n in SIZES])
    results = run(windows)
    report = {"windows": windows, "alpha": ALPHA, "min_effect": MIN_EFFECT, "margin": MARGIN, "cells": results}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{windows} windows a cell in {time.perf_counter() - started:.0f} s; written to {RESULTS}")


if __name__ == "__main__":
    main()
