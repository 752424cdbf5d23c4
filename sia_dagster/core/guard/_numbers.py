"""No number or code from a sample in a prompt: an order, a year of birth, a booking, somebody's handle."""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import masked
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.records.guard import GuardAction

DIGITS = 4
"""Of a number that may be somebody's: an order, a year of birth, a part of a date or a telephone number."""
CODE: Final = 6
"""Characters of the shortest code, such as that of a booking."""
LONG_NUMBER: Final = 6
LONG_CODE: Final = 8
"""Not by chance in both."""
_NUMBER = re.compile(
    r"\b(?:ISO|IEC|DIN|EN|RFC|IEEE|NIST|ANSI|BS|PEP|HTTP)\b[ /:-]*(?:IEC|ISO|EN)?[ -]?\d[\d-]*"
    r"|\b(?:Acts?|Regulations?|Directive|Convention|Treaty|Statute)(?: of)? (?:1[5-9]|20)\d\d\b"
    r"|\(E(?:C|G|U|EC|WG)\) ?(?:No\.? |Nr\.? )?\d{2,4}/\d{2,4}\b|\u00a7{1,2} ?\d+"
    r"|(?<!\d)(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(?!\d)"
    r"|(?P<number>\d+(?:[ ./-]\d+)*)"
)
"""The number of a standard identifies nobody, nor does the year or the paragraph of a law."""
_APART = re.compile(r"(?<!\d)\d([^\w\n]{1,3})\d(?!\d)(?:\1\d(?!\d)){2,}")
"""Digits that are written one by one."""
_CODE = re.compile(r"(?<![\w-])(?:@\w{4,}|[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)(?![\w-])")
Reader = Callable[[str], Iterator[str]]


def repeats_no_number(case: GuardInput) -> Findings:
    """New numbers of four digits or more that a sample holds, however either groups them.

    Allowed are round numbers (two digits and zeros), counts (12345), the years around the samples', and what many
    sources hold. A date is one number in any order of its parts. One of six digits stops: a shorter one may be chance.
    """
    new = set(_candidate_numbers(case.text)) - set(_sample_numbers(case.known))
    new = {number for number in new if not _is_nobodys(number, case.traffic)}
    yield from _repeated(case, "the number", new, _sample_numbers, LONG_NUMBER)


def repeats_no_code(case: GuardInput) -> Findings:
    """New codes of letters between digits, or handles (`@name`), that a sample holds; one of eight characters stops."""
    yield from _repeated(case, "the code", set(_codes(case.text)) - set(_codes(case.known)), _codes, LONG_CODE)


def _repeated(case: GuardInput, what: str, new: set[str], reader: Reader, long: int) -> Findings:
    """Those of `new` that some sources hold, but few."""
    for found, text in case.traffic.held_by_few(new, lambda text: reader(text.text)).items():
        action: GuardAction = "stop" if len(found) >= long and not found.startswith("@") else "person"
        yield case.finding(action, "copied detail", f"the candidate holds {what} {masked(found, 1)}", text.place)


def _candidate_numbers(text: str) -> Iterator[str]:
    """A date as a whole, other numbers by group and together."""
    for match in _NUMBER.finditer(text):
        if match["date"]:
            yield _date(match["date"])
        elif match["number"]:
            yield from _by_group(match["number"])
    yield from ("".join(re.findall(r"\d", match[0])) for match in _APART.finditer(text))


def _sample_numbers(text: str) -> Iterator[str]:
    """The same, and the parts of a date, too: a year of birth alone may identify somebody."""
    for match in _NUMBER.finditer(text):
        yield from _by_group(match[0])
        if match["date"]:
            yield _date(match["date"])
    yield from ("".join(re.findall(r"\d", match[0])) for match in _APART.finditer(text))


def _by_group(number: str) -> Iterator[str]:
    groups = re.findall(r"\d+", number)
    yield from (each for each in ("".join(groups), *groups) if len(each) >= DIGITS)


def _date(text: str) -> str:
    """The year, then the day and the month, the smaller first: 14.03.1987, 3/14/1987 and 1987-03-14 are one."""
    parts = sorted(re.findall(r"\d+", text), key=lambda part: (len(part) < DIGITS, int(part)))
    return "-".join(f"{int(part):02}" for part in parts)


def _is_nobodys(number: str, traffic: Traffic) -> bool:
    return len(number.rstrip("0")) <= 2 or number in "1234567890" or number in traffic.years


def _codes(text: str) -> Iterator[str]:
    for match in _CODE.finditer(text):
        compact = match[0].replace("-", "")
        changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(compact))
        if match[0].startswith("@") or (len(compact) >= CODE and changes >= (2 if compact.isupper() else 3)):
            yield compact.casefold()
