"""What `sia check` says of a window's records, from the trace store to the calls that can be replayed."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import pyarrow.compute as pc
from rich.table import Table
from rich.text import Text

from sia_dagster.adapters.local.window_calls import REPEATED
from sia_dagster.cli.check.check_results import CheckResult
from sia_dagster.cli.open_project import CommandProject
from sia_dagster.cli.text_tables import new_table
from sia_dagster.core.config.trace_source import LocalTracesConfig
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import Funnel, Step
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.text import count
from sia_dagster.reports.funnel_table import funnel_rows
from sia_dagster.wiring.platforms import trace_source

_WARNED: Final[Mapping[Step, tuple[str, str]]] = {
    "file": ("file", "cannot be read"),
    "record": ("record", "cannot be read"),
    "double": ("call", "recorded twice"),
}
"""Losses that nobody asked for. The others are how a window is chosen, and stand in the table alone."""
_ALL_TIME = TimeWindow(key="all", start=datetime(1970, 1, 1, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))
_SHOWN = 8
_NAMED = 3
"""Reasons that one finding names."""


def losses_findings(name: str, funnel: Funnel) -> list[CheckResult]:
    """One warning for each step at which records were lost that should have been read."""
    found = []
    for step, (noun, what) in _WARNED.items():
        losses = [loss for loss in funnel.losses if loss.step == step and loss.reason != REPEATED]
        if losses:
            named = "; ".join(f"{loss.reason} ({loss.example}{_more(loss.records)})" for loss in losses[:_NAMED])
            rest = f"; {count(len(losses) - _NAMED, 'more reason')}" if len(losses) > _NAMED else ""
            text = f"{count(sum(loss.records for loss in losses), noun)} {what}: {named}{rest}"
            found.append(CheckResult(check=f"{name}: records", result="warn", found=text))
    return found


def _more(records: int) -> str:
    return f" and {records - 1:,} more" if records > 1 else ""


def windows_with_calls(project: CommandProject) -> list[str]:
    """The latest windows for which the files hold calls; none for a platform, which is not asked."""
    traces = project.loop.traces
    if not isinstance(traces, LocalTracesConfig):
        return []
    days: Counter[datetime] = Counter()
    query = SpanQuery(window=_ALL_TIME, where=traces.where, sample_limit=1, recorded=(), annotated=())
    for batch in trace_source(traces, project.file.folder).spans(query):
        for entry in pc.value_counts(pc.floor_temporal(batch["start_time"], unit="hour")).to_pylist():
            days[entry["values"]] += entry["counts"]
    held: Counter[str] = Counter()
    for hour, calls in days.items():
        held[project.names.partitions.get_partition_key_for_timestamp(hour.timestamp())] += calls
    return [f"{key} ({calls:,} calls)" for key, calls in sorted(held.items())[-_SHOWN:]]


def funnel_table(funnel: Funnel, title: str) -> Table:
    """The funnel as a table for the terminal."""
    table = new_table("", "records", "why", "the first", title=title, whole=(0, 1))
    for row in funnel_rows(funnel):
        # Text, not markup: reasons and examples quote files and traces.
        style = "" if row.is_loss else "bold"
        step = Text(f"- {row.step}" if row.is_loss else row.step, style=style)
        table.add_row(step, Text(f"{row.records:,}", style=style, justify="right"), Text(row.why), Text(row.first))
    for note in funnel.notes:
        table.add_row("", "", Text(note), "")
    return table
