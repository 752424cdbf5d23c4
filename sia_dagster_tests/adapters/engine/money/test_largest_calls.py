"""A call is expected to be no larger than the largest so far of its stage and model."""

from typing import Any

import pytest

from sia_dagster.adapters.engine.money.largest_calls import LargestCalls
from sia_dagster.adapters.engine.money.spend_cap import Amount
from sia_dagster.core.config.llm import Price
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import ask

PRICE = Price(input=1.0, output=2.0)
CALL = {"prompt_tokens": 20, "completion_tokens": 5}


def test_a_request_is_expected_to_cost_as_much_as_the_largest_so_far() -> None:
    largest, request = LargestCalls(), ask()
    assert not largest.knows(request)
    largest.learn("judge gpt-4o-mini", 10, ChatReply(**CALL))
    largest.learn("judge gpt-4o-mini", 10, ChatReply(prompt_tokens=5, completion_tokens=8))
    assert largest.knows(request)
    assert not largest.knows(ask(stage="replay"))
    assert largest.expected(request, 100, PRICE, batch=True) == Amount((200 * 1.0 + 8 * 2.0) / 2e6, 208)
    assert largest.expected(request, 100, None) == Amount(0.0, 208)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_the_request_is_the_most_it_may_cost(name: str) -> None:
    largest, request = LargestCalls(), ask(parameters={name: 3})
    largest.learn("judge gpt-4o-mini", 10, ChatReply(**CALL))
    assert largest.expected(request, 10, PRICE, batch=True).tokens == 23


@pytest.mark.parametrize("limit", [-1, 0, True, "3", 3.5])
def test_an_invalid_limit_is_ignored(limit: Any) -> None:
    """Local servers read -1 as no limit; below nothing no call costs."""
    largest, request = LargestCalls(), ask(parameters={"max_tokens": limit})
    largest.learn("judge gpt-4o-mini", 10, ChatReply(**CALL))
    assert largest.expected(request, 10, PRICE, batch=True) == largest.expected(ask(), 10, PRICE, batch=True)
