"""Logs of an application's own: a chat with its answer, a request with its response, or an input with its output.

`{"messages": [...], "model": ..., "created": ...}`: the last assistant message is the answer, what precedes it the
request, unless the answer has a field of its own. `{"request": {...}, "response": {...}, "timestamp": ...}`: a
provider's API as it was called (OpenAI, Anthropic, Gemini, Bedrock), kept raw. Such logs have no ids that are unique
beyond a file: the span's id is the record's own if it is long, else one with a hash of the content, so that the same
record read twice, or from two files, is one call. A record without a time belongs to no window and is not read.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sia_dagster.adapters.local.forms.chat import answer_attributes, chat_messages, request_attributes, request_settings
from sia_dagster.adapters.local.forms.fields import an_object, filled, first, loaded, metadata, spans_of, text
from sia_dagster.adapters.local.forms.span import Form, FormError, Span
from sia_dagster.adapters.local.unknown import is_known
from sia_dagster.core.openinference.messages import parse_messages
from sia_dagster.core.openinference.responses import is_error
from sia_dagster.core.records.value import JsonObject

_TIMES = (
    *("created", "created_at", "createdAt", "timestamp", "time", "ts", "datetime", "date", "@timestamp"),
    *("start_time", "startTime", "started_at", "startedAt", "request_time", "request_created_at", "logging_time"),
    *("logged_at", "created_time", "createdTime"),
)
_ENDS = ("end_time", "endTime", "ended_at", "endedAt", "finished_at", "response_created_at")
_IDS = ("id", "request_id", "requestId", "uuid", "_id", "log_id", "call_id", "span_id")
_SESSIONS = (
    *("session_id", "sessionId", "conversation_id", "conversationId", "thread_id", "threadId", "chat_id", "chatId"),
    *("session", "Helicone-Session-Id"),
)
_USERS = ("user_id", "userId", "user", "end_user", "request_user_id", "customer_id")
_MODELS = ("model", "model_name", "modelName", "model_id", "modelId", "engine", "deployment", "request_model")
_SETTINGS = ("parameters", "params", "model_parameters", "modelParameters", "settings", "invocation_params")
_REQUESTS = ("request", "request_body", "requestBody", "full_request", "raw_request")
_RESPONSES = ("response", "response_body", "responseBody", "full_response", "raw_response")
_ANSWERS = (
    *("response", "completion", "output", "answer", "reply", "generation", "output_text", "response_text"),
    *("responses", "result"),
)
_BARE_ANSWERS = ("choices", "candidates", "content", "generations")
"""Fields of a response that is not wrapped: the record is request and response in one."""
_SHORTEST_ID = 16
"""Characters of an id that is taken to be unique beyond its file; shorter ones are numbers of rows."""
_TUNING = {"messages", "tools", "functions", "parallel_tool_calls", "weight", "prompt", "completion"}
"""Keys of files for fine-tuning, which are no calls."""
_SPANS = {
    *("type", "kind", "span_id", "spanId", "parent_id", "parentId", "parent_span_id", "parentSpanId"),
    *("parent_observation_id", "parentObservationId", "parent_run_id"),
}
"""Keys of a span of some tool, whose `input` and `output` need not be a model's."""
_NO_TIME = "it has no time, so it belongs to no window: add `created` (seconds since 1970, or ISO 8601) to each record"


class _Call(NamedTuple):
    """What was asked, and what was answered."""

    asked: Any
    answered: Any


def _is_pair(record: JsonObject) -> bool:
    asked = first(record, *_REQUESTS)
    is_object = isinstance(asked, dict) or (isinstance(asked, str) and asked.lstrip()[:1] == "{")
    return is_object and any(record.get(name) for name in _RESPONSES) and not is_known(record)


def _is_invocation(record: JsonObject) -> bool:
    return record.get("schemaType") == "ModelInvocationLog" and isinstance(record.get("input"), dict)


def _is_chat_log(record: JsonObject) -> bool:
    if record.keys() <= _TUNING or is_known(record):
        return False
    if _is_list(record.get("messages")) or _is_list(record.get("contents")):
        return True
    is_plain = _SPANS.isdisjoint(record) and _time(record) is not None
    asked = "prompt" in record or "question" in record or ("input" in record and is_plain)
    return asked and any(name in record for name in _ANSWERS)


def _is_list(value: Any) -> bool:
    """Whether it is a list of objects, or the JSON text of one, which is not parsed here."""
    if isinstance(value, str):
        return value.lstrip()[:1] == "["
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _pairs(record: JsonObject) -> Iterable[Span | FormError]:
    asked = _body(loaded(first(record, *_REQUESTS)))
    return spans_of([record], lambda row: _span(row, _Call(asked, _body(loaded(first(row, *_RESPONSES))))))


def _invocations(record: JsonObject) -> Iterable[Span | FormError]:
    """Bedrock's log of invocations, where bodies that are too long are files of their own."""
    asked, answered = an_object(record.get("input")), an_object(record.get("output"))
    body = an_object(asked.get("inputBodyJson"))
    if not body:
        raise FormError("its request is not in the log: Bedrock writes long ones to a file of their own (`data/`)")
    counts = {
        "usage": {"input_tokens": asked.get("inputTokenCount"), "output_tokens": answered.get("outputTokenCount")}
    }
    return spans_of([record | counts], lambda row: _span(row, _Call(body, answered.get("outputBodyJson"))))


