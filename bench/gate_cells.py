"""Cells of the gate's benchmark: a simulated window is a row, a cell many of them; shares come with their intervals."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from bench.calibration import Array, Scores, by_conversation, rows_of
from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.gate.verdict import decide
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.statistics.compare import ComparisonRule, compare
from sia_dagster.core.statistics.intervals import FINE_LEVEL, FINE_RESAMPLES, RESAMPLES, skew_corrected_interval

Yes = npt.NDArray[np.bool_]
Scenario = Callable[[np.random.Generator, int], Mapping[str, npt.NDArray[Any]]]
"""Simulates so many windows; what was found of each, by name."""

RULES = ValidationConfig(primary="q")
ALPHA, MIN_EFFECT, MARGIN = RULES.alpha, RULES.min_effect, RULES.guardrail_margin
_START = datetime(2026, 9, 14, tzinfo=UTC)
WEEKLY = window_alpha(RULES, TimeWindow(key="2026-09-14", start=_START, end=_START + timedelta(weeks=1)))
"""What one weekly window may spend of the error budget."""
LEVELS = {"05": ALPHA, "week": WEEKLY}
CHUNK = 250
MOST = 400
"""Conversations of a window that the benchmark has flips for."""


class Share(NamedTuple):
    """A share of windows with its exact 95 % interval (Clopper and Pearson, Biometrika 26, 1934)."""

    share: float
    low: float
    high: float
    windows: int

    @classmethod
    def of(cls, hits: npt.NDArray[Any]) -> "Share":
        count, windows = int(np.count_nonzero(hits)), len(hits)
        ends = binomtest(count, windows).proportion_ci(method="exact")
        return cls(count / windows, float(ends.low), float(ends.high), windows)

    def told(self) -> str:
        return f"{self.share:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Tested(NamedTuple):
    """Test and interval of many windows: differences and weights (windows, conversations), means and p."""

    differences: Array
    weights: Array
    mean: Array
    p: Array

    def low(self, alpha: float) -> Array:
        return np.asarray(skew_corrected_interval(self.differences, self.weights, alpha).low)

    def high(self, alpha: float) -> Array:
        return np.asarray(skew_corrected_interval(self.differences, self.weights, alpha).high)

    def accepts(self, alpha: float) -> Yes:
        return np.asarray((self.p <= alpha) & (self.low(alpha) > 0) & (self.mean >= MIN_EFFECT))

    def rejects(self, alpha: float) -> Yes:
        return np.asarray(self.high(alpha) < MIN_EFFECT)


def tested(differences: Array, weights: Array, generator: np.random.Generator) -> Tested:
    """The sign flips are those of the product, one set of them for the windows of a chunk."""
    weighted = weights * differences
    mean = weighted.sum(axis=1) / weights.sum(axis=1)
    return Tested(differences, weights, mean, flip_p(weighted, generator))


def flip_p(weighted: Array, generator: np.random.Generator) -> Array:
    """One-sided sign-flip p of each window: every flip where there are few (as the product has it), else as many as
    the product draws; the more where p is so small that a fine level could turn on it."""
    size = weighted.shape[1]
    if 2**size <= RESAMPLES:
        signs = 1 - 2 * ((np.arange(2**size) >> np.arange(size)[:, None]) & 1).astype(np.float32)
        return np.asarray(_reached(weighted, signs) / 2**size, dtype=float)
    p = (1 + _reached(weighted, _signs(RESAMPLES, int(generator.integers(8)))[:size])) / (RESAMPLES + 1)
    small = p < FINE_LEVEL
    if small.any():
        reached = _reached(weighted[small], _signs(FINE_RESAMPLES, 0)[:size])
        p[small] = (1 + reached) / (FINE_RESAMPLES + 1)
    return np.asarray(p, dtype=float)


@lru_cache(maxsize=10)
def _signs(flips: int, which: int) -> npt.NDArray[np.float32]:
    """(conversations, flips); kept, since drawing them takes longer than using them. Windows differ, so they may share
    their flips."""
    drawn = np.random.default_rng([flips, which]).bytes(MOST * -(-flips // 8))
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8).reshape(MOST, -1), axis=1)[:, :flips]
    return np.where(bits, np.float32(1), np.float32(-1))


def _reached(weighted: Array, signs: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Ties count as reached; single precision tells sums of up to 200 scores apart by less than the slack."""
    sums = weighted.astype(np.float32) @ signs
    return np.asarray(np.count_nonzero(sums >= weighted.sum(axis=1, keepdims=True) - 1e-4, axis=1))


def scored(scores: Scores, generator: np.random.Generator) -> Tested:
    return tested(*by_conversation(scores), generator)


def collect(scenario: Scenario, windows: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Simulate chunk after chunk until there are so many windows; the same seed gives the same."""
    generator = np.random.default_rng([2026, seed])
    chunks = [scenario(generator, min(CHUNK, windows - done)) for done in range(0, windows, CHUNK)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def agree(scores: Scores, found: Tested, alpha: float, *, window: int = 0) -> None:
    """Hold one window against the product's own `compare` and `decide`, but where p lies at alpha as far as another
    draw of sign flips can tell. Raises AssertionError."""
    rule = ComparisonRule(alpha=alpha, min_effect=MIN_EFFECT, seed=str(window))
    constant = EvalConstant(name="q", kind="code", fingerprint="", primary=True)
    seen = compare(rows_of(scores, window), constant, role="primary", rule=rule)
    size = scores.samples.shape[1]
    decision = decide(CriteriaInput(comparisons=(seen,), rule=rule, conversations=size, candidate_changed=True))
    verdict = "reject" if found.rejects(alpha)[window] else "inconclusive"
    verdict = "accept" if found.accepts(alpha)[window] else verdict
    error = 6 * np.sqrt(alpha * (1 - alpha) / RESAMPLES)
    if decision.verdict != verdict and abs(found.p[window] - alpha) > error:
        raise AssertionError(f"the benchmark says {verdict} (p = {found.p[window]}), the product {decision}: {seen}")
