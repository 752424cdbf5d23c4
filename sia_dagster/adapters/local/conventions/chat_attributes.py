"""Messages of other conventions in the form of chat completions, whatever their parts are called."""

import json
from collections.abc import Mapping
from typing import Any

from sia_dagster.adapters.local.forms.span import FormError
from sia_dagster.core.openinference.attributes import EMPTY_TEXTS, load_json, nest
from sia_dagster.core.records.value import JsonObject

_KEPT = ("name", "tool_calls", "tool_call_id", "function_call", "refusal")
"""Keys of a message that stay as they are."""
_CALLS = {"tool_call", "tool_use", "function_call"}
_RESULTS = {"tool_call_response", "tool_result", "function_call_output"}
_THOUGHTS = {"reasoning", "thinking", "redacted_reasoning", "redacted_thinking"}
_IMAGES = {"image", "image_url", "input_image"}
_TEXTS = {"text", "input_text", "output_text"}
_MEDIA = {*_TEXTS, *_IMAGES, "input_audio", "audio", "file", "input_file", "uri", "blob", "document", "video"}
_ROLES = {"system", "developer", "human", "user", "ai", "assistant", "tool"}
_ADDRESS = ("uri", "url", "image", "image_url", "data", "content")
_TYPED = {"text", "json", "error_text", "error_json", "content"}
"""Types of a tool's output in the AI SDK, which holds the output itself in `value`."""


def read_json(value: Any, name: str) -> Any:
    """The value of JSON text, None for an empty one; other values as they are. Raises FormError with the name."""
    try:
        return load_json(value)
    except (ValueError, RecursionError) as error:
        raise FormError(f"{name} is not JSON, or cut off") from error


def text_or_json(value: Any) -> Any:
    """The object or list of JSON text; any other text as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def read_chat(value: Any, name: str, role: str = "user") -> list[JsonObject]:
    """The messages in a list or its JSON text; `role` is that of messages without one.

    Results of tools are messages of their own, in front of the other parts of their message. Thoughts are left out.
    Raises FormError with the attribute's name where there is anything but messages.
    """
    loaded = read_json(value, name)
    items = loaded if isinstance(loaded, list) else [] if loaded is None else [loaded]
    return [message for item in items for message in _messages(item, name, role)]


def read_answer(value: Any, name: str) -> list[JsonObject]:
    """The first choice that holds anything; the others answer the same request again. Raises as `read_chat`."""
    return first_answer(read_chat(value, name, "assistant"))


def first_answer(messages: list[JsonObject]) -> list[JsonObject]:
    """The first message with a text or a tool's call; [] if there is none."""
    return next(([m] for m in messages if m.get("content") or m.get("tool_calls") or m.get("function_call")), [])