def _logs(record: JsonObject) -> Iterable[Span | FormError]:
    return spans_of([record], lambda row: _span(row, _chat(row)))


def _body(value: Any) -> Any:
    """A gateway's `{"body": ..., "headers": ...}` as the body."""
    return loaded(value["body"]) if isinstance(value, dict) and value.get("body") else value


def _chat(record: JsonObject) -> _Call:
    """The call in a record that is its own request. Raises FormError if there is no answer."""
    listed = loaded(record.get("messages"))
    answer = next((record[name] for name in _ANSWERS if record.get(name) not in (None, "", [], {})), None)
    if answer is None:
        bare = {name: record[name] for name in _BARE_ANSWERS if record.get(name)}
        answer = bare or None
    if not isinstance(listed, list):
        asked = first(record, "prompt", "question", "input")
        asked = asked if asked is not None else {k: record[k] for k in _GEMINI if record.get(k)}
        return _Call(asked, answer)
    chat = chat_messages(listed)
    if not chat or not all(isinstance(item, dict) for item in chat):
        raise FormError("its `messages` are not all messages with a role and a content")
    is_answered = {message.role for message in parse_messages(chat[-1:])} == {"assistant"}
    request = {name: record[name] for name in ("system", "tools", "functions", "response_format") if record.get(name)}
    if answer is not None:
        # Some logs append the answer to the chat, too.
        is_repeated = is_answered and _dumped(chat[-1].get("content")) in _dumped(answer)
        return _Call({"messages": chat[:-1] if is_repeated else chat} | request, answer)
    if not is_answered:
        raise FormError("its last message is not the model's, and no other field holds an answer")
    return _Call({"messages": chat[:-1]} | request, chat[-1])


_GEMINI = ("contents", "systemInstruction", "system_instruction", "generationConfig", "tools")


def _span(record: JsonObject, call: _Call) -> Span:
    start = _time(record)
    if start is None:
        start = _time(call.answered) if isinstance(call.answered, dict) else None
    if start is None:
        raise FormError(_NO_TIME)
    return Span(
        span_id=_id(record, call.answered),
        trace_id=text(first(record, "trace_id", "traceId")),
        parent_id=text(first(record, "parent_id", "parentId", "parent_span_id")),
        name=text(record.get("name")),
        start=start,
        end=first(record, *_ENDS),
        status="ERROR" if _is_failed(record, call.answered) else "OK",
        kind="LLM",
        attributes=_attributes(record, call),
        columns=record,
    )


def _attributes(record: JsonObject, call: _Call) -> JsonObject:
    request = request_attributes(call.asked)
    answered = call.answered if isinstance(call.answered, dict) else {}
    asked = call.asked if isinstance(call.asked, dict) else {}
    more = an_object(record.get("metadata")) | an_object(record.get("request_properties"))
    usage = (
        an_object(record.get("usage")) or an_object(answered.get("usage")) or an_object(answered.get("usageMetadata"))
    )
    settings = next((an_object(record[name]) for name in _SETTINGS if record.get(name)), {})
    found = {
        **request,
        **answer_attributes(call.answered),
        **metadata(more),
        "llm.model_name": text(first(record, *_MODELS) or first(asked, *_MODELS) or first(answered, *_MODELS)),
        "llm.invocation_parameters": settings
        or request.get("llm.invocation_parameters")
        or request_settings({name: record[name] for name in _OWN_SETTINGS if name in record}),
        "llm.token_count.prompt": first(record, "prompt_tokens", "input_tokens") or first(usage, *_PROMPT_TOKENS),
        "llm.token_count.completion": first(record, "completion_tokens", "output_tokens")
        or first(usage, *_COMPLETION_TOKENS),
        "session.id": text(first(record, *_SESSIONS) or first(more, *_SESSIONS)),
        "user.id": text(first(record, *_USERS) or first(more, *_USERS)),
        "tag.tags": loaded(record.get("tags")),
    }
    return filled(found)


_OWN_SETTINGS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "response_format")
_PROMPT_TOKENS = ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "input")
_COMPLETION_TOKENS = ("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "output")


def _time(record: JsonObject) -> Any:
    return next((record[name] for name in _TIMES if record.get(name) not in (None, "", 0, "0")), None)


def _is_failed(record: JsonObject, answered: Any) -> bool:
    if isinstance(answered, dict) and is_error(answered):
        return True
    code = first(record, "status_code", "response_status", "statusCode")
    is_refused = isinstance(code, int) and not isinstance(code, bool) and code >= 400
    word = text(record.get("status")).lower()
    return is_refused or bool(record.get("error")) or word in ("error", "failed", "failure")


def _id(record: JsonObject, answered: Any) -> str:
    own = text(first(record, *_IDS) or (answered.get("id") if isinstance(answered, dict) else None))
    if len(own) >= _SHORTEST_ID:
        return own
    digest = hashlib.sha256(_dumped(record).encode("utf-8", "replace")).hexdigest()[:32]
    return f"{own}-{digest}" if own else digest


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


PAIRS = Form("requests and responses", _is_pair, _pairs, ("prompt templates",))
INVOCATIONS = Form("Bedrock's invocation log", _is_invocation, _invocations, ("sessions", "users", "prompt templates"))
LOG = Form("chat log", _is_chat_log, _logs, ("prompt templates",))
