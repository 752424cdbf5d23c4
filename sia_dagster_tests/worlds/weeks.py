"""The windows of a weekly loop. Processes that write at once import them, so nothing heavy is imported here."""

from datetime import UTC, datetime, timedelta

from sia_dagster.core.records.sample import TimeWindow

START = datetime(2026, 9, 28, tzinfo=UTC)


def week(number: int) -> TimeWindow:
    """Week `number` of the loop, from 0."""
    start = START + timedelta(weeks=number)
    return TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(weeks=1))
