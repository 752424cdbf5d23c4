"""A window's caps, in USD and in tokens: whether an amount exceeds them, and the error that reports it."""

import math
from dataclasses import dataclass
from typing import Literal

from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import SpendCapReached


@dataclass(frozen=True)
class Amount:
    """Money and tokens; `usd` is 0 where the price is unknown."""

    usd: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.usd + other.usd, self.tokens + other.tokens)


def exceeded_cap(amount: Amount, config: LLMConfig) -> Literal["usd", "tokens"] | None:
    """The unit whose cap is below `amount`; None where both caps hold."""
    if config.budget_usd is not None and amount.usd > config.budget_usd:
        return "usd"
    return "tokens" if config.budget_tokens is not None and amount.tokens > config.budget_tokens else None


def spend_cap_reached(where: str, call: str, spent: Amount, expected: Amount, config: LLMConfig) -> SpendCapReached:
    """The error for a window that can pay for no further call.

    `where` names loop and window, `call` the next call (`judge gpt-4o-mini`), which is `expected` to cost that much.
    """
    if exceeded_cap(spent + expected, config) == "tokens":
        key, unit, cap, paid = "llm.budget_tokens", "tokens", float(config.budget_tokens or 0), spent.tokens
        used, needed = f"{paid:,.0f} of {cap:,.0f}", f"{math.ceil(expected.tokens):,}"
    else:
        key, unit, cap, paid = "llm.budget_usd", "USD", config.budget_usd or 0.0, spent.usd
        used, needed = f"{paid:.6g} of {cap:.6g}", f"{expected.usd:.2g}"
    return SpendCapReached(
        f"{where}: the spend cap is reached. {used} {unit} are spent, and the next call ({call}) may take {needed}. "
        f"All answers are kept: raise {key} and run the window again; it continues from here without paying for "
        "anything twice.",
        spent=paid,
        cap=cap,
        unit=unit,
    )
