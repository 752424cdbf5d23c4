"""Spans with a record each: exports of Arize, Phoenix and ClickHouse, Phoenix's REST answers, and the SDKs' own JSON.

The same span is written with columns (`context.span_id`, `attributes.llm.model_name`), with objects (`context`,
`attributes`), or with the attributes in one column of JSON text, a struct or a map.
"""

from collections.abc import Iterable
from typing import Any

from sia_dagster.adapters.local.columns import STATUSES
from sia_dagster.adapters.local.forms.fields import first
from sia_dagster.adapters.local.forms.span import Form, FormError, Span
from sia_dagster.adapters.local.forms.span_attributes import flat, read_attributes
from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.records.value import JsonObject

_PREFIX = "attributes."
_AFTER = len(_PREFIX)
_CONTEXTS = ("context", "spanContext", "_spanContext")
_IDS = ("context.span_id", "span_id", "spanId", "SpanId", "context.spanId")
_TRACES = ("context.trace_id", "trace_id", "traceId", "TraceId", "context.traceId")
_PARENTS = ("parent_id", "parent_span_id", "parentSpanId", "ParentSpanId", "parentId", "parentSpanContext.spanId")
_ATTRIBUTES = ("attributes", "span_attributes", "SpanAttributes")
_MARKS = frozenset(("context.span_id", *_ATTRIBUTES))
_STARTS = ("start_time", "startTime", "start_timestamp", "Timestamp", "timestamp")
_ENDS = ("end_time", "endTime", "end_timestamp")
_KINDS = ("span_kind", "kind", "SpanKind")
_EVENTS = frozenset(("events", "Events", "Events.Name"))
_GENAI = "gen_ai."
_NOTHING = "None"
"""What Phoenix's client makes of a missing text in a column that other spans fill."""


def _recognises(record: JsonObject) -> bool:
    """Whether it has an id, and attributes; a table by columns has an object under each name."""
    if not any(record.get(name).__class__ is dict for name in _CONTEXTS if name in record):
        name = next((name for name in _IDS if name in record), "id" if _is_javascripts(record) else "")
        if not name or record[name].__class__ in (dict, list):
            return False
    return not _MARKS.isdisjoint(record) or any(name.startswith(_PREFIX) for name in record)


def _is_javascripts(record: JsonObject) -> bool:
    """Whether it is what the console exporter of JavaScript prints, with the span's id as `id`."""
    return "traceId" in record and "id" in record


def _spans(record: JsonObject) -> Iterable[Span]:
    columns = _columns(record)
    attributes: JsonObject = {}
    for name in _ATTRIBUTES:
        if record.get(name) not in (None, ""):
            attributes |= read_attributes(record[name])
    attributes |= _named(record)
    status = record.get("status")
    own_id = record["id"] if _is_javascripts(record) else None
    yield Span(
        span_id=_id(first(columns, *_IDS) or own_id),
        trace_id=_id(first(columns, *_TRACES)),
        parent_id=_id(first(columns, *_PARENTS)),
        name=str(first(columns, "name", "span_name", "SpanName") or ""),
        start=_moment(first(columns, *_STARTS)),
        end=_moment(first(columns, *_ENDS)),
        status=first(flat({"status": status}) if isinstance(status, dict) else columns, *STATUSES),
        kind=first(columns, *_KINDS),
        attributes=attributes,
        events=_events(record),
        columns=columns,
    )


def _named(record: JsonObject) -> JsonObject:
    """The attributes that have a column each, or share one by the first part of their names (`attributes.gen_ai`)."""
    found: JsonObject = {}
    for key, value in record.items():
        if key.startswith(_PREFIX) and value is not None and value != _NOTHING:
            name = key[_AFTER:]
            opened = value if "." in name else _opened(value)
            if opened.__class__ is dict:
                found |= flat({name: opened})
            else:
                found[name] = opened
    return found


def _opened(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return read_attributes(value)
    except FormError:
        return value


def _columns(record: JsonObject) -> JsonObject:
    """The record with what its objects hold under dotted names, and the latency where it is recorded otherwise."""
    found = dict(record)
    for name in _CONTEXTS:
        if name in record and isinstance(context := record[name], dict):
            found |= {f"context.{key}": value for key, value in context.items()}
    if isinstance(parent := record.get("parentSpanContext"), dict):
        found["parentSpanContext.spanId"] = parent.get("spanId")
    if "Duration" in record and "TraceId" in record:
        found["latency_ms"] = _milliseconds(record["Duration"], 1e6)
    elif "duration" in record and "traceId" in record:
        found["latency_ms"] = _milliseconds(record["duration"], 1e3)
    return found


def _milliseconds(duration: Any, unit: float) -> float | None:
    """From ClickHouse's nanoseconds or the console's microseconds."""
    try:
        return float(duration) / unit
    except (TypeError, ValueError):
        return None


def _moment(value: Any) -> Any:
    """JavaScript's `[seconds, nanoseconds]` as an object with these names."""
    return {"seconds": value[0], "nanos": value[1]} if isinstance(value, list) and len(value) == 2 else value


def _events(record: JsonObject) -> list[JsonObject]:
    """The events that conventions put messages into."""
    if _EVENTS.isdisjoint(record):
        return []
    if isinstance(names := record.get("Events.Name"), list):
        pairs = zip(names, record.get("Events.Attributes") or (), strict=False)
        items: Any = [{"name": name, "attributes": attributes} for name, attributes in pairs]
    else:
        items = record.get("events") or record.get("Events")
    try:
        items = load_json(items) if isinstance(items, str) and _GENAI in items else items
        loaded = [load_json(item) if isinstance(item, str) and _GENAI in item else item for item in _list(items)]
        return [_event(event) for event in loaded if isinstance(event, dict) and _is_message(event)]
    except (ValueError, RecursionError) as error:
        raise FormError("its events are not JSON, or cut off") from error


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_message(event: JsonObject) -> bool:
    return str(event.get("name") or event.get("event.name") or "").startswith(_GENAI)


def _event(event: JsonObject) -> JsonObject:
    named = {key[len(_PREFIX) :]: value for key, value in event.items() if key.startswith(_PREFIX)}
    attributes = read_attributes(event.get("attributes")) | named
    return {"name": event.get("name") or event.get("event.name"), "attributes": attributes, "body": event.get("body")}


def _id(value: Any) -> str:
    """An id as text, without the `0x` of the SDK's JSON; one of zeros is none."""
    text = "" if value in (None, _NOTHING) else str(value).removeprefix("0x")
    return text if text.strip("0") else ""


FORM = Form("OpenInference spans", _recognises, _spans)
