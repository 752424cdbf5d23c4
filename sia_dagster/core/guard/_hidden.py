"""No hidden text in a prompt: a person who reads the diff must see all of it for what it is."""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import in_disguise, is_invisible, masked, raw_text, shown
from sia_dagster.core.records.guard import GuardAction

_COMMENT: Final = re.compile(
    r"<!--(?!\s*/?keep\s*-->).*?(?:-->|\Z)|^ {0,3}\[[^\]\n]+\]:[ \t]*(?:#|<>)[ \t]*[(\"'][^\n]*",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
"""Also a Markdown reference that leads nowhere, `[//]: # (text)`: nobody sees its title."""
_ESCAPED: Final = re.compile(r"(?:\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9a-f]{2}|&#x?[0-9a-f]{2,6};){4,}", re.IGNORECASE)
_APART: Final = re.compile(r"(?<![^\W_])[^\W\d_](?:[ ._*|/+-]{1,3}[^\W\d_](?![^\W_])){4,}")
_CODED: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_MARKS: Final = "invisible marks of ordinary text"
_MARKS_OF_TEXT: Final = frozenset("\u200b\u200e\u200f\u061c\ufeff")
"""Where a word ends in Thai or Khmer, directions in Arabic or Hebrew, the mark at a file's start."""
_MARK_IN_WORD: Final = re.compile(f"[A-Za-z][{''.join(_MARKS_OF_TEXT)}]+[A-Za-z]")
_SHOWN: Final = ("invisible characters", _MARKS, "letters of another script", "a comment")
_UNSURE: Final = ("letters written apart", _MARKS)
_PRINTABLE: Final = re.compile(rb"[\n -~]{12,}")


def holds_nothing_hidden(case: GuardInput) -> Findings:
    """New text that is hidden.

    Invisible characters, letters of other scripts that look Latin, words with their letters written apart, encoded or
    escaped text, and HTML comments, which a rendered prompt does not show. A person must look at letters written apart
    (a name may be spelled so), and at marks that ordinary text of right-to-left or unspaced scripts has.
    """
    for what, found in _hidden(case):
        # A key or a name may be what had to be hidden, so that the reason does not repeat it.
        quoted = shown(found) if what in _SHOWN else masked(found)
        action: GuardAction = "person" if what in _UNSURE else "stop"
        yield case.holds(action, "hidden text", f"{what}: {quoted}", found)


def _hidden(case: GuardInput) -> Iterator[tuple[str, str]]:
    raw, known = raw_text(case.candidate), raw_text(case.baseline)
    if unseen := sorted({c for c in set(raw) if is_invisible(c)} - set(known)):
        usual = set(unseen) <= _MARKS_OF_TEXT and not _MARK_IN_WORD.search(raw)
        yield _MARKS if usual else "invisible characters", ", ".join(f"U+{ord(c):04X}" for c in unseen)
    yield from (("letters of another script", word) for word in in_disguise(raw) if word not in known)
    yield from (("letters written apart", match[0]) for match in case.new_matches(_APART) if not _counts(match[0]))
    yield from (("escaped text", match[0]) for match in case.new_matches(_ESCAPED))
    yield from (("encoded text", match[0]) for match in case.new_matches(_CODED) if _is_readable(match[0]))
    yield from (("a comment", match[0]) for match in case.new_matches(_COMMENT))


def _counts(text: str) -> bool:
    """Whether the letters are in the order of the alphabet: options of a list."""
    letters = re.findall(r"[^\W\d_]", text)
    return all(ord(second) == ord(first) + 1 for first, second in pairwise(letters))


def _is_readable(coded: str) -> bool:
    """Whether it is text in base 64 or hexadecimal digits: twelve printable characters do not come by chance."""
    return any(_PRINTABLE.fullmatch(found) for found in _decoded(coded))


def _decoded(coded: str) -> Iterator[bytes]:
    usual = coded.rstrip("=").replace("-", "+").replace("_", "/")
    with contextlib.suppress(binascii.Error):
        yield base64.b64decode(usual + "=" * (-len(usual) % 4), validate=True)
    if re.fullmatch(r"(?:[0-9a-fA-F]{2})+", coded):
        yield bytes.fromhex(coded)
