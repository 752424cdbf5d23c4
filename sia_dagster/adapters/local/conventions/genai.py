"""OpenTelemetry's conventions for generative AI, in all their generations.

Messages stand in attributes (`gen_ai.input.messages`), in events of the span (`gen_ai.user.message`,
`gen_ai.content.prompt`, `gen_ai.client.inference.operation.details`) or, as pydantic-ai wrote them, in one attribute
`events`. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sia_dagster.adapters.local.conventions.chat_attributes import (
    first_answer,
    plain,
    read_answer,
    read_chat,
    read_json,
    read_system,
    text_or_json,
)
from sia_dagster.adapters.local.conventions.convention import KIND, Convention, usage
from sia_dagster.adapters.local.forms.fields import filled
from sia_dagster.adapters.local.forms.span import FormError
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.records.value import JsonObject

_OPERATIONS = (
    *(("embed", "EMBEDDING"), ("tool", "TOOL"), ("retriev", "RETRIEVER"), ("agent", "AGENT")),
    *((word, "LLM") for word in ("chat", "complet", "generat", "respons", "message", "converse", "invoke_model")),
)
"""What an operation's name holds (`execute_tool`, `text_completion`), and its kind; any other is a CHAIN."""
_IN, _OUT = "gen_ai.input.messages", "gen_ai.output.messages"
_REQUEST = "gen_ai.request."
_RENAMED = {"stop_sequences": "stop", "choice.count": "n"}
_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_BODIES = ("gen_ai.event.content", "event.body", "body")
"""Attributes of an event that hold its body as JSON text: of Azure's SDKs, and of logs that became events."""
_DETAILS = "gen_ai.client.inference.operation.details"


def convert(attributes: JsonObject, events: Sequence[JsonObject]) -> JsonObject:
    """As Convention says. Raises FormError for messages or tools that cannot be read."""
    for event in events:
        if event["name"] == _DETAILS:
            attributes = event["attributes"] | attributes
    kind = _kind(attributes)
    if kind not in ("", "LLM"):
        return {KIND: kind}
    asked, answered = _of_attributes(attributes)
    if not (asked and answered):
        said = _of_events(attributes, events)
        asked, answered = asked or said[0], answered or said[1]
    model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
    return filled(
        {
            KIND: kind,
            "llm.model_name": model,
            "llm.input_messages": asked,
            "llm.output_messages": answered,
            "llm.invocation_parameters": _parameters(attributes),
            "llm.tools": _tools(attributes),
            "session.id": attributes.get("gen_ai.conversation.id"),
            "user.id": attributes.get("gen_ai.request.user") or attributes.get("enduser.id"),
        }
        | ({} if asked else _raw(attributes, "gen_ai.prompt", "input.value"))
        | ({} if answered else _raw(attributes, "gen_ai.completion", "output.value"))
        | usage(attributes, "gen_ai.usage.")
    )


def _kind(attributes: Mapping[str, Any]) -> str:
    """OpenInference's kind; empty where nothing tells."""
    if attributes.get("logfire.span_type") == "pending_span":
        return "CHAIN"
    operation = str(attributes.get("gen_ai.operation.name") or "").lower()
    if operation:
        return next((kind for part, kind in _OPERATIONS if part in operation), "CHAIN")
    if attributes.get("gen_ai.tool.name") or attributes.get("gen_ai.tool.call.id"):
        return "TOOL"
    if any(name in attributes for name in ("all_messages_events", "pydantic_ai.all_messages")):
        return "AGENT"
    return "LLM" if attributes.get("gen_ai.request.model") else ""


def _of_attributes(attributes: Mapping[str, Any]) -> tuple[list[JsonObject], list[JsonObject]]:
    """The request and the answer in the attributes for them, of the latest generation or the first."""
    asked = read_chat(attributes.get(_IN), _IN)
    system = read_system(attributes.get("gen_ai.system_instructions"), "gen_ai.system_instructions")
    if asked or system:
        asked = [*(message for message in system if message not in asked), *asked]
    else:
        asked = _listed(attributes.get("gen_ai.prompt"), "gen_ai.prompt", "user")
    if answered := read_answer(attributes.get(_OUT), _OUT):
        return asked, answered
    return asked, first_answer(_listed(attributes.get("gen_ai.completion"), "gen_ai.completion", "assistant"))


