"""The numbers of a paired comparison: the sign-flip test, the skewness-corrected interval, power and sample size.

Sources and measured size and power: docs/statistics.md.
"""

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

RESAMPLES = 9999

FINE_RESAMPLES = 99_999

FINEST_RESAMPLES = 999_999

PLAIN_LEVEL = 0.05
"""The level at which the plus-two interval adds its three conversations once."""

FINE_LEVEL = 0.005
"""Below this level a p of RESAMPLES flips is too coarse: a first look of a weekly loop requires p <= 0.0003."""

FINEST_LEVEL = 0.00005
"""Below this level FINE_RESAMPLES are too coarse: a first look of a daily loop requires p <= 0.000006."""


class Interval(NamedTuple):
    """An interval of a weighted mean difference in -1..1 (numbers, or arrays over many windows)."""

    middle: "Array"
    variance: "Array"
    """Of one conversation's weighted difference, the added ones included; never 0."""
    low: "Array"
    high: "Array"


def skew_corrected_interval(differences: "Array", weights: "Array", alpha: float) -> Interval:
    """The interval of the weighted mean difference over the last axis, at one-sided level `alpha` for each end.

    A few conversations that lose much make the mean's distribution skewed, and a window may show none of them. So each
    end is corrected for skewness after conversations were added at the worst value, -1 for the lower end and +1 for the
    upper. It is the better of two such ends:

    - Hall's (On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54, 1992) with
      ln(1 / alpha) / 8 added, which is sharp unless one to three conversations make nearly all of the skewness;
    - that of the first term of the Edgeworth expansion (Johnson, Modified t tests and confidence intervals for
      asymmetrical populations, Journal of the American Statistical Association 73, 1978) with `unseen` added.

    Without any difference both give about the binomial's end, -(1 - alpha^(1/n)) (Clopper and Pearson, Biometrika 26,
    1934). What is added, and the form with weights, are ours. Differences lie in -1..1; the ends are cut there.
    """
    import numpy as np

    scaled = weights / weights.mean(axis=-1, keepdims=True)
    added = _added_to_halls(alpha)
    size = differences.shape[-1] + 2 * added
    middle = (scaled * differences).sum(axis=-1) / size
    around = (scaled**2 * (differences - middle[..., None]) ** 2).sum(axis=-1)
    variance = (around + added * ((1 - middle) ** 2 + (1 + middle) ** 2)) / size
    low, high = _lower_end(differences, scaled, alpha), -_lower_end(-differences, scaled, alpha)
    return Interval(middle, variance, np.maximum(low, -1.0), np.minimum(high, 1.0))


def unseen(alpha: float) -> float:
    """The conversations that are added for the Edgeworth end: .63 at 0.05, .70 at 0.0096.

    With h added at -1 to n ties its end is -(h + z sqrt(h) + (2 z^2 + 1) / 6) / n; h makes that -ln(1 / alpha) / n.
    """
    from scipy.special import ndtri

    z = -float(ndtri(alpha))
    rest = -math.log(alpha) - (2 * z**2 + 1) / 6
    return ((math.sqrt(z**2 + 4 * rest) - z) / 2) ** 2


def _added_to_halls(alpha: float) -> float:
    """.37 at 0.05, .58 at 0.0096."""
    return -math.log(alpha) / 8


class Moments(NamedTuple):
    """Of weighted differences, with what was added at -1; `size` counts that, too."""

    mean: "Array"
    variance: "Array"
    third: "Array"
    size: "Array | float"

    @property
    def skewness(self) -> "Array":
        """Of the mean: M3 / V^1.5 / sqrt(N)."""
        import numpy as np

        return np.asarray(self.third / self.variance**1.5 / np.sqrt(self.size))

    @property
    def error(self) -> "Array":
        """The standard error of the mean: sqrt(V / (N - 1))."""
        import numpy as np

        return np.asarray(np.sqrt(self.variance / (self.size - 1)))


def _lower_end(differences: "Array", scaled: "Array", alpha: float) -> "Array":
    """`scaled` weights have the mean 1.

    Heavy conversations may be the ones that lose, so those added for the Edgeworth end are as heavy as the one in which
    a random unit of weight lies.
    """
    import numpy as np

    hall = moments(differences, scaled, _added_to_halls(alpha))
    edgeworth = moments(differences, scaled, unseen(alpha), (scaled**2).mean(axis=-1))
    return np.maximum(
        hall_end(hall, t_quantile(hall.size, alpha)), _edgeworth_end(edgeworth, t_quantile(edgeworth.size, alpha))
    )


def moments(differences: "Array", scaled: "Array", added: float, weight: "Array | float" = 1.0) -> Moments:
    """Of `differences` with `scaled` weights of mean 1, and `added` conversations of this `weight` at -1."""
    import numpy as np

    size = differences.shape[-1] + added
    mean = ((scaled * differences).sum(axis=-1) - added * weight) / size
    off, worst = scaled * (differences - mean[..., None]), weight * (1 + mean)
    square = off * off
    variance = (square.sum(axis=-1) + added * worst**2) / size
    third = ((square * off).sum(axis=-1) - added * worst**3) / size
    return Moments(mean, np.maximum(variance, _NO_VARIANCE), third, size)