def numbered(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """The items in `<prefix>0.<key>`, `<prefix>1.<key>`, ... in their order, or in the list that Phoenix makes of them.

    Raises FormError if one is missing: OpenTelemetry drops attributes of a span that has too many (128 by default).
    """
    if isinstance(listed := attributes.get(prefix.removesuffix(".")), list):
        return [item for item in listed if isinstance(item, dict)]
    flat = {key[len(prefix) :]: value for key, value in attributes.items() if key.startswith(prefix)}
    numbers = sorted({int(number) for key in flat if (number := key.split(".")[0]).isdecimal()})
    if numbers != list(range(len(numbers))):
        raise FormError(f"{prefix}N lacks some numbers: attributes were dropped (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT)")
    items = nest({key: value for key, value in flat.items() if key.split(".")[0].isdecimal()})
    return items if isinstance(items, list) else []


def read_system(value: Any, name: str) -> list[JsonObject]:
    """A system prompt as a message: text, parts, or messages. Raises FormError for JSON that is cut off."""
    is_parts = isinstance(value, str) and value.lstrip().startswith("[{")
    loaded = read_json(value, name) if is_parts else text_or_json(value)
    parts = loaded if isinstance(loaded, list) else [loaded] if loaded else []
    if any(isinstance(part, dict) and "role" in part for part in parts):
        return read_chat(parts, name, "system")
    if not all(isinstance(part, str) or _is_part(part) for part in parts):
        parts = [plain(value)]
    return _with_parts({"role": "system"}, parts) if parts else []


def _messages(item: Any, name: str, role: str) -> list[JsonObject]:
    item = text_or_json(item)
    if isinstance(item, str):
        return [{"role": role, "content": item}] if item not in EMPTY_TEXTS else []
    if not isinstance(item, dict):
        raise FormError(f"{name} holds something else than messages ({type(item).__name__})")
    if not item.get("role"):
        item = _with_role(item, role)
    head = {"role": item["role"], **{key: item[key] for key in _KEPT if item.get(key)}}
    if item["role"] == "tool" and item.get("id"):
        head.setdefault("tool_call_id", item["id"])
    content = item.get("parts") or content_of(item.get("content"))
    return _with_parts(head, content) if isinstance(content, list) else [head | {"content": plain(content)}]


def _with_role(item: JsonObject, role: str) -> JsonObject:
    """A message whose `type` is its role, or a part (of the Responses API, say) that stands among messages."""
    kind = _kind(item)
    if kind in _ROLES:
        return item | {"role": kind}
    if kind in _CALLS | _RESULTS | _MEDIA:
        return {"role": "assistant" if kind in _CALLS else role, "parts": [item]}
    return item | {"role": role}


def content_of(value: Any) -> Any:
    """A message's content; JSON text of a list of parts is that list."""
    loaded = text_or_json(value)
    return loaded if isinstance(loaded, list) and loaded and all(map(_is_part, loaded)) else value


def _is_part(part: Any) -> bool:
    """Whether it surely is a part: a user may write JSON, too."""
    return isinstance(part, dict) and (
        _kind(part) in _CALLS | _RESULTS | _THOUGHTS | _MEDIA
        or (len(part) == 1 and part.keys() <= {"text", "image", "toolUse", "toolResult"})
    )


def _with_parts(head: JsonObject, parts: list[Any]) -> list[JsonObject]:
    """A message for each result of a tool, then one with the texts, media and calls."""
    results, calls, rest = list[JsonObject](), list[Any](head.get("tool_calls") or ()), list[JsonObject]()
    for part in parts:
        if isinstance(part, str):
            rest.append({"type": "text", "text": part})
        elif not isinstance(part, dict):
            raise FormError(f"a message holds a part that is no object ({type(part).__name__})")
        elif call := _call(part):
            calls.append(call)
        elif result := _result(part):
            results.append(result)
        elif part and _kind(part) not in _THOUGHTS:
            rest.append(_media(part))
    if results and not rest and not calls:
        return results
    own = head | {"content": _joined(rest)} | ({"tool_calls": calls} if calls else {})
    return [*results, own]


def _kind(part: JsonObject) -> str:
    return str(part.get("type") or part.get("kind") or "").replace("-", "_").lower()


def _first(part: JsonObject, *names: str) -> Any:
    return next((part[name] for name in names if part.get(name) is not None), None)


def _call(part: JsonObject) -> JsonObject | None:
    use = part.get("toolUse") if isinstance(part.get("toolUse"), dict) else part if _kind(part) in _CALLS else None
    if use is None:
        return None
    arguments, call_id = (
        _first(use, "arguments", "args", "input"),
        _first(use, "call_id", "id", "toolCallId", "toolUseId"),
    )
    function = {"name": _first(use, "name", "toolName") or "", "arguments": plain(arguments) or "{}"}
    return {"id": call_id or "", "type": "function", "function": function}


def _result(part: JsonObject) -> JsonObject | None:
    nested = part.get("toolResult")
    found = nested if isinstance(nested, dict) else part if _kind(part) in _RESULTS else None
    if found is None:
        return None
    call_id = _first(found, "call_id", "tool_use_id", "toolUseId", "toolCallId", "tool_call_id", "id")
    output = _first(found, "response", "result", "output", "content")
    if isinstance(output, dict) and "value" in output and _kind(output) in _TYPED:
        output = output["value"]
    if isinstance(output, list) and output and all(_is_text(part) for part in output):
        output = "\n".join(str(part["text"]) for part in output)
    return {"role": "tool", "content": plain("" if output is None else output), "tool_call_id": call_id or ""}


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and "text" in part and _kind(part) in ("", "text")


def _media(part: JsonObject) -> JsonObject:
    """The part in the wire form of chat completions; one of another kind as it is, which no replay sends."""
    kind = _kind(part)
    if kind in _TEXTS or (not kind and "text" in part):
        return {"type": "text", "text": str(_first(part, "content", "text") or "")}
    media = str(_first(part, "mime_type", "mediaType", "media_type", "mimeType") or part.get("modality") or "")
    if kind in _IMAGES or (media.startswith("image") and not part.get("file_id")):
        return {"type": "image_url", "image_url": _image(part, media)}
    if kind == "file" and part.get("file_id"):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    return part if kind else {"type": "unknown", **part}


def _image(part: JsonObject, media: str) -> JsonObject:
    """The address, as a data address for the bytes in base64; "" where neither is recorded."""
    found = _first(part, *_ADDRESS)
    if isinstance(found, dict) and isinstance(found.get("url"), str):
        return {key: found[key] for key in ("url", "detail") if found.get(key)}
    if not isinstance(found, str):
        return {"url": ""}
    is_address = ":" in found[:12]
    return {"url": found if is_address else f"data:{media if '/' in media else 'image/png'};base64,{found}"}


def _joined(parts: list[JsonObject]) -> Any:
    """One text as it is, none as null."""
    only = parts[0] if len(parts) == 1 else None
    return only["text"] if only and only["type"] == "text" else parts or None


def plain(value: Any) -> Any:
    """The value as text, JSON where it is an object; null stays."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
