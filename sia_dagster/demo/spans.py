"""Spans of the simulated application with the columns and types of Arize's Parquet export."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.demo.application import answer
from sia_dagster.demo.simulation_rules import draw
from sia_dagster.demo.wire import Reply, completion

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
"""One pixel."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = (
    "context.trace_id", "context.span_id", "parent_id", "name", "status_code", "status_message",
    "attributes.openinference.span.kind", "attributes.session.id", "attributes.user.id", "attributes.metadata",
    "attributes.llm.model_name", "attributes.llm.provider", "attributes.llm.system",
    "attributes.llm.invocation_parameters", "attributes.llm.prompt_template.template",
    "attributes.llm.prompt_template.variables", "attributes.input.value", "attributes.input.mime_type",
    "attributes.output.value", "attributes.output.mime_type", "attributes.exception.type",
    "attributes.exception.message",
)  # fmt: skip
_LISTS = ("attributes.llm.input_messages", "attributes.llm.output_messages", "attributes.retrieval.documents", "events")
_PARTS = ("prompt", "completion", "total")
_COUNTS = tuple(f"attributes.llm.token_count.{part}" for part in _PARTS)
SCHEMA = pa.schema(
    [("start_time", pa.int64()), ("end_time", pa.int64()), ("latency_ms", pa.float64())]
    + [(name, pa.string()) for name in _TEXTS]
    + [(name, pa.list_(pa.string())) for name in _LISTS]
    + [(name, pa.int64()) for name in _COUNTS]
)
"""Times are nanoseconds since 1970; messages are lists of JSON texts; what a span does not have is null."""


class SimulatedCall(Value):
    """One call of the application: a span of kind LLM."""

    session: str
    user: str
    trace: str
    span: str
    start: datetime
    history: tuple[Message, ...]
    fails: bool = False
    """Whether the endpoint dropped the connection: a span with an error and no output."""


def llm_span(call: SimulatedCall, policy: Actions) -> tuple[JsonObject, str]:
    """The span of `call` under `policy`, and the answer that it records (empty for one that failed)."""
    messages = policy.messages(None, call.history)
    text = "" if call.fails else answer(messages)
    parameters = {"model": policy.model, **policy.parameters}
    row = _common(call, "ChatCompletion", "LLM", call.span) | {
        "attributes.llm.model_name": policy.model,
        "attributes.llm.provider": "simulated",
        "attributes.llm.system": "openai",
        "attributes.llm.invocation_parameters": _json(parameters),
        "attributes.llm.input_messages": [_json(_item(m)) for m in messages],
        "attributes.input.value": _json({"messages": messages, **parameters}),
        "attributes.input.mime_type": "application/json",
    }
    return row | (_failure() if call.fails else _answered(policy.model, messages, text)), text


def surrounding_spans(call: SimulatedCall, policy: Actions) -> list[JsonObject]:
    """The other spans of the trace of `call`: the request's CHAIN and the look-up of the order."""
    request = call.history[-1].content or ""
    chain = _common(call, "message_desk.handle", "CHAIN", _span_id(call, "chain")) | {
        "parent_id": None,
        "attributes.input.value": request,
        "attributes.input.mime_type": "text/plain",
    }
    document = {"document.id": "orders", "document.content": f"{len(request)} characters matched one order."}
    lookup = _common(call, "orders.find", "RETRIEVER", _span_id(call, "lookup")) | {
        "attributes.retrieval.documents": [_json(document)],
        "attributes.metadata": _json({"policy": policy.fingerprint}),
    }
    return [chain, lookup]


def message_with_picture(text: str) -> Message:
    """A user's message that carries a picture beside its text."""
    parts: tuple[JsonObject, ...] = (
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    )
    return Message(role="user", content=text, parts=parts)


def table(rows: Sequence[JsonObject]) -> pa.Table:
    """`rows` as a table of the export's schema, in the order given."""
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)


def _common(call: SimulatedCall, name: str, kind: str, span: str) -> JsonObject:
    latency = 180 + round(draw(span, "latency") * 1500)
    return {
        "context.trace_id": call.trace,
        "context.span_id": span,
        "parent_id": _span_id(call, "chain"),
        "name": name,
        "status_code": "OK",
        "status_message": "",
        "start_time": _nanoseconds(call.start),
        "end_time": _nanoseconds(call.start + timedelta(milliseconds=latency)),
        "latency_ms": float(latency),
        "attributes.openinference.span.kind": kind,
        "attributes.session.id": call.session,
        "attributes.user.id": call.user,
    }


def _answered(model: str, messages: Sequence[JsonObject], text: str) -> JsonObject:
    body = completion(model, messages, Reply(text=text))
    counts = {f"attributes.llm.token_count.{part}": body["usage"][f"{part}_tokens"] for part in _PARTS}
    return counts | {
        "attributes.llm.output_messages": [_json({"message.role": "assistant", "message.content": text})],
        "attributes.output.value": _json(body),
        "attributes.output.mime_type": "application/json",
    }


def _failure() -> JsonObject:
    event = {"name": "exception", "attributes": {"exception.type": "APIConnectionError"}}
    return {
        "status_code": "ERROR",
        "status_message": "APIConnectionError: Connection error.",
        "attributes.exception.type": "APIConnectionError",
        "attributes.exception.message": "Connection error.",
        "events": [_json(event)],
    }


def _item(message: JsonObject) -> JsonObject:
    """A wire message as OpenInference records it."""
    content = message["content"]
    if isinstance(content, str):
        return {"message.role": message["role"], "message.content": content}
    return {"message.role": message["role"], "message.contents": [_part(part) for part in content]}


def _part(part: JsonObject) -> JsonObject:
    if part["type"] == "text":
        return {"message_content.type": "text", "message_content.text": part["text"]}
    return {"message_content.type": "image", "message_content.image": {"image.url": part["image_url"]["url"]}}


def _span_id(call: SimulatedCall, name: str) -> str:
    return hashlib.sha256(f"{call.span}/{name}".encode()).hexdigest()[:16]


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
