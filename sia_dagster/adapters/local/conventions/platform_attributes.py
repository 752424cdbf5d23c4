"""Attributes of platforms that take OpenTelemetry's spans: Langfuse, LangSmith and MLflow.

They hold a call's request and response as they are, in an attribute of JSON text each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sia_dagster.adapters.local.conventions.chat_attributes import (
    plain,
    read_answer,
    read_chat,
    read_json,
    text_or_json,
)
from sia_dagster.adapters.local.conventions.convention import KIND, Convention, usage
from sia_dagster.adapters.local.forms.fields import filled
from sia_dagster.adapters.local.forms.langfuse import settings_given
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.records.value import JsonObject

_KINDS = {
    "generation": "LLM", "llm": "LLM", "chat_model": "LLM", "embedding": "EMBEDDING", "retriever": "RETRIEVER",
    "reranker": "RERANKER", "tool": "TOOL", "agent": "AGENT", "evaluator": "EVALUATOR", "guardrail": "GUARDRAIL",
    "prompt": "PROMPT",
}  # fmt: skip
"""By the platforms' names of kinds; all others (span, event, chain, parser, ...) are a CHAIN."""
_THREADS = ("session_id", "thread_id", "conversation_id")


def _langfuse(attributes: JsonObject, _: Sequence[JsonObject]) -> JsonObject:
    at = "langfuse.observation."
    if (kind := _kind(attributes.get(f"{at}type"))) not in ("", "LLM"):
        return {KIND: kind}
    return filled(
        {
            KIND: kind,
            "llm.model_name": attributes.get(f"{at}model.name"),
            "llm.invocation_parameters": settings_given(attributes.get(f"{at}model.parameters")),
            "session.id": attributes.get("langfuse.session.id"),
            "user.id": attributes.get("langfuse.user.id"),
        }
        | _request(attributes.get(f"{at}input"), f"{at}input")
        | _response(attributes.get(f"{at}output"), f"{at}output")
        | usage(load_object(attributes.get(f"{at}usage_details")))
    )


def _langsmith(attributes: JsonObject, _: Sequence[JsonObject]) -> JsonObject:
    """Its requests, responses, model and counts are OpenTelemetry's (`gen_ai.prompt`, `gen_ai.completion`)."""
    if (kind := _kind(attributes.get("langsmith.span.kind"))) not in ("", "LLM"):
        return {KIND: kind}
    places = [f"langsmith.metadata.{name}" for name in _THREADS]
    model = attributes.get("langsmith.metadata.ls_model_name")
    ids = {"session.id": next((attributes[place] for place in places if attributes.get(place)), None)}
    return filled({KIND: kind, "llm.model_name": model, "user.id": attributes.get("langsmith.metadata.user_id")} | ids)


def _mlflow(attributes: JsonObject, _: Sequence[JsonObject]) -> JsonObject:
    """Each value is JSON text, also where it is a text."""
    found = {key: text_or_json(_unquoted(value)) for key, value in attributes.items() if key.startswith("mlflow.")}
    if (kind := _kind(found.get("mlflow.spanType"))) not in ("", "LLM"):
        return {KIND: kind}
    tools = found.get("mlflow.chat.tools")
    return filled(
        {
            KIND: kind,
            "llm.model_name": found.get("mlflow.llm.model"),
            "llm.tools": [{"tool.json_schema": tool} for tool in tools] if isinstance(tools, list) else None,
            "input.value": plain(found.get("mlflow.spanInputs")),
            "output.value": plain(found.get("mlflow.spanOutputs")),
            "session.id": found.get("mlflow.trace.session"),
            "user.id": found.get("mlflow.trace.user"),
        }
        | usage(load_object(found.get("mlflow.chat.tokenUsage")))
    )


def _kind(name: Any) -> str:
    text = str(name or "").strip('"').lower()
    return _KINDS.get(text, "CHAIN") if text and text != "unknown" else ""


def _unquoted(value: Any) -> Any:
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' and len(value) > 1 else value


def _request(value: Any, name: str) -> JsonObject:
    """The messages in a list or in `messages` beside tools; anything else is a raw request."""
    loaded = _whole(value, name)
    chat = loaded.get("messages") if isinstance(loaded, dict) else loaded
    if not _is_chat(chat):
        return {"input.value": plain(loaded)}
    tools = loaded.get("tools") if isinstance(loaded, dict) else None
    offered = [{"tool.json_schema": tool} for tool in tools] if isinstance(tools, list) else None
    return {"llm.input_messages": read_chat(chat, name), "llm.tools": offered}


def _response(value: Any, name: str) -> JsonObject:
    loaded = _whole(value, name)
    if _is_chat(loaded) or (isinstance(loaded, dict) and "role" in loaded):
        return {"llm.output_messages": read_answer(loaded, name)}
    return {"output.value": plain(loaded)}


def _whole(value: Any, name: str) -> Any:
    """The object or list in JSON text, or the text. Raises FormError for messages that are cut off."""
    starts = isinstance(value, str) and value.lstrip().startswith(('[{"', '{"'))
    return read_json(value, name) if starts else _unquoted(value)


def _is_chat(value: Any) -> bool:
    items = value if isinstance(value, list) else []
    return bool(items) and all(isinstance(item, Mapping) and "role" in item for item in items)


LANGFUSE = Convention("Langfuse", ("langfuse.",), _langfuse)
LANGSMITH = Convention("LangSmith", ("langsmith.",), _langsmith)
MLFLOW = Convention("MLflow", ("mlflow.",), _mlflow)
