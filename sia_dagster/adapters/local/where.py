"""The user's condition over a file's columns: one expression that reads nothing but the row."""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sia_dagster.core.errors import TraceError

if TYPE_CHECKING:
    import duckdb


def parse_condition(connection: "duckdb.DuckDBPyConnection", where: str, columns: Collection[str]) -> str:
    """The condition as SQL of our own making; "true" for none.

    Column names with dots may stand unquoted (`attributes.llm.model_name = 'x'`). Raises TraceError for text that is
    no single condition, and for subqueries: a condition looks at its row alone.
    """
    if not where.strip():
        return "true"
    text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT 1 WHERE (\n{where}\n)"]).fetchall()
    parsed = json.loads(text[0][0])
    node = {} if parsed["error"] else parsed["statements"][0]["node"]
    if len(parsed.get("statements", ())) != 1 or node.get("type") != "SELECT_NODE" or node["modifiers"]:
        raise condition_error(where, columns, parsed.get("error_message", "it is not one condition"))
    exact = {name.casefold(): name for name in columns}
    if "SUBQUERY" in _name_columns(node["where_clause"], exact):
        raise condition_error(where, columns, "it holds a query of its own")
    sql: str = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(parsed)]).fetchall()[0][0]
    return sql.removeprefix("SELECT 1 WHERE ")


def condition_error(where: str, columns: Collection[str], reason: str) -> TraceError:
    """The error for a condition that cannot be used."""
    listed = ", ".join(f'"{name}"' for name in sorted(columns))
    return TraceError(
        f"traces.where cannot be used: {reason.splitlines()[0]}\n  where: {where}\n"
        f"  Write one SQL condition over these columns: {listed}"
    )


def _name_columns(node: Any, exact: dict[str, str]) -> set[str]:
    """Join dotted names that are a column's name, in place; the classes of all expressions below."""
    if isinstance(node, list):
        return set().union(*(_name_columns(item, exact) for item in node))
    if not isinstance(node, dict):
        return set()
    names = node.get("column_names")
    if isinstance(names, list) and (name := exact.get(".".join(names).casefold())):
        node["column_names"] = [name]
    return {str(node.get("class"))}.union(*(_name_columns(item, exact) for item in node.values()))
