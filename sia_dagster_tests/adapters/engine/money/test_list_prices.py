"""What tokens cost: list prices that a table overrides, cached and batch tokens at their own price."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.money.list_prices import price_of, prices_source
from sia_dagster.adapters.engine.wire.completions import parse_completion
from sia_dagster.core.config.llm import Price
from sia_dagster_tests.worlds.chats import Desk, ask
from simulation.servers import Body, ScriptedServer, completion

DOLLAR = Price(input=1e6, output=1e6)


def with_usage(**usage: Any) -> Body:
    return {**completion("Yes."), "usage": usage}


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-3.5-turbo", (0.50, 1.50, None)),
        ("gpt-4.1", (2.00, 8.00, 0.50)),
        ("gpt-4.1-2025-04-14", (2.00, 8.00, 0.50)),
        ("gpt-4o", (2.50, 10.00, 1.25)),
        ("gpt-4o-2031-01-01", (2.50, 10.00, 1.25)),
        ("gpt-4o-2024-05-13", (5.00, 15.00, None)),
        ("gpt-4o-mini", (0.15, 0.60, 0.075)),
        ("gpt-5", (1.25, 10.00, 0.125)),
        ("gpt-5-nano", (0.05, 0.40, 0.005)),
        ("o1", (15.00, 60.00, 7.50)),
        ("o3", (2.00, 8.00, 0.50)),
        ("o4-mini", (1.10, 4.40, 0.275)),
        ("claude-sonnet-4-5", (3.00, 15.00, 0.30)),
    ],
)
def test_a_well_known_model_has_its_list_price(model: str, price: tuple[float, float, float | None]) -> None:
    usd_in, usd_out, cached = price
    assert price_of(model, {}) == Price(input=usd_in, output=usd_out, cached_input=cached)


@pytest.mark.parametrize(
    "model", ["local-7b", "simulated-judge", "gpt-4o-of-ours", "Qwen/Qwen2.5-7B-Instruct", "text-embedding-3-small", ""]
)
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert price_of(model, {}) is None


def test_the_configured_price_goes_first() -> None:
    mine = {"gpt-4o": Price(input=1, output=2)}
    assert price_of("gpt-4o", mine) == price_of("gpt-4o-2024-08-06", mine) == mine["gpt-4o"]
    assert price_of("gpt-4o-mini", mine) == price_of("gpt-4o-mini", {})


def test_list_prices_are_loaded_when_they_are_asked_for_and_name_their_version() -> None:
    code = "import sys, sia_dagster.adapters.engine.money.list_prices; sys.exit('genai_prices' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert re.fullmatch(r"genai-prices \d+\.\d+\.\d+", prices_source())


def test_cached_tokens_cost_what_the_table_says_else_as_any() -> None:
    price = Price(input=10, output=100, cached_input=1)
    assert price.cost(1e6, 0, cached_tokens=4e5) == pytest.approx(6.4)
    assert price.model_copy(update={"cached_input": None}).cost(1e6, 0, cached_tokens=4e5) == pytest.approx(10)


def test_a_batch_costs_half_unless_the_table_says_otherwise() -> None:
    assert DOLLAR.cost(3, 5) == pytest.approx(8)
    assert DOLLAR.cost(3, 5, batch=True) == pytest.approx(4)
    assert DOLLAR.model_copy(update={"batch_discount": 0.25}).cost(3, 5, batch=True) == pytest.approx(6)


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 10**6))
def test_a_cache_never_makes_a_call_dearer(prompt: int, share: float, completion_tokens: int) -> None:
    price = Price(input=2.50, output=10.00, cached_input=1.25)
    cost = price.cost(prompt, completion_tokens, cached_tokens=int(prompt * share))
    assert 0 <= cost <= price.cost(prompt, completion_tokens) + 1e-12


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
