"""Langfuse: observations as the blob-storage export, the public API and the table's own export write them.

A row is an observation, or a trace with its `observations` and `scores` (`/api/public/traces/{id}`), whose session,
user and tags are those of its observations. A score that names no observation is the trace's: it counts for the call
if there is only one. Input and output are objects or JSON text, in the way in which the SDK recorded them.
"""

from collections.abc import Iterable
from typing import Any

from sia_dagster.adapters.local.forms.chat import answer_attributes, request_attributes
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
    "GENERATION": "LLM",
    "TOOL": "TOOL",
    "AGENT": "AGENT",
    "CHAIN": "CHAIN",
    "SPAN": "CHAIN",
    "EVENT": "CHAIN",
    "RETRIEVER": "RETRIEVER",
    "EMBEDDING": "EMBEDDING",
    "EVALUATOR": "EVALUATOR",
    "GUARDRAIL": "GUARDRAIL",
}
_OF_THE_TRACE = ("userId", "user_id", "sessionId", "session_id", "tags", "traceTags", "traceName", "trace_name")
_DEFAULTS = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
"""What the wrapper of OpenAI's SDK records of settings that the application did not give: OpenAI's own defaults."""


def _is_observation(record: JsonObject) -> bool:
    kind = record.get("type")
    return (
        isinstance(kind, str)
        and kind in _KINDS
        and "id" in record
        and ("traceId" in record or "trace_id" in record)
        and ("startTime" in record or "start_time" in record)
    )


def _is_trace(record: JsonObject) -> bool:
    listed = record.get("observations")
    return isinstance(listed, list) and bool(listed) and isinstance(listed[0], dict) and _is_observation(listed[0])


def _has_context(record: JsonObject) -> bool:
    return any(name in record for name in _OF_THE_TRACE)


def _spans(record: JsonObject) -> Iterable[Span | FormError]:
    if not _is_trace(record):
        return spans_of([record], _span)
    shared = {name: record[name] for name in ("userId", "sessionId", "tags") if record.get(name)}
    scores = objects(record.get("scores"))
    rows = objects(record["observations"])
    calls = [row for row in rows if row.get("type") == "GENERATION"]

    def with_trace(row: JsonObject) -> Span:
        own = [s for s in scores if s.get("observationId") == row.get("id")]
        of_the_trace = [s for s in scores if not s.get("observationId")] if len(calls) == 1 else []
        given = {name: value for name, value in row.items() if value is not None}
        return _span({"traceId": record.get("id")} | shared | given, [*of_the_trace, *own])

    return spans_of(rows, with_trace)


def _span(row: JsonObject, scores: Iterable[JsonObject] = ()) -> Span:
    kind = _KINDS.get(text(row.get("type")), "CHAIN")
    is_failed = row.get("level") == "ERROR"
    if kind == "LLM" and not is_failed and "input" not in row and "output" not in row:
        raise FormError("it holds neither input nor output; export the field group `io`, too")
    return Span(
        span_id=text(row.get("id")),
        trace_id=text(first(row, "traceId", "trace_id")),
        parent_id=text(first(row, "parentObservationId", "parent_observation_id")),
        name=text(row.get("name")),
        start=first(row, "startTime", "start_time"),
        end=first(row, "endTime", "end_time"),
        status="ERROR" if is_failed else "OK",
        kind=kind,
        attributes=_attributes(row) if kind == "LLM" else {},
        columns=row | _evaluations([*objects(row.get("scores")), *scores]),
    )


def _attributes(row: JsonObject) -> JsonObject:
    usage = an_object(first(row, "usageDetails", "usage_details")) or an_object(row.get("usage"))
    asked, offered = _without_definitions(_without_media(_arguments(loaded(row.get("input")))))
    request = request_attributes(asked)
    found = {
        **request,
        **answer_attributes(row.get("output")),
        **metadata(row.get("metadata")),
        "llm.model_name": text(first(row, "model", "providedModelName", "provided_model_name")),
        "llm.invocation_parameters": settings_given(first(row, "modelParameters", "model_parameters"))
        or request.get("llm.invocation_parameters"),
        "llm.tools": offered,
        "llm.token_count.prompt": first(usage, "input", "prompt_tokens", "promptTokens", "input_tokens"),
        "llm.token_count.completion": first(usage, "output", "completion_tokens", "completionTokens", "output_tokens"),
        "session.id": text(first(row, "sessionId", "session_id")),
        "user.id": text(first(row, "userId", "user_id")),
        "tag.tags": first(row, "tags", "traceTags"),
        "llm.prompt_template.version": text(first(row, "promptVersion", "prompt_version")),
        "metadata.prompt_name": text(first(row, "promptName", "prompt_name")),
    }
    return filled(found)


def settings_given(value: Any) -> JsonObject:
    """The settings; without OpenAI's defaults, which the SDK's wrapper adds where nothing was given."""
    given = {name: setting for name, setting in an_object(value).items() if setting not in (None, "Infinity", "inf")}
    if given.keys() >= _DEFAULTS.keys():
        return {name: setting for name, setting in given.items() if setting != _DEFAULTS.get(name)}
    return given


def _arguments(asked: Any) -> Any:
    """What a function decorated with `@observe(as_type="generation")` was given: its keywords, or its one argument."""
    if not isinstance(asked, dict) or asked.keys() != {"args", "kwargs"}:
        return asked
    args, named = asked["args"], asked["kwargs"]
    return args[0] if isinstance(args, list) and len(args) == 1 and not named else named or asked


def _without_media(value: Any) -> Any:
    """The same without references to Langfuse's own store of images and sounds, where no other endpoint finds them."""
    if isinstance(value, dict):
        return {key: _without_media(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_media(item) for item in value]
    return "" if isinstance(value, str) and value.startswith("@@@langfuseMedia:") else value


def _without_definitions(asked: Any) -> tuple[Any, list[JsonObject]]:
    """The messages, and the tools that were offered: LangChain's callback writes each as one more `tool` message."""
    if not isinstance(asked, list):
        return asked, []
    offered = [item["content"] for item in asked if _defines_tool(item)]
    return [item for item in asked if not _defines_tool(item)] if offered else asked, offered


def _defines_tool(item: Any) -> bool:
    content = item.get("content") if isinstance(item, dict) and item.get("role") == "tool" else None
    return isinstance(content, dict) and ("function" in content or "input_schema" in content or "parameters" in content)


def _evaluations(scores: Iterable[JsonObject]) -> JsonObject:
    found: JsonObject = {}
    for score in scores:
        value, label = score.get("value"), first(score, "stringValue", "string_value")
        kind = text(first(score, "dataType", "data_type"))
        by_person, explanation = score.get("source") == "ANNOTATION", score.get("comment")
        if kind in ("CATEGORICAL", "TEXT") and label is not None:
            value = text(label)
        elif kind == "BOOLEAN":
            value = bool(value)
        found |= evaluation(score.get("name"), value, explanation=explanation, by_person=by_person)
    return found


OBSERVATIONS = Form(
    "Langfuse observations", lambda r: _is_trace(r) or (_is_observation(r) and _has_context(r)), _spans,
    ("prompt templates",),
)  # fmt: skip
ALONE = Form(
    "Langfuse observations without their traces", _is_observation, _spans, ("sessions", "users", "prompt templates")
)
"""The legacy export and the first version of the API: session and user are in the traces, which are other files."""
