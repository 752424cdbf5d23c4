"""The error budget: a year's verdicts never spend more than it, and what is spent is free again a year later."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.gate.error_budget import (
    error_budget_of,
    exhausted,
    exhausted_reason,
    free_again,
    spent_in_year,
    window_alpha,
)
from sia_dagster.core.records.gate import YEAR, Look
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import TimeWindow

START = datetime(2026, 1, 5, tzinfo=UTC)


WEEK = timedelta(weeks=1)


ABOUT = 1e-9


def config(**changes: Any) -> ValidationConfig:
    return ValidationConfig.model_validate({"primary": "correctness", **changes})


def window(number: int, length: timedelta = WEEK) -> TimeWindow:
    start = START + number * length
    return TimeWindow(key=start.isoformat(), start=start, end=start + length)


def look(of: TimeWindow, alpha: float) -> Look:
    return Look(
        loop="desk",
        window=of,
        at=of.end,
        fingerprint="e",
        result="r",
        alpha_spent=alpha,
        verdict="inconclusive",
        baseline=Actions(),
        candidate=Actions(system_prompt="B"),
    )


def looks(rule: ValidationConfig, windows: Sequence[TimeWindow]) -> list[Look]:
    return [look(each, window_alpha(rule, each)) for each in windows]


def test_a_week_spends_its_share_of_the_year() -> None:
    assert window_alpha(config(), window(0)) == pytest.approx(0.5 * 7 / 365.25)
    assert window_alpha(config(), window(0, timedelta(hours=1))) == pytest.approx(0.5 / 365.25 / 24)


def test_no_window_spends_more_than_alpha() -> None:
    assert window_alpha(config(false_promotions_a_year=10), window(0)) == 0.05
    assert window_alpha(config(alpha=0.01), window(0, timedelta(days=30))) == 0.01


def test_an_hour_that_the_clock_skips_is_not_paid_for() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start, end = (datetime(2026, 3, day, tzinfo=berlin).astimezone(UTC) for day in (29, 30))
    short = TimeWindow(key="2026-03-29", start=start, end=end)
    assert window_alpha(config(), short) == pytest.approx(0.5 * 23 / 24 / 365.25)


def test_the_first_window_has_the_whole_year_before_it() -> None:
    found = error_budget_of(config(), window(0), [])
    assert (found.false_promotions_a_year, found.spent, found.left) == (0.5, 0.0, 0.5)
    assert found.alpha == window_alpha(config(), window(0))
    assert not exhausted(found)


def test_what_a_window_spends_is_gone_for_the_next() -> None:
    rule = config()
    (own,) = looks(rule, [window(0)])
    after = error_budget_of(rule, window(0), [], own)
    assert after.spent == own.alpha_spent
    assert after.left == pytest.approx(0.5 - own.alpha_spent)
    assert error_budget_of(rule, window(1), [own]).left == after.left


def test_a_repeated_window_spends_nothing_anew() -> None:
    rule = config()
    own, other = looks(rule, [window(3), window(2)])
    once = error_budget_of(rule, window(3), [other], own)
    assert error_budget_of(rule, window(3), [other, own], own) == once


@given(
    length=st.sampled_from([timedelta(hours=6), timedelta(days=1), WEEK, timedelta(days=28), timedelta(days=31)]),
    rate=st.floats(0.01, 20),
    alpha=st.floats(0.001, 0.4),
    gone=st.integers(0, 130),
)
def test_a_loop_that_decides_in_every_window_never_overdraws_and_never_runs_dry(
    length: timedelta, rate: float, alpha: float, gone: int
) -> None:
    rule = config(false_promotions_a_year=rate, alpha=alpha)
    past = looks(rule, [window(number, length) for number in range(gone)])
    now = window(gone, length)
    before = error_budget_of(rule, now, past)
    assert not exhausted(before)
    assert before.left >= before.alpha - ABOUT
    own = look(now, before.alpha)
    assert spent_in_year([*past, own], now.end) <= rate + ABOUT
    assert error_budget_of(rule, now, past, own).left >= 0


@given(alphas=st.lists(st.floats(0.0, 0.2), max_size=60), rate=st.floats(0.05, 2))
def test_whatever_was_spent_a_loop_that_asks_first_stays_within_its_budget(alphas: list[float], rate: float) -> None:
    rule, taken = config(false_promotions_a_year=rate, alpha=0.2), list[Look]()
    for number, alpha in enumerate(alphas):
        now = window(number)
        before = error_budget_of(rule, now, taken)
        if before.left >= alpha:
            taken.append(look(now, alpha))
        assert spent_in_year(taken, now.end) <= rate + ABOUT


def test_a_week_on_the_edge_of_the_year_counts_by_its_share() -> None:
    (old,) = looks(config(), [window(0)])
    assert spent_in_year([old], old.window.end) == old.alpha_spent
    assert spent_in_year([old], old.window.start + YEAR) == old.alpha_spent
    half = old.window.start + WEEK / 2 + YEAR
    assert spent_in_year([old], half) == pytest.approx(old.alpha_spent / 2)
    assert spent_in_year([old], old.window.end + YEAR) == 0


def test_later_windows_are_not_the_years() -> None:
    assert spent_in_year(looks(config(), [window(1)]), window(0).end) == 0


def lowered() -> tuple[ValidationConfig, list[Look]]:
    """A year of a generous budget, after which the owner wants a tenth of it."""
    return config(false_promotions_a_year=0.05), looks(config(), [window(number) for number in range(52)])


def test_a_budget_that_was_lowered_is_spent_until_the_year_has_passed() -> None:
    rule, past = lowered()
    now = window(52)
    found = error_budget_of(rule, now, past)
    assert found.left == 0
    assert exhausted(found)
    free = free_again(rule, now, past)
    assert now.end < free <= now.end + YEAR + WEEK


@given(st.integers(1, 52), st.floats(0.02, 0.5))
def test_the_day_on_which_it_is_free_again_is_the_first(gone: int, rate: float) -> None:
    rule, past = config(false_promotions_a_year=rate), looks(config(), [window(number) for number in range(gone)])
    now = window(gone)
    free = free_again(rule, now, past)
    steps = (free - now.end) // WEEK
    left = [error_budget_of(rule, window(gone + step), past) for step in range(1, steps + 1)]
    assert [exhausted(each) for each in left] == [True] * (steps - 1) + [False]


def test_the_sentence_says_what_was_spent_what_it_takes_and_when_it_is_free() -> None:
    rule, past = lowered()
    told = exhausted_reason(rule, window(52), past)
    assert told.startswith("the error budget of the year is spent: verdicts of the year before used 0.4904 ")
    assert " of the 0.05 false promotions that `validation.false_promotions_a_year` allows" in told
    assert "this verdict would cost 0.0010, so nothing was replayed" in told
    assert f"{free_again(rule, window(52), past):%Y-%m-%d}" in told


def test_a_window_that_spent_is_not_called_exhausted() -> None:
    rule = config(false_promotions_a_year=0.5 * 7 / 365.25, alpha=0.05)
    own = look(window(0), 0.5 * 7 / 365.25)
    found = error_budget_of(rule, window(0), [], own)
    assert found.left == 0
    assert not exhausted(found)
