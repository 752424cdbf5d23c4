"""Of which type a condition sees a column that the files store in several types, or that some of them lack."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sia_dagster.adapters.local.columns import literal, quoted
from sia_dagster.adapters.local.where.condition_rules import FUNCTIONS, Node, words

Kinds = Mapping[str, frozenset[str]]
"""The types in which the files store each column, by its name in lower case."""
_NUMBERS: Final = words(
    "BIGINT DECIMAL DOUBLE FLOAT HUGEINT INTEGER SMALLINT TINYINT UBIGINT UHUGEINT UINTEGER USMALLINT UTINYINT"
)
_ARITHMETIC: Final = words("+ - * / // % greatest least")
_OF_A_NUMBER: Final = words("abs ceil ceiling floor round sign trunc")
_COUNTS: Final = words("array_length epoch epoch_ms epoch_ns epoch_us json_array_length len length strlen")
_OF_A_LIST: Final = words(FUNCTIONS["list"])
_TEXTS: Final = words("char string text varchar")
_EXACT: Final = 15
"""Digits of a whole number that a DOUBLE holds."""


def kinds_of(tables: Iterable[Mapping[str, str]]) -> Kinds:
    """The types of each column over all tables; a column without any value has no type of its own."""
    found: dict[str, set[str]] = {}
    for types in tables:
        for name, kind in types.items():
            found.setdefault(name.casefold(), set()).update(set() if kind == '"NULL"' else {kind})
    return {name: frozenset(kinds) for name, kinds in found.items()}


def uses(nodes: Iterable[Node]) -> dict[int, str]:
    """What each column is compared or calculated with, as a type, by the id of its node."""
    found: dict[int, str] = {}
    for node in nodes:
        operands = _operands(node)
        kind = _use_of_arguments(node) or next(filter(None, map(_kind, operands)), None)
        if kind:
            found |= {id(operand): kind for operand in operands if operand["class"] == "COLUMN_REF"}
    return found


def as_used(names: Sequence[str], use: str | None, stored: str | None, kinds: frozenset[str]) -> str | None:
    """SQL for a column as the condition uses it; None for the column as it is.

    `names` are the column's name and those of fields within; `stored` is its type in these files, None where they lack
    it; `kinds` are the types of all files. One type, or numbers of several kinds: each file's own, and NULL of it where
    it is lacking. Several types: `use` where the condition compares or calculates with a number, a truth value, a time
    or a list (a value that is none is NULL); text elsewhere, in which a whole number has no point and what is nested is
    JSON. A field of a text is read from its JSON; a list from its JSON or from what Python prints for it.
    """
    column = quoted(names[0])
    if len(names) > 1:
        return _field(column, names[1:], use, stored, kinds)
    if use and use.endswith("]") and stored == "VARCHAR" and len(kinds) <= 1:
        return f"coalesce(TRY_CAST(TRY_CAST({column} AS JSON) AS {use}), TRY_CAST({column} AS {use}))"
    if len(kinds) <= 1 or all(kind.partition("(")[0] in _NUMBERS for kind in kinds):
        common = next(iter(kinds), "VARCHAR") if len(kinds) <= 1 else "DOUBLE"
        return f"CAST(NULL AS {common})" if stored is None else None
    text = _as_text(column, stored)
    if not use:
        return text
    if stored in (None, "VARCHAR") or (_is_nested(stored) and not use.endswith("]")):
        return f"TRY_CAST({text or column} AS {use})"
    return None


def _field(
    column: str, fields: Sequence[str], use: str | None, stored: str | None, kinds: frozenset[str]
) -> str | None:
    """As `as_used`, for a field within a column."""
    if stored is None:
        if struct := next((kind for kind in sorted(kinds) if kind.startswith("STRUCT")), None):
            return f"(CAST(NULL AS {struct})).{'.'.join(map(quoted, fields))}"
        return f"CAST(NULL AS {use or 'VARCHAR'})"
    if stored != "VARCHAR":
        return None
    path = "".join("/" + field.replace("~", "~0").replace("/", "~1") for field in fields)
    text = f"json_extract_string(TRY_CAST({column} AS JSON), {literal(path)})"
    return f"TRY_CAST({text} AS {use})" if use else text


def _as_text(column: str, stored: str | None) -> str | None:
    if stored == "VARCHAR":
        return None
    if stored is None:
        return "CAST(NULL AS VARCHAR)"
    if stored in ("DOUBLE", "FLOAT"):
        whole = f"isfinite({column}) AND {column} = trunc({column}) AND abs({column}) < 1e{_EXACT}"
        return f"CASE WHEN {whole} THEN {column}::BIGINT::VARCHAR ELSE {column}::VARCHAR END"
    return f"to_json({column})::VARCHAR" if _is_nested(stored) else f"{column}::VARCHAR"


def _is_nested(stored: str) -> bool:
    return stored.endswith("]") or stored.startswith(("STRUCT", "MAP"))


def _operands(node: Node) -> list[Node]:
    kind, sort = node["class"], node["type"]
    if kind == "COMPARISON":
        return [node["left"], node["right"]]
    if kind == "BETWEEN":
        return [node["input"], node["lower"], node["upper"]]
    if sort in ("COMPARE_IN", "COMPARE_NOT_IN"):
        return list(node["children"])
    if kind == "FUNCTION" and _name(node) in _ARITHMETIC | _OF_A_NUMBER | _OF_A_LIST:
        arguments = [argument["expression"] for argument in node["arguments"]]
        return arguments if _name(node) in _ARITHMETIC else arguments[:1]
    return []


def _use_of_arguments(node: Node) -> str | None:
    if node["class"] != "FUNCTION":
        return None
    return "DOUBLE" if _name(node) in _OF_A_NUMBER else "VARCHAR[]" if _name(node) in _OF_A_LIST else None


def _kind(node: Node) -> str | None:
    """The type that an expression has whatever the files hold; None for text and where it depends on them."""
    if node["class"] == "CONSTANT":
        return _kind_of_literal(node["literal"])
    if node["class"] == "CAST":
        name = str(node["type_expr"]["type_name"])
        return None if node["type_expr"]["children"] or name.casefold() in _TEXTS else name
    if node["class"] == "FUNCTION" and _name(node) in _ARITHMETIC:
        return next(filter(None, (_kind(argument["expression"]) for argument in node["arguments"])), None)
    return "DOUBLE" if node["class"] == "FUNCTION" and _name(node) in _OF_A_NUMBER | _COUNTS else None


def _kind_of_literal(value: Mapping[str, Any]) -> str | None:
    if value["kind"] == "INTEGER":
        return "DOUBLE" if len(str(value["text"])) <= _EXACT else "HUGEINT"
    return {"NUMERIC": "DOUBLE", "BOOLEAN": "BOOLEAN"}.get(str(value["kind"]))


def _name(node: Node) -> str:
    return str(node["function_name"]).casefold()
