"""What a model was asked and what it answered, as tools write it: `input.value` and `output.value` of the span.

The mapping to samples reads the requests and responses of all APIs, messages of LangChain's classes among them. What is
converted here is only what is no request and no response: what a tool itself wraps or takes apart.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sia_dagster.adapters.local.forms.fields import first, loaded
from sia_dagster.core.openinference.roles import ROLES, read_role
from sia_dagster.core.records.value import JsonObject

_NO_SETTINGS: Final = {
    *("messages", "input", "prompt", "prompts", "contents", "system", "instructions", "system_instruction"),
    *("systemInstruction", "tools", "functions", "toolConfig", "model_kwargs", "metadata", "extra_headers"),
}
"""Parts of a raw request that are no settings."""
_NESTED_SETTINGS = ("generationConfig", "generation_config", "inferenceConfig", "config", "options")
"""Where Gemini, Bedrock and Ollama have their settings."""
_GEMINI_SETTINGS = {
    "maxOutputTokens": "max_output_tokens",
    "topK": "top_k",
    "responseMimeType": "response_mime_type",
    "responseSchema": "response_schema",
    "responseJsonSchema": "response_json_schema",
}
_PARTS = ("text", "tool_call", "tool_call_response", "reasoning")
"""Types of OpenTelemetry's parts that are the message's text, calls and results."""


def request_attributes(value: Any) -> JsonObject:
    """The attributes of a request: a text, a list of messages, or the raw request of an API. {} if there is none."""
    found = loaded(value)
    if found in (None, "", [], {}):
        return {}
    if isinstance(found, list):
        return {"input.value": {"messages": chat_messages(found)}}
    if not isinstance(found, dict):
        return {"input.value": found}
    if isinstance(listed := found.get("messages"), list):
        found = found | {"messages": chat_messages(listed)}
    settings = request_settings(found)
    return {"input.value": found} | ({"llm.invocation_parameters": settings} if settings else {})


def request_settings(request: Mapping[str, Any]) -> JsonObject:
    """The settings in a raw request, flat, under the names that OpenInference's instrumentors record."""
    found = {name: value for name, value in request.items() if name not in _NO_SETTINGS and value is not None}
    for name in _NESTED_SETTINGS:
        if isinstance(nested := found.pop(name, None), dict):
            found |= {_GEMINI_SETTINGS.get(str(key), str(key)): value for key, value in nested.items()}
    return found


def answer_attributes(value: Any) -> JsonObject:
    """The attributes of an answer: a text, a message, a list of messages, or an API's raw response. {} if none."""
    found = loaded(value)
    if found in (None, "", [], {}):
        return {}
    if isinstance(found, dict) and found.get("type") == "function_call":
        return {"output.value": {"output": [found]}}
    if isinstance(found, list):
        return {"output.value": chat_messages(found)}
    return {"output.value": value if isinstance(value, str) else found}


def chat_messages(items: Iterable[Any]) -> list[Any]:
    """The messages of a list, or of the only list in a list; what is no message stays as it is."""
    listed = list(items)
    if len(listed) == 1 and isinstance(listed[0], list) and not _is_short(listed[0]):
        listed = listed[0]
    return [turn for item in listed for turn in _turns(item)]


def _turns(item: Any) -> list[Any]:
    """The message; LangChain's short form (`["human", "..."]`) and OpenTelemetry's parts as messages of their own."""
    if _is_short(item):
        return [{"role": item[0], "content": item[1]}]
    parts = item.get("parts") if isinstance(item, dict) and not item.get("content") else None
    if not isinstance(parts, list) or not all(isinstance(p, dict) and p.get("type") in _PARTS for p in parts):
        return [item]
    results = [
        {"role": "tool", "tool_call_id": part.get("id"), "content": first(part, "response", "result")}
        for part in parts
        if part["type"] == "tool_call_response"
    ]
    calls = [
        {"id": part.get("id"), "function": {"name": part.get("name"), "arguments": part.get("arguments") or {}}}
        for part in parts
        if part["type"] == "tool_call"
    ]
    texts = [{"type": "text", "text": first(part, "content", "text")} for part in parts if part["type"] == "text"]
    own = {key: value for key, value in item.items() if key != "parts"}
    own |= {"content": texts or None} | ({"tool_calls": calls} if calls else {})
    return [*results, own] if texts or calls or not results else results


def _is_short(item: Any) -> bool:
    is_pair = isinstance(item, list) and len(item) == 2 and all(isinstance(text, str) for text in item)
    return is_pair and read_role(item[0]) in ROLES
