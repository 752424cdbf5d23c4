"""Span attributes of other conventions as OpenInference attributes: one file a convention."""

from collections.abc import Sequence
from typing import Any

from sia_dagster.adapters.local.conventions import genai, openllmetry, platforms, vercel_ai
from sia_dagster.adapters.local.conventions.convention import KIND, Convention
from sia_dagster.adapters.local.kinds import LLM, OTHERS, recorded_kind
from sia_dagster.core.records.value import JsonObject

CONVENTIONS: tuple[Convention, ...] = (
    vercel_ai.CONVENTION,
    platforms.LANGFUSE,
    platforms.LANGSMITH,
    platforms.MLFLOW,
    openllmetry.CONVENTION,
    genai.CONVENTION,
)
"""In this order; what an earlier one gives stands. The first ones know the kind of a span that others name as well."""
FOREIGN: tuple[str, ...] = tuple(prefix for convention in CONVENTIONS for prefix in convention.prefixes)
_LISTS = ("llm.input_messages", "llm.output_messages", "llm.tools")

__all__ = ["CONVENTIONS", "FOREIGN", "Convention", "to_openinference"]


def to_openinference(attributes: JsonObject, events: Sequence[JsonObject] = ()) -> JsonObject:
    """The attributes with OpenInference's names added; what was recorded under those names stands.

    `events` are the span's, each with its `name` and flat `attributes`. Raises FormError for a call that would be
    misread, such as one whose messages are cut off.
    """
    foreign = [name for name in attributes if name.startswith(FOREIGN)]
    if not foreign or recorded_kind(attributes.get(KIND)) in OTHERS:
        return attributes
    found: JsonObject = {}
    for convention in CONVENTIONS:
        if any(name.startswith(convention.prefixes) for name in foreign):
            found = convention.convert(attributes, events) | found
            if found.get(KIND, LLM) != LLM:
                break
    for name in _LISTS:
        if name in found and any(recorded.startswith(f"{name}.") for recorded in attributes):
            del found[name]
    return found | {name: value for name, value in attributes.items() if not (name in found and _is_empty(name, value))}


def _is_empty(name: str, value: Any) -> bool:
    """Whether nothing was recorded; a kind that is none of OpenInference says nothing."""
    return value in ("", "[]", "{}", [], {}) or (name == KIND and not recorded_kind(value))
