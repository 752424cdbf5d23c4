"""A window's cap in USD and tokens: what passes it, and the error that says so."""

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


def over(amount: Amount, config: LLMConfig) -> Literal["usd", "tokens"] | None:
    """The unit whose cap `amount` would pass."""
    if config.budget_usd is not None and amount.usd > config.budget_usd:
        return "usd"
    return "tokens" if config.budget_tokens is not None and amount.tokens > config.budget_tokens else None


def budget_reached(where: str, call: str, spent: Amount, expected: Amount, config: LLMConfig) -> SpendCapReached:
    """The error for a window that can pay for nothing more.

    `where` names loop and window, `call` the next call (`judge gpt-4o-mini`), which may take `expected`.
    """
    if over(spent + expected, config) == "tokens":
        of, unit, cap = "tokens", "tokens", float(config.budget_tokens or 0)
        paid, said = spent.tokens, (f"{spent.tokens:,.0f} of {cap:,.0f}", f"{math.ceil(expected.tokens):,}")
    else:
        of, unit, cap = "usd", "USD", config.budget_usd or 0.0
        paid, said = spent.usd, (f"{spent.usd:.6g} of {cap:.6g}", f"{expected.usd:.2g}")
    return SpendCapReached(
        f"{where}: the budget is reached. {said[0]} {unit} are spent, and the next call ({call}) may take {said[1]}. "
        f"All answers are kept: raise llm.budget_{of} and run the window again; it goes on from here without paying "
        "for anything twice.",
        spent=paid,
        budget=cap,
        unit=unit,
    )
