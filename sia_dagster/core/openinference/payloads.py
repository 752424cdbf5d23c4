"""Raw requests and responses (`input.value`, `output.value`): the fallback where a span has no messages."""

import json
from collections.abc import Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.blocks import with_blocks
from sia_dagster.core.openinference.messages import answer_text, parse_messages
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject


def load_request(value: Any) -> Any:
    """The raw request behind `input.value`; None where it is no JSON."""
    try:
        return load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def request_messages(value: Any) -> tuple[Message, ...]:
    """The chat in a raw request: chat completions, Responses, Anthropic, Bedrock or a prompt; plain text is the user's.

    Raises ValueError for messages that cannot be read.
    """
    request = _loaded(value)
    if isinstance(request, list):
        return parse_messages(_items(request))
    if not isinstance(request, dict):
        return _said("user", request)
    system = request.get("system") or request.get("instructions")
    for key in ("messages", "input", "prompt"):
        if body := request.get(key):
            chat = _said("user", body) if isinstance(body, str) else parse_messages(_items(body))
            return _said("system", _joined(system)) + chat
    return ()


def response_text(value: Any) -> str:
    """What a raw response says: the first choice's answer; text that is no known response is the answer itself."""
    response = _loaded(value)
    if not isinstance(response, dict):
        return "" if response is None else response if isinstance(response, str) else str(value)
    messages = _response_messages(response)
    return answer_text(messages) if messages is not None else str(value)


def _response_messages(response: JsonObject) -> tuple[Message, ...] | None:
    """The answer's messages; None for an object that is no response of a known API, () for one that says nothing."""
    if choices := response.get("choices"):
        first = choices[0]
        return parse_messages([first["message"]]) if "message" in first else _said("assistant", first.get("text"))
    if "output" in response:
        output = response["output"]
        return _said("assistant", output) if isinstance(output, str) else _items_said(output)
    if isinstance(response.get("content"), list):
        return parse_messages(with_blocks({"role": "assistant", "content": response["content"]}))
    if generations := response.get("generations"):
        first = generations[0][0] if isinstance(generations[0], list) else generations[0]
        return _said("assistant", first.get("text"))
    return None


def _items_said(items: Sequence[Any]) -> tuple[Message, ...]:
    """Items of the Responses API: messages and function calls; reasoning and the like say nothing."""
    calls = tuple(
        ToolCall(id=str(i.get("call_id", "")), name=str(i.get("name", "")), arguments=str(i.get("arguments", "")))
        for i in items
        if i.get("type") == "function_call"
    )
    said = parse_messages([i for i in items if i.get("type", "message") == "message"])
    return (*said, Message(role="assistant", tool_calls=calls)) if calls else said


def _items(body: Any) -> list[Any]:
    """Items of a request as chat messages: a function's call and its output are messages of their own there."""
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


def _loaded(value: Any) -> Any:
    """The value behind JSON text; text that is no JSON stays text."""
    try:
        return load_json(value)
    except ValueError:
        return value


def _said(role: str, text: Any) -> tuple[Message, ...]:
    return (Message(role=role, content=text if isinstance(text, str) else json.dumps(text)),) if text else ()


def _joined(system: Any) -> str:
    """Anthropic's system prompt is text or a list of text blocks."""
    return system if isinstance(system, str) else answer_text(parse_messages([{"content": system}])) if system else ""
