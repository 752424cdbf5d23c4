"""Levels of a group-sequential test with two looks: at half of the held-out groups of conversations, and at all.

The first look saves calls where the result is clear. Two looks that were each tested at alpha would accept wrongly more
often than alpha, so both levels together spend alpha. Lan and DeMets, Discrete sequential boundaries for clinical
trials, Biometrika 70, 1983, with a spending function of the type of O'Brien and Fleming, A multiple testing procedure
for clinical trials, Biometrics 35, 1979.

Written here and not taken from a library: SciPy and statsmodels have no group-sequential bounds, and the packages that
have them are R's (gsDesign, rpact) or bring a trial-design framework for what is one integral and one root here. The
bounds are checked against published tables in the tests.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sia_dagster.core.statistics.compare import ComparisonRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


FRACTION = 0.5
"""Of the groups of conversations, at the first look."""

FEWEST = 40
"""With fewer groups there is one look: half of them could only show a very large gain."""

_HOW_FAR = 0.01
"""The root's bracket is widened by this, since its ends may be the root itself."""


@cache
def look_levels(alpha: float, looks: int) -> tuple[float, ...]:
    """The one-sided nominal level of each look: an accept at any of them errs with probability `alpha` in all.

    By the first look 2 - 2 Phi(z(1 - alpha/2) / sqrt(1/2)) is spent, by the second all: at 0.05 the levels are 0.0056
    and 0.0482. The statistics of both looks are jointly normal with correlation sqrt(1/2). Raises ValueError for
    other than one or two looks.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    if looks == 1:
        return (alpha,)
    if looks != 2:
        raise ValueError(f"one or two looks can be planned, not {looks}")
    first = float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(FRACTION)))
    rest = alpha - first
    # A second look at all of alpha accepts too often, one at the unspent rest alone too rarely.
    low, high = -float(ndtri(alpha)) - _HOW_FAR, -float(ndtri(rest)) + _HOW_FAR
    bound = brentq(lambda c: _late_crossing(-float(ndtri(first)), c) - rest, low, high, xtol=1e-12)
    return (first, float(ndtr(-bound)))


def _late_crossing(first: float, second: float) -> float:
    """The probability under the null that Z1 stays below `first` and Z2 exceeds `second`."""
    from scipy.integrate import quad
    from scipy.special import ndtr

    def density(z: float) -> float:
        beyond = ndtr((math.sqrt(FRACTION) * z - second) / math.sqrt(1 - FRACTION))
        return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * float(beyond)

    # The mass beyond ten standard deviations is negligible.
    return float(quad(density, -10.0, first, epsabs=1e-14, epsrel=1e-12, limit=200)[0])


def conditional_power(p: "float | Array", alpha: float) -> "Array":
    """The probability that the second of two looks at `alpha` accepts, if the trend behind the first look's `p` holds.

    With z1 = z(1 - p), B = z1 sqrt(1/2) and the second look's bound c2: 1 - Phi((c2 - B / (1/2)) / sqrt(1/2)). All ties
    (p = 1) give 0. `p` may be an array over many windows.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    trend = -ndtri(np.asarray(p)) * math.sqrt(FRACTION) / FRACTION
    return np.asarray(ndtr((trend + ndtri(look_levels(alpha, 2)[-1])) / math.sqrt(1 - FRACTION)))


def plan_looks(groups: Sequence[str], looks: int, minimum: int = FEWEST) -> tuple[tuple[str, ...], ...]:
    """The groups of conversations of each look, in their order: the first half and all; one look below `minimum`.

    `groups` may repeat ids, as samples do. Without groups there is no look.
    """
    different = tuple(dict.fromkeys(groups))
    if not different:
        return ()
    if looks == 1 or len(different) < minimum:
        return (different,)
    return (different[: math.ceil(FRACTION * len(different))], different)


def adjusted_rules(rule: ComparisonRule, looks: int) -> tuple[ComparisonRule, ...]:
    """The rule of each look: every level of `rule` spent over the looks."""
    primary, others = look_levels(rule.alpha, looks), look_levels(rule.guardrail_alpha, looks)
    return tuple(
        rule.model_copy(update={"alpha": alpha, "guardrail_alpha": guardrail_alpha})
        for alpha, guardrail_alpha in zip(primary, others, strict=True)
    )
