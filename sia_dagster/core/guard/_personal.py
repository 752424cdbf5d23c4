"""No personal data in a prompt: mail addresses, and numbers of people, machines and accounts.

The rules are our own since libraries were no better on the tests' attacks and innocent edits: phonenumbers misses
numbers without a valid prefix or takes every short number for one; python-stdnum only has the two checksums below.
"""

import ipaddress
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import masked

_EMAIL = re.compile(
    r"(?<![\w.+%-])(?:[\w.+%-]++(?:@|\s{1,9}+@\s{1,9}+)[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"
    r"|[\w.+%-]++\s{0,9}+[\[({<]\s{0,9}(?:at|@)\s{0,9}[\])}>]\s{0,9}[\w-]+"
    r"|[\w.+%-]+(?:\s{1,9}|_)[a\u00e4]t(?:\s{1,9}|_)[A-Z\d-]+(?:\s{1,9}|_)(?:dot|punkt)(?:\s{1,9}|_)[^\W\d_]{2,24}\b)",
    re.IGNORECASE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ._-]?[A-Z0-9]{4}){2,7}(?:[ ._-]?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./_\u00b7\u2022\u2013-]{0,2}\d){7,18}(?!\w)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_FRACTION = re.compile(r"\d\.(\d+)")
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\[?\.\]?\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])")
_DOCUMENT = re.compile(r"(?<![\w-])[A-Za-z]{1,3}[- ]?\d{6,}(?!\w)")


def holds_no_personal_detail(case: GuardInput) -> Findings:
    """New e-mail and IP addresses, IBANs, card, telephone, account and passport numbers.

    One that a trace holds stops; another may show a form, and a person must look.
    """
    for what, pattern, is_one in _DETAILS:
        for match in case.new_matches(pattern):
            if is_one(match[0]) and not _is_fraction(match[0], case):
                yield case.holds(case.sure(match[0]), "personal data", f"{what}: {masked(match[0])}", match[0])


def _digits(text: str) -> list[int]:
    return [int(c) for c in text if c.isdecimal()]


def _is_card(text: str) -> bool:
    """The Luhn checksum (ISO/IEC 7812) over 13 to 19 digits."""
    digits = _digits(text)[::-1]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The checksum of ISO 13616: the first four characters moved to the end, letters as numbers, 1 modulo 97."""
    compact = re.sub(r"[ ._-]", "", text)
    # A pattern that ignores letter case takes a Turkish i for one of A to Z; it has no number here.
    return compact.isascii() and int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text.replace("[", "").replace("]", "")).is_unspecified
    except ValueError:
        return False


def _is_fraction(text: str, case: GuardInput) -> bool:
    """A decimal fraction (0.45359237) whose digits are in no sample: not a telephone number in disguise."""
    fraction = _FRACTION.fullmatch(text)
    return fraction is not None and not case.traffic.holds(fraction[1])


def _is_number_of_somebody(text: str) -> bool:
    """Nine or more digits (eight after a country's `+`) that are neither a date nor a count (1 2 3 ...)."""
    groups = re.findall(r"\d+", _DATE.sub("", text))
    digits = sum(map(len, groups))
    one_by_one = all(len(group) == 1 for group in groups)
    counts = one_by_one and all(int(second) == int(first) + 1 for first, second in pairwise(groups))
    return digits >= (8 if text.startswith("+") else 9) and not counts and (one_by_one or digits >= 1.5 * len(groups))


_DETAILS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...]] = (
    ("an e-mail address", _EMAIL, bool),
    ("an IBAN", _IBAN, _is_iban),
    ("an IP address", _IP, _is_ip),
    ("a card number", _DIGITS, _is_card),
    ("a telephone or account number", _DIGITS, _is_number_of_somebody),
    ("the number of a document", _DOCUMENT, bool),
)
