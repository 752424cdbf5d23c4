"""What a candidate saves is the share of the bill, with an interval that errs as often as it says."""

import numpy as np
import pytest

from sia_dagster.core.records.comparison import Saving
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.statistics.saving import compare_costs


def arm(usd: float | None, tokens: int = 100, error: str | None = None) -> ArmOutcome:
    return ArmOutcome(output="x", prompt_tokens=tokens, completion_tokens=20, cost_usd=usd, error=error)


def row(number: int, old: ArmOutcome, new: ArmOutcome, *, group: str = "", conversation: str = "") -> ValidationRow:
    name = conversation or f"c{number}"
    return ValidationRow(span_id=f"s{number}", conversation_id=name, group_id=group, baseline=old, candidate=new)


def saved(rows: list[ValidationRow], alpha: float = 0.05) -> Saving:
    found = compare_costs(rows, alpha)
    assert found is not None
    return found


def test_a_third_of_the_price_saves_two_thirds_however_long_the_calls_are() -> None:
    rows = [row(n, arm(0.003 * n), arm(0.001 * n)) for n in range(1, 21)]
    found = saved(rows)
    assert (found.unit, found.n, found.conversations) == ("usd", 20, 20)
    assert found.baseline == pytest.approx(0.0315)
    assert found.candidate == pytest.approx(0.0105)
    assert found.share == pytest.approx(2 / 3)
    assert found.low is not None
    assert found.high is not None
    assert 0.4 < found.low < 2 / 3 < found.high < 0.8
    wide = saved([row(n, arm(0.003), arm(0.001)) for n in range(10)])
    narrow = saved([row(n, arm(0.003), arm(0.001)) for n in range(200)])
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low
    assert narrow.in_words == "as good for 33% of the money (33% to 34%)"


def test_the_bill_counts_and_not_the_mean_group() -> None:
    heavy = [row(n, arm(0.001), arm(0.002), group="one user") for n in range(90)]
    light = [row(100 + n, arm(0.001), arm(0.0001)) for n in range(9)]
    found = saved([*heavy, *light])
    assert found.n == 10
    assert found.share is not None
    assert found.share < 0, "nine groups of ten save, and the bill grows"
    assert not found.is_shown


def test_calls_that_failed_under_one_policy_make_neither_cheaper() -> None:
    rows = [row(n, arm(0.003), arm(0.001)) for n in range(6)]
    failed = [row(10 + n, arm(0.003), arm(0.0, error="it failed")) for n in range(6)]
    assert saved([*rows, *failed]) == saved(rows)
    assert compare_costs(failed, 0.05) is None


def test_without_a_price_tokens_count() -> None:
    found = saved([row(n, arm(0.003, 280), arm(None, 130)) for n in range(600)])
    assert (found.unit, found.baseline, found.candidate) == ("tokens", 300, 150)
    assert found.in_words == "as good for 50% of the tokens (50% to 50%)"


def test_few_groups_and_calls_that_cost_nothing_have_no_interval() -> None:
    few = saved([row(n, arm(0.003), arm(0.001)) for n in range(4)])
    assert few.share == pytest.approx(2 / 3)
    assert (few.low, few.in_words, few.is_shown) == (None, "", False)
    assert saved([row(n, arm(0.0), arm(0.0)) for n in range(9)]).share is None


def test_what_costs_the_same_is_seldom_shown_to_cost_less() -> None:
    """Lengths of answers are skewed, and vary between the policies."""
    generator, shown = np.random.default_rng(7), 0
    for _ in range(200):
        length, old, new = np.exp(0.7 * generator.standard_normal((3, 60)))
        pairs = zip(length * old, length * new, strict=True)
        shown += saved([row(n, arm(float(one)), arm(float(other))) for n, (one, other) in enumerate(pairs)]).is_shown
    assert shown <= 10
