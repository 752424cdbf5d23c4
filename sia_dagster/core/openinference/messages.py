"""OpenInference messages to `Message` and back, in all the shapes that instrumentors write."""

import json
from collections.abc import Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json, nest
from sia_dagster.core.openinference.parts import part_attributes, read_part
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}
"""LangChain's and Gemini's words for the roles of chat completions."""


def parse_messages(value: Any) -> tuple[Message, ...]:
    """The messages in a column, in order: a list of objects or of JSON texts, JSON text, or flattened attributes.

    Entries that say nothing (no role, no content, no tool call) leave. Raises ValueError or TypeError for what is
    none of these.
    """
    loaded = load_json(value)
    if isinstance(loaded, dict):
        loaded = nest(loaded)
    items = loaded if isinstance(loaded, list) else [] if loaded is None else [loaded]
    parsed = (_message(load_json(item)) for item in items)
    return tuple(message for message in parsed if message is not None)


def tool_calls_text(calls: Sequence[ToolCall]) -> str:
    """Tool calls as JSON text, for evaluators and readers of an answer that has no other content."""
    return json.dumps([{"name": c.name, "arguments": c.arguments} for c in calls], ensure_ascii=False)


def answer_text(messages: Sequence[Message]) -> str:
    """What the answer says: the texts of its messages, one below the other, else their tool calls as JSON."""
    texts = [m.content for m in messages if m.content]
    calls = [call for m in messages for call in m.tool_calls]
    return "\n".join(texts) or (tool_calls_text(calls) if calls else "")


def message_attributes(message: Message) -> JsonObject:
    """The message as an OpenInference item (`message.role`, `message.content`, ...)."""
    item: JsonObject = {
        "message.role": message.role,
        "message.content": None if message.parts else message.content,
        "message.contents": [part_attributes(part) for part in message.parts],
        "message.tool_calls": [_call_attributes(call) for call in message.tool_calls],
        "message.tool_call_id": message.tool_call_id,
        "message.name": message.name,
    }
    return {key: value for key, value in item.items() if value not in (None, [])}


def _message(item: Any) -> Message | None:
    if item is None:
        return None
    if not isinstance(item, dict):
        raise TypeError(f"a message is {type(item).__name__}, not an object")
    tree = nest(item)
    body = tree.get("message", tree)
    if not isinstance(body, dict):
        raise TypeError("`message` holds no role and content")
    content, parts = _content(body)
    calls = _calls(body)
    role = str(body.get("role") or "").lower()
    if not (role or content or calls):
        return None
    return Message(
        role=_ROLES.get(role, role or "user"),
        content=content,
        parts=parts,
        tool_calls=calls,
        tool_call_id=_text(body.get("tool_call_id")),
        name=_text(body.get("name")),
    )


def _content(body: JsonObject) -> tuple[str | None, tuple[JsonObject, ...]]:
    """The text, and the wire parts where there is more than text."""
    content = body.get("content")
    items = content if isinstance(content, list) else _list(body.get("contents"))
    parts = [part for part in (read_part(item) for item in items) if part]
    texts = [str(part["text"]) for part in parts if part["type"] == "text"]
    plain = None if isinstance(content, list) else _text(content)
    said = plain or ("\n".join(texts) if texts else plain)
    return said or _text(body.get("refusal")) or said, tuple(parts) if len(texts) < len(parts) else ()


def _calls(body: JsonObject) -> tuple[ToolCall, ...]:
    """The tool calls; else the one in `function_call`, as the first chat models wrote it."""
    if calls := _list(body.get("tool_calls")):
        return tuple(_call(call) for call in calls)
    function = load_json(body.get("function_call")) or {}
    name = body.get("function_call_name") or function.get("name")
    arguments = body.get("function_call_arguments_json") or function.get("arguments")
    return (_call({"name": name, "arguments": arguments or ""}),) if name else ()


def _call(item: Any) -> ToolCall:
    loaded = nest(load_json(item))
    if not isinstance(loaded, dict):
        raise TypeError("a tool call is no object")
    body = loaded.get("tool_call", loaded)
    function = body.get("function", body)
    arguments = function.get("arguments", "")
    return ToolCall(
        id=str(body.get("id", "")),
        name=str(function.get("name", "")),
        arguments=arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False),
    )


def _call_attributes(call: ToolCall) -> JsonObject:
    return {
        "tool_call.id": call.id,
        "tool_call.function.name": call.name,
        "tool_call.function.arguments": call.arguments,
    }


def _list(value: Any) -> list[Any]:
    loaded = load_json(value)
    return loaded if isinstance(loaded, list) else [] if loaded is None else [loaded]


def _text(value: Any) -> str | None:
    """The value as text; JSON where it is an object."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
