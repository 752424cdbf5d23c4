"""The guard of a window knows the loop's limits, the window's traffic and the model's price."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.core.config.llm import LLMConfig, Price, StageEndpoint
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.guard import check_contract
from sia_dagster.core.records.policy import Actions, PolicyShare
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession
from sia_dagster.wiring.prices import guard_limits
from sia_dagster_tests.core.guard.test_guard import sample

DAY = TimeWindow(key="2026-11-09", start=datetime(2026, 11, 9, tzinfo=UTC), end=datetime(2026, 11, 10, tzinfo=UTC))
BASE = Actions(system_prompt="Be kind.", model="house-model")
LONGER = BASE.model_copy(update={"system_prompt": "Be kind. " + "And give the reason. " * 20})


def session(llm: LLMConfig | None = None, **policy: Any) -> LoopSession:
    loop = LoopConfig.model_validate(
        {
            "name": "desk",
            "traces": {"source": "local", "path": "spans"},
            "window": "daily",
            "start": "2026-11-02",
            "evaluators": [{"name": "short", "kind": "code", "function": "desk:short"}],
            "policy": {"model": "optimizer", **policy},
            "validation": {"primary": "short"},
        }
    )
    settings = ChatSettings(llm=llm or LLMConfig(), completions=Path("completions.sqlite"))
    return LoopSession(loop=loop, window=DAY, chat=settings, folder=Path())


def state(**fields: Any) -> StateActions:
    return StateActions.model_validate({"loop": "desk", "window": DAY, "actions": BASE, "calls": 1000} | fields)


def share(of: float, *, same_call: bool) -> PolicyShare:
    times = {"first": DAY.start, "last": DAY.start}
    return PolicyShare(system_prompt="p", origin="as_sent", same_call=same_call, samples=1, share=of, **times)


def test_the_limits_are_the_loops() -> None:
    limits = guard_limits(session(max_prompt_tokens=300, protected=["Be kind."], max_extra_usd_a_week=None), state())
    assert (limits.max_prompt_tokens, limits.protected) == (300, ("Be kind.",))
    assert (limits.max_extra_usd_a_week, limits.usd_per_prompt_token) == (None, None)


def test_the_price_is_that_of_the_endpoints_name_of_the_model() -> None:
    llm = LLMConfig(prices={"ours": Price(input=2.0, output=3.0)}, model_names={"house-model": "ours"})
    assert guard_limits(session(llm), state()).usd_per_prompt_token == pytest.approx(2e-6)


def test_the_traffic_is_this_calls_share_of_a_week() -> None:
    policies = (share(0.5, same_call=True), share(0.5, same_call=False))
    assert guard_limits(session(), state(policies=policies)).calls_a_week == pytest.approx(3500)
    assert guard_limits(session(), state(calls=0, samples=(sample(), sample()))).calls_a_week == pytest.approx(14)


def test_the_price_is_that_of_the_replays_endpoint_without_a_batch_discount() -> None:
    prices = {"house-model": Price(input=2.0, output=8.0)}
    llm = LLMConfig(mode="batch", stages={"replay": StageEndpoint(prices=prices)})
    assert guard_limits(session(llm), state()).usd_per_prompt_token == pytest.approx(2e-6)
    assert guard_limits(session(llm), state(actions=None)).usd_per_prompt_token is None


def test_a_price_that_is_not_known_stops_a_loop_that_bounds_costs_before_anything_is_paid() -> None:
    with pytest.raises(ConfigError, match=r"policy.max_extra_usd_a_week: the price of 'house-model'.*llm.prices"):
        guard_limits(session(max_extra_usd_a_week=1.0), state())
    assert guard_limits(session(max_extra_usd_a_week=1.0), state(actions=None)).usd_per_prompt_token is None


@pytest.mark.parametrize(("most", "stops"), [(0.5, True), (5.0, False)])
def test_a_longer_prompt_is_held_to_what_a_week_may_cost(most: float, stops: bool) -> None:
    llm = LLMConfig(prices={"house-model": Price(input=2.0, output=8.0)})
    limits = guard_limits(session(llm, max_extra_usd_a_week=most), state())
    found = check_contract(LONGER, BASE, [sample()], limits=limits)
    assert [finding.rule for finding in found] == (["cost"] if stops else [])
