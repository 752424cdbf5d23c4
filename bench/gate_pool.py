"""The holdout filled from earlier windows whose mix of traffic was another."""

import numpy as np
from scipy.special import ndtri

from bench.calibration import Array
from bench.gate_cells import LEVELS, RULES, Scenario, Yes, tested
from sia_dagster.core.gate.pooling import HEAVIEST

GAP, SHIFT, RATE = 0.20, 0.06, 0.7
"""Kinds of traffic: what the candidate gains in one and loses in the other differ by `GAP`; the share of the first
was higher by `SHIFT` for every window back."""
USABLE = 3
"""A window's mix is counted over all its samples, about so many times the holdout's."""


def pooled(n: int, windows_back: int, effect: float = 0.0) -> Scenario:
    """`n` own conversations and as many of each earlier window, up to the limit; `effect` is that of the own mix.

    `accept_*`: post-stratified to the own mix; `unweighted_*`: all conversations count alike; `alone_*`: without them.
    """
    size = max(n, min(n * (windows_back + 1), RULES.max_conversations))

    def windows(generator: np.random.Generator, count: int) -> dict[str, Yes]:
        first, own_share = kinds(generator, count, n, size)
        gain = effect + np.where(first, GAP / 2, -GAP / 2)
        hardness, old, new = np.sqrt(0.5) * generator.standard_normal((3, count, size))
        differences = (hardness + new < ndtri(RATE + gain)).astype(float) - (hardness + old < ndtri(RATE))
        plain = tested(differences, np.ones((count, size)), generator)
        weighted = tested(differences, post_stratified(first, own_share), generator)
        alone = tested(differences[:, :n], np.ones((count, n)), generator)
        found = {"naive": plain.mean > 0}
        for name, alpha in LEVELS.items():
            found[f"accept_{name}"] = weighted.accepts(alpha)
            found[f"unweighted_{name}"] = plain.accepts(alpha)
            found[f"alone_{name}"] = alone.accepts(alpha)
        return found

    return windows


def kinds(generator: np.random.Generator, count: int, n: int, size: int) -> tuple[Yes, Array]:
    """Which conversations (windows, size) are of the first kind, and its share of each window's own samples."""
    back = np.arange(size) // n
    first = generator.random((count, size)) < 0.5 + SHIFT * back
    rest = generator.binomial((USABLE - 1) * n, 0.5, count)
    return first, np.asarray((first[:, :n].sum(axis=1) + rest) / (USABLE * n))


def post_stratified(first: Yes, own_share: Array) -> Array:
    """Each kind's share of the own window over its share of the pool, capped, with mean 1."""
    pool = first.mean(axis=1, keepdims=True)
    own = own_share[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(first, own / pool, (1 - own) / (1 - pool))
    capped = np.clip(factors, 1 / HEAVIEST, HEAVIEST)
    return np.asarray(capped / capped.mean(axis=1, keepdims=True))
