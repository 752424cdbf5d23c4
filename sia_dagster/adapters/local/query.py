"""SQL that reads groups of files as normalised spans, under the user's condition."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sia_dagster.adapters.local.columns import TEXTS, SpanExpressions, literal, quoted
from sia_dagster.adapters.local.trace_files import JSON_FORMATS, FileGroup
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow

_EVALUATIONS = ("annotations", "evals")
"""Of a span in two exports the row with people's annotations is taken: it is the later one."""
_PARQUET = "binary_as_string = true, hive_partitioning = false"


class GroupQuery:
    """The queries on one group of files."""

    def __init__(self, group: FileGroup, columns: Sequence[str], condition: str = "true") -> None:
        """`columns` are those of all groups; those that this one lacks are NULL. `condition` may use all of them."""
        self.group, self.columns, self.condition = group, columns, condition
        self.row = SpanExpressions(group.types)

    def scan(self) -> str:
        """The files' rows, with the columns of all groups."""
        types = self.group.types
        lacking = [f"NULL::VARCHAR AS {quoted(name)}" for name in self.columns if name not in types]
        files = f"[{', '.join(literal(file) for file in self.group.files)}]"
        if self.group.kind == "parquet":
            return f"(SELECT {', '.join(['*', *lacking])} FROM read_parquet({files}, {_PARQUET}))"
        numbers = [f"TRY_CAST({quoted(c)} AS DOUBLE) AS {quoted(c)}" for c, kind in types.items() if kind == "DOUBLE"]
        star = f"* REPLACE ({', '.join(numbers)})" if numbers else "*"
        # Everything is read as text: a column whose shape changes between records must not fail the file.
        text = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in types)
        options = f"{JSON_FORMATS[self.group.kind]}, columns = {{{text}}}, auto_detect = false"
        return f"(SELECT {', '.join([star, *lacking])} FROM read_json({files}, {options}))"

    def calls(self, window: TimeWindow) -> str:
        """The window's LLM spans that meet the condition, without their text."""
        columns = ", ".join(f"{expression} AS {name}" for name, expression in self.row.facts().items())
        return f"SELECT {columns} FROM {self.scan()} WHERE {self._condition(window)}"

    def texts(self, query: SpanQuery, limit: int) -> str:
        """The text of the `limit` usable calls with the smallest hashes; only theirs is converted to JSON."""
        stored = ", ".join(f"{self.row.stored(column)} AS {name}" for name, column in TEXTS.items())
        shown = ", ".join(f"{self.row.stored_as_text(column, name)} AS {name}" for name, column in TEXTS.items())
        return (
            f"SELECT span_id, hash, {shown}, evals, annotations FROM (SELECT {self.row.span_id} AS span_id, "
            f"md5({self.row.span_id}) AS hash, {stored}, {self.row.evals(query.recorded)} AS evals, "
            f"{self.row.annotations(query.annotated)} AS annotations FROM {self.scan()} "
            f"WHERE {self._condition(query.window)} AND {self.row.status()} <> 'ERROR' AND ({self.row.has_output()}) "
            f"ORDER BY hash, span_id LIMIT {limit})"
        )

    def unreadable(self) -> str:
        """Counts records without a readable span id or start time.

        For Parquet, one count a reason: row groups whose statistics rule it out are then not read.
        """
        reasons: Sequence[str] = self.row.unreadable()
        if self.group.kind != "parquet":
            reasons = [" OR ".join(f"({reason})" for reason in reasons)]
        counts = (f"(SELECT count(*) FROM {self.scan()} WHERE {reason})" for reason in reasons)
        return f"SELECT {' + '.join(counts)}"

    def _condition(self, window: TimeWindow) -> str:
        start, end = _micros(window.start), _micros(window.end)
        moment = self.row.moment("start_time")
        parts = [
            self.row.stored_within(start, end),
            f"{moment} >= {start} AND {moment} < {end}",
            self.row.is_llm(),
            f"{self.row.span_id} IS NOT NULL",
            self.condition,
        ]
        return " AND ".join(f"({part})" for part in parts)


def calls_query(queries: Iterable[GroupQuery], window: TimeWindow) -> str:
    """All groups' calls, oldest first, ties by span id."""
    union = " UNION ALL ".join(query.calls(window) for query in queries)
    return f"FROM ({union}) ORDER BY start_time, span_id, latency_ms"


def texts_query(queries: Iterable[GroupQuery], query: SpanQuery) -> str:
    """The sampled calls' text, one row a span. Twice as many rows are read, since a span may be in two exports."""
    limit = query.sample_limit
    union = " UNION ALL ".join(f"({group.texts(query, 2 * limit)})" for group in queries)
    fullest = ", ".join(f"{name} DESC NULLS LAST" for name in (*_EVALUATIONS, *TEXTS))
    once = f"QUALIFY row_number() OVER (PARTITION BY span_id ORDER BY {fullest}) = 1"
    columns = ", ".join([*TEXTS, *_EVALUATIONS])
    return f"SELECT span_id, {columns} FROM (SELECT * FROM ({union}) {once}) ORDER BY hash, span_id LIMIT {limit}"


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
