"""Prices for the guard and the estimate of a window: the loop's limits, its traffic and the cost of a prompt token."""

from collections.abc import Sequence
from pathlib import Path

from sia_dagster.adapters.engine.money.list_prices import called_price
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.cost import Estimate, calls_a_week, estimate
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.guard import GuardLimits
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.state import StateActions
from sia_dagster.wiring.loop_session import LoopSession


def guard_limits(session: LoopSession, state: StateActions) -> GuardLimits:
    """The limits for candidates of `state`.

    The price is what the application pays for its model as it is called, one request at a time: no batch discount.
    Where the window's calls were not counted, its samples stand for them. Raises ConfigError where a longer prompt has
    to be priced and the model's price is not known, before anything is paid for.
    """
    counted = state if state.calls else state.model_copy(update={"calls": len(state.samples)})
    return GuardLimits.of(
        session.loop.policy,
        calls_a_week=calls_a_week(counted),
        usd_per_prompt_token=_price(session, state.actions.model) if state.actions else None,
    )


def prompt_token_price(llm: LLMConfig, model: str) -> float | None:
    """What the application pays for one prompt token of its model, in USD; None where the price is unknown."""
    price = called_price(model, llm=llm.at("replay"))
    return price.cost(1, 0) if price else None


def _price(session: LoopSession, model: str) -> float | None:
    price = prompt_token_price(session.chat.llm, model)
    if price is not None:
        return price
    if session.loop.policy.max_extra_usd_a_week is None:
        return None
    raise ConfigError(
        f"the price of {model!r}, the model of the policy in force, is not known, so a longer prompt cannot be priced: "
        "name it in llm.prices, or leave max_extra_usd_a_week out",
        key="policy.max_extra_usd_a_week",
    )


def estimate_window(
    loop: LoopConfig, samples: Sequence[Sample], *, llm: LLMConfig, folder: Path, policy: Actions | None
) -> Estimate:
    """See `core.cost.estimate`; `policy` is the one in force. Nothing is paid for. Raises ConfigError."""
    return estimate(
        loop,
        samples,
        lambda model, stage, spend: _cost(model, spend, llm.at(stage)),
        policy=policy,
        read_file=lambda name: (folder / name).expanduser().read_text(encoding="utf-8"),
        in_batches=llm.batches,
    )


def _cost(model: str, spend: Spend, llm: LLMConfig) -> float | None:
    price = called_price(model, llm=llm)
    return price.cost(spend.prompt_tokens, spend.completion_tokens, batch=llm.mode == "batch") if price else None
