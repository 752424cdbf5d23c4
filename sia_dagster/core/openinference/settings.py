"""A call's settings: those that a policy chooses, and those that belong to the call and travel with the sample."""

import json
from collections.abc import Mapping
from typing import Any

from sia_dagster.core.openinference.attributes import load_json
from sia_dagster.core.openinference.choices import read_format, read_tool_choice
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

A list of what is kept, not of what is left out: beside these, instrumentors record whatever the client was given, which
may be keys, headers and the user's name, and no such thing may come into a policy or reach another endpoint.
"""
_CALL = ("response_format", "tool_choice", "parallel_tool_calls")
"""What the application can do with the answer: a replay sends these settings as the sample recorded them."""
_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "item_reference", "web_search_options")
"""What stands at the provider and not in the trace. Only that it was there is kept, so that no replay pretends to be
that call; what it held is not."""
_RENAMED = {
    "max_output_tokens": "max_completion_tokens",
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "stop_sequences": "stop",
    "stopSequences": "stop",
}
"""The words of Responses and Gemini, Bedrock and Anthropic in chat completions."""


def read_parameters(value: Any) -> JsonObject:
    """The invocation parameters that a replay needs (`temperature`, `max_tokens`, `response_format`, ...).

    Only the top level is looked at; nulls, empty texts and what is no plain JSON (NaN) leave. Other APIs' settings take
    their names and forms in chat completions. What stands at the provider (`previous_response_id` and the like) is
    `true`. Raises ValueError or TypeError for what is no JSON object.
    """
    loaded = load_json(value)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    named: JsonObject = {_RENAMED.get(str(name), str(name)): setting for name, setting in loaded.items()}
    kept = {name: named[name] for name in named if name in _POLICY}
    kept |= _thinking(kept) | _wording(named) | _of_the_call(named)
    return {name: setting for name, setting in kept.items() if setting not in (None, "") and _is_plain(setting)}


def read_request_settings(request: Any) -> JsonObject:
    """The call's own settings in a raw request, for instrumentors that leave them out of the parameters."""
    if not isinstance(request, dict):
        return {}
    items = request.get("input")
    referred = isinstance(items, list) and any(isinstance(i, dict) and i.get("type") == "item_reference" for i in items)
    found = _of_the_call(request | ({"item_reference": True} if referred else {}))
    return {name: setting for name, setting in found.items() if _is_plain(setting)}


def policy_settings(parameters: Mapping[str, Any]) -> JsonObject:
    """Those of `parameters` that a policy chooses: how an answer is drawn, and how long it may be."""
    return {name: value for name, value in parameters.items() if name not in (*_CALL, *_ELSEWHERE)}


def call_settings(parameters: Mapping[str, Any]) -> JsonObject:
    """Those of `parameters` that belong to the call: the answer's form and the choice of tools."""
    return {name: parameters[name] for name in _CALL if name in parameters}


def kept_elsewhere(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """What the call needed that stands at the provider, by the names of the settings that point there."""
    return tuple(name for name in _ELSEWHERE if name in parameters)


def read_model(value: Any) -> str:
    """The model that the invocation parameters name, empty where they name none: for spans without a model's name.

    Raises as `read_parameters`.
    """
    settings = load_json(value) or {}
    if not isinstance(settings, dict):
        raise TypeError("not a JSON object")
    named = (settings.get(key) for key in ("model", "model_name"))
    return next((name for name in named if isinstance(name, str) and name), "")


def _of_the_call(settings: JsonObject) -> JsonObject:
    choice, parallel = read_tool_choice(settings)
    found = {"response_format": read_format(settings), "tool_choice": choice, "parallel_tool_calls": parallel}
    # Legacy completions have their prompt's text where the Responses API names a prompt at the provider.
    there = {n: True for n in _ELSEWHERE if settings.get(n) and not (n == "prompt" and isinstance(settings[n], str))}
    return {name: setting for name, setting in found.items() if setting is not None} | there


def _thinking(settings: JsonObject) -> JsonObject:
    """The Responses API's `reasoning` in the word of chat completions; a router's own form of it stays."""
    reasoning = settings.get("reasoning")
    if not isinstance(reasoning, dict) or set(reasoning) - {"effort", "summary", "generate_summary"}:
        return {}
    return {"reasoning": None, "reasoning_effort": settings.get("reasoning_effort") or reasoning.get("effort")}


def _wording(settings: JsonObject) -> JsonObject:
    """The Responses API's `text.verbosity`."""
    text = settings.get("text")
    return {"verbosity": text["verbosity"]} if isinstance(text, dict) and text.get("verbosity") else {}


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return False
    return True
