"""The funnel from records to calls that can be replayed, for people."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from sia_dagster.core.records.funnel import Funnel, Step
from sia_dagster.reports.policy_shares import REASONS
from sia_dagster.reports.wording import trimmed, visible

LEFT_OUT: Final[Mapping[Step, str]] = {
    "file": "files that cannot be read",
    "record": "cannot be read",
    "window": "in another window",
    "kind": "no call of a model",
    "condition": "left out by traces.where",
    "double": "recorded twice",
    "answer": "without an answer",
    "limit": "not sampled",
    "sample": "cannot be used",
    "replay": "cannot be replayed",
}
"""What is left out at each step."""
_LONGEST = 200


class FunnelRow(NamedTuple):
    """One row: a number of records that is left, or a loss."""

    step: str
    records: int
    why: str = ""
    first: str = ""
    is_loss: bool = False


def funnel_rows(funnel: Funnel) -> list[FunnelRow]:
    """The funnel from its top; without records there is no row."""
    if funnel == Funnel():
        return []
    rows = [FunnelRow("records", funnel.records, ", ".join(funnel.forms))]
    rows += [_loss(funnel, at) for at, loss in enumerate(funnel.losses) if loss.step not in ("sample", "replay")]
    rows.append(FunnelRow("sampled", funnel.sampled))
    for step, name, left in (
        ("sample", "can be used", funnel.readable),
        ("replay", "can be replayed", funnel.replayable),
    ):
        rows += [_loss(funnel, at) for at, loss in enumerate(funnel.losses) if loss.step == step]
        rows += [FunnelRow(name, left)] if left is not None else []
    return rows


def worst(funnel: Funnel) -> str:
    """The largest loss in words, for an error about a window without calls."""
    losses = [loss for loss in funnel.losses if loss.step != "limit"]
    if not losses:
        return ""
    loss = max(losses, key=lambda each: each.records)
    example = f" (such as {_shown(loss.example)})" if loss.example else ""
    why = "" if loss.step == "window" else f": {_shown(loss.reason)}"
    return f"{loss.records:,} of {funnel.records:,} records: {LEFT_OUT[loss.step]}{why}{example}"


def _loss(funnel: Funnel, at: int) -> FunnelRow:
    loss = funnel.losses[at]
    # Where it is left out says it all of a record of another window.
    why = "" if loss.step == "window" else REASONS.get(loss.reason, loss.reason)
    return FunnelRow(LEFT_OUT[loss.step], loss.records, _shown(why), _shown(loss.example), is_loss=True)


def _shown(text: str) -> str:
    return trimmed(visible(text), _LONGEST)
