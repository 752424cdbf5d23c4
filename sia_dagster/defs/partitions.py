"""A loop's windows as Dagster partitions, keyed by the window's start."""

import warnings
from datetime import UTC

import dagster as dg

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.records.sample import TimeWindow


def partitions_of(loop: LoopConfig) -> dg.TimeWindowPartitionsDefinition:
    """Closed windows only, since the loop's `start`; weekly windows begin on the weekday of `start`."""
    start = loop.start.isoformat()
    if loop.window == "hourly":
        return dg.HourlyPartitionsDefinition(start_date=f"{start}-00:00", timezone=loop.timezone)
    if loop.window == "daily":
        return dg.DailyPartitionsDefinition(start_date=start, timezone=loop.timezone)
    if loop.window == "weekly":
        weekday = loop.start.isoweekday() % 7  # Dagster counts from Sunday = 0
        return dg.WeeklyPartitionsDefinition(start_date=start, timezone=loop.timezone, day_offset=weekday)
    return dg.MonthlyPartitionsDefinition(start_date=start, timezone=loop.timezone, day_offset=loop.start.day)


def window_before() -> dg.TimeWindowPartitionMapping:
    """Reads the window before; the loop's first window reads none."""
    with warnings.catch_warnings():
        # A beta parameter of Dagster, used in this one place.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True)


def window_of(partitions: dg.TimeWindowPartitionsDefinition, key: str) -> TimeWindow:
    """The window of a partition key, in UTC."""
    bounds = partitions.time_window_for_partition_key(key)
    return TimeWindow(key=key, start=bounds.start.astimezone(UTC), end=bounds.end.astimezone(UTC))


def windows_before(
    partitions: dg.TimeWindowPartitionsDefinition, window: TimeWindow, count: int
) -> tuple[TimeWindow, ...]:
    """Up to `count` windows right before `window`, the newest first; fewer where the loop has fewer."""
    found: list[TimeWindow] = []
    while len(found) < count:
        bounds = partitions.get_prev_partition_window((found[-1] if found else window).start)
        if bounds is None:
            break
        key = partitions.get_partition_key_for_timestamp(bounds.start.timestamp())
        found.append(TimeWindow(key=key, start=bounds.start.astimezone(UTC), end=bounds.end.astimezone(UTC)))
    return tuple(found)
