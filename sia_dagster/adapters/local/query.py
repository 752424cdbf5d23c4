"""SQL that reads groups of files as normalised spans, under the user's condition."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from sia_dagster.adapters.local.columns import TEXTS, SpanExpressions, literal, quoted
from sia_dagster.adapters.local.parquet_files import FileGroup
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow

_EVALUATIONS = ("annotations", "evals")
"""Of a span in two exports the row with people's annotations is taken: it is the later one."""
FILE = "sia_file"
_PLACES = f", filename = '{FILE}', file_row_number = true"
_OF_NULLS = re.compile(r"\b(?:NULL|DISTINCT)\b", re.IGNORECASE)
_PARQUET = "binary_as_string = true, hive_partitioning = false"


class GroupQuery:
    """The queries on one group of files."""

    def __init__(self, group: FileGroup, condition: str = "true") -> None:
        """`condition` is over the group's own columns."""
        self.group, self.condition = group, condition
        self.row = SpanExpressions(group.types)
        self.all_kinds = group.converted
        """Whether the kind of every span is recorded in one of OpenInference's words."""

    def scan(self, *, places: bool = False) -> str:
        """The files' rows, with the columns that the folders' names give, and on request with file and row."""
        given = self.group.partition.items()
        added = [f"{literal(value)} AS {quoted(name)}" for name, value in given if value is not None]
        added += [f"NULL::VARCHAR AS {quoted(name)}" for name, value in given if value is None]
        files = f"[{', '.join(literal(file) for file in self.group.files)}]"
        numbers = ", ".join(f"TRY_CAST({quoted(c)} AS DOUBLE) AS {quoted(c)}" for c in self.group.numbers)
        star = f"* REPLACE ({numbers})" if numbers else "*"
        return f"(SELECT {', '.join([star, *added])} FROM read_parquet({files}, {_PARQUET}{_PLACES if places else ''}))"

    def calls(self, window: TimeWindow, before: int = 0, *, exact: bool) -> str:
        """The window's LLM spans that meet the condition, without their text.

        `file` is the number of the file, from 1 on, after `before` others: paths would be a fifth of the table.
        `answered` is NULL (not known) unless it is asked for exactly: it costs as much as reading the text.
        """
        answered = f"({self.row.has_output()})" if exact or self.group.converted else "NULL::BOOLEAN"
        columns = ", ".join(f"{expression} AS {name}" for name, expression in self.row.facts().items())
        files = ", ".join(literal(file) for file in self.group.files)
        return (
            f"SELECT {columns}, {answered} AS answered, "
            f"({before} + list_position([{files}], {FILE}))::UINTEGER AS file, file_row_number AS row "
            f"FROM {self.scan(places=True)} "
            f"WHERE {self._of_window(window)} AND {self._kind()} = 'LLM' AND {self._met()}"
        )

    def texts(self, query: SpanQuery, rows: Sequence[int]) -> str:
        """The text of these rows of a group of one file, and whether there is an answer; without rows no row."""
        numbers = ", ".join(map(str, rows))
        stored = ", ".join(f"{self.row.stored(column)} AS {name}" for name, column in TEXTS.items())
        shown = ", ".join(f"{self.row.stored_as_text(column, name)} AS {name}" for name, column in TEXTS.items())
        return (
            # Materialized, since DuckDB would convert to JSON before it chooses the rows.
            f"WITH rows AS MATERIALIZED (SELECT {self.row.span_id} AS span_id, "
            f"{self.row.has_output()} AS answered, {stored}, {self.row.evals(query.recorded)} AS evals, "
            f"{self.row.annotations(query.annotated)} AS annotations FROM {self.scan(places=True)} "
            f"WHERE {f'file_row_number IN ({numbers})' if numbers else 'false'}) "
            f"SELECT span_id, answered, {shown}, evals, annotations FROM rows"
        )

    def left_out(self, window: TimeWindow) -> str:
        """The window's spans that are not among its calls, by kind: how many, and one of them."""
        is_call = _surely(f"{self._kind()} = 'LLM'")
        return (
            f"SELECT {self._kind()} AS kind, count(*), min({self.row.span_id}) FROM {self.scan()} "
            f"WHERE {self._of_window(window)} AND NOT ({is_call} AND {_surely(self.condition)}) GROUP BY kind"
        )

    def unreadable(self) -> str:
        """Counts records without a readable span id or start time, one count a reason."""
        counts = (f"(SELECT count(*) FROM {self.scan()} WHERE {_surely(reason)})" for reason in self.row.unreadable())
        return f"SELECT {' + '.join(counts)}"

    def other_kinds(self) -> str:
        """Counts the spans of other kinds than OpenInference's."""
        return f"SELECT count(*) FROM {self.scan()} WHERE NOT {self.row.has_all_kinds()}"

    def _met(self) -> str:
        """The condition as a filter, which DuckDB may apply to statistics unless it asks for nulls."""
        return _surely(self.condition) if _OF_NULLS.search(self.condition) else f"({self.condition})"

    def _kind(self) -> str:
        return self.row.kind(all_recorded=self.all_kinds)

    def _of_window(self, window: TimeWindow) -> str:
        start, end = _micros(window.start), _micros(window.end)
        moment = self.row.moment("start_time")
        parts = [
            self.row.stored_within(start, end),
            f"{moment} >= {start} AND {moment} < {end}",
            f"{self.row.span_id} IS NOT NULL",
        ]
        return " AND ".join(f"({part})" for part in parts)


def texts_queries(queries: Iterable[GroupQuery], query: SpanQuery, rows: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """The text of these rows by file, one query a file: all at once would hold a row group of each in memory."""
    for group in queries:
        for file in group.group.files:
            if file in rows:
                yield GroupQuery(group.group._replace(files=(file,))).texts(query, rows[file])


def _fullest() -> str:
    order = ", ".join(f"{name} DESC NULLS LAST" for name in (*_EVALUATIONS, *TEXTS))
    columns = ", ".join([*TEXTS, *_EVALUATIONS])
    first = f"row_number() OVER (PARTITION BY span_id ORDER BY {order}) = 1"
    texts = f"(FROM texts WHERE answered QUALIFY {first})"
    return f"SELECT span_id, {columns} FROM {texts} JOIN chosen USING (span_id) ORDER BY hash, span_id"


FULLEST: Final = _fullest()
"""Of the table `texts` one row a span, in the order of the table `chosen`."""


def _surely(condition: str) -> str:
    """The condition, false where it is unknown, and evaluated row by row.

    From statistics of a column with one value and nulls DuckDB 2.0 concludes that `IS NULL` and `IS DISTINCT FROM` are
    true of all rows; it does not look at them within `coalesce`.
    """
    return f"coalesce(({condition}), false)"


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
