"""The condition `traces.where` over trace files: read, checked, and written as SQL for each group of files."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from sia_dagster.adapters.config.condition_values import ConditionValues, condition_values
from sia_dagster.adapters.local.where.column_kinds import Kinds, as_used, kinds_of, uses
from sia_dagster.adapters.local.where.condition_rules import Node, column_refusal, listed, nodes_of, refusal
from sia_dagster.core.errors import TraceError

if TYPE_CHECKING:
    import duckdb

_SHOWN: Final = 500
"""Characters of a condition that an error repeats."""


class _Reference(NamedTuple):
    """One place at which the condition names a column."""

    node: Node
    names: tuple[str, ...]
    use: str | None


class Condition:
    """A user's condition that was read and may be evaluated; made by `parse_condition`."""

    def __init__(
        self,
        connection: "duckdb.DuckDBPyConnection",
        where: str,
        tables: Sequence[Mapping[str, str]],
        others: Collection[str] = (),
    ) -> None:
        self._connection, self.where = connection, where
        self._columns = _columns(tables)
        self._listed = {name: name for name in others} | self._columns
        self._kinds: Kinds = kinds_of(tables)
        self._values: ConditionValues = condition_values(where)
        self._statement: Any = self._read() if where.strip() else None
        self._references: list[_Reference] = []

    @property
    def names(self) -> frozenset[str]:
        """The names in the condition as they are written, with dots, whether or not a column has them."""
        return frozenset(".".join(node["column_names"]) for node in self._nodes() if node["class"] == "COLUMN_REF")

    def bind(self) -> "Condition":
        """This condition, once each name is a column's. Raises TraceError with the nearest names."""
        nodes = self._nodes()
        used = uses(nodes)
        for node in nodes:
            if node["class"] == "COLUMN_REF":
                self._named(node["column_names"])
                self._references.append(_Reference(node, tuple(node["column_names"]), used.get(id(node))))
        return self

    def sql(self, types: Mapping[str, str]) -> str:
        """The condition over files whose columns have `types`; what they lack is NULL. "true" if it is empty.

        Types that differ between files: see `as_used`. The text holds the values of variables: it is for DuckDB alone.
        """
        if self._statement is None:
            return "true"
        stored = {name.casefold(): kind for name, kind in types.items()}
        for node, written, use in self._references:
            names = _column_of(written, {name.casefold(): name for name in types}) or self._named(written)
            key = names[0].casefold()
            sql = as_used(names, use, stored.get(key), self._kinds[key])
            replaced = {**_COLUMN, "column_names": list(names)} if sql is None else self._expression(sql)
            node.clear()
            node.update(replaced)
        document = json.dumps(self._statement)
        sql = self._connection.execute("SELECT json_deserialize_sql(?::JSON)", [document]).fetchall()[0][0]
        return str(sql).removeprefix("SELECT 1 WHERE ")

    def check(self, scan: str, types: Mapping[str, str]) -> None:
        """Raise TraceError where the condition does not fit the rows of `scan`, or is neither true nor false."""
        import duckdb

        condition = self.sql(types)
        try:
            kind = self._connection.execute(f"DESCRIBE SELECT ({condition}) FROM {scan}").fetchall()[0][1]
            self._connection.execute(f"EXPLAIN SELECT 1 FROM {scan} WHERE {condition}")
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise self.error(str(error)) from self.cause(error)
        if kind not in ("BOOLEAN", '"NULL"'):
            raise self.error(f"it is neither true nor false but of the type {kind}")

    def error(self, reason: str) -> TraceError:
        """The error for a condition that cannot be evaluated. No value of a variable is in it."""
        return condition_error(self.where, self._listed, self.shown(reason))

    def shown(self, reason: str) -> str:
        """The first line of DuckDB's reason, without the text of values."""
        return self._values.shown((reason.splitlines() or [""])[0])

    def cause(self, error: Exception) -> Exception | None:
        """What may stand as the cause of an error: nothing where DuckDB's own text may quote a value."""
        return None if self._values.values else error

    def _read(self) -> Any:
        """The parsed statement with its values. Raises TraceError for what may not be evaluated."""
        statement = self._parse(f"SELECT 1 WHERE (\n{self._values.marked}\n)")
        found = statement["statements"]
        node = found[0]["node"] if len(found) == 1 else {}
        if node.get("type") != "SELECT_NODE" or node["modifiers"] or node["from_table"]["type"] != "EMPTY":
            raise self.error("it is not a single condition")
        self._fill(node["where_clause"])
        if reason := refusal(node["where_clause"]):
            raise self.error(reason)
        return statement

    def _nodes(self) -> list[Node]:
        if self._statement is None:
            return []
        return [node for node, _ in nodes_of(self._statement["statements"][0]["node"]["where_clause"])]

    def _parse(self, sql: str) -> Any:
        import duckdb

        try:
            text = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
            parsed = json.loads(text)
        except (duckdb.Error, RecursionError) as error:
            reason = "it nests expressions too deeply" if isinstance(error, RecursionError) else str(error)
            raise self.error(reason) from self.cause(error)
        if parsed["error"]:
            raise self.error(parsed["error_message"])
        return parsed

    def _fill(self, root: Node) -> None:
        """Put the values of variables into texts and numbers. Raises TraceError where one stands elsewhere."""
        for node, _ in nodes_of(root):
            if node["class"] == "CONSTANT":
                node["literal"]["text"] = self._values.text(node["literal"]["text"])
            elif node["class"] == "COLUMN_REF" and (number := self._values.number(".".join(node["column_names"]))):
                kind = "NUMERIC" if "." in number else "INTEGER"
                filled = {**_CONSTANT, "literal": {"kind": kind, "text": number}}
                node.clear()
                node.update(filled)
            else:
                plain = {name: value for name, value in node.items() if isinstance(value, str)}
                self._values.refuse_marks(json.dumps(plain))

    def _named(self, names: Sequence[str]) -> tuple[str, ...]:
        """The column that a dotted name begins with in any group, and the fields below it. Raises TraceError."""
        if found := _column_of(names, self._columns):
            return found
        raise self.error(column_refusal(names, self._listed.values()))

    def _expression(self, sql: str) -> Node:
        """SQL of our own as a node."""
        node: Node = self._parse(f"SELECT {sql}")["statements"][0]["node"]["select_list"][0]
        return node


