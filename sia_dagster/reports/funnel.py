"""The funnel from records to sampled calls, for people."""

from collections.abc import Mapping
from typing import Final

from sia_dagster.core.records.funnel import Funnel, Step
from sia_dagster.reports.wording import trimmed, visible

STEPS: Final[Mapping[Step, str]] = {
    "file": "files that cannot be read",
    "record": "records that cannot be read",
    "window": "of another window",
    "kind": "of another kind",
    "condition": "left out by traces.where",
    "double": "second records of one call",
    "answer": "without an answer",
    "limit": "not sampled",
}
"""What is left out at each step."""
_LONGEST = 160


def funnel_rows(funnel: Funnel) -> list[dict[str, str | int]]:
    """One row for each loss: where, why, how many records, and the first of them."""
    return [
        {
            "step": STEPS[loss.step],
            "reason": trimmed(visible(loss.reason), _LONGEST),
            "records": loss.records,
            "example": trimmed(visible(loss.example), _LONGEST),
        }
        for loss in funnel.losses
    ]
