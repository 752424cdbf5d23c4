"""The length of the prompt by version, priced at one traffic."""

from datetime import UTC, datetime

from sia_dagster.core.config.llm import Price
from sia_dagster.core.cost.prompt_length import PromptLength, prompt_lengths
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion

FIRST, SECOND, THIRD = (Actions(system_prompt="word" * n, model="small") for n in (100, 150, 200))
PRICES = {"small": Price(input=2.0, output=9.0)}


def price(model: str) -> Price | None:
    return PRICES.get(model)


def promoted(number: int, actions: Actions, replaced: Actions | None = None) -> PolicyVersion:
    at = datetime(2026, 9, 28, tzinfo=UTC)
    return PolicyVersion(version=number, loop="desk", kind="promote", actions=actions, at=at, replaced=replaced)


def test_versions_and_the_candidate_are_priced_at_the_same_traffic() -> None:
    found = prompt_lengths([promoted(1, SECOND, FIRST)], SECOND, THIRD, calls_a_week=10_000, price_of=price)
    assert found == (
        PromptLength(version=0, tokens=100, usd_a_week=2.0),
        PromptLength(version=1, tokens=150, usd_a_week=3.0),
        PromptLength(version=None, tokens=200, usd_a_week=4.0),
    )


def test_without_a_promotion_the_policy_of_the_traces_is_the_first() -> None:
    found = prompt_lengths([], FIRST, FIRST, calls_a_week=10, price_of=price)
    assert [(each.version, each.tokens) for each in found] == [(0, 100)]
    assert prompt_lengths([], None, None, calls_a_week=10, price_of=price) == ()


def test_an_unknown_price_or_traffic_gives_no_cost() -> None:
    unknown = prompt_lengths([], FIRST, None, calls_a_week=10, price_of=lambda _: None)
    uncounted = prompt_lengths([], FIRST, None, calls_a_week=0, price_of=price)
    assert [each.usd_a_week for each in (*unknown, *uncounted)] == [None, None]