_PLAIN: Mapping[str, Any] = {"alias": "", "query_location": 0, "query_location_length": 0}
_COLUMN: Mapping[str, Any] = {"class": "COLUMN_REF", "type": "COLUMN_REF", **_PLAIN}
_CONSTANT: Mapping[str, Any] = {"class": "CONSTANT", "type": "VALUE_CONSTANT", **_PLAIN}


def parse_condition(
    connection: "duckdb.DuckDBPyConnection",
    where: str,
    tables: Sequence[Mapping[str, str]],
    others: Collection[str] = (),
) -> Condition:
    """Read the user's condition; `tables` are the columns of each group of files, name to DuckDB type.

    `others` are names that a person may write, and that no group has a column for yet: errors list them.

    Names with dots need no quotes (`attributes.llm.model_name = 'x'`). `${NAME}` in a text, or for a number, is the
    value of an environment variable, read now. Raises TraceError, without a value: for anything but a single condition
    that reads its own row through the functions of `condition_rules`, and for a name that no table has.
    """
    return Condition(connection, where, tables, others).bind()


def _column_of(names: Sequence[str], columns: Mapping[str, str]) -> tuple[str, ...] | None:
    """The longest column that a dotted name begins with, and the fields below it; `columns` are by lower case."""
    for length in range(len(names), 0, -1):
        if column := columns.get(".".join(names[:length]).casefold()):
            return (column, *names[length:])
    return None


def named_columns(where: str) -> frozenset[str]:
    """The names in a condition, which may be read before any file is. Raises TraceError as `parse_condition`."""
    if not where.strip():
        return frozenset()
    import duckdb

    with duckdb.connect() as connection:
        return Condition(connection, where, ()).names


def condition_error(where: str, columns: Mapping[str, str], reason: str) -> TraceError:
    """The error for a condition that cannot be evaluated; `columns` are the names as they are stored."""
    shown = where if len(where) <= _SHOWN else f"{where[:_SHOWN]}..."
    over = f"these columns: {listed(columns.values())}" if columns else "the files' columns"
    return TraceError(f"traces.where cannot be used: {reason}\n  where: {shown}\n  Write one SQL condition over {over}")


def _columns(tables: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The columns of all tables by their name in lower case; names that differ in case alone count once."""
    names: dict[str, str] = {}
    for types in tables:
        for name in types:
            names.setdefault(name.casefold(), name)
    return names


def partition_values(path: str, root: str) -> dict[str, str | None]:
    """The partition columns of a file: `tenant` is `acme` below `<root>/dt=2026-11-09/tenant=acme/`.

    Names and values are decoded as URLs are; `__HIVE_DEFAULT_PARTITION__` is None. Of a name that occurs twice the
    folder nearest to the file counts. A folder above `root` names no column.
    """
    above = f"{root.rstrip('/')}/"
    folders = path.removeprefix(above).split("/")[:-1] if path.startswith(above) else []
    pairs = (folder.partition("=") for folder in folders if not folder.startswith("="))
    found = {unquote(name): unquote(value) for name, equals, value in pairs if equals}
    return {name: None if value == "__HIVE_DEFAULT_PARTITION__" else value for name, value in found.items()}
