"""MLflow: traces as `Trace.to_json()` and `search_traces()` write them, and their spans.

A trace is `{"info": ..., "data": {"spans": [...]}}`, or a row with the columns `trace` (that JSON) or `spans`. A span's
attributes are JSON texts each; its ids are base64 of the bytes, or hex. Session and user are in the trace's metadata.
An assessment that names no span is the trace's: it counts for the call if there is only one.
"""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from sia_dagster.adapters.local.forms.chat import answer_attributes, request_attributes, request_settings
from sia_dagster.adapters.local.forms.fields import (
    an_object,
    evaluation,
    filled,
    first,
    loaded,
    metadata,
    objects,
    spans_of,
    text,
)
from sia_dagster.adapters.local.forms.span import Form, FormError, Span
from sia_dagster.core.records.value import JsonObject

_KINDS = {
    "LLM": "LLM",
    "CHAT_MODEL": "LLM",
    "AGENT": "AGENT",
    "TOOL": "TOOL",
    "RETRIEVER": "RETRIEVER",
    "EMBEDDING": "EMBEDDING",
    "RERANKER": "RERANKER",
    "EVALUATOR": "EVALUATOR",
    "GUARDRAIL": "GUARDRAIL",
}
_TRACE_COLUMNS = {"trace_metadata", "request_metadata", "execution_duration", "execution_time_ms", "request_time"}
_MARKS = ("mlflow.spanType", "mlflow.traceRequestId", "mlflow.spanInputs")


def _recognises(record: JsonObject) -> bool:
    if isinstance(record.get("info"), dict) and isinstance(record.get("data"), dict):
        return "spans" in record["data"]
    if ("trace_id" in record or "request_id" in record) and ("trace" in record or "spans" in record):
        return not _TRACE_COLUMNS.isdisjoint(record)
    return _is_span(record)


def _is_span(record: JsonObject) -> bool:
    attributes = record.get("attributes")
    return isinstance(attributes, dict) and any(mark in attributes for mark in _MARKS)


def _spans(record: JsonObject) -> Iterable[Span | FormError]:
    if _is_span(record):
        return spans_of([record], lambda span: _span(span, {}, ()))
    whole = an_object(record.get("trace"))
    info = an_object(whole.get("info")) or an_object(record.get("info")) or record
    listed = loaded(an_object(whole.get("data")).get("spans") or record.get("spans") or _data(record).get("spans"))
    if not isinstance(listed, list):
        raise FormError("its trace holds no list of spans; export it with `search_traces(include_spans=True)`")
    rows = [an_object(row) for row in listed]
    given = [a for a in objects(info.get("assessments")) if a.get("valid") is not False]
    calls = sum(_kind(row) == "LLM" for row in rows)

    def read(row: JsonObject) -> Span:
        named = (text(row.get("span_id")), _hexadecimal(row.get("span_id")))
        mine = [a for a in given if (a.get("span_id") in named if a.get("span_id") else calls == 1)]
        return _span(row, info, mine)

    return spans_of(rows, read)


def _data(record: JsonObject) -> JsonObject:
    return an_object(record.get("data"))


def _span(row: JsonObject, info: JsonObject, assessments: Iterable[JsonObject]) -> Span:
    context, status = an_object(row.get("context")), row.get("status")
    kind = _kind(row)
    trace = first(info, "trace_id", "request_id") or _value(an_object(row.get("attributes")).get(_MARKS[1]))
    return Span(
        span_id=_hexadecimal(first(row, "span_id") or context.get("span_id")),
        trace_id=text(trace) or _hexadecimal(first(row, "trace_id") or context.get("trace_id")),
        parent_id=_hexadecimal(first(row, "parent_span_id", "parent_id")),
        name=text(row.get("name")),
        start=first(row, "start_time_unix_nano", "start_time_ns", "start_time"),
        end=first(row, "end_time_unix_nano", "end_time_ns", "end_time"),
        status=status.get("code") if isinstance(status, dict) else first(row, "status_code", "status"),
        kind=kind,
        attributes=_attributes(row, info) if kind == "LLM" else {},
        columns=_columns(info) | row | _evaluations(assessments),
    )


def _kind(row: JsonObject) -> str:
    return _KINDS.get(text(_value(an_object(row.get("attributes")).get(_MARKS[0]))), "CHAIN")


def _value(value: Any) -> Any:
    """A JSON text's value, also that of a quoted text; other values as they are."""
    quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"'
    return loaded(f"[{value}]")[0] if quoted and isinstance(loaded(f"[{value}]"), list) else loaded(value)


def _attributes(row: JsonObject, info: JsonObject) -> JsonObject:
    given = {name: _value(value) for name, value in an_object(row.get("attributes")).items()}
    about = an_object(first(info, "trace_metadata", "request_metadata"))
    usage = an_object(given.get("mlflow.chat.tokenUsage"))
    request = request_attributes(given.get("mlflow.spanInputs"))
    settings = an_object(given.get("invocation_params"))
    settings = request_settings(settings) or request.get("llm.invocation_parameters") or {}
    asked = request.get("input.value")
    has_tools = isinstance(asked, dict) and asked.get("tools")
    found = {
        **request,
        **answer_attributes(given.get("mlflow.spanOutputs")),
        **metadata({key: value for key, value in about.items() if not key.startswith("mlflow.")}),
        "llm.model_name": text(first(given, "mlflow.llm.model", "model") or first(settings, "model", "model_name")),
        "llm.invocation_parameters": settings,
        "llm.tools": None if has_tools else given.get("mlflow.chat.tools"),
        "llm.token_count.prompt": first(usage, "input_tokens", "prompt_tokens"),
        "llm.token_count.completion": first(usage, "output_tokens", "completion_tokens"),
        "session.id": text(first(about | given, "mlflow.trace.session", "session.id")),
        "user.id": text(first(about | given, "mlflow.trace.user", "user.id")),
    }
    return filled(found)


def _columns(info: JsonObject) -> JsonObject:
    """What people name in a condition: the trace's tags, and its state."""
    tags = {f"tags.{key}": value for key, value in an_object(info.get("tags")).items()}
    return tags | {name: info[name] for name in ("state", "client_request_id") if info.get(name)}


def _hexadecimal(value: Any) -> str:
    """An id in hex: as it is, or from base64 of 8 or 16 bytes, which ends with `=`."""
    found = text(value)
    if not found.endswith("="):
        return found.removeprefix("0x")
    try:
        return b64decode(found, validate=True).hex()
    except ValueError:
        return found


def _evaluations(assessments: Iterable[JsonObject]) -> JsonObject:
    found: JsonObject = {}
    for item in assessments:
        feedback = an_object(item.get("feedback"))
        by_person = an_object(item.get("source")).get("source_type") == "HUMAN"
        name, why = first(item, "assessment_name", "name"), item.get("rationale")
        found |= evaluation(name, feedback.get("value"), explanation=why, by_person=by_person)
    return found


FORM = Form("MLflow traces", _recognises, _spans, ("prompt templates",))
