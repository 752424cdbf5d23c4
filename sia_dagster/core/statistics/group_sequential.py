"""Levels of a group-sequential test: looks at parts of the held-out groups of conversations, and at all of them.

An early look saves calls where the result is clear. Looks that were each tested at alpha would accept wrongly more
often than alpha, so all levels together spend alpha: Lan and DeMets, Discrete sequential boundaries for clinical
trials, Biometrika 70, 1983. The levels follow from the joint normal distribution of the looks' statistics, integrated
look by look (Armitage, McPherson and Rowe, Repeated significance tests on accumulating data, Journal of the Royal
Statistical Society A 132, 1969).

Written here and not taken from a library: SciPy and statsmodels have no group-sequential bounds, and the packages that
have them are R's (gsDesign, rpact) or bring a trial-design framework for what is one integral and one root here. The
bounds are checked against published tables in the tests.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.statistics.root import root_between

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


class Design(NamedTuple):
    """The looks that a holdout is taken in."""

    shares: tuple[float, ...]
    """Of the groups, at each look."""
    information: tuple[float, ...]
    """The planned share of the last look's information; statistics are correlated by the root of the ratio of theirs.

    A second answer to each sample is planned as if it doubled the information, which is the most that it can: then the
    true correlations are larger than planned, and the error is smaller (Slepian, Bell System Technical Journal 41,
    1962).
    """
    spent: tuple[float, ...] | None
    """The share of alpha that is spent by each look; None: of the type of O'Brien and Fleming (Biometrics 35, 1979)."""
    futile_below: tuple[float, ...]
    """The conditional power below which the calls of later looks are not made, for all looks but the last."""
    second_answers: bool = False
    """Whether the last look has two answers to each sample; else all looks have the same number."""


DESIGNS: Final[dict[int, Design]] = {
    1: Design((1.0,), (1.0,), None, ()),
    2: Design((0.5, 1.0), (0.5, 1.0), None, (0.05,)),
    4: Design((0.25, 0.5, 0.75, 1.0), (0.25, 0.5, 0.75, 1.0), (1 / 16, 0.2, 0.45, 1.0), (0.002, 0.01, 0.02)),
    5: Design(
        (0.25, 0.5, 0.75, 1.0, 1.0),
        (0.125, 0.25, 0.375, 0.5, 1.0),
        (1 / 16, 0.12, 0.2, 0.35, 1.0),
        (0.002, 0.01, 0.02, 0.05),
        second_answers=True,
    ),
}
"""By the number of looks. The last is the default: a second answer to each sample takes off noise, and is paid for only
where all first answers leave the result open. Spent shares and futility were chosen by simulation:
docs/calibration.md."""

FEWEST = 40
"""With fewer groups there is one look: a part of them could only show a very large gain."""

_FAR = 9.0
"""The mass beyond so many standard deviations is negligible."""
_NODES = 96
"""Of the Gauss-Legendre rule over one look's statistic."""


@cache
def look_levels(alpha: float, looks: int) -> tuple[float, ...]:
    """The one-sided nominal level of each look: an accept at any of them errs with probability `alpha` in all.

    Raises ValueError for a number of looks that is not planned.
    """
    if looks not in DESIGNS:
        raise ValueError(f"{', '.join(map(str, DESIGNS))} looks can be planned, not {looks}")
    import numpy as np
    from scipy.special import ndtr, ndtri

    design = DESIGNS[looks]
    spent = [_spent(design, look, alpha) for look in range(looks)]
    levels, density = [spent[0]], _Density.first(-float(ndtri(spent[0])))
    for look in range(1, looks):
        correlation = math.sqrt(design.information[look - 1] / design.information[look])

        def beyond(bound: float, correlation: float = correlation, given: "_Density" = density) -> float:
            late = (correlation * given.places - bound) / math.sqrt(1 - correlation**2)
            return float(np.sum(given.masses * ndtr(late)))

        rest = spent[look] - spent[look - 1]

        def left(bound: float, beyond: Callable[[float], float] = beyond, rest: float = rest) -> float:
            return beyond(bound) - rest

        bound = root_between(left, 0.0, _FAR, within=1e-12)
        levels.append(float(ndtr(-bound)))
        density = density.next(bound, correlation)
    return tuple(levels)


def _spent(design: Design, look: int, alpha: float) -> float:
    """By `look` the looks may err with this probability: 2 - 2 Phi(z(1 - alpha/2) / sqrt(t)) where nothing is said."""
    from scipy.special import ndtr, ndtri

    if design.spent is not None:
        return alpha * design.spent[look]
    if look == len(design.shares) - 1:
        return alpha
    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(design.information[look])))


class _Density(NamedTuple):
    """The distribution of one look's statistic under the null where no look has accepted: masses at places."""

    places: "Array"
    masses: "Array"

    @classmethod
    def first(cls, bound: float) -> "_Density":
        import numpy as np

        places, widths = _rule(bound)
        return cls(places, widths * np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi))

    def next(self, bound: float, correlation: float) -> "_Density":
        """The distribution at the next look below its `bound`."""
        import numpy as np

        places, widths = _rule(bound)
        spread = math.sqrt(1 - correlation**2)
        steps = (places[:, None] - correlation * self.places) / spread
        moved = np.exp(-(steps**2) / 2) / (spread * math.sqrt(2 * math.pi)) @ self.masses
        return _Density(places, widths * moved)


def _rule(bound: float) -> tuple["Array", "Array"]:
    """Places and widths of a quadrature from far below to `bound`."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (bound + _FAR) / 2
    return half * (nodes + 1) - _FAR, half * weights


def conditional_power(p: "float | Array", alpha: float, looks: int = 2, look: int = 0) -> "Array":
    """The probability that the last look accepts at `alpha`, if the trend behind the `p` of `look` holds.

    With z = z(1 - p), t the look's information and c the last look's bound: Phi((z / sqrt(t) - c) / sqrt(1 - t)). All
    ties (p = 1) give 0. `p` may be an array over many windows.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    known = DESIGNS[looks].information[look]
    last = -ndtri(look_levels(alpha, looks)[-1])
    return np.asarray(ndtr((-ndtri(np.asarray(p)) / math.sqrt(known) - last) / math.sqrt(1 - known)))


def plan_looks(groups: Sequence[str], looks: int, minimum: int = FEWEST) -> tuple[tuple[str, ...], ...]:
    """The groups of conversations of each look, in their order; one look at all of them below `minimum`.

    `groups` may repeat ids, as samples do. Without groups there is no look.
    """
    different = tuple(dict.fromkeys(groups))
    if not different:
        return ()
    shares = DESIGNS[looks if len(different) >= minimum else 1].shares
    return tuple(different[: math.ceil(share * len(different))] for share in shares)


def adjusted_rules(rule: ComparisonRule, looks: int) -> tuple[ComparisonRule, ...]:
    """The rule of each look: every level of `rule` spent over the looks."""
    primary, others = look_levels(rule.alpha, looks), look_levels(rule.guardrail_alpha, looks)
    return tuple(
        rule.model_copy(update={"alpha": alpha, "guardrail_alpha": guardrail_alpha})
        for alpha, guardrail_alpha in zip(primary, others, strict=True)
    )
