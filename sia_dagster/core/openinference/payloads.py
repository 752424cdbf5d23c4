"""Reads raw requests (`input.value`), the fallback for spans without messages."""

import json
import re
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.blocks import with_blocks
from sia_dagster.core.openinference.messages import answer_text, parse_messages
from sia_dagster.core.records.sample import Message
from sia_dagster.core.records.value import JsonObject

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction", "preamble")
_CHAT = ("messages", "input", "contents", "prompt", "prompts", "inputText")
_WRAPPED = ("kwargs", "body", "request", "json_data", "inputs")
"""What hand-written instrumentation records around a request."""
_BROKEN = re.compile(
    r"""\s*(?:[\[{]\s*){1,3}["'](?:[^"']{0,40}["']\s*:.{0,2000}?["'])?"""
    r"""(?:messages|contents?|prompts?|input|role|message|parts|choices|candidates|generations|output|lc)["']\s*:""",
    re.DOTALL,
)


def load_request(value: Any) -> Any:
    """The raw request in `input.value`; None if it is not JSON."""
    try:
        return load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def request_messages(value: Any) -> tuple[Message, ...]:
    """The chat of a raw request of any of the APIs in docs/span_shapes.md; plain text is the user's.

    Raises ValueError for messages that cannot be read, and for several chats in one request.
    """
    request = load_payload(value)
    if isinstance(request, list):
        return parse_messages(_items(_one_chat(request)))
    if not isinstance(request, dict):
        return _message("user", request)
    for key in _CHAT:
        if isinstance(body := request.get(key), dict) and any(body.get(name) for name in _CHAT):
            return request_messages(body)
        if body:
            return _message("system", _system(request)) + _chat(_one_chat(body))
    if isinstance(said := request.get("message"), str) and said:
        return _message("system", _system(request)) + _cohere(request.get("chat_history")) + _message("user", said)
    inner = next((request[key] for key in _WRAPPED if isinstance(request.get(key), dict)), None)
    return request_messages(inner) if inner else ()


def load_payload(value: Any) -> Any:
    """The value of JSON text, or of what Python printed; other text is returned unchanged.

    Raises ValueError for text that is the beginning of a request or response of a model, and is cut.
    """
    try:
        return load_json(value)
    except ValueError:
        if _BROKEN.match(value):
            raise
        return value


def _one_chat(body: Any) -> Any:
    """The chat of a batch of one, as LangChain writes every call."""
    if not (isinstance(body, list) and body and isinstance(body[0], list)):
        return body
    if len(body) > 1:
        raise ValueError(f"the request holds {len(body)} chats, and one answer belongs to one of them")
    return body[0]


def _chat(body: Any) -> tuple[Message, ...]:
    if isinstance(body, list) and all(isinstance(item, str) for item in body):
        if len(body) > 1:
            raise ValueError(f"the request holds {len(body)} prompts, and one answer belongs to one of them")
        return _message("user", body[0])
    return _message("user", body) if isinstance(body, str) else parse_messages(_items(body))


def _cohere(history: Any) -> tuple[Message, ...]:
    """Cohere's `chat_history`, whose messages have their text in `message`."""
    turns = history if isinstance(history, list) else []
    return parse_messages([{"role": t.get("role"), "content": t.get("message") or t.get("content")} for t in turns])


def _items(body: Any) -> list[Any]:
    """A request's items as chat messages; function calls and their outputs are items of their own there."""
    items = body if isinstance(body, list) else [body]
    return [message for item in items for message in _item(item)]


def _item(item: Any) -> list[Any]:
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        return [{"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": function}]}]
    if kind == "function_call_output":
        return [{"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")}]
    return with_blocks(item) if isinstance(item, dict) else [item]


def _message(role: str, text: Any) -> tuple[Message, ...]:
    return (Message(role=role, content=text if isinstance(text, str) else json.dumps(text)),) if text else ()


def _system(request: JsonObject) -> str:
    """The system prompt that stands beside the chat: text, a list of text blocks, or Gemini's object with parts."""
    config = request.get("config") if isinstance(request.get("config"), dict) else {}
    system: Any = next((found for key in _SYSTEM if (found := request.get(key) or (config or {}).get(key))), "")
    if isinstance(system, str):
        return system
    return answer_text(parse_messages([system if isinstance(system, dict) else {"content": system}]))
