"""The text of a call as a converted file has it, and whether there is an answer among it."""

import json
from typing import Any, Final

import orjson

from sia_dagster.adapters.local.columns import EMPTY_TEXTS, EVALUATION, TEXTS
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.value import JsonObject

COLUMNS: Final = (*TEXTS.values(), "evals", "annotations")
NO_TEXTS: Final[tuple[str | None, ...]] = (None,) * len(COLUMNS)
_ATTRIBUTES: Final = tuple(column.removeprefix("attributes.") for column in TEXTS.values())
_PREFIXES: Final = tuple(f"{name}." for name in _ATTRIBUTES)
_ANSWERS: Final = tuple(TEXTS[name].removeprefix("attributes.") for name in ("output_messages", "output_value"))


def call_texts(attributes: JsonObject, columns: JsonObject, query: SpanQuery) -> tuple[str | None, ...]:
    """The values of COLUMNS; `columns` are the record's own, which hold evaluations."""
    gathered = _gathered(attributes)
    values = (attributes[n] if attributes.get(n) is not None else gathered.get(n) for n in _ATTRIBUTES)
    return (*map(text_of, values), *_evaluations(columns, query))


def is_answered(attributes: JsonObject) -> bool:
    """Whether one of the columns of an answer holds more than an empty text."""
    whole = [attributes.get(name) for name in _ANSWERS]
    if any(map(_is_filled, whole)):
        return True
    apart = tuple(f"{name}." for name, value in zip(_ANSWERS, whole, strict=True) if value is None)
    return bool(apart) and any(name.startswith(apart) for name in attributes)


def _is_filled(value: Any) -> bool:
    if value.__class__ in (list, dict):
        return bool(value)
    return (text_of(value) or "") not in EMPTY_TEXTS


def _gathered(attributes: JsonObject) -> JsonObject:
    """Flattened attributes (`llm.input_messages.0.message.role`) as one object by the name that they share."""
    found: JsonObject = {}
    for key, value in attributes.items():
        if key.startswith(_PREFIXES):
            # The names are of two or three parts.
            first, second, rest = key.split(".", 2)
            name = f"{first}.{second}"
            if name not in _ATTRIBUTES:
                third, _, rest = rest.partition(".")
                name = f"{name}.{third}"
            found.setdefault(name, {})[rest] = value
    return found


def _evaluations(columns: JsonObject, query: SpanQuery) -> tuple[str | None, str | None]:
    """The platform's evaluations (`eval.<name>.<field>`) and people's annotations, as JSON, of the query's names."""
    names = {"eval": query.recorded, "annotation": query.annotated}
    found: dict[str, dict[str, JsonObject]] = {"eval": {}, "annotation": {}}
    for column, value in columns.items():
        match = EVALUATION.fullmatch(column) if column.startswith(("eval.", "annotation.")) else None
        wanted = names[match[1]] if match else None
        if match and value not in (None, "") and (wanted is None or match[2] in wanted):
            fields = found[match[1]].setdefault(match[2], {})
            if match[3] == "text":
                fields.setdefault("explanation", text_of(value))
            else:
                fields[match[3]] = text_of(value)
    evals, annotations = (text_of(found[kind]) if found[kind] else None for kind in ("eval", "annotation"))
    return evals, annotations


def text_of(value: Any) -> str | None:
    """The value as text, JSON where it is an object or a list; None for an empty one."""
    if value.__class__ is str:
        return value or None
    if value is None:
        return None
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):
        return json.dumps(value, default=str)
