"""Maps OpenInference messages and their parts to `Message` and back, in all the shapes that instrumentors write."""

import json
from collections.abc import Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json, nest
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}
"""LangChain's and Gemini's names for the roles of chat completions."""
_TEXT_TYPES = {"text", "input_text", "output_text", "refusal"}
_IMAGE_TYPES = {"image", "input_image", "image_url"}
_WIRE_TYPES = {"input_audio", "file"}
_NO_CONTENT = {"tool_use", "tool_result", "reasoning", "thinking", "redacted_thinking"}
"""Blocks that are tool calls or results of the message, and thoughts, which no endpoint accepts as input."""


def parse_messages(value: Any) -> tuple[Message, ...]:
    """The messages in a column, in order: a list of objects or of JSON texts, JSON text, or flattened attributes.

    Empty entries (no role, no content, no tool call) are left out. Raises ValueError or TypeError for anything else.
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
    """The answer as text: the texts of its messages, one a line, else their tool calls as JSON."""
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
        raise TypeError(f"a message is of type {type(item).__name__}, not an object")
    tree = nest(item)
    body = tree.get("message", tree)
    if not isinstance(body, dict):
        raise TypeError("`message` is not an object with role and content")
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
    """The text, and the parts in wire form if there is more than text."""
    content = body.get("content")
    items = content if isinstance(content, list) else _list(body.get("contents"))
    parts = [part for part in (read_part(item) for item in items) if part]
    texts = [str(part["text"]) for part in parts if part["type"] == "text"]
    plain = None if isinstance(content, list) else _text(content)
    text = plain or ("\n".join(texts) if texts else plain)
    return text or _text(body.get("refusal")) or text, tuple(parts) if len(texts) < len(parts) else ()


def _calls(body: JsonObject) -> tuple[ToolCall, ...]:
    """The tool calls, else the one in `function_call`, which early chat models wrote."""
    if calls := _list(body.get("tool_calls")):
        return tuple(_call(call) for call in calls)
    function = load_json(body.get("function_call")) or {}
    name = body.get("function_call_name") or function.get("name")
    arguments = body.get("function_call_arguments_json") or function.get("arguments")
    return (_call({"name": name, "arguments": arguments or ""}),) if name else ()


def _call(item: Any) -> ToolCall:
    loaded = nest(load_json(item))
    if not isinstance(loaded, dict):
        raise TypeError("a tool call is not an object")
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


def read_part(item: Any) -> JsonObject | None:
    """One part of a multimodal message in the wire form of chat completions; None if it is no content.

    A part of another kind (a document, a video) is kept as it is: a chat endpoint cannot take it, and dropping it
    silently would ask another question than the user did. An image without an address gets the address "".
    """
    body = {"text": item} if isinstance(item, str) else item.get("message_content", item)
    kind = body.get("type") or ("text" if "text" in body else "image" if "image" in body else "")
    if kind in _TEXT_TYPES:
        return {"type": "text", "text": str(body.get("text") or body.get("refusal") or "")}
    if kind in _IMAGE_TYPES:
        return {"type": "image_url", "image_url": _image(body)}
    if kind == "input_file":
        named = {key: body[key] for key in ("file_id", "filename", "file_data", "file_url") if body.get(key)}
        return {"type": "file", "file": named}
    if not body or kind in _NO_CONTENT:
        return None
    return dict(body) if kind in _WIRE_TYPES else {"type": kind or "unknown"} | body


def part_attributes(part: JsonObject) -> JsonObject:
    """The part as an OpenInference item; `read_part` gives it back."""
    if part["type"] == "text":
        return {"message_content.type": "text", "message_content.text": part["text"]}
    if part["type"] == "image_url" and part["image_url"].keys() == {"url"}:
        address = part["image_url"]["url"]
        image = {"message_content.image": {"image.url": address}} if address else {}
        return {"message_content.type": "image"} | image
    return {f"message_content.{key}": value for key, value in part.items()}


def _image(body: JsonObject) -> JsonObject:
    """`{"url": ...}`, with the requested detail if it is known."""
    found = body.get("image_url") or body.get("image")
    detail = body.get("detail") or (found.get("detail") if isinstance(found, dict) else None)
    url = _address(found) or _source(body.get("source"))
    return {"url": url, "detail": str(detail)} if detail else {"url": url}


def _address(image: Any) -> str:
    """The address in `{"image": {"url": ...}}`, `{"url": ...}` or the text itself."""
    while isinstance(image, dict):
        image = image.get("image") or image.get("url")
    return image if isinstance(image, str) else json.dumps(image) if image else ""


def _source(source: Any) -> str:
    """Anthropic's image source as an address."""
    if not isinstance(source, dict):
        return ""
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return str(source.get("url") or "")
