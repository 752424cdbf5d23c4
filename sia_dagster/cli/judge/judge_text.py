"""Judges as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sia_dagster.cli.text_tables import new_table
from sia_dagster.reports.markdown.judges import since_text
from sia_dagster.reports.wording import NOTHING, share, signed, visible


def judges_table(loop: str, judges: Sequence[Mapping[str, Any]]) -> Table:
    """One row a judge, as `sia judge list --json` has it."""
    columns = ("judge", "anchors", "last window", "drifted", "mean\nmoved by", "judged\notherwise")
    table = new_table(*columns, title=f"{loop}: judges on their anchors", numbers=2)
    for judge in judges:
        table.add_row(*(Text(visible(cell)) for cell in _cells(judge)), style="bold" if _drifted(judge) else "")
    return table


def _cells(judge: Mapping[str, Any]) -> tuple[str, ...]:
    last = judge["last"] or {}
    return (
        judge["evaluator"],
        _anchors(judge),
        judge["last_window"] or NOTHING,
        _word(judge, last.get("since") or ()),
        signed(last.get("shift")),
        share(last.get("disagreement")),
    )


def _drifted(judge: Mapping[str, Any]) -> bool:
    return bool(judge["last"] and judge["last"]["drifted"])


def _word(judge: Mapping[str, Any], since: Sequence[str]) -> str:
    """Whether it drifted, and in which windows it was not steady."""
    if not judge["last"]:
        return NOTHING
    word = "yes" if _drifted(judge) else "no"
    return f"{word}, {since_text(since)}" if since else word


def _anchors(judge: Mapping[str, Any]) -> str:
    if reset := judge["reset"]:
        note = f": {reset['note']}" if reset["note"] else ""
        return f"reset by {reset['by']}{note}; the next window freezes new ones"
    if not judge["anchored_in"]:
        return "none; the next window freezes some"
    return f"{judge['anchors']} of window {judge['anchored_in']}"
