"""No identifiers in a prompt: what names one order, person, car, account or wallet names nobody else's."""

import re
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import masked

RULE: Final = "identifier"
BOOKING: Final = 6
"""Characters of a code in capitals with a single digit inside."""
_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]+(?:[-_/.:#][A-Za-z0-9]+){0,12}(?![A-Za-z0-9])")
_STANDARD: Final = re.compile(
    r"(?:ISO|IEC|DIN|EN|RFC|IEEE|NIST|ANSI|BS|PEP|HTTP|HTTPS|UTF|SHA|MD|AES|RSA|TLS|SSL|MP|H|IPV|OAUTH|WCAG"
    r"|ASCII|CP|GPT|ES"
    r"|PYTHON|JAVA|PHP|SQL|CSS|HTML|WINDOWS|WIN|IOS|ANDROID|COVID|USB|HDMI|WIFI|CODE|ERROR|STEP|LEVEL|TIER"
    r"|PHASE|CHAPTER"
    r"|SECTION|PART|CLAUSE|ARTICLE|RULE|CASE|OPTION|VERSION|V)(?:[-_/.:]?[0-9]+)+[A-Z]?",
    re.IGNORECASE,
)
"""Names of standards, programs and parts of a text."""
_STANDARD_BEFORE: Final = re.compile(r"\b(?:ISO|IEC|DIN|EN|RFC|IEEE|NIST|ANSI|BS|PEP)[ /:-]{1,3}$")
_MEASURE: Final = re.compile(
    r"[0-9]{1,4}(?:[.:/_-][0-9]{1,4})*(?:[-_]?[A-Za-z]{1,3}(?:[-/][A-Za-z]+)*|[-_][A-Za-z]+(?:[-_][A-Za-z]+)*)?"
    r"|[A-Za-z]{2,}[0-9]{1,3}|(?:[A-Za-z]{1,3}[-/.]?[0-9]{1,2})(?:[-/.:]?[0-9]{1,3})?[A-Za-z]?"
)
"""`500ms`, `1080p`, `24-hour`, `SHA256`, `B2`, `A4`, dates and times: numbers alone have rules of their own."""
_SCHEMA: Final = re.compile(r"[A-Za-z]+(?:_[A-Za-z0-9]+)+|[A-Za-z]+(?:[-./:][A-Za-z]+)+")
"""Names of columns and files without digits, words with hyphens."""
_LONG_NUMBER: Final = re.compile(r"(?<![\w.,])[#\u2116]?\d(?:[ .-]?\d){4,}(?![\w%])")
_TICKET: Final = re.compile(r"(?<![\w&])(?:#|\u2116|[Nn]o\.\s?|[Nn]r\.\s?)\d{3,}\b|(?<!\w)[A-Z]{2,6}[-/]\d{3,}\b")
_PLATE: Final = re.compile(
    r"\b[A-ZÄÖÜ]{1,3}[- ][A-Z]{1,2}[- ]?\d{1,4}[EH]?\b|\b[A-Z]{2}\d{2}[ -]?[A-Z]{3}\b|\b[A-Z]{2}-\d{3}-[A-Z]{2}\b"
    r"|\b\d{1,4}[- ]?[A-Z]{2,3}[- ]\d{2,4}\b"
    r"|[\u4eac\u6caa\u7ca4\u6d59\u82cf\u9c81]\s?[A-Z]\s?[\u00b7.-]?\s?[A-Z0-9]{5}\b"
)
_HEX: Final = re.compile(r"(?<![\w-])(?:0x)?(?=[0-9a-fA-F]{0,40}\d)[0-9a-fA-F]{8,}(?![\w-])|(?<!\w)#[0-9a-fA-F]{6}\b")
_CASES: Final = re.compile(r"(?<![\w/])(?=[A-Za-z]{0,64}[a-z][A-Z])[A-Za-z]{10,}(?!\w)")
"""A word with capitals inside."""
_HUMP: Final = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}(?![a-z])")


def holds_no_identifier(case: GuardInput) -> Findings:
    """New letter-digit mixes, hexadecimal digits, tickets, plates, long numbers, and digits in words.

    A person must look: of those that a trace holds too, `_numbers`, `_personal` and `_secrets` stop the sure ones.
    """
    for match in case.new_matches(_TOKEN):
        if _is_identifier(match[0]):
            yield case.holds("person", RULE, f"a mix of letters and digits: {masked(match[0])}", match[0])
    for what, pattern in (
        ("a number of many digits", _LONG_NUMBER), ("the number of a ticket", _TICKET), ("a plate", _PLATE),
        ("hexadecimal digits", _HEX), ("a random word", _CASES),
    ):  # fmt: skip
        for match in case.new_matches(pattern):
            if _is_meant(pattern, match) and _is_somebodys(case, match[0]):
                yield case.holds("person", RULE, f"{what}: {masked(match[0])}", match[0])
    for match in case.new_matches(_digits_in_words()):
        yield case.holds("person", RULE, f"digits in words: {masked(match[0])}", match[0])


def _is_identifier(token: str) -> bool:
    """Five letters and digits or more, both among them, in no usual form."""
    bare = re.sub(r"[^A-Za-z0-9]", "", token)
    digits = sum(map(str.isdigit, bare))
    if not digits or digits == len(bare) or len(bare) < 5:
        return False
    if any(pattern.fullmatch(token) for pattern in (_STANDARD, _MEASURE)):
        return False
    parts = [part for part in re.split(r"[-_/.:#]", token) if part]
    mixed = [part for part in parts if not part.isalpha() and not part.isdigit()]
    booking = len(bare) >= BOOKING and re.search("[A-Z][0-9][A-Z]", bare) is not None and bare.isupper()
    return booking or (digits >= 2 and (bool(mixed) or digits >= 3) and not _SCHEMA.fullmatch(token))


def _is_somebodys(case: GuardInput, found: str) -> bool:
    """Whether few sources hold it; where none does, a number of five digits or fewer may be any."""
    if sources := case.traffic.sources_of(found):
        return sources < case.traffic.many
    return re.fullmatch(r"(?:#|\u2116|[Nn][or]\.\s?)?(?:\d[ .-]?){1,5}", found) is None


def _is_meant(pattern: re.Pattern[str], match: re.Match[str]) -> bool:
    """Whether a match is no round number, count, date, standard or word."""
    found = match[0]
    if pattern is _LONG_NUMBER:
        if _STANDARD_BEFORE.search(match.string, max(0, match.start() - 12), match.start()):
            return False
        if re.fullmatch(r"\d\.\d+|\d{1,3}(?:\.\d{1,3}){2,}", found):  # a fraction, a version
            return False
        digits = re.sub(r"\D", "", found)
        groups = re.findall(r"\d+", found)
        is_date = len(groups) == 3 and {len(group) for group in groups} <= {1, 2, 4}
        counts = len(groups) > 2 and all(int(b) == int(a) + 1 for a, b in pairwise(groups))
        round_or_count = len(digits.rstrip("0")) <= 2 or digits in "12345678901234567890" or counts
        return not (round_or_count or is_date or _is_range(groups))
    if pattern is _CASES:
        return "".join(_HUMP.findall(found)) != found
    if pattern in (_TICKET, _PLATE):
        return _STANDARD.fullmatch(found.replace(" ", "-")) is None
    return any(a.isdigit() != b.isdigit() for a, b in pairwise(found.removeprefix("#"))) or found.isdigit()


def _is_range(groups: list[str]) -> bool:
    """`100-2000`, `10 000`: a range, or a number in groups of thousands that is round."""
    return len(groups) == 2 and (groups[1].rstrip("0") == "" or len(groups[0]) + len(groups[1]) <= 8)


@cache
def _digits_in_words() -> re.Pattern[str]:
    """Four words for digits in a row, of one language (`digit_words.txt`, one language a line)."""
    text = files("sia_dagster.core.guard").joinpath("digit_words.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    spaced = ["|".join(sorted(words, key=len, reverse=True)) for words in lines]
    rows = [rf"(?:(?:{words})(?![^\W_])[\W_]{{0,3}}){{4,}}" for words in spaced]
    row = rf"(?<![^\W_])(?=[^\W\d_])(?:{'|'.join(rows)})"
    return re.compile(
        "|".join([row, "[\u96f6\u3007\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5e7a]{4,}"]), re.IGNORECASE
    )
