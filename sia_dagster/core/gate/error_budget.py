"""The error budget of a loop: how much of a year's expected false promotions each verdict spends, and what is left.

What a year may spend is spread over its time: a window's verdict costs `false_promotions_a_year` times the window's
share of a year, so that a year of verdicts adds up to the budget however windows are cut. It is an expected number of
promotions that are no better, not the chance of having any.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.records.gate import ErrorBudget, Look
from sia_dagster.core.records.sample import TimeWindow

YEAR: Final = timedelta(days=365.25)


ROUNDING: Final = 1e-9
"""What sums of alphas may be off by."""


def window_alpha(validation: ValidationConfig, window: TimeWindow) -> float:
    """The one-sided level that this window's verdict on the primary evaluator is taken at, and so what it may spend.

    The window's share of the year's budget (a week of 0.5 a year: 0.0096), and never more than `validation.alpha`.
    """
    return min(validation.alpha, validation.false_promotions_a_year * ((window.end - window.start) / YEAR))


def spent_in_year(looks: Sequence[Look], end: datetime) -> float:
    """What these looks spent in the year that ends with `end`.

    A look spends evenly over its window: of one that began before the year, only the share within the year counts. So
    windows that follow each other never spend more than the budget in any year, and weeks do not run short because a
    year is 52 of them and a bit.
    """
    return sum(look.alpha_spent * _share_within(look.window, end - YEAR, end) for look in looks)


def error_budget_of(
    validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look], own: Look | None = None
) -> ErrorBudget:
    """The budget after this window, whose own look is `own`; None: it tested nothing.

    `looks` are those recorded before the window's end, as the log reads them. The window's own is not counted twice,
    and what it spent stays spent when it is run again. `left` is never below 0.
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
    """Whether what is left could not pay for the window's verdict, so that nothing was, or may be, tested."""
    return not budget.spent and budget.left < budget.alpha - ROUNDING


def spent_out(validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look]) -> str:
    """Why an exhausted budget leaves this window without a verdict, in words, and when there is one again."""
    budget = error_budget_of(validation, window, looks)
    spent, free = spent_in_year(_others(looks, window), window.end), free_again(validation, window, looks)
    return (
        f"the error budget of the year is spent: verdicts of the year before used {spent:.4f} of the "
        f"{budget.false_promotions_a_year:g} false promotions that `validation.false_promotions_a_year` allows, and "
        f"this one would take {budget.alpha:.4f}, so nothing was replayed; it is free again for a window that ends on "
        f"{free:%Y-%m-%d}, if none before it is decided"
    )


def free_again(validation: ValidationConfig, window: TimeWindow, looks: Sequence[Look]) -> datetime:
    """The end of the first later window whose verdict can be paid for, if none before it spends anything.

    Windows are counted on in this one's length. At the latest it is the first that ends a year from now, since all
    that was spent has left the year by then.
    """
    length = window.end - window.start
    others, needed = _others(looks, window), window_alpha(validation, window) - ROUNDING
    first, last = 1, -(-YEAR // length)
    # What is left only grows with time, so that halving finds the first.
    while first < last:
        middle = (first + last) // 2
        left = validation.false_promotions_a_year - spent_in_year(others, window.end + middle * length)
        first, last = (first, middle) if left >= needed else (middle + 1, last)
    return window.end + first * length


def _others(looks: Sequence[Look], window: TimeWindow) -> list[Look]:
    return [look for look in looks if look.window.key != window.key]


def _share_within(window: TimeWindow, start: datetime, end: datetime) -> float:
    """How much of the window lies in `(start, end]`, 0..1."""
    within = min(window.end, end) - max(window.start, start)
    return max(0.0, within / (window.end - window.start))
