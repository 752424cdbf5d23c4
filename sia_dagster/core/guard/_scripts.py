"""No unusual alphabets in a prompt: letters, styles of letters and emoji that nobody needs to read instructions."""

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import raw_text, shown
from sia_dagster.core.guard._traffic import FROM_OUTSIDE

RULE: Final = "alphabet"
LETTERS: Final = 3
"""Letters of a script, or in a style: fewer are units and formulas."""
SHARE: Final = 0.2
"""Of the sources that write in a script for it to be usual."""
_EMOJI: Final = re.compile(
    "(?:[\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff]"
    "[\ufe0e\ufe0f\u200d\U0001f3fb-\U0001f3ff]{0,4} ?){3,}"
)
"""Three pictures in a row: a message in pictures."""
_FULL_WIDTH: Final = re.compile("[\uff01-\uff5e]")


def keeps_to_its_scripts(case: GuardInput) -> Findings:
    """New letters of a script that neither the policy nor a fifth of the users writes, styled letters, rows of emoji.

    A person must look. Where no sample is at hand, a script is compared with the policy in force alone and passes: the
    search that made the candidate compared it with the traffic.
    """
    raw, known = raw_text(case.candidate), raw_text(case.baseline)
    if case.traffic.texts:
        usual = _scripts(known).keys() | _usual(case)
        for script, letters in _scripts(case.new_lines).items():
            if script not in usual and len(letters) >= LETTERS:
                what = f"letters of a script that this prompt and most of its users do not write: {shown(letters)}"
                yield case.holds("person", RULE, what, letters)
    styled = "".join(letter for letter in raw if _is_styled(letter) and letter not in known)
    if len(styled) >= LETTERS and not (_FULL_WIDTH.match(styled) and "CJK" in _scripts(raw)):
        yield case.holds("person", RULE, f"letters or digits in an unusual style: {shown(styled)}", styled)
    for match in _EMOJI.finditer(raw):
        if match[0] not in known:
            yield case.holds("person", RULE, f"a row of pictures: {shown(match[0])}", match[0])


def _usual(case: GuardInput) -> set[str]:
    """The scripts that a fifth of the sources write, and at least one of two."""
    by: dict[str, set[str]] = {}
    for text in case.traffic.texts:
        if text.author in FROM_OUTSIDE:
            for script in _scripts(text.text):
                by.setdefault(script, set()).add(text.by)
    return {script for script, sources in by.items() if len(sources) >= max(2, SHARE * case.traffic.sources)}


def _scripts(text: str) -> dict[str, str]:
    """The letters of each script, in order; Chinese and Japanese letters are one script."""
    found: dict[str, list[str]] = {}
    for letter, count in Counter(text).items():
        if letter.isalpha() and (script := _script(letter)):
            found.setdefault(script, []).append(letter * count)
    return {script: "".join(letters) for script, letters in found.items()}


@cache
def _script(letter: str) -> str:
    if letter.isascii():
        return "LATIN"
    script = unicodedata.name(letter, "").partition(" ")[0]
    return "CJK" if script in {"HIRAGANA", "KATAKANA", "IDEOGRAPHIC"} else script


def _is_styled(letter: str) -> bool:
    """Whether a character is an ASCII letter or digit in other clothes: bold, circled, small, full-width."""
    if letter.isascii() or not unicodedata.decomposition(letter).startswith("<"):
        return False
    plain = unicodedata.normalize("NFKC", letter)
    return plain.isascii() and plain.isalnum()
