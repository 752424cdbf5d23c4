"""The numbers of a paired comparison: the sign-flip test, the plus-two interval, power and sample size.

Sources and measured size and power: docs/statistics.md.
"""

import bisect
import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


MIN_CONVERSATIONS = 5
"""Below this nothing can be decided: with four conversations no sign-flip p is below 1/16."""

POWER = 0.8
"""Of the smallest detectable effect."""

WORST_SPREAD = 0.5
"""The spread for planning where none was measured: the largest standard deviation of scores in 0..1. (Two policies'
scores of one conversation agree enough that their differences seldom spread more.)"""

MOST_CONVERSATIONS = 1_000_000
"""Larger sample sizes are not reported."""

INTRA_CLASS = 0.25
"""The assumed correlation of samples within one conversation, for the weights of conversations by length."""

RESAMPLES = 9999

FINE_RESAMPLES = 99_999

FINEST_RESAMPLES = 999_999

PLAIN_LEVEL = 0.05
"""The level at which the plus-two interval adds its three conversations once."""

FINE_LEVEL = 0.005
"""Below this level a p of RESAMPLES flips is too coarse: a first look of a weekly loop requires p <= 0.0003."""

FINEST_LEVEL = 0.00005
"""Below this level FINE_RESAMPLES are too coarse: a first look of a daily loop requires p <= 0.000006."""


class PlusTwo(NamedTuple):
    """The plus-two interval of a weighted mean difference in -1..1 (numbers, or arrays over many windows)."""

    middle: "Array"
    variance: "Array"
    """Of one conversation's weighted difference, the three added ones included; never 0."""
    low: "Array"
    high: "Array"


def conversation_weights(samples: "Array") -> "Array":
    """The weight of conversations of `samples` samples: m / (1 + 0.25 (m - 1)), so that long ones do not dominate."""
    return samples / (1 + INTRA_CLASS * (samples - 1))


def plus_two(differences: "Array", weights: "Array", alpha: float) -> PlusTwo:
    """The interval of the weighted mean difference over the last axis, at one-sided level `alpha` for each end.

    Half a conversation at +1, half at -1 and one tie are added (Agresti and Min, Statistics in Medicine 24, 2005,
    for matched proportions; this form with weights is ours), so that ties never give zero width; at levels finer than
    0.05 `times_added` as many. Differences lie in -1..1; the ends are cut there.
    """
    import numpy as np
    from scipy.special import stdtrit

    times = times_added(alpha)
    size = differences.shape[-1] + 2 * times
    scaled = weights / weights.mean(axis=-1, keepdims=True)
    middle = (scaled * differences).sum(axis=-1) / size
    around = (scaled**2 * (differences - middle[..., None]) ** 2).sum(axis=-1)
    added = (1 - middle) ** 2 / 2 + (1 + middle) ** 2 / 2 + middle**2
    variance = (around + times * added) / size
    half = stdtrit(size - 1, 1 - alpha) * np.sqrt(variance / (size - 1))
    return PlusTwo(middle, variance, np.maximum(middle - half, -1.0), np.minimum(middle + half, 1.0))


def times_added(alpha: float) -> float:
    """How many times the three conversations are added: (z(1 - alpha) / z(.95))^2, and once from 0.05 on.

    In proportion to z squared, as Agresti and Coull add (The American Statistician 52, 1998). Adding the same three at
    each level would let a rare collapse, which a window easily misses, pass more often than a fine level allows.
    """
    from scipy.special import ndtri

    return max(1.0, float(ndtri(alpha) / ndtri(PLAIN_LEVEL)) ** 2)


def sign_flip_p(weighted: "Array", seed: str, resamples: int = RESAMPLES) -> float:
    """One-sided p of "the mean of the weighted differences is above 0": exact up to 13 conversations.

    Beyond (16 with FINE_RESAMPLES, 19 with FINEST_RESAMPLES), `resamples` sign flips drawn from a generator seeded by a
    hash of `seed`. All ties give 1. Draws, tolerance and p are those of `scipy.stats.permutation_test` for one sample,
    with which a test compares them; importing scipy.stats would cost every window most of a CPU second.
    """
    import numpy as np

    def reached(flipped: "npt.NDArray[np.bool_]") -> int:
        return int(np.count_nonzero(np.where(flipped, -weighted, weighted).mean(axis=-1) >= least))

    observed, size = float(weighted.mean()), len(weighted)
    least = observed - abs(100 * np.finfo(float).eps * observed)
    if (all_flips := 1 << size) <= resamples:
        return reached((np.arange(all_flips)[:, None] >> np.arange(size)) % 2 == 1) / all_flips
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    batch = min(resamples, max(1, MOST_CONVERSATIONS // size))
    pairs = np.tile(np.arange(2), (batch, size, 1))
    drawn = (generator.permuted(pairs, axis=-1)[: resamples - done, :, 0] for done in range(0, resamples, batch))
    return (sum(reached(first == 1) for first in drawn) + 1) / (resamples + 1)


def resamples_for(level: float) -> int:
    """The sign flips needed to resolve whether p is at most `level`, down to a millionth."""
    if level >= FINE_LEVEL:
        return RESAMPLES
    return FINE_RESAMPLES if level >= FINEST_LEVEL else FINEST_RESAMPLES


def planning_spread(differences: "Array", weights: "Array", plus_two_variance: float) -> float:
    """The standard deviation for planning: the sample's own, but no smaller than that of the plus-two interval.

    A window of ties, or nearly so, has almost no spread of its own, yet it could not have shown a tiny gain.
    """
    import numpy as np

    scaled = weights / weights.mean()
    around = float((scaled**2 * (differences - np.average(differences, weights=weights)) ** 2).sum())
    return math.sqrt(max(around / (len(differences) - 1), plus_two_variance))


def detectable_effect(conversations: int, spread: float, alpha: float) -> float:
    """The smallest gain that `conversations` show with 80 % power: (t(1-alpha) + t(.8)) spread / sqrt(n) (n + 2k) / n.

    `spread` is the standard deviation of a conversation's weighted difference; both in the same unit. The last factor
    is what the 2k conversations that the plus-two interval adds take off a gain (k is `times_added`).
    """
    return _distance(conversations, spread, alpha) * (conversations + 2 * times_added(alpha)) / conversations


def conversations_needed(effect: float, alpha: float, spread: float = WORST_SPREAD) -> int | None:
    """The fewest conversations that distinguish an interval's middle from a bound `effect` away with 80 % power.

    So `effect` is a gain as the interval shrinks it, or a margin. None beyond a million.
    """
    if _distance(MOST_CONVERSATIONS, spread, alpha) > effect:
        return None
    sizes = range(MIN_CONVERSATIONS, MOST_CONVERSATIONS + 1)
    return sizes[bisect.bisect_left(sizes, True, key=lambda n: _distance(n, spread, alpha) <= effect)]


def _distance(conversations: int, spread: float, alpha: float) -> float:
    """(t(1 - alpha) + t(.8)) spread / sqrt(n)."""
    from scipy.special import stdtrit

    quantiles = stdtrit(conversations - 1, 1 - alpha) + stdtrit(conversations - 1, POWER)
    return float(quantiles * spread / math.sqrt(conversations))
