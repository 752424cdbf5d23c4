"""Default prices, for models that the configuration's own table does not name."""

import re
from collections.abc import Mapping

from sia_dagster.core.config.llm import Price
from sia_dagster.core.ports.model import ChatReply

PRICES_AS_OF = "2025-09"
"""When the table below was written down from OpenAI's price list (standard tier; batches are half of it)."""


DEFAULT_PRICES: dict[str, Price] = {
    "gpt-3.5-turbo": Price(input=0.50, output=1.50),
    "gpt-4-turbo": Price(input=10.00, output=30.00),
    "gpt-4.1": Price(input=2.00, output=8.00, cached_input=0.50),
    "gpt-4.1-mini": Price(input=0.40, output=1.60, cached_input=0.10),
    "gpt-4.1-nano": Price(input=0.10, output=0.40, cached_input=0.025),
    "gpt-4o": Price(input=2.50, output=10.00, cached_input=1.25),
    "gpt-4o-mini": Price(input=0.15, output=0.60, cached_input=0.075),
    "gpt-5": Price(input=1.25, output=10.00, cached_input=0.125),
    "gpt-5-mini": Price(input=0.25, output=2.00, cached_input=0.025),
    "gpt-5-nano": Price(input=0.05, output=0.40, cached_input=0.005),
    "o1": Price(input=15.00, output=60.00, cached_input=7.50),
    "o3": Price(input=2.00, output=8.00, cached_input=0.50),
    "o3-mini": Price(input=1.10, output=4.40, cached_input=0.55),
    "o4-mini": Price(input=1.10, output=4.40, cached_input=0.275),
}
"""USD for a million tokens."""


# The first snapshot of gpt-4o is dearer than the name without a date.
_SNAPSHOTS: dict[str, Price] = {"gpt-4o-2024-05-13": Price(input=5.00, output=15.00)}


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """The price of `model`: of the given table, else of the defaults; None where neither knows it.

    A dated snapshot (`gpt-4o-mini-2024-07-18`) that is not listed has the price of its model without the date.
    """
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)
    for table in (prices, _SNAPSHOTS, DEFAULT_PRICES):
        for name in (model, undated):
            if name in table:
                return table[name]
    return None


def cost_usd(
    price: Price | None,
    *,
    prompt_tokens: float,
    completion_tokens: float,
    cached_tokens: float = 0,
    batch: bool = False,
) -> float | None:
    """What so many tokens cost; None where the price is unknown.

    `cached_tokens` are those of `prompt_tokens` that the endpoint had in its cache; completion tokens are with those
    of reasoning, which are billed as output.
    """
    if price is None:
        return None
    cached = price.input if price.cached_input is None else price.cached_input
    full = (prompt_tokens - cached_tokens) * price.input + cached_tokens * cached + completion_tokens * price.output
    return full * (1 - price.batch_discount if batch else 1) / 1_000_000


def cost_of(reply: ChatReply, price: Price | None, *, batch: bool = False) -> float | None:
    """What an answer cost, by the tokens that it says were used; None where the price is unknown."""
    return cost_usd(
        price,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cached_tokens=reply.cached_tokens,
        batch=batch,
    )
