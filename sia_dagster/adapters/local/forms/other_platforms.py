"""Opik (Comet) and Braintrust: their spans, as their APIs and SDKs write them.

Both record a call of an instrumented SDK as the request's messages, the response's choices, and the settings among the
metadata. Neither names the conversation in a span: Opik has it in the trace, Braintrust in metadata of the user's own.
"""

from collections.abc import Iterable

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

_OPIK_KINDS = {"llm": "LLM", "tool": "TOOL", "general": "CHAIN", "guardrail": "GUARDRAIL"}
_BRAINTRUST_KINDS = {"llm": "LLM", "tool": "TOOL", "score": "EVALUATOR", "eval": "EVALUATOR"}
_SESSIONS = ("session_id", "thread_id", "conversation_id", "sessionId", "threadId", "conversationId")
_USERS = ("user_id", "userId", "user")


def _is_opik(record: JsonObject) -> bool:
    kind = record.get("type")
    has_ids = "id" in record and "trace_id" in record and "start_time" in record
    return has_ids and isinstance(kind, str) and kind in _OPIK_KINDS and ("input" in record or "output" in record)


def _is_braintrust(record: JsonObject) -> bool:
    return "span_id" in record and "root_span_id" in record and "span_attributes" in record


def _opik_spans(record: JsonObject) -> Iterable[Span | FormError]:
    return spans_of([record], _opik)


def _braintrust_spans(record: JsonObject) -> Iterable[Span | FormError]:
    return spans_of([record], _braintrust)


def _opik(row: JsonObject) -> Span:
    kind, found = _OPIK_KINDS[row["type"]], dict[str, object]()
    for score in objects(row.get("feedback_scores")):
        by_person = score.get("source") == "ui"
        found |= evaluation(score.get("name"), score.get("value"), explanation=score.get("reason"), by_person=by_person)
    return Span(
        span_id=text(row["id"]),
        trace_id=text(row["trace_id"]),
        parent_id=text(row.get("parent_span_id")),
        name=text(row.get("name")),
        start=row["start_time"],
        end=row.get("end_time"),
        status="ERROR" if row.get("error_info") else "OK",
        kind=kind,
        attributes=_attributes(row, an_object(row.get("usage"))) if kind == "LLM" else {},
        columns=row | found,
    )


def _braintrust(row: JsonObject) -> Span:
    about, metrics = an_object(row["span_attributes"]), an_object(row.get("metrics"))
    kind, found = _BRAINTRUST_KINDS.get(text(about.get("type")), "CHAIN"), dict[str, object]()
    for name, score in an_object(row.get("scores")).items():
        found |= evaluation(name, score)
    parents = loaded(row.get("span_parents"))
    return Span(
        span_id=text(row["span_id"]),
        trace_id=text(row["root_span_id"]),
        parent_id=text(parents[0]) if isinstance(parents, list) and parents else "",
        name=text(about.get("name")),
        start=first(metrics, "start") or row.get("created"),
        end=metrics.get("end"),
        status="ERROR" if row.get("error") else "OK",
        kind=kind,
        attributes=_attributes(row, metrics) if kind == "LLM" else {},
        columns=row | found,
    )


def _attributes(row: JsonObject, counts: JsonObject) -> JsonObject:
    more = an_object(row.get("metadata"))
    request = request_attributes(row.get("input"))
    found = {
        **request,
        **answer_attributes(row.get("output")),
        **metadata({key: value for key, value in more.items() if key not in ("tools", "usage")}),
        "llm.model_name": text(first(row, "model") or first(more, "model")),
        "llm.invocation_parameters": request_settings(more) or request.get("llm.invocation_parameters"),
        "llm.tools": loaded(more.get("tools")),
        "llm.token_count.prompt": first(counts, "prompt_tokens"),
        "llm.token_count.completion": first(counts, "completion_tokens"),
        "session.id": text(first(row, "thread_id") or first(more, *_SESSIONS)),
        "user.id": text(first(more, *_USERS)),
        "tag.tags": loaded(row.get("tags")),
    }
    return filled(found)


OPIK = Form("Opik spans", _is_opik, _opik_spans, ("prompt templates",))
BRAINTRUST = Form("Braintrust spans", _is_braintrust, _braintrust_spans, ("prompt templates",))
