"""The answer's form and the choice of tools, from the words of each API into those of chat completions."""

from typing import Any

from sia_dagster.core.openinference.tools import lower_types
from sia_dagster.core.records.value import JsonObject

_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def read_format(settings: JsonObject) -> JsonObject | None:
    """The `response_format`, the Responses API's `text.format`, or Gemini's schema; None for free text.

    What is no object in this form (a class that an SDK recorded by its name) cannot be sent again and is None.
    """
    text = settings.get("text")
    given = settings.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    if given is None and settings.get("response_mime_type") == "application/json":
        return _from_gemini(settings)
    if not isinstance(given, dict) or given.get("type") not in ("json_schema", "json_object"):
        return None
    if given["type"] == "json_schema" and "json_schema" not in given:
        return {"type": "json_schema", "json_schema": {key: given[key] for key in given if key != "type"}}
    return given


def read_tool_choice(settings: JsonObject) -> tuple[Any, bool | None]:
    """`tool_choice` and `parallel_tool_calls`; None for what was not chosen."""
    chosen, parallel = settings.get("tool_choice"), settings.get("parallel_tool_calls")
    if chosen is None:
        chosen = settings.get("function_call")
    if isinstance(chosen, dict) and chosen.get("disable_parallel_tool_use"):
        parallel = False
    return _choice(chosen), parallel if isinstance(parallel, bool) else None


def _from_gemini(settings: JsonObject) -> JsonObject:
    schema = settings.get("response_schema") or settings.get("response_json_schema")
    if not isinstance(schema, dict):
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": lower_types(schema)}}


def _choice(chosen: Any) -> Any:
    """One of `auto`, `none` and `required`, or an object that names a tool; what is unknown stays."""
    if isinstance(chosen, str):
        return _CHOICES.get(chosen, chosen or None)
    if not isinstance(chosen, dict):
        return None
    name = chosen.get("name")
    if name and chosen.get("type", "function") in ("function", "tool"):
        return {"type": "function", "function": {"name": name}}
    kind = chosen.get("type")
    return _CHOICES[kind] if isinstance(kind, str) and kind in _CHOICES else chosen
