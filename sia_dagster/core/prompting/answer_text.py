"""Reads what a model wrote: the JSON object that is its answer, whatever stands around it; nothing is repaired."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

_TAGS = r"(?:think|thinking|thoughts?|reasoning|seed:think)"
_OPEN = rf"(?:<{_TAGS}(?:\s[^<>]*)?>|\[think\]|◁think▷)"
_CLOSE = rf"(?:</{_TAGS}>|\[/think\]|◁/think▷)"
_BLOCK = re.compile(rf"^[ \t]*{_OPEN}.*?{_CLOSE}", re.I | re.M | re.S)
_CLOSING = re.compile(_CLOSE, re.I)
_WITHOUT_END = re.compile(rf"^[ \t]*{_OPEN}|{_OPEN}[ \t]*$", re.I | re.M)
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.M)
_FENCE = r"(?:`{3,}|~{3,}|''')"
_BEGINS = re.compile(rf"(?:^|{_FENCE}[ \t]*[\w.+-]{{0,20}})\s*\Z", re.M)
_FENCE_ENDS = re.compile(rf"\s*{_FENCE}")
_NO_LETTER = re.compile(r"[\W_]+")
_DEEPEST = 20
"""An answer has one or two levels."""
_AROUND_END = "`~' \t\r\n"
_MARKS = " \t\r\n*_`\"'“”\u2018\u2019«»"


class _Stated(NamedTuple):
    """An object that stands in a text, and where."""

    content: JsonObject
    start: int
    end: int


def own_words(text: str, judged: str = "", fields: Sequence[str] = ()) -> str:
    """The answer in `text`: without thoughts, and without what it repeats of `judged`, the texts that it is about.

    What counts as repeated is an object that also stands there, and a line for one of the `fields`. A text that is an
    object as a whole, or one line, is the answer as it is.
    """
    if _object(text) is not None:
        return text
    answer = without_thoughts(text)
    if not judged or _object(answer) is not None or "\n" not in answer.strip():
        return answer
    known = _letters(judged)
    copied = [each for each in _stated(answer) if _letters(answer[each.start : each.end]) in known]
    kept = _without(answer, copied)
    lines = {_letters(line) for line in judged.split("\n")}
    named = [_line_of(field) for field in fields]
    return "\n".join(
        line
        for line in kept.split("\n")
        if _letters(line) not in lines or not any(pattern.fullmatch(line) for pattern in named)
    )


def without_thoughts(text: str) -> str:
    """The text without the thoughts that some servers leave in it; thoughts without an end last to the text's end.

    A block of thoughts begins a line: the answer may speak of such a tag itself.
    """
    answer, blocks = _BLOCK.subn("", text)
    closings = [] if blocks else list(_CLOSING.finditer(answer))
    if closings:
        answer = answer[closings[-1].end() :]
    opened = _WITHOUT_END.search(answer)
    answer = answer if opened is None else answer[: opened.start()]
    return answer if answer == text else answer.strip()


def read_json(text: str) -> JsonObject | None:
    """The JSON object that is `text`, or the final one in it, behind thoughts and prose; None if there is none.

    An object with two values under one name is not read. Its strings can be stored: half of a surrogate pair becomes
    U+FFFD.
    """
    return final_object(own_words(text))


def final_object(answer: str, *, nothing_behind: bool = False) -> JsonObject | None:
    """The last object in `answer`, which has no thoughts any more; it begins a line or a code fence, in any spelling.

    Prose may stand behind the end of its fence only, and not even there with `nothing_behind`.
    """
    if (whole := _object(answer)) is not None:
        return whole
    answer = _QUOTED_LINE.sub("", answer)
    if not (stated := _stated(answer)):
        return None
    behind = answer[stated[-1].end :]
    begins = _BEGINS.search(answer[: stated[-1].start]) is not None
    ends = not behind.strip(_AROUND_END) or (not nothing_behind and _FENCE_ENDS.match(behind) is not None)
    return stated[-1].content if begins and ends else None


def conclusions(answer: str, field: str) -> set[str]:
    """All that `answer` gives for `field`, in objects at any depth and in lines `field: ...`; not in quoted lines."""
    answer = _QUOTED_LINE.sub("", answer)
    whole = _object(answer)
    stated = _stated(answer) if whole is None else []
    contents = [each.content for each in stated] if whole is None else [whole]
    rest = _without(answer, stated) if whole is None else ""
    found = [value for content in contents for value in _values(content, field)]
    lines = [match[1] for line in rest.splitlines() if (match := _line_of(field).fullmatch(line))]
    return {_bare(value if isinstance(value, str) else json.dumps(value)) for value in (*found, *lines)}


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
    spelled = {field: [name for name in content if _is(name, field)] for field in fields}
    if any(len(names) != 1 for names in spelled.values()):
        return None
    return content | {field: content[names[0]] for field, names in spelled.items()}


def _values(content: Any, field: str, depth: int = 0) -> Iterator[Any]:
    """What stands under the name, however deep; texts that are objects count where nothing else has the name."""
    if depth > _DEEPEST or not isinstance(content, dict | list):
        return
    parts = content if isinstance(content, list) else list(content.values())
    own = [] if isinstance(content, list) else [value for name, value in content.items() if _is(name, field)]
    inner = [value for part in parts for value in _values(part, field, depth + 1)]
    written = (_object(part) for part in parts if isinstance(part, str))
    yield from [*own, *inner] or [value for each in written for value in _values(each, field, depth + 1)]


def _is(name: str, field: str) -> bool:
    return name.strip().casefold() == field.casefold()


def _stated(text: str) -> list[_Stated]:
    """The objects in the text, in order, without those inside others."""
    found: list[_Stated] = []
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            content, at = _DECODER.raw_decode(text, start)
            found.append(_Stated(storable(content), start, at))
        except ValueError:
            at = start + 1
        except RecursionError:
            break
    return found


def _without(text: str, stated: Sequence[_Stated]) -> str:
    """The text without these parts of it."""
    ends = [0, *(each.end for each in stated)]
    starts = [*(each.start for each in stated), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _line_of(field: str) -> re.Pattern[str]:
    """A line `field: value`, in any mark-up."""
    return re.compile(rf"[*_`\"'#\s-]*{re.escape(field)}[*_`\"']*\s*[:\uff1a](.*)", re.I)


def _bare(text: str) -> str:
    """The text but for case, the mark-up around it and its last full stop."""
    return text.strip(_MARKS).rstrip(".,。").strip(_MARKS).casefold()


def _letters(text: str) -> str:
    """By these a copy is recognised in another mark-up or spacing."""
    return _NO_LETTER.sub("", text).casefold()


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


_DECODER = json.JSONDecoder(object_pairs_hook=_without_contradiction)
