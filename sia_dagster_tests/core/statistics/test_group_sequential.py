"""Looks together err as often as one would, stop where it is clear or hopeless, and take each group once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.statistics.group_sequential import (
    DESIGNS,
    adjusted_rules,
    conditional_power,
    look_levels,
    plan_looks,
)
from sia_dagster.core.statistics.intervals import skew_corrected_interval

alphas = st.floats(1e-4, 0.3)


@pytest.mark.parametrize(
    ("alpha", "bounds"),
    # One-sided 0.025 with two equally spaced looks: the bounds that published tables of this spending function give.
    [(0.025, (2.963, 1.969)), (0.05, (2.538, 1.662))],
)
def test_the_bounds_are_those_of_published_tables(alpha: float, bounds: tuple[float, float]) -> None:
    assert [-ndtri(level) for level in look_levels(alpha, 2)] == pytest.approx(bounds, abs=5e-4)


def test_the_levels_of_a_plain_and_of_a_weekly_alpha() -> None:
    assert look_levels(0.05, 2) == pytest.approx((0.0056, 0.0482), abs=5e-5)
    assert look_levels(0.5 * 7 / 365.25, 2) == pytest.approx((0.00025, 0.0095), abs=5e-5)


def test_one_look_has_all_of_alpha() -> None:
    assert look_levels(0.0123, 1) == (0.0123,)


def test_three_looks_are_not_planned_for() -> None:
    with pytest.raises(ValueError, match="1, 2, 4, 5 looks can be planned, not 3"):
        look_levels(0.05, 3)


@given(alphas)
@settings(deadline=None, max_examples=40)
def test_both_looks_together_cross_with_probability_alpha(alpha: float) -> None:
    first, second = (-ndtri(level) for level in look_levels(alpha, 2))
    below = multivariate_normal.cdf([first, second], cov=[[1, 0.5**0.5], [0.5**0.5, 1]])
    assert 1 - below == pytest.approx(alpha, abs=2e-6)


@given(alphas)
@settings(deadline=None, max_examples=40)
def test_the_first_look_is_stricter_and_the_second_gives_little_away(alpha: float) -> None:
    first, second = look_levels(alpha, 2)
    assert 0 < first < second < alpha
    assert alpha < first + second


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), alphas)
@settings(deadline=None)
def test_a_smaller_p_leaves_a_greater_chance(a: float, b: float, alpha: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= conditional_power(high, alpha) <= conditional_power(low, alpha) <= 1


def test_conditional_power_by_simulation_of_the_second_half() -> None:
    levels, p = look_levels(0.05, 2), 0.2
    z = -ndtri(p)
    # The second half's statistic is the first's anew: its mean is the trend, its spread 1.
    rest = np.random.default_rng(5).normal(z, 1, 200_000)
    share = ((z + rest) / np.sqrt(2) >= -ndtri(levels[-1])).mean()
    assert conditional_power(p, 0.05) == pytest.approx(share, abs=0.005)


def test_conditional_power_takes_many_windows_at_once() -> None:
    together = conditional_power(np.array([0.01, 0.5, 1.0]), 0.05)
    assert together.tolist() == [float(conditional_power(p, 0.05)) for p in (0.01, 0.5, 1.0)]
    assert together[2] == 0, "all ties are no trend"


def test_a_first_look_has_the_first_half_of_the_conversations_and_the_second_all() -> None:
    ids = [f"c{n}" for n in range(41) for _ in range(2)]
    first, every = plan_looks(ids, 2)
    assert first == tuple(f"c{n}" for n in range(21))
    assert every == tuple(f"c{n}" for n in range(41))


@pytest.mark.parametrize(("count", "looks"), [(39, 2), (80, 1), (1, 2)])
def test_few_conversations_or_one_look_are_not_halved(count: int, looks: int) -> None:
    assert plan_looks([f"c{n}" for n in range(count)], looks) == (tuple(f"c{n}" for n in range(count)),)


def test_there_is_nothing_to_look_at_without_conversations() -> None:
    assert plan_looks([], 2) == ()


def test_every_level_of_the_rule_is_spent_over_the_looks() -> None:
    rule = ComparisonRule(alpha=0.01, guardrail_alpha=0.05, seed="w", safety=("safe",))
    first, second = adjusted_rules(rule, 2)
    assert (first.alpha, second.alpha) == look_levels(0.01, 2)
    assert (first.guardrail_alpha, second.guardrail_alpha) == look_levels(0.05, 2)
    assert first.model_copy(update={"alpha": 0.01, "guardrail_alpha": 0.05}) == rule
    assert adjusted_rules(rule, 1) == (rule,)


WINDOWS, CONVERSATIONS, FLIPS = 4000, 80, 1999


def keys(differences: np.ndarray, level: float, flips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The p of each window, and whether test and interval both accept; one set of flips for all windows."""
    n = differences.shape[1]
    seen = differences.sum(axis=1)
    p = ((flips[:, :n] @ differences.T >= seen - 1e-9).sum(axis=0) + 1) / (FLIPS + 1)
    bounds = skew_corrected_interval(differences, np.ones_like(differences), level)
    return p, (p <= level) & (bounds.low > 0)


