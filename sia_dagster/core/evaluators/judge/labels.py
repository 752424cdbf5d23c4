"""Which of the rails a judge's answer names: exactly one beyond doubt, or none."""

import json
import math
import re
import unicodedata
from collections.abc import Iterable

from sia_dagster.core.text import as_number

_NAME = re.compile(r"label\s*[:\uff1a]\s*", re.IGNORECASE)
_AROUND = " \t\r\n*_`\"'“”\u2018\u2019«»「」"
_BEHIND = f"{_AROUND}.。!"
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?")


def folded(label: object) -> str:
    """The form in which labels are compared: a JSON number 4 is the rail "4"; case and outer blanks do not count."""
    return (label if isinstance(label, str) else json.dumps(label)).strip().casefold()


def rail_of(given: object, rails: Iterable[str]) -> str | None:
    """The rail that `given` is; None where it is not one of them, or may be several.

    Tried in turn: the same text but for case and outer blanks; the same text but for the mark-up and quotes around it,
    the full stop behind it and `Label:` in front of it; the same number (4.0 is the rail "4"). A rail inside a longer
    text is never looked for: "not correct" is not "correct".
    """
    names = tuple(rails)
    for form in (folded, _bare, _number):
        wanted = form(given)
        found = [name for name in names if form(name) == wanted]
        if wanted and len(found) == 1:
            return found[0]
    return None


def _bare(label: object) -> str:
    text = _stripped(unicodedata.normalize("NFC", "".join(map(_narrow, folded(label)))))
    return _stripped(_NAME.sub("", text, count=1)) if _NAME.match(text) else text


def _stripped(text: str) -> str:
    """A mark in front may change the meaning, as in `.5` and `!correct`."""
    return text.lstrip(_AROUND).rstrip(_BEHIND)


def _narrow(letter: str) -> str:
    """A full-width letter or digit as the usual one; `²` is not the digit 2."""
    width = unicodedata.decomposition(letter).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", letter) if width else letter


def _number(label: object) -> str:
    text = _bare(label)
    number = as_number(text) if _NUMBER.fullmatch(text) else None
    return "" if number is None or not math.isfinite(number) else repr(number + 0.0)
