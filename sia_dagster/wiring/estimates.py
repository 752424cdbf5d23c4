"""What a window will take, at the prices of the endpoints that it would use."""

from collections.abc import Sequence
from pathlib import Path

from sia_dagster.adapters.engine.prices import PRICES_AS_OF, price_of
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.config_llm import LLMConfig, Price
from sia_dagster.core.estimate import Estimate, estimate
from sia_dagster.core.models import Actions, Sample


def estimate_window(
    loop: LoopConfig, samples: Sequence[Sample], *, llm: LLMConfig, folder: Path, policy: Actions | None
) -> Estimate:
    """See `core.estimate.estimate`; `policy` is the one in force. Nothing is paid for. Raises ConfigError."""
    return estimate(
        loop,
        samples,
        lambda model, stage: _price(model, llm.at(stage)),
        policy=policy,
        read_file=lambda name: (folder / name).expanduser().read_text(encoding="utf-8"),
    )


def _price(model: str, llm: LLMConfig) -> Price | None:
    price = price_of(model, llm.prices)
    if price is None or llm.mode == "direct":
        return price
    share = 1 - price.batch_discount
    return Price(input=share * price.input, output=share * price.output)


def told(expected: Estimate, llm: LLMConfig) -> str:
    """`up to about 480 model calls and 210,000 tokens, 0.04 USD`, and how old the prices are where they are ours."""
    spend = expected.total
    said = f"up to about {spend.calls} model calls and {spend.prompt_tokens + spend.completion_tokens:,} tokens"
    if spend.cost_usd is None:
        return f"{said}; the price of {', '.join(expected.unpriced)} is unknown, so the cost is, too"
    said += f", {spend.cost_usd:.2f} USD" if spend.cost_usd >= 0.1 else f", {spend.cost_usd:.4f} USD"
    ours = any(line.model not in llm.at(line.caller).prices for line in expected.lines)
    return f"{said} (built-in prices of {PRICES_AS_OF})" if ours else said
