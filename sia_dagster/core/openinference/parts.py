"""The parts of a multimodal message, from all shapes that instrumentors and raw requests write, in wire form."""

import json
from typing import Any

from sia_dagster.core.records.value import JsonObject

_TEXT_TYPES = {"text", "input_text", "output_text", "refusal"}
_IMAGE_TYPES = {"image", "input_image", "image_url"}
_WIRE_TYPES = {"input_audio", "file"}
_SAID_ELSEWHERE = {"tool_use", "tool_result", "reasoning", "thinking", "redacted_thinking"}
"""Blocks that stand beside the message as tool calls and results, and thoughts, which no chat takes back."""


def read_part(item: Any) -> JsonObject | None:
    """One part in the wire form of chat completions; None for what is no content.

    A part of another kind (a document, a video) stays as it was found: it is not for a chat endpoint, and to leave it
    out without a word would ask another question than the user did. An image without an address has the address "".
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
    if not body or kind in _SAID_ELSEWHERE:
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
    """`{"url": ...}`, with the detail that was asked for where it is known."""
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
