"""Reads raw requests and responses (`input.value`, `output.value`), the fallback for spans without messages."""

import json
from collections.abc import Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.messages import answer_text, parse_messages
from sia_dagster.core.records.sample import Message, ToolCall
from sia_dagster.core.records.value import JsonObject


def load_request(value: Any) -> Any:
    """The raw request in `input.value`; None if it is not JSON."""
    try:
        return load_json(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def request_messages(value: Any) -> tuple[Message, ...]:
    """The chat of a raw request: chat completions, Responses, Anthropic, Bedrock or a prompt; plain text is the user's.

    Raises ValueError for messages that cannot be read.
    """
    request = _loaded(value)
    if isinstance(request, list):
        return parse_messages(_items(request))
    if not isinstance(request, dict):
        return _message("user", request)
    system = request.get("system") or request.get("instructions")
    for key in ("messages", "input", "prompt"):
        if body := request.get(key):
            chat = _message("user", body) if isinstance(body, str) else parse_messages(_items(body))
            return _message("system", _joined(system)) + chat
    return ()


def response_text(value: Any) -> str:
    """The answer in a raw response, that of the first choice; text of an unknown form is the answer itself."""
    response = _loaded(value)
    if not isinstance(response, dict):
        return "" if response is None else response if isinstance(response, str) else str(value)
    messages = _response_messages(response)
    return answer_text(messages) if messages is not None else str(value)


def _response_messages(response: JsonObject) -> tuple[Message, ...] | None:
    """The answer's messages, () for an empty answer; None for an object of no known API."""
    if choices := response.get("choices"):
        first = choices[0]
        return parse_messages([first["message"]]) if "message" in first else _message("assistant", first.get("text"))
    if "output" in response:
        output = response["output"]
        return _message("assistant", output) if isinstance(output, str) else _response_items(output)
    if isinstance(response.get("content"), list):
        return parse_messages(with_blocks({"role": "assistant", "content": response["content"]}))
    if generations := response.get("generations"):
        first = generations[0][0] if isinstance(generations[0], list) else generations[0]
        return _message("assistant", first.get("text"))
    return None


def _response_items(items: Sequence[Any]) -> tuple[Message, ...]:
    """The messages and function calls among items of the Responses API; reasoning and the like are left out."""
    calls = tuple(
        ToolCall(id=str(i.get("call_id", "")), name=str(i.get("name", "")), arguments=str(i.get("arguments", "")))
        for i in items
        if i.get("type") == "function_call"
    )
    messages = parse_messages([i for i in items if i.get("type", "message") == "message"])
    return (*messages, Message(role="assistant", tool_calls=calls)) if calls else messages


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


def _loaded(value: Any) -> Any:
    """The value of JSON text; other text is returned unchanged."""
    try:
        return load_json(value)
    except ValueError:
        return value


def _message(role: str, text: Any) -> tuple[Message, ...]:
    return (Message(role=role, content=text if isinstance(text, str) else json.dumps(text)),) if text else ()


def _joined(system: Any) -> str:
    """Anthropic's system prompt is text or a list of text blocks."""
    return system if isinstance(system, str) else answer_text(parse_messages([{"content": system}])) if system else ""


def with_blocks(message: JsonObject) -> list[JsonObject]:
    """The message with its content blocks split up: a `tool` message for each result, then the message with its calls.

    Anthropic and Bedrock put calls and results of tools between the texts of a message.
    """
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    calls = [call for call in map(_call, blocks) if call]
    results = [result for result in map(_result, blocks) if result]
    if not calls and not results:
        return [message]
    rest = [b for b in content or () if not (isinstance(b, dict) and (_call(b) or _result(b)))]
    own = message | {"content": rest or None} | ({"tool_calls": calls} if calls else {})
    return [*results, own] if calls or rest else results


def _call(block: JsonObject) -> JsonObject | None:
    """Anthropic's `tool_use` block or Bedrock's `toolUse`, as a tool call."""
    use = block if block.get("type") == "tool_use" else block.get("toolUse")
    if not isinstance(use, dict):
        return None
    function = {"name": use.get("name"), "arguments": use.get("input") or {}}
    return {"id": use.get("id") or use.get("toolUseId") or "", "function": function}


def _result(block: JsonObject) -> JsonObject | None:
    """Anthropic's `tool_result` block or Bedrock's `toolResult`, as a tool's message."""
    found = block if block.get("type") == "tool_result" else block.get("toolResult")
    if not isinstance(found, dict):
        return None
    call_id: Any = found.get("tool_use_id") or found.get("toolUseId")
    return {"role": "tool", "content": found.get("content"), "tool_call_id": call_id}
