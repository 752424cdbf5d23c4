"""Nothing in a prompt that came from somebody's life or leads somewhere: personal details, secrets, addresses."""

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable

from sia_dagster.core.guard._text import masked, new_matches, shown
from sia_dagster.core.models import Actions

_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_DIGITS = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,2}\d){7,18}(?!\w)")
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])")
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:[spr]k[-_](?=[\w-]*\d)[\w-]{12,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|gh[opsur]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[abeoprs]-[\w-]{8,}|AIza[\w-]{20,}|hf_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}|Bearer\s+(?=\S*\d)[\w.~+/-]{12,})|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(?i:password|passwd|pwd|secret|api[ _-]?key|token)\b\s*(?:is|[:=])\s*['\"]?(?=\S*\d)[^\s'\"]{6,}"
)
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|cloud|online|site|website|xyz|shop|store|tech|page|link|blog"
    "|click|live|news|pro|top|vip|wiki|example|local|internal|localhost|onion"
)
_COUNTRY = (
    "uk|de|fr|it|es|nl|be|ch|at|se|no|dk|fi|ie|pt|gr|cz|ru|ua|tr|cn|jp|kr|hk|tw|sg|in|au|nz|ca|us|mx|br|ar|za|eu"
    "|co|me|tv"
)
_FILE = re.compile(
    "md|py|ipynb|jsonl?|js|tsx?|jsx|txt|csv|tsv|xml|ya?ml|toml|ini|cfg|conf|log|sql|sh|html?|css|pdf|docx?|xlsx?|pptx?"
    "|odt|rtf|png|jpe?g|gif|svg|webp|heic|mp[34]|wav|parquet|java|[ch]pp|cs|go|rs|rb|php",
    re.IGNORECASE,
)
"""What follows a dot in the name of a file. Archives are missing: `.zip` is a top-level domain."""
_END = r"[^\s<>\"']*[\w/]"
_ADDRESS = re.compile(
    rf"\b[a-zA-Z][a-zA-Z0-9+.-]{{0,30}}://{_END}|\bwww\.{_END}|\b(?:mailto|javascript|data):{_END}"
    rf"|(?<![\w@.-])(?:[\w-]+\.)+(?:(?i:{_TOP_LEVEL})|{_COUNTRY})\b(?![\w@-])(?:/{_END})?"
)
_SPELLED = re.compile(
    r"(?<![\w-])[\w-]+\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*[^\W\d_]{2,24}\b"
    r"|(?<![\w-])[\w-]+\s+dot\s+(?:com|org|net|edu|gov|info|biz|io|ai|dev|app|xyz|uk|de|fr|nl|ch|ru|cn|jp|eu|co)\b",
    re.IGNORECASE,
)
_DOTTED = re.compile(
    r"`[^`\n]*`|\{[^{}\n]*\}"  # code and placeholders, where a dot joins names
    r"|(?<![\w@.-])(?P<host>(?:[^\W_][\w-]*\.)+(?P<end>[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59}))(?![\w@-])"
)
_DOCUMENT = re.compile(r"(?<![\w-])[A-Za-z]{1,3}-?\d{6,}(?!\w)")


def holds_no_personal_detail(candidate: Actions, baseline: Actions) -> str | None:
    """The first new e-mail or IP address, IBAN, card, telephone, account or passport number; None if none."""
    kinds: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
        ("an e-mail address", _EMAIL, bool),
        ("an IBAN", _IBAN, _is_iban),
        ("an IP address", _IP, _is_ip),
        ("a card number", _DIGITS, _is_card),
        ("a telephone or account number", _DIGITS, _is_number_of_somebody),
        ("the number of a document", _DOCUMENT, bool),
    )
    for what, pattern, is_one in kinds:
        for match in new_matches(pattern, candidate, baseline):
            if is_one(match[0]):
                return f"personal data: the candidate holds {what}: {masked(match[0])}"
    return None


def holds_no_secret(candidate: Actions, baseline: Actions) -> str | None:
    """The first new text that looks like a key, token or password; None if none. The reason never repeats it."""
    for match in new_matches(_KEY, candidate, baseline):
        return f"secret: the candidate holds what looks like a key: {masked(match[0])}"
    for match in new_matches(_RANDOM, candidate, baseline):
        if _is_random(match[0]):
            return f"secret: the candidate holds a random-looking token: {masked(match[0])}"
    return None


def holds_no_address(candidate: Actions, baseline: Actions) -> str | None:
    """The first new URL, bare domain or domain that is spelled out ("shop dot com"); None if none.

    Where nothing but a dot joins two words, they are taken for a domain, unless the end is that of a file's name or
    they are marked as code.
    """
    for pattern in (_ADDRESS, _SPELLED, _DOTTED):
        for match in new_matches(pattern, candidate, baseline):
            if pattern is not _DOTTED or _is_host(match):
                return f"URL: the candidate holds {shown(match[0])}, which is not in the policy in force"
    return None


def _is_host(match: re.Match[str]) -> bool:
    """No abbreviation (e.g.), version (v1.2), file's name, or end of a sentence without a blank (so.Then)."""
    if match["host"] is None or _FILE.fullmatch(match["end"]):
        return False
    before = match["host"].split(".")[-2]
    return len(before) > 1 and not before.isdecimal() and (match["end"].isupper() or not match["end"][0].isupper())


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
    """The checksum of ISO 13616: moved, spelled in numbers, 1 modulo 97."""
    compact = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1


def _is_ip(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _is_number_of_somebody(text: str) -> bool:
    """Nine or more digits (eight with a country's `+`), no date and no count (1 2 3 ...): more than a prompt needs."""
    groups = re.findall(r"\d+", _DATE.sub("", text))
    digits = sum(map(len, groups))
    return digits >= (8 if text.startswith("+") else 9) and digits >= 1.5 * len(groups)


def _is_random(text: str) -> bool:
    """At least 3.5 bits a character and four changes between letters and digits: no word, name or identifier."""
    counts = Counter(text).values()
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts)
    changes = len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", text))
    return entropy >= 3.5 and changes >= 4
