"""A call's settings and tools, without what belongs to that one call."""

from typing import Any

from sia_dagster.core.models import JsonObject
from sia_dagster.core.openinference.attributes import load_json

_NOT_REPLAYED = frozenset(
    {
        # what is asked, which has its own place in a sample
        *("model", "messages", "input", "prompt", "instructions", "system", "tools", "functions", "contents"),
        # how the answer travels, and how many there are
        *("stream", "stream_options", "n", "background", "timeout", "max_retries"),
        # who asked, and what the provider keeps of it
        *("user", "session_id", "conversation", "previous_response_id", "metadata", "store", "seed"),
        *("safety_identifier", "prompt_cache_key", "service_tier"),
        # what the client sends beside it, secrets among it
        *("extra_headers", "extra_body", "extra_query", "headers", "api_key", "api_base", "base_url"),
    }
)


def read_parameters(value: Any) -> JsonObject:
    """The invocation parameters that a replay keeps (`temperature`, `max_tokens`, `response_format`, ...).

    Nulls leave; the Responses API's `max_output_tokens` takes its name in chat completions.
    Raises ValueError or TypeError for what is no JSON object.
    """
    loaded = load_json(value)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    kept = {k: v for k, v in loaded.items() if k not in _NOT_REPLAYED and v is not None}
    if "max_output_tokens" in kept:
        kept["max_completion_tokens"] = kept.pop("max_output_tokens")
    return kept


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
