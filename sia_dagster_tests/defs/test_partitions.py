"""Which windows a loop has: closed ones only, and their bounds in UTC."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.defs.partitions import partitions_of, window_of, windows_before
from simulation.loops import loop_config


def partitions(**changes: Any) -> dg.TimeWindowPartitionsDefinition:
    return partitions_of(loop_config(**changes))


def keys(found: dg.TimeWindowPartitionsDefinition, now: datetime) -> list[str]:
    with dg.partition_loading_context(effective_dt=now):
        return list(found.get_partition_keys())


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        ("weekly", "2026-10-12T00:00", ["2026-09-28", "2026-10-05"]),
        ("weekly", "2026-10-11T23:59", ["2026-09-28"]),
        ("daily", "2026-09-30T00:00", ["2026-09-28", "2026-09-29"]),
        ("hourly", "2026-09-28T02:30", ["2026-09-28-00:00", "2026-09-28-01:00"]),
        ("monthly", "2026-11-28T00:00", ["2026-09-28", "2026-10-28"]),
    ],
)
def test_only_closed_windows_have_a_key(window: str, now: str, expected: list[str]) -> None:
    assert keys(partitions(window=window), at(now)) == expected


@pytest.mark.parametrize(
    ("window", "key", "end"),
    [
        ("weekly", "2026-10-05", "2026-10-12T00:00"),
        ("daily", "2026-10-05", "2026-10-06T00:00"),
        ("hourly", "2026-10-05-23:00", "2026-10-06T00:00"),
        ("monthly", "2026-10-28", "2026-11-28T00:00"),
    ],
)
def test_a_window_ends_where_the_next_begins(window: str, key: str, end: str) -> None:
    found = window_of(partitions(window=window), key)
    assert (found.key, found.end) == (key, at(end))
    assert window_of(partitions(window=window), found.end.strftime(partitions(window=window).fmt)).start == found.end


@given(start=st.dates(min_value=date(2024, 1, 1), max_value=date(2026, 8, 31)))
def test_weekly_windows_begin_on_the_weekday_of_start(start: date) -> None:
    first = keys(partitions(start=start), at("2026-10-12T00:00"))[0]
    assert first == start.isoformat()


@given(start=st.dates(min_value=date(2024, 1, 1), max_value=date(2026, 6, 30)).filter(lambda day: day.day <= 28))
def test_monthly_windows_begin_on_the_day_of_start(start: date) -> None:
    found = keys(partitions(window="monthly", start=start), at("2026-10-12T00:00"))
    assert {int(key[-2:]) for key in found} == {start.day}
    assert found[0] == start.isoformat()


def test_a_week_in_which_clocks_change_is_an_hour_longer() -> None:
    berlin = partitions(timezone="Europe/Berlin", start="2026-10-19")
    week = window_of(berlin, "2026-10-19")
    assert week == TimeWindow(key="2026-10-19", start=at("2026-10-18T22:00"), end=at("2026-10-25T23:00"))
    assert week.start.tzinfo == UTC


def test_no_window_before_the_loop_starts() -> None:
    assert keys(partitions(), at("2026-09-28T12:00")) == []


@pytest.mark.parametrize(
    ("window", "key", "expected"),
    [
        ("weekly", "2026-10-19", ["2026-10-12", "2026-10-05"]),
        ("weekly", "2026-10-05", ["2026-09-28"]),
        ("weekly", "2026-09-28", []),
        ("daily", "2026-10-02", ["2026-10-01", "2026-09-30"]),
        ("hourly", "2026-09-28-01:00", ["2026-09-28-00:00"]),
        ("monthly", "2026-12-28", ["2026-11-28", "2026-10-28"]),
    ],
)
def test_the_windows_before_one_are_the_loops_own_the_newest_first(window: str, key: str, expected: list[str]) -> None:
    found = partitions(window=window)
    before = windows_before(found, window_of(found, key), 2)
    assert [each.key for each in before] == expected
    assert list(before) == [window_of(found, each) for each in expected]
    assert windows_before(found, window_of(found, key), 0) == ()


def test_windows_before_one_meet_also_where_clocks_change() -> None:
    berlin = partitions(window="hourly", timezone="Europe/Berlin", start="2026-10-24")
    found = window_of(berlin, "2026-10-25-04:00")
    for before in windows_before(berlin, found, 6):
        assert before.end == found.start
        assert before == window_of(berlin, before.key)
        found = before
