"""A span's attributes, which arrive flat, nested, as JSON text or as a list of pairs, as flat dotted keys."""

from collections.abc import Mapping
from typing import Any

from sia_dagster.adapters.local.forms.span import FormError
from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.records.value import JsonObject

_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue")


def read_attributes(value: Any) -> JsonObject:
    """The attributes under flat dotted keys. Raises FormError for anything else."""
    try:
        loaded = load_json(value)
    except (ValueError, RecursionError) as error:
        raise FormError("its attributes are text, and no JSON") from error
    if isinstance(loaded, list):
        loaded = dict(map(_pair, loaded))
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise FormError("its attributes are no object")
    return flat(loaded)


def flat(attributes: Mapping[str, Any]) -> JsonObject:
    """Objects within objects under dotted keys; lists and everything in them stay as they are."""
    found: JsonObject = {}
    for key, value in attributes.items():
        if isinstance(value, dict) and value:
            for inner, item in flat(value).items():
                found[f"{key}.{inner}"] = item
        elif value is not None:
            found[key] = value
    return found


def _pair(item: Any) -> tuple[str, Any]:
    """A key and its value: OTLP's `{"key": ..., "value": {"stringValue": ...}}`, or two items of a map."""
    if isinstance(item, dict) and "key" in item:
        return str(item["key"]), any_value(item.get("value"))
    if isinstance(item, (list, tuple)) and len(item) == 2:
        return str(item[0]), item[1]
    raise FormError("its attributes are a list, and not of keys and values")


def any_value(value: Any) -> Any:
    """OTLP's `AnyValue` as the value that it holds; other values as they are."""
    if not isinstance(value, dict):
        return value
    name = next((name for name in _VALUES if name in value), None)
    if name is None:
        return value or None
    held = value[name]
    if name == "intValue":
        return int(held)
    if name == "arrayValue":
        return [any_value(item) for item in held.get("values", ())]
    if name == "kvlistValue":
        return dict(_pair(item) for item in held.get("values", ()))
    return held
