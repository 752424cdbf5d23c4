"""Anthropic's and Bedrock's content blocks: calls and results of tools stand between the texts of a message."""

from typing import Any

from sia_dagster.core.records.value import JsonObject


def with_blocks(message: JsonObject) -> list[JsonObject]:
    """The message with its calls as `tool_calls`, and a `tool` message for each result in it, results first."""
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    calls = [call for call in map(_call, blocks) if call]
    results = [result for result in map(_result, blocks) if result]
    if not calls and not results:
        return [message]
    rest = [b for b in content or () if not (isinstance(b, dict) and (_call(b) or _result(b)))]
    said = message | {"content": rest or None} | ({"tool_calls": calls} if calls else {})
    return [*results, said] if calls or rest else results


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
    answered: Any = found.get("tool_use_id") or found.get("toolUseId")
    return {"role": "tool", "content": found.get("content"), "tool_call_id": answered}
