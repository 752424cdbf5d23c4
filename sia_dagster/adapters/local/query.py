"""SQL that reads groups of files as normalised spans, under the user's condition."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sia_dagster.adapters.local.columns import TEXTS, SpanExpressions, literal, quoted
from sia_dagster.adapters.local.parquet_files import FileGroup
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow

if TYPE_CHECKING:
    pass

_EVALUATIONS = ("annotations", "evals")
"""Of a span in two exports the row with people's annotations is taken: it is the later one."""
_PARQUET = "binary_as_string = true, hive_partitioning = false"


class GroupQuery:
    """The queries on one group of files."""

    def __init__(self, group: FileGroup, condition: str = "true") -> None:
        """`condition` is over the group's own columns."""
        self.group, self.condition = group, condition
        self.row = SpanExpressions(group.types)

    def scan(self) -> str:
        """The files' rows, with the columns that the folders' names give."""
        given = self.group.partition.items()
        added = [f"{literal(value)} AS {quoted(name)}" for name, value in given if value is not None]
        added += [f"NULL::VARCHAR AS {quoted(name)}" for name, value in given if value is None]
        files = f"[{', '.join(literal(file) for file in self.group.files)}]"
        numbers = ", ".join(f"TRY_CAST({quoted(c)} AS DOUBLE) AS {quoted(c)}" for c in self.group.numbers)
        star = f"* REPLACE ({numbers})" if numbers else "*"
        return f"(SELECT {', '.join([star, *added])} FROM read_parquet({files}, {_PARQUET}))"

    def calls(self, window: TimeWindow) -> str:
        """The window's LLM spans that meet the condition, without their text."""
        columns = ", ".join(f"{expression} AS {name}" for name, expression in self.row.facts().items())
        return (
            f"SELECT {columns}, ({self.row.has_output()}) AS answered FROM {self.scan()} "
            f"WHERE {self._of_window(window)} AND {self.row.kind()} = 'LLM' AND ({self.condition})"
        )

    def texts(self, query: SpanQuery) -> str:
        """The text of the chosen calls; only theirs is converted to JSON."""
        stored = ", ".join(f"{self.row.stored(column)} AS {name}" for name, column in TEXTS.items())
        shown = ", ".join(f"{self.row.stored_as_text(column, name)} AS {name}" for name, column in TEXTS.items())
        return (
            f"SELECT span_id, {shown}, evals, annotations FROM (SELECT {self.row.span_id} AS span_id, "
            f"{stored}, {self.row.evals(query.recorded)} AS evals, "
            f"{self.row.annotations(query.annotated)} AS annotations FROM {self.scan()} "
            f"WHERE {self.row.span_id} IN (SELECT span_id FROM chosen) AND {self._of_window(query.window)} "
            f"AND ({self.row.has_output()}) AND {self.row.status()} <> 'ERROR' AND ({self.condition}))"
        )

    def kinds(self, window: TimeWindow) -> str:
        """The window's spans by kind, and whether they meet the condition: how many, and one of them."""
        return (
            f"SELECT {self.row.kind()} AS kind, coalesce(({self.condition}), false) AS meets, count(*) AS spans, "
            f"min({self.row.span_id}) AS example FROM {self.scan()} WHERE {self._of_window(window)} GROUP BY ALL"
        )

    def unreadable(self) -> str:
        """Counts records without a readable span id or start time, one count a reason.

        Row groups whose statistics rule a reason out are not read.
        """
        counts = (f"(SELECT count(*) FROM {self.scan()} WHERE {reason})" for reason in self.row.unreadable())
        return f"SELECT {' + '.join(counts)}"

    def _of_window(self, window: TimeWindow) -> str:
        start, end = _micros(window.start), _micros(window.end)
        moment = self.row.moment("start_time")
        parts = [
            self.row.stored_within(start, end),
            f"{moment} >= {start} AND {moment} < {end}",
            f"{self.row.span_id} IS NOT NULL",
        ]
        return " AND ".join(f"({part})" for part in parts)


def texts_query(queries: Iterable[GroupQuery], query: SpanQuery) -> str:
    """The text of the calls in the table `chosen`, one row a span, in the order of their hashes."""
    union = " UNION ALL ".join(f"({group.texts(query)})" for group in queries)
    fullest = ", ".join(f"{name} DESC NULLS LAST" for name in (*_EVALUATIONS, *TEXTS))
    once = f"QUALIFY row_number() OVER (PARTITION BY span_id ORDER BY {fullest}) = 1"
    columns = ", ".join([*TEXTS, *_EVALUATIONS])
    return (
        f"SELECT span_id, {columns} FROM (SELECT * FROM ({union}) {once}) JOIN chosen USING (span_id) "
        "ORDER BY hash, span_id"
    )


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
