"""What a week costs under both policies: the window's calls times what the replays took."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.config.llm import Price
from sia_dagster.core.cost.traffic_cost import calls_a_week, traffic_cost
from sia_dagster.core.records.gate import TrafficCost
from sia_dagster.core.records.policy import Actions, PolicyShare
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.state import StateActions

START = datetime(2026, 9, 28, tzinfo=UTC)


def window(days: float = 7) -> TimeWindow:
    return TimeWindow(key="2026-09-28", start=START, end=START + timedelta(days=days))


def spoke(share: float, *, same_call: bool = True) -> PolicyShare:
    return PolicyShare(
        system_prompt="p", origin="as_sent", same_call=same_call, samples=1, share=share, first=START, last=START
    )


def state(calls: int = 1000, days: float = 7, *policies: PolicyShare) -> StateActions:
    return StateActions(loop="desk", window=window(days), calls=calls, policies=policies)


def arm(prompt: int = 100, completion: int = 20, usd: float | None = 0.01, **fields: Any) -> ArmOutcome:
    given = {"output": "yes", "prompt_tokens": prompt, "completion_tokens": completion, "cost_usd": usd}
    return ArmOutcome.model_validate({**given, **fields})


def report(*pairs: tuple[ArmOutcome, ArmOutcome]) -> ValidationReport:
    rows = [
        ValidationRow(span_id=f"s{n}", conversation_id=f"c{n}", baseline=old, candidate=new)
        for n, (old, new) in enumerate(pairs)
    ]
    policies = {"baseline": Actions(model="small"), "candidate": Actions(system_prompt="Be brief.", model="small")}
    return ValidationReport(loop="desk", window=window(), verdict="accept", reasons=(), rows=tuple(rows), **policies)


def cost(found: ValidationReport, of: StateActions, **prices: Price) -> TrafficCost | None:
    return traffic_cost(found, of, price_of=({"small": Price(input=100, output=50)} | prices).get)


def test_means_of_a_call_are_taken_times_the_calls_of_a_week() -> None:
    found = cost(report((arm(100, 20, 0.01), arm(140, 10, 0.02)), (arm(200, 40, 0.03), arm(240, 30, 0.04))), state())
    assert found is not None
    assert (found.calls_a_week, found.baseline_prompt_tokens, found.candidate_prompt_tokens) == (1000, 150, 190)
    assert (found.baseline_completion_tokens, found.candidate_completion_tokens) == (30, 20)
    assert found.baseline_usd == pytest.approx(1000 * (150 * 100 + 30 * 50) / 1e6)
    assert found.candidate_usd == pytest.approx(1000 * (190 * 100 + 20 * 50) / 1e6)


@pytest.mark.parametrize(("days", "calls"), [(7, 1000), (1, 7000), (14, 500), (1 / 24, 168_000)])
def test_a_window_of_any_length_is_scaled_to_a_week(days: float, calls: float) -> None:
    assert calls_a_week(state(1000, days)) == pytest.approx(calls)


def test_other_calls_of_the_application_do_not_count() -> None:
    mixed = state(1000, 7, spoke(0.5), spoke(0.2), spoke(0.3, same_call=False))
    assert calls_a_week(mixed) == pytest.approx(700)
    assert calls_a_week(state(1000, 7, spoke(0.6), spoke(0.6))) == 1000


def test_a_row_that_one_policy_did_not_answer_counts_for_neither() -> None:
    failed = ArmOutcome(error="timed out")
    found = cost(report((arm(100), arm(200)), (arm(900), failed), (failed, arm(900))), state())
    assert found is not None
    assert (found.baseline_prompt_tokens, found.candidate_prompt_tokens) == (100, 200)


def test_an_unknown_price_leaves_the_cost_of_that_policy_unknown() -> None:
    found = report((arm(), arm()))
    known = found.model_copy(update={"candidate": Actions(model="another")})
    told = cost(known, state())
    assert told is not None
    assert told.baseline_usd == pytest.approx(1000 * (100 * 100 + 20 * 50) / 1e6)
    assert told.candidate_usd is None


def test_what_replays_saved_by_batches_the_application_does_not() -> None:
    """Half price, or nothing at all: the application asks one request at a time, whatever the replays were billed."""
    full, halved, free = (cost(report((arm(usd=usd), arm(usd=usd))), state()) for usd in (0.01, 0.005, None))
    assert full is not None
    assert full == halved == free


@pytest.mark.parametrize(
    ("rows", "calls"),
    [((), 1000), (((arm(), arm()),), 0), (((arm(), ArmOutcome(error="x")),), 1000), (((arm(0), arm(0)),), 1000)],
)
def test_without_calls_or_counted_answers_it_is_not_known(rows: tuple[Any, ...], calls: int) -> None:
    assert cost(report(*rows), state(calls)) is None


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 900)), min_size=1, max_size=20), st.integers(1, 10**6))
def test_equal_policies_cost_the_same_whatever_the_traffic(usage: list[tuple[int, int]], calls: int) -> None:
    rows = [
        (arm(prompt, completion, prompt * 1e-6), arm(prompt, completion, prompt * 1e-6)) for prompt, completion in usage
    ]
    found = cost(report(*rows), state(calls))
    assert found is not None
    assert found.baseline_usd == found.candidate_usd
    assert found.baseline_prompt_tokens == found.candidate_prompt_tokens
    assert min(p for p, _ in usage) <= found.baseline_prompt_tokens <= max(p for p, _ in usage)
