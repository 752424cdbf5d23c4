"""Reads a recorded time, in whatever way tools write times."""

import calendar
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = ((datetime(year, 12, 31, tzinfo=UTC) - _EPOCH) // _MICROSECOND for year in (1, 9999))
_MOST_DIGITS = 40
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_GO = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d{4}) \S+( m=\S+)?")
"""`2026-11-09 08:00:00.123456789 +0000 UTC m=+0.01`, as Go prints a time."""
_FRACTION = re.compile(r"([.,]\d{1,6})\d*")
_YEAR = re.compile(r"(?<!\d)(19|20)\d\d(?!\d)")
_MONTHS = {calendar.month_abbr[month].lower() for month in range(1, 13)}
_OTHER_WORDS = {
    *(day.lower() for day in calendar.day_abbr),
    *("am", "pm", "utc", "gmt", "z", "t", "st", "nd", "rd", "th"),
}
"""What may stand beside a month's name: a zone by any other name would be ignored by the parser."""
_SECONDS = ((1e17, 1e-3), (1e14, 1.0), (1e11, 1e3))
"""From this number on it is nano-, micro- and milliseconds; below, seconds."""


def microseconds(value: Any) -> int | None:
    """Microseconds since 1970 in UTC; None where the value is no moment of the years 2 to 9999.

    Numbers are seconds (below 1e11), milliseconds (1e14), microseconds (1e17) or nanoseconds; a time without a zone is
    UTC, and a day its first moment.
    """
    found = _microseconds(value)
    return found if found is not None and _FIRST <= found <= _LAST else None


def _microseconds(value: Any) -> int | None:
    if value.__class__ is int:  # most times are, and a list of types costs more than the number
        return _of_number(value)
    for kind, read in _READERS:
        if isinstance(value, kind):
            return read(value)
    return None


def _of_day(day: date) -> int:
    return _of_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))


def _of_datetime(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _of_number(number: float) -> int | None:
    if not math.isfinite(number) or not 0 < abs(number) < 1e20:
        return None
    for least, factor in _SECONDS:
        if abs(number) >= least:
            return int(number // 1000) if factor < 1 else int(number * factor)
    return round(number * 1e6)


def _of_text(text: str) -> int | None:
    if len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text):
        return _of_number(float(text) if set(text) & set(".eE") else int(text))
    for read in (datetime.fromisoformat, _go, _fractions, parsedate_to_datetime, _any_form):
        try:
            return _of_datetime(read(text))
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None


def _go(text: str) -> datetime:
    found = _GO.fullmatch(text)
    if not found:
        raise ValueError(text)
    return datetime.fromisoformat(_FRACTION.sub(r"\1", found[1]) + found[2])


def _fractions(text: str) -> datetime:
    """ISO with more than six digits, with a comma, or with blanks around the zone (`08:00:00,5 UTC`)."""
    plain = _FRACTION.sub(r"\1", text, count=1).replace(",", ".").replace(" UTC", "+00:00").replace(" GMT", "+00:00")
    return datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d\d:?\d\d$|Z$)", "", plain))


def _any_form(text: str) -> datetime:
    """Names of months and the like; a day and a month in numbers alone are ambiguous, and no time."""
    from dateutil import parser

    # JavaScript writes `GMT+0100 (Central European Time)`, which would be read with the sign of POSIX.
    plain = re.sub(r"\s*\(.*\)$", "", re.sub(r"\b(?:GMT|UTC)(?=[+-]\d)", "", text)).replace(" @ ", " ")
    words = {word[:3].lower() for word in re.findall(r"[A-Za-z]+", plain)}
    if len(text) > 90 or not _YEAR.search(plain) or not words & _MONTHS or words - _MONTHS - _OTHER_WORDS:
        raise ValueError(text)
    moment: datetime = parser.parse(plain)
    return moment


def _of_object(value: dict[str, Any]) -> int | None:
    """MongoDB's `{"$date": ...}` and protobuf's `{"seconds": ..., "nanos": ...}`."""
    if "$date" in value:
        inner = value["$date"]
        return _microseconds(inner.get("$numberLong") if isinstance(inner, dict) else inner)
    try:
        return int(value["seconds"]) * 1_000_000 + int(value.get("nanos", 0)) // 1000
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


_READERS: Sequence[tuple[type | tuple[type, ...], Callable[[Any], int | None]]] = (
    (str, lambda value: _of_text(value.strip())),
    (bool, lambda value: None),
    ((int, float), _of_number),
    (Decimal, lambda value: _of_text(str(value))),
    (datetime, _of_datetime),
    (date, _of_day),
    (dict, _of_object),
)
"""In this order: a truth value is an integer to Python, and a moment a day."""
