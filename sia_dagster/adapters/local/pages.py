"""Takes records out of what they are wrapped in: pages of an API, and tables that pandas writes as one object."""

from collections.abc import Iterator
from typing import Any

from sia_dagster.adapters.local.forms import form_of
from sia_dagster.core.records.value import JsonObject

_PAGES = ("data", "spans", "items", "results", "observations", "runs", "traces", "records", "rows", "hits", "_source")
"""Keys under which APIs list records."""


def unwrapped(record: JsonObject) -> Iterator[JsonObject]:
    """The records in an object: itself if a form reads it, else those that it lists; itself if it lists none."""
    if form_of(record):
        yield record
    elif inner := _listed(record) or _table(record):
        for item in inner:
            yield from unwrapped(item)
    else:
        yield record


def _listed(record: JsonObject) -> list[JsonObject]:
    """Objects under the keys of a page; a page's `hits` or `data` may be an object of its own."""
    for key in _PAGES:
        value = record.get(key)
        if isinstance(value, dict):
            return [value]
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return value
    return []


def _table(record: JsonObject) -> list[JsonObject]:
    """The rows of a DataFrame written with `to_json` and any `orient` that keeps the columns' names."""
    columns, data = record.get("columns"), record.get("data")
    if isinstance(columns, list) and isinstance(data, list):
        return [dict(zip(map(str, columns), row, strict=False)) for row in data if isinstance(row, list)]
    inner = list(record.values())
    if not inner or not all(isinstance(item, dict) for item in inner):
        return []
    if form_of(inner[0]):
        return [row | _index(key, row) for key, row in record.items()]
    return _by_column(record)


def _by_column(record: JsonObject) -> list[JsonObject]:
    """Rows from an object of columns, each an object by row."""
    rows: dict[Any, JsonObject] = {}
    for name, column in record.items():
        for key, value in column.items():
            if value is not None:
                rows.setdefault(key, {})[name] = value
    found = [row | _index(key, row) for key, row in rows.items()]
    return found if found and form_of(found[0]) else []


def _index(key: Any, row: JsonObject) -> JsonObject:
    """The table's index, which holds the span's id in Phoenix's DataFrame, where the row has none."""
    return {} if "context.span_id" in row or str(key).isdecimal() else {"context.span_id": str(key)}
