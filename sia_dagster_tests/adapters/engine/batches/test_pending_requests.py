"""What a round would hand in, and how much of it the caps leave room for."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.batches.lines import Line
from sia_dagster.adapters.engine.batches.pending_requests import (
    LargestCalls,
    PendingRequest,
    PendingRequests,
    affordable,
)
from sia_dagster.adapters.engine.money.spend_cap import Amount, exceeded_cap, spend_cap_reached
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import ask

PRICE = Price(input=1.0, output=2.0)


CALL = {"prompt_tokens": 20, "completion_tokens": 5}


def pending(usd: float, tokens: float = 0.0) -> PendingRequest:
    return PendingRequest("k", "judge", "m", 1, Amount(usd, tokens), left_out=(), offset=0, size=1)


def test_a_file_holds_the_chosen_lines_in_their_order(tmp_path: Path) -> None:
    with closing(PendingRequests()) as requests:
        for name in "abcd":
            requests.add(name, ask(), Line(text=name.encode() * 3 + b"\n"), estimated_prompt=1, expected=Amount())
        requests.write([each for each in requests if each.key in "db"], tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"bbb\nddd\n"
        assert "a" in requests
        requests.clear()
        assert "a" not in requests
        assert list(requests) == []


@given(st.lists(st.floats(0, 10)), st.floats(0, 50), st.floats(0.1, 50))
def test_what_is_chosen_fits_and_the_next_would_not(costs: list[float], spent: float, cap: float) -> None:
    config = LLMConfig(budget_usd=cap)
    requests = [pending(cost) for cost in costs]
    chosen = affordable(requests, Amount(spent), config)
    assert chosen == requests[: len(chosen)]
    total = sum((each.expected for each in chosen), Amount(spent))
    assert not chosen or not exceeded_cap(total, config)
    if len(chosen) < len(requests):
        assert exceeded_cap(total + requests[len(chosen)].expected, config) == "usd"


def test_without_a_cap_all_fits() -> None:
    requests = [pending(1e9, 1e9)] * 3
    assert affordable(requests, Amount(1e9, 1e9), LLMConfig()) == requests


def test_a_request_is_expected_to_cost_as_much_as_the_largest_so_far() -> None:
    largest, request = LargestCalls(), ask()
    assert not largest.knows(request)
    largest.learn(request, 10, ChatReply(**CALL))
    largest.learn(request, 10, ChatReply(prompt_tokens=5, completion_tokens=8))
    assert largest.knows(request)
    assert not largest.knows(ask(stage="replay"))
    assert largest.expected(request, 100, PRICE) == Amount((200 * 1.0 + 8 * 2.0) / 2e6, 208)
    assert largest.expected(request, 100, None) == Amount(0.0, 208)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_the_request_is_the_most_it_may_cost(name: str) -> None:
    largest, request = LargestCalls(), ask(parameters={name: 3})
    largest.learn(request, 10, ChatReply(**CALL))
    assert largest.expected(request, 10, PRICE).tokens == 23


@pytest.mark.parametrize("limit", [-1, 0, True, "3", 3.5])
def test_an_invalid_limit_is_ignored(limit: Any) -> None:
    """Local servers read -1 as no limit; below nothing no call costs."""
    largest, request = LargestCalls(), ask(parameters={"max_tokens": limit})
    largest.learn(request, 10, ChatReply(**CALL))
    assert largest.expected(request, 10, PRICE) == largest.expected(ask(), 10, PRICE)


@pytest.mark.parametrize(
    ("caps", "unit", "spent"), [({"budget_usd": 1.0}, "USD", 0.9), ({"budget_tokens": 9}, "tokens", 8.0)]
)
def test_the_error_of_a_reached_cap_names_the_setting_to_raise(caps: dict[str, Any], unit: str, spent: float) -> None:
    config = LLMConfig(**caps)
    error = spend_cap_reached("desk 2026-11-02", "judge m", Amount(0.9, 8), Amount(0.2, 2), config)
    assert (error.unit, error.spent) == (unit, spent)
    assert f"raise llm.{next(iter(caps))} and run the window again" in str(error)
