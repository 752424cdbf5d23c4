"""The root that SciPy finds, to the last digit, without SciPy's optimizers."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import ndtr

from sia_dagster.core.statistics.root import root_between

FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "normal tail": lambda x, level: float(ndtr(-x)) - level / 2,
    "cubic": lambda x, level: (x - 9 * level) ** 3,
    "step": lambda x, level: math.tanh(50 * (x - 9 * level)),
    "line": lambda x, level: x - 9 * level,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(level=st.floats(1e-6, 0.999))
def test_the_root_is_scipys_to_the_last_digit(name: str, level: float) -> None:
    def function(x: float) -> float:
        return FUNCTIONS[name](x, level)

    expected = brentq(function, 0.0, 9.0, xtol=1e-12, maxiter=1000)
    assert root_between(function, 0.0, 9.0, within=1e-12) == expected


def test_an_end_that_is_the_root_is_found_at_once() -> None:
    assert root_between(lambda x: x, 0.0, 9.0, within=1e-12) == 0.0
    assert root_between(lambda x: x - 9, 0.0, 9.0, within=1e-12) == 9.0


def test_a_function_without_a_change_of_sign_has_no_root() -> None:
    with pytest.raises(ValueError, match="the same sign at both ends"):
        root_between(lambda x: x + 1, 0.0, 9.0, within=1e-12)
