"""What model calls used, and sums of it."""

from collections.abc import Iterable

from pydantic import Field

from sia_dagster.core.records.value import Value


class Spend(Value):
    """What a stage used. `cost_usd` is None where a model's price is unknown: then only tokens are known."""

    calls: int = 0
    """Answers used, whether paid in this run or in an earlier one."""
    paid_calls: int = Field(default=0, exclude=True)
    """Answers paid for in this run. Not stored: the same window run twice gives the same bytes."""
    prompt_tokens: int = 0
    cached_tokens: int = Field(default=0, exclude=True)
    """Those of `prompt_tokens` that the endpoint had in its cache."""
    completion_tokens: int = 0
    reasoning_tokens: int = Field(default=0, exclude=True)
    """Those of `completion_tokens` that went into thoughts."""
    cost_usd: float | None = 0.0
    seconds: float = Field(default=0.0, exclude=True)
    """That the answers took at the endpoint when they were paid for, added up. Not stored: no two runs agree."""
    left_out: tuple[str, ...] = Field(default=(), exclude=True)
    """Parameters that were not sent, since an endpoint refuses them."""


def spend_key(stage: str, model: str) -> str:
    """The key by which spend is kept: `stage model`, or the model alone for a call of no stage."""
    return f"{stage} {model}".strip()


def total(spends: Iterable[Spend]) -> Spend:
    """The sum; `cost_usd` is None as soon as one part's price is unknown."""
    parts = tuple(spends)
    costs = [part.cost_usd for part in parts]
    return Spend(
        calls=sum(part.calls for part in parts),
        paid_calls=sum(part.paid_calls for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        cached_tokens=sum(part.cached_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        reasoning_tokens=sum(part.reasoning_tokens for part in parts),
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 9),
        seconds=sum(part.seconds for part in parts),
        left_out=tuple(sorted({name for part in parts for name in part.left_out})),
    )
