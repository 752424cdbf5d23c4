"""A window from two moments, as scripts give them."""

from datetime import UTC, date, datetime, time

from sia_dagster.core.errors import ConfigError
from sia_dagster.core.records.sample import TimeWindow

When = datetime | date | str
"""A moment: aware, or UTC; a date is its midnight; text is ISO 8601."""


def window_between(start: When, end: When) -> TimeWindow:
    """`[start, end)` in UTC, keyed by both ends. Raises ConfigError where the end is not after the start."""
    first, last = _moment(start), _moment(end)
    if last <= first:
        raise ConfigError(f"the window is empty: it starts at {first.isoformat()} and ends at {last.isoformat()}")
    return TimeWindow(key=f"{first:%Y-%m-%dT%H%M%S}_{last:%Y-%m-%dT%H%M%S}", start=first, end=last)


def _moment(when: When) -> datetime:
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError as error:
            raise ConfigError(f"{when!r} is not a date or time of ISO 8601, such as 2026-11-09") from error
    if not isinstance(when, date):
        raise ConfigError(f"{when!r} is not a date or time: give a date, a datetime or text such as '2026-11-09'")
    if not isinstance(when, datetime):
        when = datetime.combine(when, time(), UTC)
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
