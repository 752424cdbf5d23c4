"""What a round would hand in, and how much of it the caps leave room for."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.batches.lines import Line
from sia_dagster.adapters.engine.batches.pending_requests import PendingRequest, PendingRequests, affordable
from sia_dagster.adapters.engine.money.spend_cap import Amount, exceeded_cap, spend_cap_reached
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster_tests.worlds.chats import ask


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


@pytest.mark.parametrize(
    ("caps", "unit", "spent"), [({"budget_usd": 1.0}, "USD", 0.9), ({"budget_tokens": 9}, "tokens", 8.0)]
)
def test_the_error_of_a_reached_cap_names_the_setting_to_raise(caps: dict[str, Any], unit: str, spent: float) -> None:
    config = LLMConfig(**caps)
    error = spend_cap_reached("desk 2026-11-02", "judge m", Amount(0.9, 8), Amount(0.2, 2), config)
    assert (error.unit, error.spent) == (unit, spent)
    assert f"raise llm.{next(iter(caps))} and run the window again" in str(error)
