"""Splits messages whose content holds calls and results of tools: Anthropic, Bedrock, Gemini and Vercel."""

from typing import Any

from sia_dagster.core.records.value import JsonObject

_CALLS = ("toolUse", "functionCall", "function_call")
_RESULTS = ("toolResult", "functionResponse", "function_response")


def with_blocks(message: JsonObject) -> list[JsonObject]:
    """The message with its content blocks split up: a `tool` message for each result, then the message with its calls.

    A message without such blocks is returned as it is.
    """
    content = message.get("content")
    if content is None:
        content = message.get("parts")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    calls = [call for call in map(_call, blocks) if call]
    results = [result for result in map(_result, blocks) if result]
    if not calls and not results:
        return [message]
    rest = [b for b in content or () if not (isinstance(b, dict) and (_call(b) or _result(b)))]
    own = message | {"content": rest or None, "parts": None} | ({"tool_calls": calls} if calls else {})
    return [*results, own] if calls or rest else results


def _call(block: JsonObject) -> JsonObject | None:
    """Anthropic's `tool_use`, Bedrock's `toolUse`, Gemini's `functionCall` or Vercel's `tool-call`, as a tool call."""
    use = _inner(block, ("tool_use", "tool-call"), _CALLS)
    if use is None:
        return None
    arguments = use.get("input") or use.get("args") or {}
    call_id = use.get("id") or use.get("toolUseId") or use.get("toolCallId") or ""
    return {"id": call_id, "function": {"name": use.get("name") or use.get("toolName"), "arguments": arguments}}


def _result(block: JsonObject) -> JsonObject | None:
    """A tool's message, from the blocks of the same four that hold a result. Gemini's have a name in place of an id."""
    found = _inner(block, ("tool_result", "tool-result"), _RESULTS)
    if found is None:
        return None
    content: Any = next((found[key] for key in ("content", "response", "result", "output") if key in found), None)
    if isinstance(content, dict) and content.get("type") in ("text", "json") and "value" in content:
        content = content["value"]
    call_id: Any = found.get("tool_use_id") or found.get("toolUseId") or found.get("toolCallId") or found.get("id")
    name = found.get("name") if call_id is None else None
    return {"role": "tool", "content": content, "tool_call_id": call_id} | ({"name": name} if name else {})


def _inner(block: JsonObject, kinds: tuple[str, ...], keys: tuple[str, ...]) -> JsonObject | None:
    if block.get("type") in kinds:
        return block
    return next((block[key] for key in keys if isinstance(block.get(key), dict)), None)
