"""Text from outside made storable, read as a number or as words in any script, and counts in words."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def count(amount: int, noun: str) -> str:
    """`1 line`, `2 lines`, `no lines`, `1,204 lines`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s" if amount else f"no {noun}s"


def conversations_in_groups(conversations: int, groups: int) -> str:
    """`160 conversations of 61 groups`; `160 conversations` where each is a group of its own."""
    counted = count(conversations, "conversation")
    return counted if groups == conversations else f"{counted} of {count(groups, 'group')}"


def short_in_groups(conversations: int, groups: int) -> str:
    """The same where there is little room: `160 of 61 groups`; `160 conversations`."""
    return number_in_groups(conversations, groups) if groups != conversations else count(conversations, "conversation")


def number_in_groups(conversations: int, groups: int) -> str:
    """The same for a table's cell under the head "conversations": `160 of 61 groups`."""
    return f"{conversations:,}" if groups == conversations else f"{conversations:,} of {count(groups, 'group')}"


def as_number(text: str) -> float | None:
    """The number that `text` is written as, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def without_name(text: str, name: str) -> str:
    """The text without a name (a model's may contain any word), but for those inside longer words."""
    return re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "", text) if name else text


def storable(value: Any) -> Any:
    """The value with U+FFFD for every lone surrogate in its texts and keys, at every depth of lists and objects.

    A lone surrogate (half the escape of an emoji) is valid in JSON but not elsewhere: it can be neither stored, nor
    hashed, nor sent.
    """
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


_SENTENCE = re.compile(r"\S.*?(?:[.!?]+(?=\s|$)|[\u0964\u3002\uff01\uff1f]+|$)", re.M)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Each sentence with the place where it begins, without the white space around it; a line's end ends one, too.

    Without those that have no letter, such as the number of a list's item.
    """
    for match in _SENTENCE.finditer(text):
        if any(map(str.isalpha, match[0])):
            yield match.start(), match[0].rstrip()


_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\ua000-\ua4cf\ua980-\ua9df"
    "\uaa60-\uaadf"
)
"""Thai, Lao, Tibetan, Burmese, Khmer and their neighbours: no blanks between words."""
_DENSE = "\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Han and kana, which have no blanks either, and Hangul, whose particles are attached to words: a letter is a syllable
or more."""


def word_runs(text: str) -> list[str]:
    """The runs of letters and digits with their marks, in order: in Thai, Hindi and others vowels are marks."""
    return _runs().findall(text.replace("_", " "))


def word_grams(text: str, shortest: int) -> list[str]:
    """The words of `shortest` letters or more, in order, casefolded and without numbers.

    Where words have no blanks between them, the pairs (Han, kana, Hangul) or triples of letters stand for them.
    """
    found: list[str] = []
    for dense, unspaced, spaced in _letters().findall(unicodedata.normalize("NFKC", text).casefold()):
        if spaced:
            found += [spaced] if len(spaced) >= shortest else []
        else:
            run, size = (dense, 2) if dense else (unspaced, 3)
            found += [run[start : start + size] for start in range(max(1, len(run) - size + 1))]
    return found


@cache
def _marks() -> str:
    """The marks that are parts of letters, for a class of a regular expression; not the variants of emoji."""
    every = (chr(code) for code in range(0x300, 0x10000) if not 0xFE00 <= code <= 0xFE0F)
    return "".join(mark for mark in every if unicodedata.category(mark) in {"Mn", "Mc"})


@cache
def _runs() -> re.Pattern[str]:
    return re.compile(rf"[\w{_marks()}]+")


@cache
def _letters() -> re.Pattern[str]:
    """Three groups: a run of a dense script, of another unspaced one, of any other."""
    marks = _marks()
    spaced = rf"(?:[^\W\d_{_DENSE}{_UNSPACED}]|[{marks}])+"
    return re.compile(rf"([{_DENSE}]+)|((?:(?!\d)[{_UNSPACED}])+)|({spaced})")
