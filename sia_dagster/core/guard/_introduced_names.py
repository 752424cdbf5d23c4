"""No name that somebody gave in a trace: also one word, in small letters, or in a script without capitals.

A name is found by what stands beside it (`my name is`, `さん`, `السيد`) or by a common surname, in the candidate or in
a trace, and must stand in the other, too: `name_cues.txt`.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._impersonal_words import is_impersonal
from sia_dagster.core.guard._text import masked
from sia_dagster.core.guard._traffic import ANSWER, USER, SampleText
from sia_dagster.core.guard._words import UNSPACED, is_unspaced, stop_words, words_of

_HAN: Final = "\u3005\u30a1-\u30f6\u30fc\u3400-\u4dbf\u4e00-\u9fff"
_THAI: Final = "\u0e01-\u0e3a\u0e40-\u0e4e"
_WORD: Final = r"(?:[^\W\d_\u0900-\u0963]|[\u0900-\u0963\u064b-\u0652'\u2019-])"
_NAME: Final = rf"{_WORD}{{2,30}}"
SHORT: Final = 2
"""Characters of the shortest name in Chinese, Japanese and Korean; four in Thai, three in other scripts."""
_THAI_PREFIXES: Final = (5, 6, 7)
"""Where a Thai name ends is not written, so that its beginning is looked for."""


def repeats_no_introduced_name(case: GuardInput) -> Findings:
    """New names that a trace holds, where either of the two shows that it is one: a person must look.

    What many sources hold, what the policy in force says, a word that two sources write in small letters, and a word
    for things are no names.
    """
    lines = case.new_lines.casefold()
    known, ordinary = case.known_folded, _ordinary(case)
    by: dict[str, set[str]] = {}
    first: dict[str, SampleText] = {}
    of_candidate = set(_names(case.new_lines))
    for text in case.traffic.texts:
        if text.author not in (USER, ANSWER):
            continue
        folded = text.text.casefold()
        names = {name for name in _names(text.text) if _stands(name, lines)}
        names |= {name for name in of_candidate if _stands(name, folded)}
        for name in sorted(names):
            by.setdefault(name, set()).add(text.by)
            first.setdefault(name, text)
    for name, sources in by.items():
        if len(sources) < case.traffic.many and name not in ordinary and not _stands(name, known):
            what = f"the candidate holds the name {masked(name, 1)}"
            yield case.finding("person", "copied detail", what, first[name].place)


def _names(text: str) -> Iterator[str]:
    """Each name, in small letters, that a cue or a surname shows."""
    for match in _spaced().finditer(text):
        cue, given = match["cue"] or "", match["name"] or match["named"] or ""
        words = [word.strip("'\u2019-") for word in given.split()]
        if match["cue"] and not _is_strong(cue):
            words = [word for word in words if word[:1].isupper() or not _has_case(word)]
        yield from (word.casefold() for word in words if _may_be_name(word))
    for match in _unspaced().finditer(text):
        yield from _beginnings(match)


def _may_be_name(word: str) -> bool:
    folded = word.casefold()
    shortest = SHORT if re.match("[\uac00-\ud7a3]", word) else SHORT + 1
    known = is_impersonal(folded) or not set(words_of(folded)) - stop_words()
    return len(word) >= shortest and not known


def _beginnings(match: re.Match[str]) -> Iterator[str]:
    """Where a name ends, or begins, is not written in these scripts: each length that it may have."""
    if thai := match["thai"]:
        yield from {thai[:length] for length in _THAI_PREFIXES if len(thai) >= length} or (
            {thai} if len(thai) > 3 else set()
        )
    elif before := match["before"]:
        yield from {before[-length:] for length in (2, 3, 4) if len(before) >= length}
        if len(before) == 1:
            yield match[0]
    elif follows := match["follows"]:
        yield from {follows[:length] for length in (2, 3, 4) if len(follows) >= length}
    else:
        yield match["surname"]


def _stands(name: str, text: str) -> bool:
    """Whether a text in small letters holds the name: in spaced scripts as a word, or at its beginning."""
    if name not in text:
        return False
    if is_unspaced(name):
        return True
    ending = "" if not name.isascii() else r"(?!\w)"
    return re.search(rf"(?<!\w){re.escape(name)}{ending}", text) is not None


def _ordinary(case: GuardInput) -> set[str]:
    """Words that two sources write in small letters."""
    users: dict[str, set[str]] = {}
    for text in case.traffic.texts:
        for word in set(re.findall(r"(?<!\w)[^\W\d_]{3,}", text.text)):
            if word.islower():
                users.setdefault(word, set()).add(text.by)
    return {word for word, by in users.items() if len(by) > 1}


def _has_case(word: str) -> bool:
    return word.lower() != word.upper()


def _is_strong(cue: str) -> bool:
    """Whether a name follows also in small letters: `my name is anna`, but not `I am late`."""
    return cue.casefold().strip() in _strong()


@cache
def _sections() -> dict[str, tuple[str, ...]]:
    text = files("sia_dagster.core.guard").joinpath("name_cues.txt").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("=> "):
            found[line[3:]] = section = []
        elif line and not line.startswith("#"):
            section.append(line)
    return {name: tuple(lines) for name, lines in found.items()}


@cache
def _strong() -> frozenset[str]:
    marks = " ".join(_sections()["words of a strong cue"]).split()
    return frozenset(cue for cue in _sections()["before"] if any(mark in cue for mark in marks))


def _either(cues: Iterable[str]) -> str:
    return "|".join(re.escape(cue) for cue in sorted(cues, key=len, reverse=True))


@cache
def _spaced() -> re.Pattern[str]:
    cues = _sections()
    return re.compile(
        rf"(?<![\w\u0900-\u0963])(?<![^\W_]['\u2019-])(?=[^\W\d_])"
        rf"(?:(?P<cue>{_either(cues['before'])})[.,:]?\s{{1,3}}(?P<name>{_NAME}(?:[ ]{_NAME}){{0,2}})"
        rf"|(?P<named>{_NAME}) ?(?:{_either(cues['after'])})(?!\w))",
        re.IGNORECASE,
    )


@cache
def _unspaced() -> re.Pattern[str]:
    cues = _sections()
    before: list[str] = []
    thai: list[str] = []
    for cue in cues["before without blanks"]:
        (thai if re.match("[\u0e00-\u0e7f]", cue) else before).append(cue)
    two, one = (_sections()[f"surnames of {length}"] for length in ("two characters", "one character"))
    return re.compile(
        rf"(?=[{_HAN}{UNSPACED}\uac00-\ud7a3])(?:(?:{_either(thai)})\s?(?P<thai>[{_THAI}]{{4,12}})"
        rf"|(?:{_either(before)})[是为為叫:\uff1a\s]{{0,2}}(?P<follows>[{_HAN}]{{2,4}})"
        rf"|(?P<before>[{_HAN}]{{1,4}}?)\s?(?:{_either(cues['after without blanks'])})"
        rf"|(?P<surname>(?:{_either(' '.join(two).split())})(?:\s?[{_HAN}])?|"
        rf"(?:{_either(' '.join(one).split())})[{_HAN}\uac00-\ud7a3]{{2}}))"
    )
