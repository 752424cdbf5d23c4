"""Cost of a week of the application's calls under both policies, from the tokens of their replays."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from statistics import fmean
from typing import Final

from sia_dagster.core.config.llm import Price
from sia_dagster.core.records.gate import TrafficCost
from sia_dagster.core.records.report import ArmOutcome, ValidationReport
from sia_dagster.core.records.state import StateActions

WEEK: Final = timedelta(days=7)


def traffic_cost(
    report: ValidationReport, state: StateActions, *, price_of: Callable[[str], Price | None]
) -> TrafficCost | None:
    """The weekly cost of the report's candidate and of the policy in force; None where it is unknown.

    The number of calls is that of the window, scaled to a week, times the share of the samples that ran under a version
    of this policy: other calls of the application cost the same under both. The tokens of a call are the mean over the
    rows that both policies answered, so that neither seems cheaper for having failed. Without such rows, or without a
    count of the window's calls, the cost is unknown. Judges are not included. The application makes one call at a time,
    so discounts of batches and cached prompts in the replays do not count. `price_of` returns a model's price; where it
    is None, so is the cost in USD.
    """
    pairs = [(row.baseline, row.candidate) for row in report.rows if _used(row.baseline) and _used(row.candidate)]
    calls = calls_a_week(state)
    if not pairs or not calls:
        return None
    old, new = zip(*pairs, strict=True)
    return TrafficCost(
        calls_a_week=calls,
        baseline_prompt_tokens=fmean(arm.prompt_tokens for arm in old),
        candidate_prompt_tokens=fmean(arm.prompt_tokens for arm in new),
        baseline_completion_tokens=fmean(arm.completion_tokens for arm in old),
        candidate_completion_tokens=fmean(arm.completion_tokens for arm in new),
        baseline_usd=_a_week(old, calls, price_of(report.baseline.model) if report.baseline else None),
        candidate_usd=_a_week(new, calls, price_of(report.candidate.model) if report.candidate else None),
    )


def calls_a_week(state: StateActions) -> float:
    """This loop's calls in seven days of the window's traffic; 0 where they were not counted."""
    ours = sum(policy.share for policy in state.policies if policy.same_call) if state.policies else 1.0
    return state.calls * min(ours, 1.0) * (WEEK / (state.window.end - state.window.start))


def _used(arm: ArmOutcome) -> bool:
    """Whether there is an answer with a count of its tokens."""
    return arm.error is None and arm.prompt_tokens > 0


def _a_week(arms: Sequence[ArmOutcome], calls: float, price: Price | None) -> float | None:
    if price is None:
        return None
    return fmean(price.micro_usd(arm.prompt_tokens, arm.completion_tokens) for arm in arms) * calls / 1_000_000
