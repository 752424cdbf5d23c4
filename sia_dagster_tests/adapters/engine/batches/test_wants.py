"""What a round would hand in, and how much of it the caps leave room for."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.batches.lines import Line
from sia_dagster.adapters.engine.batches.wants import Sizes, Want, Wants, affordable
from sia_dagster.adapters.engine.money.cap import Amount, budget_reached, over
from sia_dagster.core.config.llm import LLMConfig, Price
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import ask

PRICE = Price(input=1.0, output=2.0)


CALL = {"prompt_tokens": 20, "completion_tokens": 5}


def want(usd: float, tokens: float = 0.0) -> Want:
    return Want(
        key="k",
        stage="judge",
        model="m",
        estimated_prompt=1,
        expected=Amount(usd, tokens),
        left_out=(),
        place=0,
        size=1,
    )


def test_a_file_holds_the_chosen_lines_in_their_order(tmp_path: Path) -> None:
    with closing(Wants()) as wants:
        for name in "abcd":
            wants.add(name, ask(), Line(text=name.encode() * 3 + b"\n"), estimated_prompt=1, expected=Amount())
        wants.write([each for each in wants if each.key in "db"], tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == b"bbb\nddd\n"
        assert "a" in wants
        wants.clear()
        assert "a" not in wants
        assert list(wants) == []


@given(st.lists(st.floats(0, 10)), st.floats(0, 50), st.floats(0.1, 50))
def test_what_is_chosen_fits_and_the_next_would_not(costs: list[float], spent: float, cap: float) -> None:
    config = LLMConfig(budget_usd=cap)
    wants = [want(cost) for cost in costs]
    chosen = affordable(wants, Amount(spent), config)
    assert chosen == wants[: len(chosen)]
    total = sum((each.expected for each in chosen), Amount(spent))
    assert not chosen or not over(total, config)
    if len(chosen) < len(wants):
        assert over(total + wants[len(chosen)].expected, config) == "usd"


def test_without_a_cap_all_fits() -> None:
    wants = [want(1e9, 1e9)] * 3
    assert affordable(wants, Amount(1e9, 1e9), LLMConfig()) == wants


def test_the_dearest_answer_so_far_is_what_the_next_is_expected_to_cost() -> None:
    sizes, request = Sizes(), ask()
    assert not sizes.knows(request)
    sizes.learn(request, 10, ChatReply(**CALL))
    sizes.learn(request, 10, ChatReply(prompt_tokens=5, completion_tokens=8))
    assert sizes.knows(request)
    assert not sizes.knows(ask(stage="replay"))
    assert sizes.expected(request, 100, PRICE) == Amount((200 * 1.0 + 8 * 2.0) / 2e6, 208)
    assert sizes.expected(request, 100, None) == Amount(0.0, 208)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_the_request_is_the_most_it_may_cost(name: str) -> None:
    sizes, request = Sizes(), ask(parameters={name: 3})
    sizes.learn(request, 10, ChatReply(**CALL))
    assert sizes.expected(request, 10, PRICE).tokens == 23


@pytest.mark.parametrize("limit", [-1, 0, True, "3", 3.5])
def test_what_is_no_limit_is_none(limit: Any) -> None:
    """Local servers read -1 as no limit; below nothing no call costs."""
    sizes, request = Sizes(), ask(parameters={"max_tokens": limit})
    sizes.learn(request, 10, ChatReply(**CALL))
    assert sizes.expected(request, 10, PRICE) == sizes.expected(ask(), 10, PRICE)


@pytest.mark.parametrize(
    ("caps", "unit", "spent"), [({"budget_usd": 1.0}, "USD", 0.9), ({"budget_tokens": 9}, "tokens", 8.0)]
)
def test_a_budget_that_is_reached_names_the_cap_to_raise(caps: dict[str, Any], unit: str, spent: float) -> None:
    short, config = want(0.2, 2), LLMConfig(**caps)
    error = budget_reached("desk 2026-11-02", short.line, Amount(0.9, 8), short.expected, config)
    assert (error.unit, error.spent) == (unit, spent)
    assert f"raise llm.{next(iter(caps))} and run the window again" in str(error)
