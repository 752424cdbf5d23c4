"""A call's settings and tools, without what belongs to that one call."""

import json
from typing import Any

from sia_dagster.core.models import JsonObject
from sia_dagster.core.openinference.attributes import load_json

_REPLAYED = frozenset(
    {
        # how the answer is drawn
        *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "logit_bias"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty"),
        # how long it may be, and what it looks like
        *("max_tokens", "max_completion_tokens", "stop", "response_format", "verbosity"),
        # how the model thinks and uses its tools
        *("reasoning_effort", "reasoning", "tool_choice", "parallel_tool_calls"),
    }
)
"""The settings of chat completions that a policy takes from a trace.

A list of what is kept, not of what is left out: beside these, instrumentors record whatever the client was given, which
may be keys, headers and the user's name, and no such thing may come into a policy or reach another endpoint.
"""
_RENAMED = {"max_output_tokens": "max_completion_tokens", "stop_sequences": "stop"}


def read_parameters(value: Any) -> JsonObject:
    """The invocation parameters that a replay keeps (`temperature`, `max_tokens`, `response_format`, ...).

    Only the top level is looked at; nulls and what is no plain JSON (NaN) leave. The Responses API's
    `max_output_tokens` and Anthropic's `stop_sequences` take their names in chat completions.
    Raises ValueError or TypeError for what is no JSON object.
    """
    loaded = load_json(value)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    named = ((_RENAMED.get(name, name), value) for name, value in loaded.items())
    return {name: value for name, value in named if name in _REPLAYED and value is not None and _is_plain(value)}


def read_model(value: Any) -> str:
    """The model that the invocation parameters name, empty where they name none: for spans without a model's name.

    Raises as `read_parameters`.
    """
    settings = load_json(value) or {}
    if not isinstance(settings, dict):
        raise TypeError("not a JSON object")
    named = (settings.get(key) for key in ("model", "model_name"))
    return next((name for name in named if isinstance(name, str) and name), "")


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return False
    return True


def read_tools(value: Any) -> tuple[JsonObject, ...]:
    """The tools in the wire form of chat completions, from `tool.json_schema` items or raw schemas."""
    loaded = load_json(value)
    items = loaded if isinstance(loaded, list) else _flattened(loaded) if isinstance(loaded, dict) else []
    schemas = (load_json(_schema(load_json(item))) for item in items)
    return tuple(_wire(schema) for schema in schemas if schema)


def _flattened(columns: JsonObject) -> list[Any]:
    """The schemas in `0.tool.json_schema`, `1.tool.json_schema`, ...; a schema itself is not taken apart."""
    numbered = {key.split(".")[0]: v for key, v in columns.items() if v is not None and key.split(".")[0].isdecimal()}
    return [numbered[key] for key in sorted(numbered, key=int)] if numbered else [columns]


def _schema(item: Any) -> Any:
    """What stands in `tool.json_schema`, flat or nested, else the item itself."""
    if not isinstance(item, dict):
        return item
    nested = item.get("tool")
    return item.get("tool.json_schema") or (nested.get("json_schema") if isinstance(nested, dict) else None) or item


def _wire(schema: Any) -> JsonObject:
    """Chat completions' own form; Anthropic's and the Responses API's flat forms are put into it."""
    if not isinstance(schema, dict):
        raise TypeError("a tool's schema is no object")
    if "function" in schema or "name" not in schema:
        return schema
    function = {key: schema[key] for key in ("name", "description", "strict") if schema.get(key) is not None}
    parameters = schema.get("parameters") or schema.get("input_schema")
    return {"type": "function", "function": function | ({"parameters": parameters} if parameters else {})}
