"""Turns pydantic's errors into sentences that say what to write instead."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from sia_dagster.adapters.config.keys import Key, nearest_key, without_tags

Fault = Mapping[str, Any]
"""One entry of `ValidationError.errors()`."""
MOST_FAULTS = 1000
"""For which sentences are made: nobody reads more, and they take their time."""


def faults(error: ValidationError) -> list[tuple[Key, str]]:
    """The first MOST_FAULTS errors as keys in the file and sentences.

    Sentences may hold values of environment variables.
    """
    found = error.errors(include_url=False)[:MOST_FAULTS]
    places = [without_tags(fault["loc"]) for fault in found]
    return [
        _refined(place, _sentence(fault))
        for fault, place in zip(found, places, strict=True)
        if not _is_echo(fault, place, places)
    ]


def _is_echo(fault: Fault, place: Key, places: list[Key]) -> bool:
    """Whether the error only follows from others: a list with invalid items also counts as too short."""
    return fault["type"] == "too_short" and any(p[: len(place)] == place and p != place for p in places)


def _sentence(fault: Fault) -> str:
    write = _SENTENCES.get(fault["type"])
    return write(fault) if write else str(fault["msg"]).replace("Input should", "should")


def _unknown(fault: Fault) -> str:
    return f"unknown key; {nearest_key(str(fault['loc'][-1]), fault['loc'][:-1])}"


def _pattern(fault: Fault) -> str:
    return f"{fault['input']!r} is not the address of a function; write package.module:function"


def _text(fault: Fault) -> str:
    if isinstance(fault["input"], dict):
        return "must be text; put text that begins with a brace in quotes"
    return "must be text; put it in quotes"


def _too_few(fault: Fault) -> str:
    return f"needs at least {fault['ctx']['min_length']} of them"


def _tag(fault: Fault) -> str:
    """The key that selects the kind of section."""
    return str(fault["ctx"]["discriminator"]).strip("'")


_TAGGED = {"kind": "llm_classify, code or platform", "source": "arize, phoenix or local"}

_SENTENCES: Mapping[str, Callable[[Fault], str]] = {
    "extra_forbidden": _unknown,
    "missing": lambda _: "this key is missing; add it",
    "union_tag_not_found": lambda f: f"`{_tag(f)}` is missing; write {_tag(f)}: {_TAGGED[_tag(f)]}",
    "union_tag_invalid": lambda f: (
        f"there is no {_tag(f)} {f['ctx']['tag']!r}; write one of {f['ctx']['expected_tags']}"
    ),
    "value_error": lambda f: str(f["ctx"]["error"]),
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "too_short": _too_few,
    "model_type": lambda _: "must hold keys and values, indented below it",
    "model_attributes_type": lambda _: "must hold keys and values, indented below it",
    "tuple_type": lambda _: "must be a list: lines that begin with a dash",
}


def _refined(key: Key, message: str) -> tuple[Key, str]:
    """The full key, if the message of a section's own check begins with one (`validation.primary: ...`)."""
    if match := re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message):
        return (*key, *match[1].split(".")), message[match.end() :]
    return key, message
