"""Reads the fields of a record, whose types and names vary between versions of a tool."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sia_dagster.adapters.local.forms.span import BAD_SHAPES, FormError, Span
from sia_dagster.adapters.local.forms.span_attributes import flat
from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.records.value import JsonObject

DEEPEST = 100
"""Nesting of JSON within a text of a record: what reads it further is recursive."""
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_\s]")


def first(record: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields that is filled."""
    for name in names:
        if name in record and (value := record[name]) is not None and value != "":
            return value
    return None


def filled(values: Mapping[str, Any]) -> JsonObject:
    """The values without those that say nothing: null, empty text, list or object."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def text(value: Any) -> str:
    """An id or a name as text; empty for an object or a list."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def loaded(value: Any) -> Any:
    """The object or list in JSON text; all else as it is. Raises FormError if it is nested too deep."""
    found = value
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            found = load_json(value)
        except RecursionError as error:
            raise FormError(_TOO_DEEP) from error
        except ValueError:
            return value
    if isinstance(found, (dict, list)) and not _is_flat(found, DEEPEST):
        raise FormError(_TOO_DEEP)
    return found


_TOO_DEEP = f"JSON in one of its fields is nested more than {DEEPEST} deep"


def _is_flat(value: Any, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_is_flat(item, left - 1) for item in inner if isinstance(item, (dict, list)))


def objects(value: Any) -> list[JsonObject]:
    """The objects in a list or its JSON text."""
    found = loaded(value)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def an_object(value: Any) -> JsonObject:
    """The object in a field or its JSON text; {} for all else. A map's pairs, as Parquet has them, are an object."""
    found = loaded(value)
    if isinstance(found, list) and found and all(isinstance(item, tuple) and len(item) == 2 for item in found):
        found = {str(key): item for key, item in found}
    return found if isinstance(found, dict) else {}


def metadata(value: Any) -> JsonObject:
    """A tool's metadata as attributes `metadata.<key>`."""
    return flat({"metadata": an_object(value)}) if value not in (None, "", {}) else {}


def evaluation(name: Any, value: Any, *, explanation: Any = None, by_person: bool = False) -> JsonObject:
    """The columns of an evaluation: a number is a score, a text a label, a truth value both.

    A name may hold no other characters than letters, digits, `_` and blanks: others become `_`.
    """
    prefix = f"{'annotation' if by_person else 'eval'}.{_UNNAMEABLE.sub('_', text(name))}"
    found: JsonObject = {f"{prefix}.explanation": explanation} if isinstance(explanation, str) else {}
    if isinstance(value, bool):
        found |= {f"{prefix}.score": int(value), f"{prefix}.label": str(value).lower()}
    elif isinstance(value, (int, float)):
        found[f"{prefix}.score"] = value
    elif isinstance(value, str) and value:
        found[f"{prefix}.label"] = value
    return found if text(name) and len(found) > isinstance(explanation, str) else {}


def spans_of(items: Iterable[Any], read: Callable[[Any], Span]) -> Iterable[Span | FormError]:
    """The spans of a record's items, with an error in place of each one that cannot be read."""
    for item in items:
        try:
            yield read(item)
        except FormError as error:
            yield error
        except BAD_SHAPES as error:
            yield FormError(f"one of its fields is of another type than the form has ({type(error).__name__})")
