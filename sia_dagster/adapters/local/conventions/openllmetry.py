"""OpenLLMetry (Traceloop): an attribute for each field of each message, and the spans of its workflows.

Its later versions write OpenTelemetry's own conventions (`genai.py`); then only the kinds and the ids are read here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sia_dagster.adapters.local.conventions.chat_attributes import first_answer, numbered, read_chat, read_json
from sia_dagster.adapters.local.conventions.convention import KIND, Convention, usage
from sia_dagster.adapters.local.forms.fields import filled
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.records.value import JsonObject

_PREFIXES = ("gen_ai.prompt.", "gen_ai.completion.", "llm.request.", "llm.prompts.", "llm.completions.", "traceloop.")
_TYPES = {"chat": "LLM", "completion": "LLM", "embedding": "EMBEDDING", "rerank": "RERANKER"}
_KINDS = {"workflow": "CHAIN", "task": "CHAIN", "agent": "AGENT", "tool": "TOOL"}
_SETTINGS = ("top_k", "top_p", "frequency_penalty", "presence_penalty", "temperature", "request.repetition_penalty")
_OWN = "traceloop.association.properties."
_SESSIONS = ("session_id", "session.id", "conversation_id", "thread_id", "chat_id")
_USERS = (f"{_OWN}user_id", f"{_OWN}user.id", "llm.user")


def convert(attributes: JsonObject, _: Sequence[JsonObject]) -> JsonObject:
    """As Convention says. Raises FormError where messages lack some of their attributes."""
    kind = _kind(attributes)
    ids = {
        "session.id": next((attributes[_OWN + name] for name in _SESSIONS if attributes.get(_OWN + name)), None),
        "user.id": next((attributes[place] for place in _USERS if attributes.get(place)), None),
    }
    if kind not in ("", "LLM"):
        return {KIND: kind}
    asked, answered = _chat(attributes, "prompt", "user"), _chat(attributes, "completion", "assistant")
    model = attributes.get("llm.response.model") or attributes.get("llm.request.model")
    return filled(
        {
            KIND: kind or ("LLM" if asked or answered else ""),
            "llm.model_name": model,
            "llm.input_messages": asked,
            "llm.output_messages": first_answer(answered),
            "llm.invocation_parameters": _parameters(attributes),
            "llm.tools": _tools(attributes),
            "llm.prompt_template.template": attributes.get("traceloop.prompt.template"),
            "llm.prompt_template.version": attributes.get("traceloop.prompt.version"),
            "llm.prompt_template.variables": attributes.get("traceloop.prompt.template_variables"),
        }
        | ids
        | usage(attributes, "llm.usage.")
    )


def _kind(attributes: Mapping[str, Any]) -> str:
    if kind := _KINDS.get(str(attributes.get("traceloop.span.kind") or "").lower()):
        return kind
    return _TYPES.get(str(attributes.get("llm.request.type") or "").lower(), "")


def _chat(attributes: Mapping[str, Any], what: str, role: str) -> list[JsonObject]:
    """The messages under the names of OpenTelemetry, else under OpenLLMetry's older ones."""
    for prefix in (f"gen_ai.{what}.", f"llm.{what}s."):
        if items := numbered(attributes, prefix):
            return read_chat([_message(item) for item in items], f"{prefix}N", role)
    return []


def _message(item: Any) -> Any:
    """A legacy completion's prompt stands under `user`; `FILTERED` stands for an answer that the provider withheld."""
    if not isinstance(item, dict):
        return item
    if item.get("finish_reason") == "content_filter" and item.get("content") == "FILTERED":
        return item | {"content": None}
    return item if "content" in item or "user" not in item else item | {"content": item["user"]}


def _parameters(attributes: Mapping[str, Any]) -> JsonObject:
    """The settings that OpenTelemetry's conventions had no name for."""
    found = {name.removeprefix("request."): attributes.get(f"llm.{name}") for name in _SETTINGS}
    schema = load_object(attributes.get("llm.request.structured_output_schema"))
    if schema:
        form = {"name": schema.get("title") or "answer", "schema": schema}
        found["response_format"] = {"type": "json_schema", "json_schema": form}
    found |= {"stop": attributes.get("llm.chat.stop_sequences"), "model": attributes.get("llm.request.model")}
    return filled(found)


def _tools(attributes: Mapping[str, Any]) -> list[JsonObject]:
    """The offered functions, with their parameters in JSON text."""
    tools = [tool for tool in numbered(attributes, "llm.request.functions.") if isinstance(tool, dict)]
    return [{"tool.json_schema": tool | {"parameters": _schema(tool.get("parameters"))}} for tool in tools]


def _schema(value: Any) -> Any:
    return read_json(value, "llm.request.functions.N.parameters")


CONVENTION = Convention("OpenLLMetry", _PREFIXES, convert)
