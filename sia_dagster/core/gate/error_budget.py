"""The error budget of a loop: how much of a year's expected false promotions each verdict spends, and what is left.

The budget is spread over the year: a window's verdict costs `false_promotions_a_year` times the window's share of a
year, so that a year of verdicts adds up to the budget for windows of any length. It is an expected number of promotions
that are no better, not the probability of any.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.records.gate import YEAR, ErrorBudget, Look
from sia_dagster.core.records.sample import TimeWindow

ROUNDING: Final = 1e-9
"""Tolerance for sums of alphas."""


def window_alpha(validation: ValidationConfig, window: TimeWindow) -> float:
    """The one-sided level of this window's verdict on the primary evaluator, which is what it may spend.

    The window's share of the year's budget (a week of 0.5 a year: 0.0096), and never more than `validation.alpha`.
    """
    return min(validation.alpha, validation.false_promotions_a_year * ((window.end - window.start) / YEAR))


def spent_in_year(looks: Sequence[Look], end: datetime) -> float:
    """The alpha that these looks spent in the year that ends with `end`.

    A look spends evenly over its window: of a window that began before the year, only the share within the year counts.
    So consecutive windows never spend more than the budget in any year, although a year is not a whole number of weeks.
    """
    return sum(look.alpha_spent * _share_within(look.window, end - YEAR, end) for look in looks)


def error_budget_of(
    validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look], own: Look | None = None
) -> ErrorBudget:
    """The budget after this window, whose own look is `own`; None: it tested nothing.

    `looks` are those recorded before the window's end. The window's own is not counted twice, and stays spent when the
    window is run again. `left` is never below 0.
    """
    spent = own.alpha_spent if own else 0.0
    left = validation.false_promotions_a_year - spent_in_year(_others(looks, window), window.end) - spent
    return ErrorBudget(
        false_promotions_a_year=validation.false_promotions_a_year,
        alpha=window_alpha(validation, window),
        spent=spent,
        left=round(max(0.0, left), 12),
    )


def exhausted(budget: ErrorBudget) -> bool:
    """Whether the rest of the budget cannot pay for the window's verdict, so that nothing was, or may be, tested."""
    return not budget.spent and budget.left < budget.alpha - ROUNDING


def exhausted_reason(validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look]) -> str:
    """The reason where an exhausted budget leaves this window without a verdict, with the first window that has one."""
    budget = error_budget_of(validation, window, looks)
    spent, free = spent_in_year(_others(looks, window), window.end), free_again(validation, window, looks)
    return (
        f"the error budget of the year is spent: verdicts of the year before used {spent:.4f} of the "
        f"{budget.false_promotions_a_year:g} false promotions that `validation.false_promotions_a_year` allows, and "
        f"this verdict would cost {budget.alpha:.4f}, so nothing was replayed; the next window that the budget can pay "
        f"for ends on {free:%Y-%m-%d}, if no window before it gets a verdict"
    )


def free_again(validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look]) -> datetime:
    """The end of the first later window whose verdict can be paid for, if none before it spends anything.

    Later windows have this one's length. At the latest it is the first that ends a year from now, when all looks so far
    are more than a year old.
    """
    length = window.end - window.start
    others, needed = _others(looks, window), window_alpha(validation, window) - ROUNDING
    first, last = 1, -(-YEAR // length)
    # The rest only grows with time, so bisection finds the first.
    while first < last:
        middle = (first + last) // 2
        left = validation.false_promotions_a_year - spent_in_year(others, window.end + middle * length)
        first, last = (first, middle) if left >= needed else (middle + 1, last)
    return window.end + first * length


def _others(looks: Sequence[Look], window: TimeWindow) -> list[Look]:
    return [look for look in looks if look.window.key != window.key]


def _share_within(window: TimeWindow, start: datetime, end: datetime) -> float:
    """The share of the window that lies in `(start, end]`, 0..1."""
    within = min(window.end, end) - max(window.start, start)
    return max(0.0, within / (window.end - window.start))
