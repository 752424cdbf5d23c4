"""Edits of a prompt: they are anchored in the text they were proposed for, and either all apply or none does."""

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from sia_dagster.core.records.search import Edit

_DELETED_LINE = "\0deleted line\0"
"""Marks deleted whole lines until their line break is removed, too; no text holds it."""


CRLF = "\r\n"


class EditError(ValueError):
    """An edit does not apply. `number` counts from 1; the message holds no text of the edit, which is untrusted."""

    def __init__(self, number: int, edit: Edit, why: str) -> None:
        """Keep the edit and its number beside the sentence."""
        super().__init__(f"edit {number} ({edit.operation}) does not apply: {why}")
        self.number, self.edit = number, edit


class _Change(NamedTuple):
    """`prompt[start:end]` is replaced by `text`; `number` is the edit's, from 1."""

    start: int
    end: int
    text: str
    number: int


def apply_edits(prompt: str, edits: Sequence[Edit]) -> str:
    """`prompt` with all `edits` made. Raises EditError for one that does not apply; then none is made.

    Every `find` must be in the original prompt exactly once. `add` puts its text on lines of its own after the line
    where `find` ends (without `find`: after the last line that is not blank); `delete` of whole lines removes their
    line break, too, so that deleting what was added restores the prompt. Edits that touch the same text are refused,
    so their order matters only for texts that are added at one place: these keep it. A prompt whose lines end in
    CRLF keeps them: edits come with LF, which stands for either.
    """
    located = [_locate(prompt, edit, number) for number, edit in enumerate(edits, start=1)]
    changes = sorted(located, key=lambda change: (change.start, change.end))
    _refuse_overlaps(changes, edits)
    kept, position = [], 0
    for change in changes:
        kept += [prompt[position : change.start], change.text]
        position = change.end
    lines = "".join([*kept, prompt[position:]]).split("\n")
    left = [line for line in lines if line.removesuffix("\r") != _DELETED_LINE]
    if left and lines[-1] == _DELETED_LINE:
        left[-1] = left[-1].removesuffix("\r")  # What follows it is gone, and so is its line end.
    return "\n".join(left)


def _locate(prompt: str, edit: Edit, number: int) -> _Change:
    if why := _misshapen(edit):
        raise EditError(number, edit, why)
    start, end = _found(prompt, edit, number) if edit.find else (len(prompt.rstrip()),) * 2
    if edit.operation == "add":
        place = _line_end(prompt, end)
        return _Change(place, place, _with_line_ends(f"\n{edit.text}" if prompt else edit.text, prompt), number)
    after = prompt[end : end + 2]
    whole_lines = prompt[start - 1 : start] in ("", "\n") and (after[:1] in ("", "\n") or after == CRLF)
    if edit.operation == "delete" and whole_lines:
        return _Change(start, end, _DELETED_LINE, number)
    return _Change(start, end, _with_line_ends(edit.text, prompt), number)


def _with_line_ends(text: str, prompt: str) -> str:
    """`text` with the line ends of `prompt` where all of these are CRLF; else as it is."""
    uniform = CRLF in prompt and prompt.count(CRLF) == prompt.count("\n")
    return re.sub("\r?\n", CRLF, text) if uniform else text


def _misshapen(edit: Edit) -> str:
    """Why the edit's fields do not fit its operation; empty where they do."""
    if edit.operation == "delete" and edit.text:
        return "it deletes and has new text"
    if edit.operation != "delete" and not edit.text.strip():
        return "it has no text"
    if edit.operation != "add" and not edit.find:
        return "it does not say which text of the prompt it means"
    return ""


def _found(prompt: str, edit: Edit, number: int) -> tuple[int, int]:
    places = _places(prompt, edit.find)
    if not places:
        raise EditError(number, edit, "the text it looks for is not in the prompt")
    if len(places) > 1:
        raise EditError(number, edit, "the text it looks for occurs in the prompt more than once")
    return places[0]


def _places(prompt: str, found: str) -> list[tuple[int, int]]:
    """Where the text stands in the prompt, at most twice; an LF of the text stands for either line end."""
    if CRLF in prompt and "\n" in found.replace(CRLF, ""):
        lines = re.split("\r?\n", found)
        pattern = re.compile("(?=(" + "(?:\r\n|(?<!\r)\n)".join(re.escape(line) for line in lines) + "))")
        return [match.span(1) for match in islice(pattern.finditer(prompt), 2)]
    start = prompt.find(found)
    starts = [start, prompt.find(found, start + 1)] if start >= 0 else []
    return [(start, start + len(found)) for start in starts if start >= 0]


def _line_end(prompt: str, position: int) -> int:
    """Where the line of the character before `position` ends, before its line end."""
    end = prompt.find("\n", position)
    if end < 0:
        return len(prompt)
    return end - 1 if prompt[position:end].endswith("\r") else end


def _refuse_overlaps(changes: Sequence[_Change], edits: Sequence[Edit]) -> None:
    for before, after in pairwise(changes):
        if after.start < before.end:
            first, second = sorted((before.number, after.number))
            raise EditError(second, edits[second - 1], f"it touches the same text as edit {first}")
