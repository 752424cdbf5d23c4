"""Sums of what model calls used."""

from collections.abc import Iterable

from sia_dagster.core.models import Spend


def total(spends: Iterable[Spend]) -> Spend:
    """The sum; `cost_usd` is None as soon as one part's price is unknown."""
    parts = tuple(spends)
    costs = [part.cost_usd for part in parts]
    return Spend(
        calls=sum(part.calls for part in parts),
        paid_calls=sum(part.paid_calls for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        cost_usd=None if None in costs else round(sum(cost for cost in costs if cost is not None), 9),
    )