def _listed(value: Any, name: str, role: str) -> list[JsonObject]:
    """Messages in a list or its JSON text; [] for anything else, which is a raw request or response."""
    loaded = text_or_json(value)
    if isinstance(loaded, str) and loaded.lstrip().startswith("[{"):
        raise FormError(f"{name} is not JSON, or cut off")
    is_chat = isinstance(loaded, list) and all(isinstance(item, dict) for item in loaded)
    return read_chat(loaded, name, role) if is_chat else []


def _raw(attributes: Mapping[str, Any], name: str, to: str) -> JsonObject:
    return {to: plain(attributes.get(name))}


def _of_events(
    attributes: Mapping[str, Any], events: Sequence[JsonObject]
) -> tuple[list[JsonObject], list[JsonObject]]:
    asked, answered = list[JsonObject](), list[JsonObject]()
    for name, body in (*map(_body, events), *_recorded_events(attributes)):
        if role := _ROLES.get(name):
            asked += read_chat([{"role": role} | _message(body)], name, role)
        elif name == "gen_ai.choice":
            answered += read_chat([_choice(body)], name, "assistant")
        elif name == "gen_ai.content.prompt":
            asked += _of_content(body.get("gen_ai.prompt"), name, "user")
        elif name == "gen_ai.content.completion":
            answered += _of_content(body.get("gen_ai.completion"), name, "assistant")
    return asked, first_answer(answered)


def _of_content(value: Any, name: str, role: str) -> list[JsonObject]:
    loaded = text_or_json(value)
    if isinstance(loaded, dict) and isinstance(loaded.get("messages"), list):
        loaded = loaded["messages"]
    return _listed(loaded, name, role) or read_chat([plain(loaded) or ""], name, role)


def _body(event: JsonObject) -> tuple[str, JsonObject]:
    """The event's name and its body: what its attributes hold, flat or as JSON text."""
    attributes = event["attributes"]
    body = next((attributes[name] for name in _BODIES if attributes.get(name)), event.get("body"))
    loaded = text_or_json(body)
    return event["name"], attributes | (loaded if isinstance(loaded, dict) else {"content": loaded} if loaded else {})


def _recorded_events(attributes: Mapping[str, Any]) -> list[tuple[str, JsonObject]]:
    """The events in the attribute `events`, each with its name in `event.name`."""
    loaded = attributes.get("events")
    loaded = read_json(loaded, "events") if isinstance(loaded, str) and "gen_ai." in loaded else loaded
    items = [item for item in loaded if isinstance(item, dict)] if isinstance(loaded, list) else []
    return [(str(item.get("event.name") or item.get("name") or ""), item) for item in items]


def _message(body: JsonObject) -> JsonObject:
    """The message in an event's body, whose tool calls may be JSON text."""
    found = {key: body[key] for key in ("role", "content", "parts", "tool_calls", "id", "name") if body.get(key)}
    return found | ({"tool_calls": text_or_json(found["tool_calls"])} if "tool_calls" in found else {})


def _choice(body: JsonObject) -> JsonObject:
    """The answer in `gen_ai.choice`: under `message` (an object, JSON text, blocks, text) or in the body itself."""
    message = text_or_json(body.get("message"))
    if message is None:
        message = _message(body)
    return {"role": "assistant"} | (_message(message) if isinstance(message, dict) else {"content": message})


def _parameters(attributes: Mapping[str, Any]) -> JsonObject:
    """The settings, and the requested model where another one answered."""
    asked = {key[len(_REQUEST) :]: value for key, value in attributes.items() if key.startswith(_REQUEST)}
    found = {_RENAMED.get(name, name): value for name, value in asked.items() if name != "user"}
    if attributes.get("gen_ai.output.type") == "json":
        found["response_format"] = {"type": "json_object"}
    return found


def _tools(attributes: Mapping[str, Any]) -> list[JsonObject]:
    """The offered tools; pydantic-ai's own attribute has them in its older versions."""
    if defined := read_json(attributes.get("gen_ai.tool.definitions"), "gen_ai.tool.definitions"):
        return [{"tool.json_schema": tool} for tool in (defined if isinstance(defined, list) else [defined])]
    request = load_object(attributes.get("model_request_parameters"))
    tools = [tool for key in ("function_tools", "output_tools") for tool in request.get(key) or ()]
    return [{"tool.json_schema": _function(tool)} for tool in tools if isinstance(tool, dict)]


def _function(tool: JsonObject) -> JsonObject:
    named = {"name": tool.get("name"), "description": tool.get("description")}
    return {"type": "function", "function": filled(named | {"parameters": tool.get("parameters_json_schema")})}


CONVENTION = Convention("OpenTelemetry GenAI", ("gen_ai.",), convert)
