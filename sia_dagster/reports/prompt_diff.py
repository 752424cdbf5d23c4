"""Two texts side by side: aligned lines, changed words, long unchanged stretches folded."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Literal

from sia_dagster.core.records.value import Value
from sia_dagster.reports.wording import visible

RowKind = Literal["same", "changed", "added", "removed"]
WORDS_LIMIT = 1_500
"""Above this many words in a pair of lines only whole lines are marked: matching words is quadratic."""
BLOCK_LIMIT = 144
"""Above this many pairs of lines in one changed block, lines are paired in order, not by likeness."""
ALIKE = 0.5
"""Lines at least this similar (`difflib` ratio of their words) are versions of one another."""


class Segment(Value):
    """A piece of a line, and whether it is only on this side."""

    text: str
    marked: bool = False


class DiffRow(Value):
    """One line of each side; None where this side has no such line."""

    kind: RowKind
    left: tuple[Segment, ...] | None
    right: tuple[Segment, ...] | None


class Stretch(Value):
    """Rows in a row; `folded` where they are unchanged, many, and far from a change."""

    rows: tuple[DiffRow, ...]
    folded: bool = False


def diff_rows(old: str, new: str) -> tuple[DiffRow, ...]:
    """`old` and `new` aligned line by line, in the order of reading; equal texts give only `same` rows."""
    left, right = visible(old).split("\n") if old else [], visible(new).split("\n") if new else []
    rows: list[DiffRow] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, left, right).get_opcodes():
        if tag == "equal":
            rows += [DiffRow(kind="same", left=_whole(line), right=_whole(line)) for line in left[i1:i2]]
        else:
            rows += _block(left[i1:i2], right[j1:j2])
    return tuple(rows)


def stretches(rows: Sequence[DiffRow], *, context: int = 3, shortest: int = 6) -> tuple[Stretch, ...]:
    """`rows` cut so that `shortest` or more unchanged lines farther than `context` from any change are folded."""
    near = _near_a_change(rows, context)
    result: list[Stretch] = []
    for fold, start, end in _runs(near):
        folded = fold and end - start >= shortest
        if result and not folded and not result[-1].folded:
            result[-1] = Stretch(rows=(*result[-1].rows, *rows[start:end]))
        else:
            result.append(Stretch(rows=tuple(rows[start:end]), folded=folded))
    return tuple(result)


def unified_lines(old: str, new: str) -> tuple[str, ...]:
    """A unified diff without headers: each line begins with `+`, `-` or a space; `…` stands for what is left out.

    Lines over 120 characters are broken at the ends of their sentences first, so that one changed sentence shows alone.
    """
    left, right = _sentences(visible(old)), _sentences(visible(new))
    if left == right:
        return tuple(f" {line}" for line in left)
    whole = len(left) <= 40
    lines = list(difflib.unified_diff(left, right, n=max(len(left), len(right)) if whole else 3, lineterm=""))[2:]
    return tuple(" …" if line.startswith("@@") else line for line in lines if not (whole and line.startswith("@@")))


def count_lines(rows: Sequence[DiffRow]) -> tuple[int, int, int]:
    """How many lines were added, changed and removed."""
    kinds = [row.kind for row in rows]
    return kinds.count("added"), kinds.count("changed"), kinds.count("removed")


def _whole(line: str, marked: bool = False) -> tuple[Segment, ...]:
    return (Segment(text=line, marked=marked),)


def _block(left: Sequence[str], right: Sequence[str]) -> list[DiffRow]:
    """A changed block: the likest lines are paired first, what is before and after them in turn."""
    if not left or not right:
        gone = [DiffRow(kind="removed", left=_whole(line), right=None) for line in left]
        return gone + [DiffRow(kind="added", left=None, right=_whole(line)) for line in right]
    if len(left) * len(right) > BLOCK_LIMIT:
        return _in_order(left, right)
    pairs = [(i, j, _likeness(a, b)) for i, a in enumerate(left) for j, b in enumerate(right)]
    i, j, likeness = max(pairs, key=lambda pair: pair[2])
    if likeness < ALIKE:
        return _block(left, ()) + _block((), right)
    before, after = _block(left[:i], right[:j]), _block(left[i + 1 :], right[j + 1 :])
    return [*before, _changed(left[i], right[j]), *after]


def _in_order(left: Sequence[str], right: Sequence[str]) -> list[DiffRow]:
    """Line by line as they come; the longer side's rest is added or removed."""
    both = min(len(left), len(right))
    changed = [_changed(a, b) for a, b in zip(left, right, strict=False)]
    return changed + _block(left[both:], ()) + _block((), right[both:])


def _likeness(a: str, b: str) -> float:
    """1 where one line is the other with text before or after it; else the ratio of the words in common."""
    if a.strip() and b.strip() and (b.startswith(a) or a.startswith(b) or b.endswith(a) or a.endswith(b)):
        return 1.0
    words_a, words_b = _words(a), _words(b)
    if len(words_a) + len(words_b) > WORDS_LIMIT:
        return 0.0
    matcher = difflib.SequenceMatcher(None, words_a, words_b, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0


def _changed(a: str, b: str) -> DiffRow:
    """A pair of lines with the words marked that only one side has."""
    words_a, words_b = _words(a), _words(b)
    if len(words_a) + len(words_b) > WORDS_LIMIT:
        return DiffRow(kind="changed", left=_whole(a, True), right=_whole(b, True))
    left: list[Segment] = []
    right: list[Segment] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, words_a, words_b, autojunk=False).get_opcodes():
        _append(left, "".join(words_a[i1:i2]), tag != "equal")
        _append(right, "".join(words_b[j1:j2]), tag != "equal")
    return DiffRow(kind="changed", left=tuple(left), right=tuple(right))


def _append(segments: list[Segment], text: str, marked: bool) -> None:
    """Add a piece; a blank between two marked words is marked too, so that a changed phrase reads as one."""
    if len(segments) >= 2 and marked and segments[-2].marked and not segments[-1].text.strip() and text:
        blank, before = segments.pop(), segments.pop()
        segments.append(Segment(text=before.text + blank.text + text, marked=True))
    elif text:
        segments.append(Segment(text=text, marked=marked))


def _words(line: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", line)


def _near_a_change(rows: Sequence[DiffRow], context: int) -> list[bool]:
    near = [False] * len(rows)
    for index, row in enumerate(rows):
        if row.kind != "same":
            start, end = max(index - context, 0), min(index + context + 1, len(rows))
            near[start:end] = [True] * (end - start)
    return near


def _runs(near: Sequence[bool]) -> Iterator[tuple[bool, int, int]]:
    """`(far, start, end)` of each run of equal flags."""
    start = 0
    for index in range(1, len(near) + 1):
        if index == len(near) or near[index] != near[start]:
            yield not near[start], start, index
            start = index


def _sentences(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n") if text else []:
        lines += re.split(r"(?<=[.!?]) +(?=\S)", line) if len(line) > 120 else [line]
    return lines
