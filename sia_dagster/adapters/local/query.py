"""SQL that reads groups of files as normalised spans, under the user's condition."""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.local.columns import TEXTS, SpanExpressions, literal, quoted
from sia_dagster.adapters.local.parquet_files import FileGroup
from sia_dagster.core.errors import TraceError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow

if TYPE_CHECKING:
    import duckdb

_EVALUATIONS = ("annotations", "evals")
"""Of a span in two exports the row with people's annotations is taken: it is the later one."""
_PARQUET = "binary_as_string = true, hive_partitioning = false"


class GroupQuery:
    """The queries on one group of files."""

    def __init__(self, group: FileGroup, columns: Mapping[str, str], condition: str = "true") -> None:
        """`columns` are those of all groups with their types; those that this one lacks are NULL.

        `condition` may use all of them.
        """
        self.group, self.columns, self.condition = group, columns, condition
        self.row = SpanExpressions(group.types)

    def scan(self) -> str:
        """The files' rows, with the columns of all groups."""
        types = self.group.types
        lacking = [f"NULL::{kind} AS {quoted(name)}" for name, kind in self.columns.items() if name not in types]
        files = f"[{', '.join(literal(file) for file in self.group.files)}]"
        numbers = ", ".join(f"TRY_CAST({quoted(c)} AS DOUBLE) AS {quoted(c)}" for c in self.group.numbers)
        star = f"* REPLACE ({numbers})" if numbers else "*"
        return f"(SELECT {', '.join([star, *lacking])} FROM read_parquet({files}, {_PARQUET}))"

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


def parse_condition(connection: "duckdb.DuckDBPyConnection", where: str, columns: Collection[str]) -> str:
    """The user's condition, rewritten as SQL; "true" if it is empty.

    Column names with dots need no quotes (`attributes.llm.model_name = 'x'`). Raises TraceError for anything but a
    single condition, and for subqueries: a condition reads its own row alone.
    """
    if not where.strip():
        return "true"
    text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT 1 WHERE (\n{where}\n)"]).fetchall()
    parsed = json.loads(text[0][0])
    node = {} if parsed["error"] else parsed["statements"][0]["node"]
    if len(parsed.get("statements", ())) != 1 or node.get("type") != "SELECT_NODE" or node["modifiers"]:
        raise condition_error(where, columns, parsed.get("error_message", "it is not a single condition"))
    exact = {name.casefold(): name for name in columns}
    if "SUBQUERY" in _name_columns(node["where_clause"], exact):
        raise condition_error(where, columns, "it holds a subquery")
    sql: str = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(parsed)]).fetchall()[0][0]
    return sql.removeprefix("SELECT 1 WHERE ")


def named_columns(where: str) -> set[str]:
    """The names in a condition, as columns would be called; empty for one that cannot be read."""
    import duckdb

    if not where.strip():
        return set()
    with duckdb.connect() as connection:
        sql = "SELECT json_serialize_sql(?::VARCHAR)"
        text = connection.execute(sql, [f"SELECT 1 WHERE (\n{where}\n)"]).fetchall()[0][0]
    return _names(json.loads(text))


def _names(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_names, node))
    if not isinstance(node, dict):
        return set()
    names = node.get("column_names")
    own = {".".join(names)} if isinstance(names, list) else set()
    return own.union(*map(_names, node.values()))


def condition_error(where: str, columns: Collection[str], reason: str) -> TraceError:
    """The error for a condition that cannot be evaluated."""
    listed = ", ".join(f'"{name}"' for name in sorted(columns))
    return TraceError(
        f"traces.where cannot be used: {reason.splitlines()[0]}\n  where: {where}\n"
        f"  Write one SQL condition over these columns: {listed}"
    )


def _name_columns(node: Any, exact: dict[str, str]) -> set[str]:
    """Join dotted names that are a column's, in place; returns the classes of all expressions in `node`."""
    if isinstance(node, list):
        return set().union(*(_name_columns(item, exact) for item in node))
    if not isinstance(node, dict):
        return set()
    names = node.get("column_names")
    if isinstance(names, list) and (name := exact.get(".".join(names).casefold())):
        node["column_names"] = [name]
    return {str(node.get("class"))}.union(*(_name_columns(item, exact) for item in node.values()))
