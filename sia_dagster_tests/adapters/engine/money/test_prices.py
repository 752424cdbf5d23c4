"""What tokens cost: dated defaults that a table overrides, cached and batch tokens at their own price."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.money.price_table import DEFAULT_PRICES, PRICES_AS_OF, cost_of, cost_usd, price_of
from sia_dagster.adapters.engine.wire.completions import parse_completion
from sia_dagster.core.config.llm import Price
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.fakes.servers import Body, ScriptedServer, completion
from sia_dagster_tests.worlds.chats import Desk, ask

DOLLAR = Price(input=1e6, output=1e6)


def with_usage(**usage: Any) -> Body:
    return {**completion("Yes."), "usage": usage}


def test_the_defaults_say_when_they_were_written_down() -> None:
    assert re.fullmatch(r"20\d\d-\d\d", PRICES_AS_OF)
    for price in DEFAULT_PRICES.values():
        assert 0 < (price.cached_input or price.input) <= price.input < price.output


def test_cached_tokens_cost_what_the_table_says_else_as_any() -> None:
    price = Price(input=10, output=100, cached_input=1)
    assert cost_usd(price, prompt_tokens=1e6, cached_tokens=4e5, completion_tokens=0) == pytest.approx(6.4)
    full = price.model_copy(update={"cached_input": None})
    assert cost_usd(full, prompt_tokens=1e6, cached_tokens=4e5, completion_tokens=0) == pytest.approx(10)


def test_a_batch_costs_half_unless_the_table_says_otherwise() -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": 5}
    assert cost_usd(DOLLAR, **counted, batch=True) == pytest.approx(4)
    assert cost_usd(Price(input=1e6, output=1e6, batch_discount=0.25), **counted, batch=True) == pytest.approx(6)
    assert cost_of(ChatReply(**counted), DOLLAR, batch=True) == pytest.approx(4)


def test_without_a_price_there_is_no_cost() -> None:
    assert cost_of(ChatReply(prompt_tokens=5), None) is None
    assert price_of("local-7b", {}) is None


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 10**6))
def test_a_cache_never_makes_a_call_dearer(prompt: int, share: float, completion_tokens: int) -> None:
    price = DEFAULT_PRICES["gpt-4o"]
    reply = ChatReply(prompt_tokens=prompt, cached_tokens=int(prompt * share), completion_tokens=completion_tokens)
    cost = cost_of(reply, price)
    assert cost is not None
    assert 0 <= cost <= (cost_of(reply.model_copy(update={"cached_tokens": 0}), price) or 0) + 1e-12


@pytest.mark.parametrize(
    ("usage", "cached", "reasoning"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 7}}, 60, 7),
        (
            {"prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 70}},
            100,
            9,
        ),
        ({"prompt_tokens_details": None, "completion_tokens_details": []}, 0, 0),
        ({"prompt_tokens_details": {"cached_tokens": "many"}}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_what_the_endpoint_tells_apart_is_read(usage: Body, cached: int, reasoning: int) -> None:
    body = with_usage(prompt_tokens=100, completion_tokens=9, **usage)
    reply = parse_completion(json.dumps(body), estimated_prompt=0)
    assert (reply.cached_tokens, reply.reasoning_tokens) == (cached, reasoning)
    assert (reply.prompt_tokens, reply.completion_tokens) == (100, 9)


def test_the_ledger_books_cached_tokens_as_such_and_reasoning_as_output(tmp_path: Path) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 40}}
    prices = {"m": {"input": 10, "output": 100, "cached_input": 1}}
    with ScriptedServer(lambda body, n: with_usage(prompt_tokens=100, completion_tokens=50, **details)) as server:
        desk = Desk(server.base_url, tmp_path, prices=prices)
        reply = desk.one(ask(model="m"))
    assert reply.cost_usd == pytest.approx((20 * 10 + 80 * 1 + 50 * 100) / 1e6)
    spend = desk.spend["judge m"]
    assert (spend.cached_tokens, spend.reasoning_tokens, spend.cost_usd) == (80, 40, reply.cost_usd)
    assert spend.seconds > 0
    assert desk.spent()[0] == pytest.approx(reply.cost_usd)
    assert set(spend.model_dump()) == {"calls", "prompt_tokens", "completion_tokens", "cost_usd"}
