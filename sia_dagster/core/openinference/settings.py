"""Reads a call's settings: those that a policy chooses, and those that belong to the call and stay with the sample."""

import json
from collections.abc import Mapping
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.tools import lower_types
from sia_dagster.core.records.value import JsonObject

_POLICY = frozenset(
    {
        # how the answer is drawn
        *("temperature", "top_p", "top_k", "top_a", "min_p", "typical_p", "logit_bias"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty"),
        # how long it may be, and how the model thinks
        *("max_tokens", "max_completion_tokens", "stop", "verbosity", "reasoning_effort", "reasoning"),
    }
)
"""The settings of chat completions that a policy takes from a trace.

A list of what is kept, not of what is dropped: instrumentors also record whatever else the client was given, such as
keys, headers or the user's name, and nothing of that may get into a policy or reach another endpoint.
"""
_CALL = ("response_format", "tool_choice", "parallel_tool_calls")
"""Settings that decide how the application reads the answer: a replay sends them as the sample recorded them."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "item_reference", "web_search_options")
"""Settings that refer to state at the provider, which the trace does not hold. Only their presence is kept, so that no
replay pretends to be that call."""
_RENAMED = {
    "max_output_tokens": "max_completion_tokens",
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "stop_sequences": "stop",
    "stopSequences": "stop",
}
"""Settings of Responses, Gemini, Bedrock and Anthropic under their names in chat completions."""
_MODEL_KEYS = ("azure_deployment", "deployment_name", "deployment_id", "engine", "model", "model_name", "modelId")
"""The first four are Azure's, where a deployment has a name of its own."""
_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def read_parameters(value: Any) -> JsonObject:
    """The invocation parameters that a replay needs (`temperature`, `max_tokens`, `response_format`, ...).

    Only the top level is read; nulls, empty texts and values that JSON cannot hold (NaN) are dropped. Other APIs'
    settings get their names and forms in chat completions. State at the provider (`previous_response_id` and the like)
    becomes `true`. Raises ValueError or TypeError for anything but a JSON object.
    """
    loaded = load_json(value)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    named: JsonObject = {_RENAMED.get(str(name), str(name)): setting for name, setting in loaded.items()}
    kept = {name: named[name] for name in named if name in _POLICY}
    kept |= _thinking(kept) | _verbosity(named) | _of_the_call(named)
    return {name: setting for name, setting in kept.items() if setting not in (None, "") and _is_plain(setting)}


def read_request_settings(request: Any) -> JsonObject:
    """The call's own settings in a raw request, which some instrumentors leave out of the parameters."""
    if not isinstance(request, dict):
        return {}
    items = request.get("input")
    referred = isinstance(items, list) and any(isinstance(i, dict) and i.get("type") == "item_reference" for i in items)
    found = _of_the_call(request | ({"item_reference": True} if referred else {}))
    return {name: setting for name, setting in found.items() if _is_plain(setting)}


def policy_settings(parameters: Mapping[str, Any]) -> JsonObject:
    """The parameters that a policy chooses: how an answer is sampled, and how long it may be."""
    return {name: value for name, value in parameters.items() if name not in (*_CALL, *_ELSEWHERE)}


def call_settings(parameters: Mapping[str, Any]) -> JsonObject:
    """The parameters that belong to the call: the answer's format and the choice of tools."""
    return {name: parameters[name] for name in _CALL if name in parameters}


def kept_elsewhere(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that refer to state at the provider, which the call needs and the trace does not hold."""
    return tuple(name for name in _ELSEWHERE if name in parameters)


def read_model(value: Any) -> str:
    """The model that was requested, by the invocation parameters: a deployment's name before a model's; else empty.

    Raises as `read_parameters`.
    """
    settings = load_json(value) or {}
    if not isinstance(settings, dict):
        raise TypeError("not a JSON object")
    named = (settings.get(key) for key in _MODEL_KEYS)
    return next((name for name in named if isinstance(name, str) and name.strip()), "")


def read_request_model(request: Any) -> str:
    """The model that a raw request names; empty for one that is no request to a model."""
    is_chat = isinstance(request, dict) and any(request.get(name) for name in ("messages", "input", "prompt"))
    return read_model({"model": request.get("model")}) if is_chat else ""


def _of_the_call(settings: JsonObject) -> JsonObject:
    choice, parallel = read_tool_choice(settings)
    found = {"response_format": read_format(settings), "tool_choice": choice, "parallel_tool_calls": parallel}
    # In legacy completions `prompt` is a text; in the Responses API it refers to a prompt at the provider.
    there = {n: True for n in _ELSEWHERE if settings.get(n) and not (n == "prompt" and isinstance(settings[n], str))}
    return {name: setting for name, setting in found.items() if setting is not None} | there


def _thinking(settings: JsonObject) -> JsonObject:
    """The Responses API's `reasoning` as chat completions write it; a router's own form of it is kept."""
    reasoning = settings.get("reasoning")
    if not isinstance(reasoning, dict) or set(reasoning) - {"effort", "summary", "generate_summary"}:
        return {}
    return {"reasoning": None, "reasoning_effort": settings.get("reasoning_effort") or reasoning.get("effort")}


def _verbosity(settings: JsonObject) -> JsonObject:
    """The Responses API's `text.verbosity`."""
    text = settings.get("text")
    return {"verbosity": text["verbosity"]} if isinstance(text, dict) and text.get("verbosity") else {}


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def read_format(settings: JsonObject) -> JsonObject | None:
    """The `response_format`, the Responses API's `text.format`, or Gemini's schema; None for free text.

    Anything but an object of this form (a class that an SDK recorded by its name) cannot be sent again and is None.
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
    """`tool_choice` and `parallel_tool_calls`; None for what was not set."""
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
    """One of `auto`, `none` and `required`, or an object that names a tool; unknown values are kept."""
    if isinstance(chosen, str):
        return _CHOICES.get(chosen, chosen or None)
    if not isinstance(chosen, dict):
        return None
    name = chosen.get("name")
    if name and chosen.get("type", "function") in ("function", "tool"):
        return {"type": "function", "function": {"name": name}}
    kind = chosen.get("type")
    return _CHOICES[kind] if isinstance(kind, str) and kind in _CHOICES else chosen
