"""Spans with a record each: exports of Arize and Phoenix, Phoenix's REST answers, and the OpenTelemetry SDK's JSON.

The same span is written with columns (`context.span_id`, `attributes.llm.model_name`), with objects (`context`,
`attributes`), or with the attributes in one column of JSON text, a struct or a map.
"""

from collections.abc import Iterable
from typing import Any

from sia_dagster.adapters.local.forms.attributes import flat, read_attributes
from sia_dagster.adapters.local.forms.span import Form, Span
from sia_dagster.core.records.value import JsonObject

_PREFIX = "attributes."
_IDS = ("context.span_id", "span_id", "spanId", "SpanId")
_TRACES = ("context.trace_id", "trace_id", "traceId", "TraceId")
_PARENTS = ("parent_id", "parent_span_id", "parentSpanId", "ParentSpanId")
_ATTRIBUTES = ("attributes", "span_attributes", "SpanAttributes")
_STARTS = ("start_time", "startTime", "start_timestamp", "Timestamp")
_ENDS = ("end_time", "endTime", "end_timestamp")


def _recognises(record: JsonObject) -> bool:
    context = record.get("context")
    if "context.span_id" in record or (isinstance(context, dict) and "span_id" in context):
        # A table by columns has an object under each name.
        return not isinstance(record.get("context.span_id"), dict)
    has_id = any(name in record and not isinstance(record[name], dict) for name in _IDS)
    has_attributes = any(name in record for name in _ATTRIBUTES) or any(name.startswith(_PREFIX) for name in record)
    return has_id and has_attributes


def _spans(record: JsonObject) -> Iterable[Span]:
    context = record.get("context")
    columns = record | {f"context.{k}": v for k, v in context.items()} if isinstance(context, dict) else record
    attributes: JsonObject = {}
    for name in _ATTRIBUTES:
        if record.get(name) not in (None, ""):
            attributes |= read_attributes(record[name])
    attributes |= {key[len(_PREFIX) :]: v for key, v in record.items() if v is not None and key.startswith(_PREFIX)}
    status = record.get("status")
    yield Span(
        span_id=_id(_first(columns, _IDS)),
        trace_id=_id(_first(columns, _TRACES)),
        parent_id=_id(_first(columns, _PARENTS)),
        name=str(_first(columns, ("name", "span_name", "SpanName")) or ""),
        start=_first(columns, _STARTS),
        end=_first(columns, _ENDS),
        status=_first(flat({"status": status}) if isinstance(status, dict) else columns, _STATUSES),
        kind=_first(columns, ("span_kind", "kind", "SpanKind")),
        attributes=attributes,
        columns=columns,
    )


_STATUSES = ("status_code", "status.status_code", "status.code", "StatusCode", "status")


def _first(columns: JsonObject, names: Iterable[str]) -> Any:
    return next((columns[name] for name in names if columns.get(name) not in (None, "")), None)


def _id(value: Any) -> str:
    """An id as text, without the `0x` of the SDK's JSON; one of zeros is none."""
    text = "" if value is None else str(value).removeprefix("0x")
    return text if text.strip("0") else ""


FORM = Form("OpenInference spans", _recognises, _spans)
