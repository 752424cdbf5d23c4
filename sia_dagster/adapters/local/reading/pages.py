"""Takes records out of what they are wrapped in: pages of an API, and tables that pandas writes as one object."""

from collections.abc import Iterator

from sia_dagster.adapters.local.forms import Form, form_of
from sia_dagster.core.records.value import JsonObject

_PAGES = ("data", "spans", "items", "results", "observations", "runs", "traces", "records", "rows", "hits", "_source")
"""Keys under which APIs list records."""
_TIMES = {"start_time", "startTime", "start_time_unix_nano", "Timestamp", "timestamp", "created", "created_at"}
"""Columns of which every table of calls has one: a table is by column where they are its keys."""


def unwrapped(record: JsonObject) -> Iterator[tuple[Form | None, JsonObject]]:
    """The records in an object, each with its form: itself if a form reads it, else those that it lists.

    An object that lists none is one record of no form.
    """
    if form := form_of(record):
        yield form, record
    elif inner := _listed(record) or _table(record):
        for item in inner:
            yield from unwrapped(item)
    else:
        yield None, record


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
    """The rows of a DataFrame written with `to_json` and any `orient` that keeps the columns' names.

    An index that is no number is the span's id, as in Phoenix's DataFrame.
    """
    columns, data, index = (record.get(name) for name in ("columns", "data", "index"))
    if isinstance(columns, list) and isinstance(data, list):
        rows = [dict(zip(map(str, columns), row, strict=False)) for row in data if isinstance(row, list)]
        keys = index if isinstance(index, list) and len(index) == len(rows) else range(len(rows))
        return [_named(key, row) for key, row in zip(keys, rows, strict=True)]
    if not record or not all(isinstance(item, dict) for item in record.values()):
        return []
    by_row = _by_row(record) if _TIMES & record.keys() else record
    found = [_named(key, row) for key, row in by_row.items()]
    return found if found and form_of(found[0]) else []


def _by_row(record: JsonObject) -> dict[str, JsonObject]:
    """Rows from an object of columns, each an object by row."""
    rows: dict[str, JsonObject] = {}
    for name, column in record.items():
        for key, value in column.items():
            if value is not None:
                rows.setdefault(key, {})[name] = value
    return rows


def _named(key: object, row: JsonObject) -> JsonObject:
    """The row with the table's index as its id, where it has none of its own."""
    return row if "context.span_id" in row or str(key).isdecimal() else row | {"context.span_id": str(key)}
