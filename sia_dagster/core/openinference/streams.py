"""Joins the chunks of a streamed answer, where a span holds them one by one."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.roles import role_of_type
from sia_dagster.core.records.value import JsonObject

_SIGNS = {
    *("type", "event_type", "object", "choices", "candidates", "usage", "usageMetadata", "usage_metadata", "metadata"),
    *("messageStart", "messageStop", "contentBlockStart", "contentBlockStop", "contentBlockDelta", "done", "error"),
}
"""What chunks have that add nothing to the answer: its beginning, its end, its use of tokens."""


def load_lines(text: str) -> list[JsonObject] | None:
    """The objects of an event stream, or of two JSON lines or more; None for any other text."""
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if not line.startswith(("event:", ":"))]
    lines = [line for line in lines if line and line != "[DONE]"]
    fewest = 1 if text.lstrip().startswith(("data:", "event:")) else 2
    if len(lines) < fewest or not all(line.startswith("{") for line in lines):
        return None
    try:
        loaded = [load_json(line) for line in lines]
    except (ValueError, RecursionError):
        return None
    return loaded if all(isinstance(chunk, dict) for chunk in loaded) else None


def joined(chunks: Sequence[Any]) -> JsonObject | None:
    """The assistant's message that the chunks make, or the whole response that ends them; None if they are no chunks.

    Chunks of further choices are left out. Read are chat completions and their older form, Responses, Anthropic,
    Gemini, Bedrock, Cohere, Ollama and LangChain.
    """
    events = [chunk for chunk in chunks if isinstance(chunk, dict)]
    if not events or len(events) < len(chunks):
        return None
    whole = next((e.get("response") for e in events if e.get("type") == "response.completed"), None)
    if isinstance(whole, dict):
        return whole
    deltas = [_delta(event) for event in events]
    if not any(deltas) or not all(delta or _SIGNS & event.keys() for delta, event in zip(deltas, events, strict=True)):
        return None
    texts = [text for delta in deltas for text in _texts(delta)]
    calls = _calls(call for delta in deltas for call in delta.get("tool_calls") or () if isinstance(call, dict))
    return {"role": "assistant", "content": "".join(texts) or None, "tool_calls": calls}


def _delta(event: JsonObject) -> JsonObject:
    """What one chunk adds: `content` and `tool_calls`, as chat completions have them; {} for nothing."""
    for read in (_of_choices, _of_candidates, _of_blocks, _of_others):
        if found := read(event):
            return found
    return {}


def _of_choices(event: JsonObject) -> JsonObject:
    choices = event.get("choices")
    own = [c for c in choices if isinstance(c, dict) and not c.get("index")] if isinstance(choices, list) else []
    if not own:
        return {}
    delta = own[0].get("delta")
    if isinstance(delta, dict):
        return delta
    return {"content": own[0]["text"]} if isinstance(own[0].get("text"), str) and "message" not in own[0] else {}


def _of_candidates(event: JsonObject) -> JsonObject:
    candidates = event.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    content = first.get("content") if isinstance(first, dict) else None
    parts = content.get("parts") if isinstance(content, dict) else None
    found = [part for part in parts or () if isinstance(part, dict) and not part.get("thought")]
    uses = [use for part in found if (use := part.get("functionCall") or part.get("function_call"))]
    calls = [{"function": {"name": u.get("name"), "arguments": json.dumps(u.get("args") or {})}} for u in uses]
    return {"content": "".join(str(part.get("text") or "") for part in found), "tool_calls": calls} if found else {}


def _of_blocks(event: JsonObject) -> JsonObject:
    """Anthropic's blocks, and those of Bedrock and Cohere, whose events are shaped alike."""
    begun, added = _object(event, "contentBlockStart"), _object(event, "contentBlockDelta")
    start = _object(event, "content_block") or _object(_object(begun, "start"), "toolUse")
    index = event.get("index", begun.get("contentBlockIndex", added.get("contentBlockIndex")))
    if start.get("name"):
        call_id = start.get("id") or start.get("toolUseId")
        return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": start["name"], "arguments": ""}}]}
    delta = _object(event, "delta") or _object(added, "delta")
    if arguments := delta.get("partial_json") or _object(delta, "toolUse").get("input"):
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
    said = _object(_object(delta, "message"), "content") or delta or start
    return {"content": said["text"]} if isinstance(said.get("text"), str) else {}


def _of_others(event: JsonObject) -> JsonObject:
    """The chunks of LangChain, and the plain ones of Responses, Cohere and Ollama."""
    fields = event["kwargs"] if isinstance(event.get("kwargs"), dict) else event
    names = event.get("id") if isinstance(event.get("id"), list) else [event.get("type")]
    if names and str(names[-1]).endswith("Chunk") and role_of_type(names[-1]) == "assistant":
        return {"content": fields.get("content")}
    if event.get("type") == "response.output_text.delta":
        return {"content": event.get("delta")}
    text = event.get("text") if event.get("event_type") == "text-generation" else None
    if isinstance(event.get("done"), bool):
        text = _object(event, "message").get("content") or event.get("response")
    return {"content": text} if isinstance(text, str) else {}


def _texts(delta: JsonObject) -> Iterable[str]:
    content = delta.get("content")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _calls(deltas: Iterable[JsonObject]) -> list[JsonObject]:
    """The tool calls that the deltas make: a delta without a name continues the call of its index, else the last."""
    calls: list[JsonObject] = []
    places: dict[Any, JsonObject] = {}
    for delta in deltas:
        function = _object(delta, "function")
        arguments = str(function.get("arguments") or "")
        if name := function.get("name"):
            call = {"id": delta.get("id") or "", "function": {"name": name, "arguments": arguments}}
            calls.append(call)
            places[str(delta.get("index"))] = call
        elif calls:
            places.get(str(delta.get("index")), calls[-1])["function"]["arguments"] += arguments
    return calls


def _object(holder: JsonObject, key: str) -> JsonObject:
    found = holder.get(key)
    return found if isinstance(found, dict) else {}
