"""Reads what a model wrote: the JSON object that is its answer, whatever stands around it; nothing is repaired."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

_TAGS = r"(?:think|thinking|thoughts?|reasoning|seed:think)"
_OPENING = re.compile(rf"\s*(?:<{_TAGS}>|\[think\]|◁think▷)", re.I)
_CLOSING = re.compile(rf"</{_TAGS}>|\[/think\]|◁/think▷", re.I)
_FENCE = re.compile(r"`{3,}|~{3,}|'''")
_BEFORE_OBJECT = re.compile(r"[ \t]*[\w.+-]{0,20}\s*(?=\{)")


def without_thoughts(text: str) -> str:
    """The text behind the thoughts that some servers leave in front of it; "" where the thoughts have no end."""
    closings = list(_CLOSING.finditer(text))
    if not closings:
        return "" if _OPENING.match(text) else text
    # Behind the first end where the text begins with thoughts: the answer may speak of such a tag itself.
    end = closings[0] if _OPENING.match(text) else closings[-1]
    return text[end.end() :].strip()


def read_json(text: str) -> JsonObject | None:
    """The JSON object that is `text`, or the answer in it; None if there is none.

    Thoughts in front of it are passed over. Else the object is read from the last code fence, in any spelling, or from
    the first line on which one begins to the end of the text. An object with two values under one name is not read. Its
    strings can be stored: half of a surrogate pair becomes U+FFFD.
    """
    return next((found for candidate in _candidates(text) if (found := _object(candidate)) is not None), None)


def with_fields(content: JsonObject, fields: Sequence[str]) -> JsonObject | None:
    """The object with all of these fields: `content`, or the only one inside it; None where there is none.

    One inside may be a text, such as the arguments of a call that was written down. Case and blanks of a field's name
    do not count.
    """
    inner = (_object(value) if isinstance(value, str) else value for value in content.values())
    named = [_named(value, fields) for value in (content, *inner) if isinstance(value, dict)]
    own, *others = [[value] if value is not None else [] for value in named]
    found = own or [value for each in others for value in each]
    return found[0] if len(found) == 1 else None


def _named(content: JsonObject, fields: Sequence[str]) -> JsonObject | None:
    """The object under the names of these fields; None where it lacks one, or has it twice in different spellings."""
    if all(field in content for field in fields):
        return content
    spelled = {field: [name for name in content if name.strip().casefold() == field.casefold()] for field in fields}
    if any(len(names) != 1 for names in spelled.values()):
        return None
    return content | {field: content[names[0]] for field, names in spelled.items()}


def _candidates(text: str) -> Iterator[str]:
    yield text
    answer = without_thoughts(text)
    yield answer
    yield from _fenced(answer)
    # From the first object on: a second one behind it makes the text no object.
    if (start := re.search(r"^\{", answer, re.M)) is not None:
        yield answer[start.start() :].rstrip("`~' \n")


def _fenced(text: str) -> Iterator[str]:
    """What stands in the last code fence, which may lack its end or hold fences of its own."""
    fences = list(_FENCE.finditer(text))
    if not fences:
        return
    last = fences[-2:] if len(fences) % 2 == 0 else fences[-1:]
    yield _body(text[last[0].end() : last[-1].start() if len(last) == 2 else len(text)])
    yield _body(text[fences[0].end() : fences[-1].start() if len(fences) > 1 else len(text)])


def _body(block: str) -> str:
    """A fence's content without the language, which may stand on the same line as the object."""
    return block[match.end() :] if (match := _BEFORE_OBJECT.match(block)) else block


def _object(text: str) -> JsonObject | None:
    """The object that is exactly this text, or that is written in the JSON string that it is."""
    try:
        content = json.loads(text.strip().lstrip("\ufeff"), object_pairs_hook=_without_contradiction)
        if isinstance(content, str):
            content = json.loads(content, object_pairs_hook=_without_contradiction)
        content = storable(content)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _without_contradiction(pairs: list[tuple[str, Any]]) -> JsonObject:
    found: JsonObject = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError(f"two values of {name!r}")
    return found
