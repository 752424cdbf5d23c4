"""A span's attributes, which arrive flat, nested, as JSON text or as a list of pairs, as flat dotted keys."""

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

from sia_dagster.adapters.local.forms.span import FormError
from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

_LONGEST_REPR: Final = 10 << 20
"""Characters of a Python repr that is read: its syntax tree takes a hundred times as much."""


def read_attributes(value: Any) -> JsonObject:
    """The attributes under flat dotted keys. Raises FormError for anything else."""
    loaded = _loaded(value) if isinstance(value, str) else value
    if isinstance(loaded, list):
        loaded = dict(map(_pair, loaded))
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise FormError("its attributes are no object")
    return flat(loaded)


def _loaded(text: str) -> Any:
    """The value of JSON text, or of Python's repr, which pandas writes to CSV."""
    try:
        return load_json(text)
    except (ValueError, RecursionError) as error:
        try:
            return (
                storable(ast.literal_eval(text)) if text[:2] == "{'" and len(text) < _LONGEST_REPR else load_json(text)
            )
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            raise FormError("its attributes are text, and no JSON") from error


def flat(attributes: Mapping[str, Any]) -> JsonObject:
    """Objects within objects under dotted keys; lists and everything in them stay as they are."""
    found: JsonObject = {}
    for key, value in attributes.items():
        if isinstance(value, dict) and value:
            for inner, item in flat(value).items():
                found[f"{key}.{inner}"] = item
        elif value is not None:
            found[str(key)] = value
    return found


def _pair(item: Any) -> tuple[str, Any]:
    """A key and its value: OTLP's `{"key": ..., "value": {"stringValue": ...}}`, or two items of a map."""
    if isinstance(item, dict) and "key" in item:
        return str(item["key"]), any_value(item.get("value"))
    if isinstance(item, (list, tuple)) and len(item) == 2:
        return str(item[0]), item[1]
    raise FormError("its attributes are a list, and not of keys and values")


def any_value(value: Any) -> Any:
    """OTLP's `AnyValue` as the value that it holds; other values as they are. Raises FormError for broken ones.

    Phoenix lists all fields of it, with null in those that are not used.
    """
    if not isinstance(value, dict):
        return value
    for name, held in value.items():
        if held is not None and (read := _READ.get(name)):
            try:
                return read(held)
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                raise FormError("an attribute's value is not of its type") from error
    return None if value.keys() <= _READ.keys() else value


def _same(held: Any) -> Any:
    return held


def _array(held: Any) -> list[Any]:
    return [any_value(item) for item in held.get("values") or ()]


def _object(held: Any) -> JsonObject:
    return dict(_pair(item) for item in held.get("values") or ())


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "stringValue": _same, "intValue": int, "doubleValue": _same, "boolValue": _same, "bytesValue": _same,
    "arrayValue": _array, "kvlistValue": _object,
    "string_value": _same, "int_value": int, "double_value": _same, "bool_value": _same, "bytes_value": _same,
    "array_value": _array, "kvlist_value": _object,
}  # fmt: skip