def in_two_looks(effect: float, seed: int) -> tuple[float, float, float]:
    """Of many windows: the share accepted in two looks and in one, and the share of calls made."""
    generator = np.random.default_rng(seed)
    differences = np.clip(generator.normal(effect, 0.4, (WINDOWS, CONVERSATIONS)), -1, 1)
    flips = generator.choice([-1.0, 1.0], (FLIPS, CONVERSATIONS))
    levels, half = look_levels(0.05, 2), CONVERSATIONS // 2
    p, early = keys(differences[:, :half], levels[0], flips)
    _, late = keys(differences, levels[1], flips)
    _, at_once = keys(differences, 0.05, flips)
    stops = early | (conditional_power(p, 0.05) < DESIGNS[2].futile_below[0])
    accepted = early | (late & ~stops)
    return float(accepted.mean()), float(at_once.mean()), float(np.where(stops, 0.5, 1.0).mean())


def test_with_no_difference_two_looks_accept_at_most_alpha_and_cost_less() -> None:
    accepted, _, calls = in_two_looks(0.0, seed=1)
    # Three standard errors of 4,000 windows.
    assert accepted <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / WINDOWS)
    assert calls < 0.85


def test_with_a_clear_gain_two_looks_lose_little_power_and_stop_early() -> None:
    accepted, at_once, calls = in_two_looks(0.16, seed=2)
    assert at_once > 0.9
    assert accepted > at_once - 0.04
    assert calls < 0.9


def test_a_peek_at_alpha_itself_would_err_more_often_than_promised() -> None:
    """Why the first look has a level of its own."""
    generator = np.random.default_rng(3)
    z = generator.normal(0, 1, (200_000, 2))
    both = np.column_stack([z[:, 0], z.sum(axis=1) / np.sqrt(2)])
    peeked = (both > -ndtri(0.05)).any(axis=1).mean()
    spent = (both > [-ndtri(level) for level in look_levels(0.05, 2)]).any(axis=1).mean()
    assert peeked > 0.075
    assert spent == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("looks", [2, 4, 5])
@pytest.mark.parametrize("alpha", [0.05, 0.0096])
def test_all_looks_together_err_with_alpha(looks: int, alpha: float) -> None:
    """By simulation of the planned information; where a second answer tells less than planned, they err less."""
    information = np.array(DESIGNS[looks].information)
    generator = np.random.default_rng(looks)
    steps = generator.normal(size=(400_000, looks)) * np.sqrt(np.diff(information, prepend=0.0))
    z = steps.cumsum(axis=1) / np.sqrt(information)
    bounds = [-ndtri(level) for level in look_levels(alpha, looks)]
    assert (z > bounds).any(axis=1).mean() == pytest.approx(alpha, rel=0.05)
    known = information.copy()
    known[:-1] += (1 - known[:-1]) / 2
    surer = (generator.normal(size=(400_000, looks)) * np.sqrt(np.diff(known, prepend=0.0))).cumsum(axis=1)
    assert (surer / np.sqrt(known) > bounds).any(axis=1).mean() <= alpha


def test_the_fifth_look_has_the_groups_of_the_fourth() -> None:
    looks = plan_looks([f"c{n}" for n in range(50)], 5)
    assert [len(groups) for groups in looks] == [13, 25, 38, 50, 50]
    assert all(early == late[: len(early)] for early, late in pairwise(looks))
