"""The root of a function of one number."""

import math
from collections.abc import Callable
from typing import NamedTuple

_RELATIVE = 4 * 2.0**-52


class _Point(NamedTuple):
    x: float
    y: float


def root_between(function: Callable[[float], float], low: float, high: float, *, within: float) -> float:
    """Where `function` is 0 between `low` and `high`, to `within`.

    By Brent's method (Algorithms for Minimization without Derivatives, 1973, chapter 4), with the steps of
    `scipy.optimize.brentq`, with which a test compares it: importing scipy.optimize would cost every window 0.17 CPU
    seconds. Raises ValueError where the function has the same sign at both ends.
    """
    before, here = (_Point(x, function(x)) for x in (low, high))
    if before.y == 0 or here.y == 0:
        return before.x if before.y == 0 else here.x
    if not _differ(before, here):
        raise ValueError("the function has the same sign at both ends")
    across, last, step = before, 0.0, 0.0
    while True:
        if _differ(before, here):
            across = before
            last = step = here.x - before.x
        if abs(across.y) < abs(here.y):
            before, here, across = here, across, here
        tolerance, half = (within + _RELATIVE * abs(here.x)) / 2, (across.x - here.x) / 2
        if here.y == 0 or abs(half) < tolerance:
            return here.x
        tried = math.inf
        if abs(last) > tolerance and abs(here.y) < abs(before.y):
            tried = _interpolated(before, here, across)
        short = 2 * abs(tried) < min(abs(last), 3 * abs(half) - tolerance)
        last, step = (step, tried) if short else (half, half)
        moved = here.x + (step if abs(step) > tolerance else math.copysign(tolerance, half))
        before, here = here, _Point(moved, function(moved))


def _differ(one: _Point, other: _Point) -> bool:
    return one.y != 0 and other.y != 0 and (one.y < 0) != (other.y < 0)


def _interpolated(before: _Point, here: _Point, across: _Point) -> float:
    """The step to where the line through two points, or the inverse parabola through three, is 0."""
    if before.x == across.x:
        return -here.y * (here.x - before.x) / (here.y - before.y)
    to_before = (before.y - here.y) / (before.x - here.x)
    to_across = (across.y - here.y) / (across.x - here.x)
    slope = to_across * to_before * (across.y - before.y)
    return -here.y * (across.y * to_across - before.y * to_before) / slope
