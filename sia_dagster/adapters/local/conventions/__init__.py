"""Span attributes of other conventions as OpenInference attributes: one file a convention."""

from collections.abc import Sequence
from typing import Any

from sia_dagster.adapters.local.conventions import genai, openllmetry, platform_attributes, vercel_ai
from sia_dagster.adapters.local.conventions.convention import KIND, Convention
from sia_dagster.adapters.local.kinds import LLM, OTHERS, recorded_kind
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.records.value import JsonObject

CONVENTIONS: tuple[Convention, ...] = (
    vercel_ai.CONVENTION,
    platform_attributes.LANGFUSE,
    platform_attributes.LANGSMITH,
    platform_attributes.MLFLOW,
    openllmetry.CONVENTION,
    genai.CONVENTION,
)
"""In this order; what an earlier one gives stands. The first ones know the kind of a span that others name as well."""
FOREIGN: tuple[str, ...] = tuple(prefix for convention in CONVENTIONS for prefix in convention.prefixes)
_SETTINGS = "llm.invocation_parameters"
_SHORT = 1000
_LISTS = ("llm.input_messages", "llm.output_messages", "llm.tools")

__all__ = ["CONVENTIONS", "FOREIGN", "Convention", "to_openinference"]


def to_openinference(attributes: JsonObject, events: Sequence[JsonObject] = ()) -> JsonObject:
    """The attributes with OpenInference's names added.

    What was recorded under those names stands, settings one by one, except for messages and tools: Phoenix writes these
    where it converts a span, and keeps one result of those that tools gave at a time. `events` are the span's, each
    with its `name` and flat `attributes`. Raises FormError for a call that would be misread, such as one whose messages
    are cut off.
    """
    foreign = [name for name in attributes if name.startswith(FOREIGN)]
    if not foreign or recorded_kind(attributes.get(KIND)) in OTHERS:
        return attributes
    found: JsonObject = {}
    for convention in CONVENTIONS:
        if any(name.startswith(convention.prefixes) for name in foreign):
            given = convention.convert(attributes, events)
            found = given | found | _settings(given, found)
            if found.get(KIND, LLM) != LLM:
                break
    stands = {name: value for name, value in attributes.items() if _stands(name, value, found)}
    return found | stands | _settings(found, stands)


def _settings(added: JsonObject, there: JsonObject) -> JsonObject:
    """The settings of both, as each may know some of them; {} where one has none."""
    both = [load_object(values.get(_SETTINGS)) for values in (added, there)]
    return {_SETTINGS: both[0] | both[1]} if all(both) else {}


def _stands(name: str, value: Any, found: JsonObject) -> bool:
    """Whether a recorded attribute stands: it says something, and nothing better was found."""
    if name == "output.value" and _is_phoenixs(value):
        return False
    return name not in found or not (
        name in _LISTS or value in ("", "[]", "{}", [], {}) or (name == KIND and not recorded_kind(value))
    )


def _is_phoenixs(value: Any) -> bool:
    """Whether it is the id and the model of an answer, which Phoenix writes as the output of a converted span."""
    answer = load_object(value) if isinstance(value, str) and len(value) < _SHORT else {}
    return bool(answer) and answer.keys() <= {"id", "model"}
