"""Maps OpenInference messages and their parts to `Message` and back, in all the shapes that instrumentors write."""

import json
import re
from collections.abc import Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json, nest
from sia_dagster.core.openinference.roles import read_role, role_of_type
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject

_TEXT_TYPES = {"text", "input_text", "output_text", "refusal"}
_IMAGE_TYPES = {"image", "input_image", "image_url"}
_WIRE_TYPES = {"input_audio", "file"}
_NO_CONTENT = {"tool_use", "tool_result", "tool-call", "tool-result", "reasoning", "thinking", "redacted_thinking"}
"""Blocks that are tool calls or results of the message, and thoughts, which no endpoint accepts as input."""
_PART_KINDS = (*_TEXT_TYPES, *_IMAGE_TYPES, *_WIRE_TYPES, *_NO_CONTENT, "input_file", "document")
_PARTS_AS_TEXT = re.compile(r"""\s*(?:\[\s*)?(?:\{\s*["']|\w{0,30}(?:Block|Part|Content)\w{0,20}\()""")
_MAY_BE_JSON = frozenset("[{ \n\t\r")
_NO_WIDTH = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
_SHORT = 100
_OF_NOTHING = frozenset(("[object Object]", "undefined", "nan", "NaN"))
"""What JavaScript and pandas print for an object and for no text."""
_VISIBLE = re.compile(rf"[^\s\x00-\x1f{_NO_WIDTH}]")


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
    """The answer as text: the texts of its messages, one a line, else their tool calls as JSON.

    A text of white space alone is none.
    """
    texts = [m.content for m in messages if m.content and not is_blank(m.content)]
    calls = [call for m in messages for call in m.tool_calls]
    return "\n".join(texts) or (tool_calls_text(calls) if calls else "")


def is_blank(text: str | None) -> bool:
    """Whether there is nothing to read: white space, characters of no width, or what is printed in place of no text."""
    return not text or _VISIBLE.search(text) is None or (len(text) < _SHORT and text.strip() in _OF_NOTHING)


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
    body = _unserialised(body)
    content, parts = _content(body)
    calls = _calls(body)
    role = read_role(body.get("role")) or role_of_type(body.get("type"))
    if not (role or content or calls):
        return None
    return Message(
        role=role or "user",
        content=content,
        parts=parts,
        tool_calls=calls,
        tool_call_id=_text(body.get("tool_call_id")),
        name=_text(body.get("name")),
    )


def _unserialised(body: JsonObject) -> JsonObject:
    """The fields of a message that LangChain serialised (`lc`, `kwargs` or `type`, `data`); another one as it is."""
    if isinstance(fields := body.get("kwargs"), dict) and isinstance(names := body.get("id"), list) and names:
        body = {"type": names[-1]} | fields
    elif isinstance(fields := body.get("data"), dict) and role_of_type(body.get("type")):
        body = fields | {"type": body["type"]}
    more = body.get("additional_kwargs")
    if isinstance(more, dict) and more and not body.get("tool_calls"):
        return {key: more[key] for key in ("tool_calls", "function_call") if more.get(key)} | body
    return body


def text_of_parts(text: str) -> list[Any] | None:
    """The parts whose JSON, or Python's print of them, was recorded as the text; None for any other text."""
    if not (_PARTS_AS_TEXT.match(text) and "type" in text and "text" in text):
        return None
    try:
        loaded = load_json(text)
    except (ValueError, RecursionError):
        return None
    return _only_parts(loaded if isinstance(loaded, list) else [loaded])


def _only_parts(items: list[Any]) -> list[Any] | None:
    """The items if all are parts and one at least is text, each with its text."""
    parts = [item for item in items if isinstance(item, dict) and item.get("type") in _PART_KINDS]
    texts = [part.get("text") for part in parts if part["type"] == "text"]
    whole = len(parts) == len(items) and bool(texts) and all(isinstance(text, str) for text in texts)
    return items if whole else None


def _content(body: JsonObject) -> tuple[str | None, tuple[JsonObject, ...]]:
    """The text, and the parts in wire form if there is more than text."""
    content = body.get("content")
    if isinstance(content, str) and content[:1] in _MAY_BE_JSON:
        content = text_of_parts(content) or content
    elif isinstance(content, dict):
        content = _only_parts([content]) or content
    items = content if isinstance(content, list) else _list(body.get("contents") or _other_parts(body, content))
    parts = [part for part in (read_part(item) for item in items) if part]
    texts = [str(part["text"]) for part in parts if part["type"] == "text"]
    plain = None if isinstance(content, list) else _text(content)
    text = plain or ("\n".join(texts) if texts else plain)
    return text or _text(body.get("refusal")) or text, tuple(parts) if len(texts) < len(parts) else ()


def _other_parts(body: JsonObject, content: Any) -> Any:
    """The parts where they have another name: Gemini's and Vercel's `parts`, LlamaIndex's `blocks`."""
    return None if content else body.get("parts") or body.get("blocks")


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
    arguments = function.get("arguments", function.get("args", ""))
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
    if body.get("thought") is True:
        return None
    if isinstance(inline := body.get("inlineData") or body.get("inline_data"), dict):
        body = {"type": "image", "source": inline | {"type": "base64"}}
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
        kind = source.get("media_type") or source.get("mime_type") or source.get("mimeType")
        return f"data:{kind};base64,{source.get('data')}"
    return str(source.get("url") or "")
