"""OpenTelemetry's own form: OTLP as JSON, of the collector's file exporter, Tempo, Jaeger and Phoenix.

A record is a request with the spans of many calls (`resourceSpans`), a part of one, or a single span as in Phoenix's
pages of `/spans/otlpv1`. protobuf's `json_format` is no help: it reads ids as base64, so that hexadecimal ones become
others without an error, and takes ten times as long.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Any

from sia_dagster.adapters.local.forms.span import Form, FormError, Span
from sia_dagster.adapters.local.forms.span_attributes import any_value, flat, read_attributes
from sia_dagster.core.records.value import JsonObject

_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans", "ilSpans")
_WRAPPERS = ("trace", "result")
"""Keys of an answer around a request: Tempo's second version and Jaeger's third."""
_STARTS = ("startTimeUnixNano", "start_time_unix_nano")
_KEYS = frozenset((*_RESOURCES, *_SCOPES, *_STARTS))
_HEX = (16, 32)
_BASE64 = {12: 8, 24: 16}
"""Bytes of an id by the length of its base64."""
_TEXT = {str}
_MESSAGES = ("llm.input_messages.", "gen_ai.prompt.", "llm.prompts.")
"""Conventions that write an attribute for each field of a message."""


def _recognises(record: JsonObject) -> bool:
    return not _KEYS.isdisjoint(record) or _inner(record) is not None


def _inner(record: JsonObject) -> JsonObject | None:
    if "trace" not in record and "result" not in record:
        return None
    found = (record.get(name) for name in _WRAPPERS)
    return next((r for r in found if isinstance(r, dict) and any(name in r for name in (*_RESOURCES, *_SCOPES))), None)


def _spans(record: JsonObject) -> Iterator[Span | FormError]:
    inner = _inner(record) or record
    if any(name in inner for name in _STARTS):
        yield _span(inner, {})
        return
    for resource in _list(inner, _RESOURCES) if any(name in inner for name in _RESOURCES) else [inner]:
        if not isinstance(resource, dict):
            yield FormError("a resource's spans are no object")
            continue
        shared = _resource(resource)
        for scope in _list(resource, _SCOPES):
            if not isinstance(scope, dict):
                yield FormError("a scope's spans are no object")
                continue
            for span in _list(scope, ("spans",)):
                yield _span(span, shared)


def _list(record: JsonObject, names: Iterable[str]) -> list[Any]:
    """The list under the first of the names; what is no list counts as one broken item."""
    found: Any = next((record[name] for name in names if record.get(name) is not None), [])
    return found if isinstance(found, list) else [found]


def _resource(record: JsonObject) -> JsonObject:
    """The resource's attributes as columns for a condition; one that cannot be read costs no span."""
    resource = record.get("resource")
    if not isinstance(resource, dict):
        return {}
    try:
        found = read_pairs(resource.get("attributes"))
    except FormError:
        return {}
    return {f"resource.attributes.{name}": value for name, value in found.items()}


def _span(item: Any, shared: JsonObject) -> Span | FormError:
    if not isinstance(item, dict):
        return FormError("a span is no object")
    try:
        return _read(item, shared)
    except FormError as error:
        return error
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        return FormError(f"a span has fields of other types ({type(error).__name__})")


def _read(item: JsonObject, shared: JsonObject) -> Span:
    attributes = read_pairs(item.get("attributes"))
    _whole(item, attributes)
    status = item.get("status") or {}
    kind = item.get("kind")
    span_id, trace_id = _id(item, "spanId", "span_id"), _id(item, "traceId", "trace_id")
    parent = _id(item, "parentSpanId", "parent_span_id")
    name = item.get("name") or ""
    return Span(
        span_id=span_id,
        trace_id=trace_id,
        parent_id=parent,
        name=str(name),
        start=_time(item, "startTimeUnixNano", "start_time_unix_nano"),
        end=_time(item, "endTimeUnixNano", "end_time_unix_nano"),
        status=status.get("code"),
        kind=kind,
        attributes=attributes,
        events=[_event(event) for event in item.get("events") or ()],
        columns={"name": name, "parent_id": parent or None, "span_kind": kind, **shared} if shared else {"name": name},
    )


def read_pairs(pairs: Any) -> JsonObject:
    """Attributes (`[{"key": ..., "value": {"stringValue": ...}}]`) under flat dotted keys. Raises FormError."""
    if isinstance(pairs, dict):
        return read_attributes(pairs)
    found: JsonObject = {}
    nested = False
    try:
        for pair in pairs or ():
            value = pair.get("value")
            text = (value.get("stringValue") or value.get("string_value")) if value.__class__ is dict else value
            if text is None:
                text = any_value(value)
                nested = nested or text.__class__ is dict
                if text is None:
                    continue
            found[pair["key"]] = text
    except (AttributeError, KeyError, TypeError) as error:
        raise FormError("its attributes are no list of keys and values") from error
    if not {*map(type, found)} <= _TEXT:
        raise FormError("its attributes are no list of keys and values")
    return flat(found) if nested else found


def _whole(item: JsonObject, attributes: JsonObject) -> None:
    """Raises FormError where messages may be missing: the SDK drops attributes beyond a number, in any order."""
    dropped = item.get("droppedAttributesCount") or item.get("dropped_attributes_count")
    if dropped and any(name.startswith(_MESSAGES) for name in attributes):
        raise FormError("attributes of its messages were dropped; raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")


def _event(event: Any) -> JsonObject:
    return {"name": str(event.get("name") or ""), "attributes": read_pairs(event.get("attributes"))}


def _time(item: JsonObject, *names: str) -> Any:
    """Nanoseconds, which JSON writes as text."""
    value = item.get(names[0]) or item.get(names[1])
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _id(item: JsonObject, *names: str) -> str:
    """An id in hexadecimal digits, from these or from base64; one of zeros is none."""
    value = item.get(names[0]) or item.get(names[1]) or ""
    if value.__class__ is not str:
        raise FormError("an id of it is no text")
    if len(value) in _HEX:
        return value.lower() if value.strip("0") else ""
    return _from_base64(value) if len(value) in _BASE64 else value


def _from_base64(text: str) -> str:
    try:
        found = b64decode(text, validate=True)
    except ValueError:
        return text
    return (found.hex() if any(found) else "") if len(found) == _BASE64[len(text)] else text


FORM = Form("OTLP JSON", _recognises, _spans)
