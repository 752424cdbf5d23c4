"""Recognises the marks that stand in a trace for text that was hidden or cut."""

import re
from typing import Final

REDACTED: Final = "__REDACTED__"
"""What OpenInference writes in place of hidden text."""
_SIGNS: Final = "[](){}<>*_#%\u2026. -=~|"
_BARS: Final = "*#_\u2588\u25a0\u25cf\u2022xX"
"""A text of one of these alone hides another one."""
_HIDING = re.compile(
    r"\b(?:redact|filtered|masked|scrubbed|saniti[sz]|anonymi[sz]|hidden|withheld|censored|removed|omitted|pii\b|phi\b"
    r"|confidential|expunged|not captured|sensitive data)|(?<=_)(?:redacted|masked|pii)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"masked|scrubbed|content not captured|[\w.:-]{0,30}redacted[\w.:-]{0,30}|(?:sha\d{1,3}:)?[0-9a-f]{32,128}",
    re.IGNORECASE,
)
"""Words that are marks without signs around them, and hashes in place of a text."""
_MOST_WORDS: Final = 8
_PART = re.compile(
    r"[\[<{]{1,2}\s*(?:[\w-]{1,20}[ :]){0,2}(?:[\w-]{0,20}[_-])?(?:redacted|masked|scrubbed|filtered|pii)"
    r"(?:[ _:-]{1,2}[\w-]{1,20}){0,3}\s*[\]>}]|(?:\*{2,3}|_{2,3}|#{2,3}|\()redacted(?:\*{2,3}|_{2,3}|#{2,3}|\))",
    re.IGNORECASE,
)
_PART_HINTS = ("redact", "mask", "filter", "scrub", "pii")
_PLACEHOLDER = re.compile(
    r"[<\[{]{1,2}(?:PERSON|(?:FIRST_?|LAST_?|FULL_?)?NAME|EMAIL(?:_ADDRESS)?|PHONE(?:_NUMBER)?|LOCATION|ADDRESS|DATE_TIME"
    r"|CREDIT_CARD(?:_NUMBER)?|IBAN(?:_CODE)?|IP_ADDRESS|(?:US_)?SSN|US_\w{2,20}|UK_\w{2,20}|NRP|URL|ORGANIZATION"
    r"|MEDICAL_LICENSE|ACCOUNT_NUMBER|USERNAME|PASSWORD)(?:_?\d{1,4})?[>\]}]{1,2}"
)
"""Names of Presidio and of others that put a kind in place of a detail."""
_TAIL: Final = 120
"""Characters at a text's end in which a mark of cutting is looked for."""
_CLOSING = ("]", ")", ">", "}")
_NOTE = re.compile(r"(?:\.{3}|\u2026)?\s{0,3}[\[(<{]([^\[\](){}<>\n]{1,80})[\])>}]{1,3}")
_SAYS_CUT = re.compile(
    r"truncat|clipped|trimmed|shortened|\bsnip(?:ped)?\b|\bcut(?: (?:off|at|after)\b|$)|too long", re.IGNORECASE
)
_UNIT = r"\s*(?:more |other |[km]i?)?(?:chars?|characters?|bytes?|tokens?|b)\b"
_SAYS_MORE = re.compile(
    rf"(?:\+\s*|(?:\.{{3}}|\u2026)\s*[\[(<{{]?\s*)\d[\d,.]*{_UNIT}|\d\s*more\s+(?:char|byte|token)"
    r"|\+\s*\d[\d,.]* more\b",
    re.IGNORECASE,
)
_SAYS_OMITTED = re.compile(rf"\d{_UNIT}\s*(?:were )?(?:truncated|omitted|removed|left out)", re.IGNORECASE)
_BARE_CUT = re.compile(
    r"(?:\.{2,3}|\u2026|[-*=]{2})\s*(?:(?:\w{1,20} )?truncated|\d[\d,.]* more (?:char|byte|token)\w{0,10})\W*$",
    re.IGNORECASE,
)


def is_hidden(text: str) -> bool:
    """Whether the whole text is a mark in place of what was said: `[REDACTED]`, `***`, `<PII>`, `xxxxx`."""
    plain = text.strip()
    if REDACTED in text or not plain or len(plain) > _TAIL:
        return REDACTED in text
    inner = plain.strip(_SIGNS)
    if len(plain) > 2 and plain[0] in _BARS and len(set(plain.casefold())) == 1:
        return True
    if _PLACEHOLDER.fullmatch(plain) or _BARE.fullmatch(inner):
        return True
    marked = plain[0] in _SIGNS and plain[-1] in _SIGNS
    return marked and len(inner.split()) <= _MOST_WORDS and _HIDING.search(inner) is not None


def hides_a_part(text: str) -> bool:
    """Whether a mark such as `[REDACTED]` replaces parts of the text. Stars alone are a line or stress in real text."""
    low = text.casefold()
    return any(hint in low for hint in _PART_HINTS) and _PART.search(text) is not None


def speaks_of_hiding(text: str) -> bool:
    """Whether a prompt speaks of hiding outside such marks: then they are real text where the model writes them."""
    plain = _PART.sub("", text)
    return _HIDING.search(plain) is not None or "placeholder" in plain.casefold()


def holds_placeholder(text: str) -> bool:
    """Whether the text holds an anonymiser's placeholder such as `<EMAIL_ADDRESS>` or `[NAME]`."""
    return _PLACEHOLDER.search(text) is not None


def is_cut(text: str) -> bool:
    """Whether the text says of itself that it was cut: at its end, or with the number of characters left out."""
    tail = text[-_TAIL:].rstrip().rstrip(".\u2026")
    if tail[-1:] in _CLOSING:
        ends = [found for found in _NOTE.finditer(tail) if found.end() == len(tail)]
        if any(_SAYS_CUT.search(found[1]) or _SAYS_MORE.search(found[0]) for found in ends):
            return True
    if _BARE_CUT.search(tail):
        return True
    return ("truncated" in text or "omitted" in text) and any(_SAYS_OMITTED.search(m[1]) for m in _NOTE.finditer(text))
