"""Reads the tools that a model was offered, into the wire form of chat completions."""

import re
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.records.value import JsonObject

_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema")
_SECRET = re.compile(r"authori[sz]ation|headers?$|api_?key|token$|secret|password|credential", re.IGNORECASE)
_GOOGLE_TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}


def read_tools(value: Any) -> tuple[JsonObject, ...]:
    """The tools in wire form, from `tool.json_schema` items or raw schemas.

    Tools that run at the provider (web search and the like) are kept as declared, without the headers and keys of a
    remote server: a policy is shown and published.
    """
    loaded = load_json(value)
    items = loaded if isinstance(loaded, list) else _flattened(loaded) if isinstance(loaded, dict) else []
    schemas = (load_json(_schema(load_json(item))) for item in items)
    return tuple(_wire(schema) for schema in schemas if schema)


def offered_tools(request: Any) -> tuple[JsonObject, ...]:
    """The tools in raw settings or a raw request, `functions` included, for spans without `llm.tools`."""
    if not isinstance(request, dict):
        return ()
    offered = request.get("tools") or request.get("functions")
    if not isinstance(offered, list):
        return ()
    return read_tools([declared for item in offered for declared in _declared(item)])


def _declared(item: Any) -> list[Any]:
    """The functions that one of Gemini's tools declares; any other tool as it is."""
    names = ("functionDeclarations", "function_declarations")
    declared = next((item[name] for name in names if item.get(name)), None) if isinstance(item, dict) else None
    return declared if isinstance(declared, list) else [item]


def lower_types(schema: Any) -> Any:
    """A schema with JSON Schema's type names, which Google's SDK writes in capitals."""
    if isinstance(schema, list):
        return [lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.lower() if key == "type" and _is_google(value) else lower_types(value)
        for key, value in schema.items()
    }


def _is_google(kind: Any) -> bool:
    return isinstance(kind, str) and kind in _GOOGLE_TYPES


def _flattened(columns: JsonObject) -> list[Any]:
    """The schemas in `0.tool.json_schema`, `1.tool.json_schema`, ...; a schema itself is not taken apart.

    All are null if other calls of the same file have tools and this one has none.
    """
    numbered = {key.split(".")[0]: value for key, value in columns.items() if key.split(".")[0].isdecimal()}
    return [numbered[key] for key in sorted(numbered, key=int)] if numbered else [columns]


def _schema(item: Any) -> Any:
    """The value of `tool.json_schema`, flat or nested, else the item itself."""
    if not isinstance(item, dict):
        return item
    nested = item.get("tool")
    return item.get("tool.json_schema") or (nested.get("json_schema") if isinstance(nested, dict) else None) or item


def _wire(schema: Any) -> JsonObject:
    """The tool in the form of chat completions, from the flat forms of Anthropic, Bedrock, Gemini and Responses.

    A tool with a type of its own and no schema of parameters runs at the provider and is kept.
    """
    if not isinstance(schema, dict):
        raise TypeError("a tool's schema is not an object")
    body = schema.get("toolSpec") or schema
    if "function" in body:
        return schema
    if "name" not in body:
        return _without_secrets(schema)
    parameters = next((body[key] for key in _SCHEMA_KEYS if body.get(key)), None)
    if parameters is None and body.get("type", "function") != "function":
        return _without_secrets(schema)
    if isinstance(parameters, dict) and set(parameters) == {"json"}:
        parameters = parameters["json"]
    function = {key: body[key] for key in ("name", "description", "strict") if body.get(key) is not None}
    return {"type": "function", "function": function | ({"parameters": lower_types(parameters)} if parameters else {})}


def _without_secrets(tool: JsonObject) -> JsonObject:
    """A provider's tool without settings that look like secrets by their names, at every depth of objects."""
    kept = ((key, value) for key, value in tool.items() if not _SECRET.search(key))
    return {key: _without_secrets(value) if isinstance(value, dict) else value for key, value in kept}
