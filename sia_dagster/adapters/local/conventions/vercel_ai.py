"""The AI SDK of Vercel, versions 3 to 6. Version 7 writes OpenTelemetry's conventions (`genai.py`).

Each call of a model has a span of its own (`ai.generateText.doGenerate`) within one of the function that the
application called (`ai.generateText`), which holds the same texts again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sia_dagster.adapters.local.conventions.chat_attributes import read_chat, read_json
from sia_dagster.adapters.local.conventions.convention import KIND, Convention, usage
from sia_dagster.adapters.local.forms.fields import filled
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.records.value import JsonObject

_CALLS = (".doGenerate", ".doStream")
_SETTINGS = {
    "temperature": "temperature",
    "maxTokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "stopSequences": "stop",
    "seed": "seed",
}
_OWN = "ai.telemetry.metadata."


def convert(attributes: JsonObject, _: Sequence[JsonObject]) -> JsonObject:
    """As Convention says. Raises FormError for messages or tools that cannot be read."""
    operation = str(attributes.get("ai.operationId") or attributes.get("operation.name") or "").split(" ")[0]
    if not operation.endswith(_CALLS):
        others = {"ai.toolCall": "TOOL"} | ({operation: "EMBEDDING"} if operation.startswith("ai.embed") else {})
        return {KIND: others.get(operation, "CHAIN")} if operation.startswith("ai.") else {}
    return filled(
        {
            KIND: "LLM",
            "llm.model_name": attributes.get("ai.response.model") or attributes.get("ai.model.id"),
            "llm.input_messages": read_chat(attributes.get("ai.prompt.messages"), "ai.prompt.messages"),
            "llm.output_messages": _answer(attributes),
            "llm.invocation_parameters": _parameters(attributes, operation),
            "llm.tools": _tools(attributes.get("ai.prompt.tools")),
            "session.id": attributes.get(f"{_OWN}sessionId") or attributes.get(f"{_OWN}session_id"),
            "user.id": attributes.get(f"{_OWN}userId") or attributes.get(f"{_OWN}user_id"),
        }
        | usage(attributes, "ai.usage.")
    )


def _answer(attributes: Mapping[str, Any]) -> list[JsonObject]:
    """The text or object with the tools' calls; version 3 has `result` for `response`."""
    for place in ("ai.response.", "ai.result."):
        text = attributes.get(f"{place}text") or attributes.get(f"{place}object")
        calls = read_json(attributes.get(f"{place}toolCalls"), f"{place}toolCalls") or []
        parts = [{"type": "text", "text": text}] if text else []
        parts += [{"type": "tool-call"} | call for call in calls if isinstance(call, dict)]
        if parts:
            return read_chat([{"role": "assistant", "content": parts}], f"{place}toolCalls")
    return []


def _parameters(attributes: Mapping[str, Any], operation: str) -> JsonObject:
    there = {name: attributes.get(f"ai.settings.{name}") for name in _SETTINGS}
    found = {_SETTINGS[name]: value for name, value in filled(there).items()}
    found |= filled({"model": attributes.get("ai.model.id")})
    if choice := _choice(load_object(attributes.get("ai.prompt.toolChoice"))):
        found["tool_choice"] = choice
    # The schema is recorded in the outer span alone.
    return found | ({"response_format": {"type": "json_object"}} if "Object" in operation else {})


def _choice(choice: JsonObject) -> Any:
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("toolName")}}
    return choice.get("type")


def _tools(value: Any) -> list[JsonObject]:
    """The tools, each an object or its JSON text."""
    loaded = read_json(value, "ai.prompt.tools") or []
    items = loaded if isinstance(loaded, list) else [loaded]
    return [{"tool.json_schema": read_json(item, "ai.prompt.tools")} for item in items]


CONVENTION = Convention("Vercel AI SDK", ("ai.",), convert)
