"""The text of a policy, in the form in which rules read it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from sia_dagster.core.records.policy import Actions

SHOWN = 60
"""Characters of a finding that a reason shows."""
JOINERS = "\u200c\u200d"
"""Invisible, yet part of ordinary writing: Persian and Indic words, joined emoji."""
_BLANKS: Final = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0d\U000e0100-\U000e01ef"
"""Letters and marks that show nothing: fillers, the empty Braille pattern, selectors of variants that no font has."""
_BLANK: Final = re.compile(f"[{_BLANKS}]")
_UNUSUAL = re.compile(r"[^\t\n\r -~]")
_STACKED: Final = re.compile(r"(?<=[A-Za-z])[\u0300-\u036f]+")
_HYPHENS: Final = {0x2010: "-", 0x2011: "-", 0x2212: "-"}
_FULL_STOP: Final = re.compile(r"(?<=[A-Za-z0-9])\u3002(?=[A-Za-z])")
_MIXED: Final = re.compile(
    r"\b(?=[^\W\d_]*[A-Za-z])(?=[^\W\d_]*[\u0370-\u03ff\u0400-\u052f\u0531-\u058f\u13a0-\u13f5])[^\W\d_]{2,}"
)
"""A word of Latin letters with Greek, Cyrillic, Armenian or Cherokee ones between them."""
_LOOKALIKES: Final = str.maketrans(
    # Cyrillic, Greek, Armenian, Cherokee: escaped, since nobody could review them side by side.
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0430\u0435"
    "\u043e\u0441\u0440\u0456\u0458\u0455\u0445\u0443\u0501\u04bb\u051b\u051d"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03b1\u03b9\u03bd\u03bf\u03c1\u03c5\u03c4\u03ba\u0585\u0578\u057d\u0570"
    "\u13a0\u13a1\u13a2\u13a5\u13aa\u13ab\u13ac\u13b3\u13b7\u13bb\u13c0\u13c3\u13cf\u13d2\u13d4\u13d5\u13d9\u13da"
    "\u13de\u13df\u13e2\u13e6\u13e7\u13f3\u13f4",
    "ABESIJKMHOPCTXYaeocpijsxydhqwABEZHIKMNOPTYXaivopytkonuhDRTiAJEWMHGZbRWSVSLCPKdGB",
)


_UNSPACED_OR_OTHER: Final = (
    "\u0590-\u08ff\u0900-\u0fff\u1000-\u10ff\u1100-\u12ff\u1780-\u17ff\u3005\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3"
)
"""Letters of scripts that never share a word with Latin ones: Hebrew to Ethiopic, Khmer, kana, Han, Hangul."""
_SEAM: Final = re.compile(
    rf"(?<=[{_UNSPACED_OR_OTHER}])(?=[A-Za-z0-9+@])|(?<=[A-Za-z0-9])(?=[{_UNSPACED_OR_OTHER}])"
    r"|(?<=\d)(?=[^\W\d_A-Za-z])|(?<=[^\W\d_A-Za-z])(?=\d)"
)
"""Where Latin letters or digits touch another script: they are a word of their own, as a blank would show."""
_SENTENCE: Final = re.compile(
    r"([^.!?:;\n\"()\u00ab\u00bb\u201c-\u201e\u3002\u300c\u300d\u061f\u0964\uff1f]+)([?\u061f\uff1f]?)"
)


def raw_text(actions: Actions) -> str:
    """Everything of a policy that may be read as prose: the prompt, the examples, and texts among the parameters."""
    examples = (f"{example.input}\n{example.output}" for example in actions.examples)
    return "\n".join([actions.system_prompt, *examples, *_texts(actions.parameters)])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def plain(text: str) -> str:
    """Text in one form, so that no way of writing hides a word.

    Compatibility characters and digits of all scripts are unified, invisible characters and stacked accents are
    removed, letters that only look Latin become Latin in a word with Latin ones, and a blank parts Latin letters and
    digits from letters of other scripts.
    """
    if not _UNUSUAL.search(text):
        return text
    unified = unicodedata.normalize("NFKC", text)
    written = {
        ord(c): "" if _is_unseen(c) else _digit(c) for c in set(unified) if not c.isascii() or not c.isprintable()
    }
    shown = unified.translate(written)
    shown = _FULL_STOP.sub(".", _STACKED.sub("", shown.translate(_HYPHENS)))
    return _SEAM.sub(" ", _MIXED.sub(_latin, shown))


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """Each sentence, and whether it is a question; quotes, brackets and colons part sentences, too."""
    return ((sentence, bool(mark)) for sentence, mark in _SENTENCE.findall(text))


def in_disguise(text: str) -> Iterator[str]:
    """The words of `text` in which letters of other scripts stand for Latin ones that look the same.

    Words of four letters and more: shorter ones may be units and formulas (a Greek rho before a V).
    """
    return (match[0] for match in _MIXED.finditer(text) if len(match[0]) > 3 and _latin(match) != match[0])


def _latin(match: re.Match[str]) -> str:
    latin = match[0].translate(_LOOKALIKES)
    return latin if latin.isascii() else match[0]


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def is_invisible(character: str) -> bool:
    """Whether a character neither shows nor breaks a line: controls, formats, fillers, half a surrogate pair."""
    if character in "\n\t\r" + JOINERS:
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs"} or _BLANK.match(character) is not None


def _is_unseen(character: str) -> bool:
    return character in JOINERS or is_invisible(character)


def shown(found: str) -> str:
    """A finding as a reason quotes it: one line, cut."""
    line = " ".join(found.split())
    return repr(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")


def masked(found: str, keep: int = 3) -> str:
    """A finding that may not be repeated: its first characters and its length."""
    return f"'{found[:keep]}…' ({len(found)} characters)"