def t_quantile(size: "Array | float", alpha: float) -> "Array":
    """t(1 - alpha) of `size` - 1 degrees of freedom: how many standard errors an end lies from the mean."""
    import numpy as np
    from scipy.special import stdtrit

    return np.asarray(stdtrit(size - 1, 1 - alpha), dtype=np.float64)


def hall_end(found: Moments, t: "Array") -> "Array":
    """Hall's lower end: mean - sqrt(V / (N - 1)) (3/a) (cbrt(1 + a (t - a/6)) - 1), with a = M3 / V^1.5 / sqrt(N)."""
    import numpy as np

    skewness = np.where(np.abs(found.skewness) < _NO_SKEWNESS, _NO_SKEWNESS, found.skewness)
    steps = 3 / skewness * (np.cbrt(1 + skewness * (t - skewness / 6)) - 1)
    return np.asarray(found.mean - steps * found.error)


def _edgeworth_end(found: Moments, t: "Array") -> "Array":
    """Mean - sqrt(V / (N - 1)) (t - a (2 t^2 + 1) / 6); a skewness to the right takes off at most half of t."""
    import numpy as np

    steps = t - np.minimum(found.skewness * (2 * t**2 + 1) / 6, t / 2)
    return np.asarray(found.mean - steps * found.error)


_NO_VARIANCE, _NO_SKEWNESS = 1e-12, 1e-6
"""The variance is 0 only where all differences are -1; without skewness Hall's limit is the t bound."""


def plus_two(differences: "Array", weights: "Array", alpha: float) -> Interval:
    """The plus-two interval of the weighted mean difference over the last axis, at one-sided `alpha` for each end.

    For the judge watch: a judge's differences are hardly skewed, and there it is missing a drift that must be rare.

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
    return Interval(middle, variance, np.maximum(middle - half, -1.0), np.minimum(middle + half, 1.0))


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


def planning_spread(differences: "Array", weights: "Array", variance: float) -> float:
    """The standard deviation for planning: the sample's own, but no smaller than the root of the interval's `variance`.

    A window of ties, or nearly so, has almost no spread of its own, yet it could not have shown a tiny gain.
    """
    import numpy as np

    scaled = weights / weights.mean()
    around = float((scaled**2 * (differences - np.average(differences, weights=weights)) ** 2).sum())
    return math.sqrt(max(around / (len(differences) - 1), variance))


def detectable_effect(conversations: "Array | int", spread: "Array | float", alpha: float) -> "Array":
    """The smallest gain that `conversations` show with 80 % power: the least mean shown, plus t(.8) spread / sqrt(n).

    `spread` is the standard deviation of a conversation's weighted difference; both in the same unit. The least mean is
    the one at which the lower end of `skew_corrected_interval` is 0 for unskewed differences; found by bisection.
    """
    import numpy as np
    from scipy.special import stdtrit

    sizes, spreads = np.broadcast_arrays(np.asarray(conversations, dtype=float), np.asarray(spread, dtype=float))
    low, high = np.full(sizes.shape, -1.0), np.full(sizes.shape, 2.0)
    halls, edgeworths = ((n, t_quantile(sizes + n, alpha)) for n in (_added_to_halls(alpha), unseen(alpha)))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shown = _end_of_unskewed(middle, spreads, sizes, halls, edgeworths) > 0
        low, high = np.where(shown, low, middle), np.where(shown, middle, high)
    return np.asarray(high + stdtrit(sizes - 1, POWER) * spreads / np.sqrt(sizes))


_HALVINGS = 30


_Added = tuple[float, "Array"]
"""How many conversations are added, and the quantile of t with them."""


def _end_of_unskewed(
    mean: "Array", spread: "Array", conversations: "Array", halls: _Added, edgeworths: _Added
) -> "Array":
    """The lower end for differences of this mean and spread without skewness, of equal weights."""
    import numpy as np

    def with_added(added: float) -> Moments:
        size = conversations + added
        whole = (conversations * mean - added) / size
        off = mean - whole
        variance = (conversations * (spread**2 + off**2) + added * (1 + whole) ** 2) / size
        third = (conversations * (3 * off * spread**2 + off**3) - added * (1 + whole) ** 3) / size
        return Moments(whole, np.maximum(variance, _NO_VARIANCE), third, size)

    hall, edgeworth = hall_end(with_added(halls[0]), halls[1]), _edgeworth_end(with_added(edgeworths[0]), edgeworths[1])
    return np.maximum(hall, edgeworth)


def conversations_needed(effect: float, alpha: float, spread: float = WORST_SPREAD) -> int | None:
    """The fewest conversations that show a gain of `effect`, or exclude a loss of it, with 80 % power.

    None beyond a million.
    """
    import numpy as np

    low, high = MIN_CONVERSATIONS, MOST_CONVERSATIONS
    while low < high:
        sizes = np.unique(np.geomspace(low, high, _GRID).round().astype(int))
        enough = detectable_effect(sizes, spread, alpha) <= effect
        if not enough[-1]:
            return None
        first = int(np.argmax(enough))
        low, high = int(sizes[first - 1]) + 1 if first else low, int(sizes[first])
    return high


_GRID = 128
