"""Times for calls under limits a minute: in order, never too dense, and as dense as allowed."""

from bisect import bisect_left
from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.rate_limits.rate_schedule import BATCH, BURST, HEADROOM, FreeTimes, Rates, plan

NOW = 1_000_000.0

TEN_A_SECOND = Rates.of(600, None)


def drained(rates: Rates, calls: list[int], *, free: FreeTimes | None = None, pause: float = 0.0) -> list[float]:
    """The times of all calls, reserved in batches: each when the last of the one before has started, and a pause."""
    free, now, times = free or FreeTimes(), NOW, list[float]()
    while calls:
        batch, free = plan(free, calls, rates=rates, now=now)
        calls, now = calls[len(batch) :], batch[-1] + pause
        times += batch
    return times


def most_in_a_minute(times: list[float]) -> int:
    return max(index - bisect_left(times, time - 60.0) + 1 for index, time in enumerate(times))


def test_the_first_call_starts_now_and_the_line_goes_on_at_the_rate() -> None:
    times = drained(TEN_A_SECOND, [1] * 1000)
    assert times[0] == NOW
    late = [after - before for before, after in pairwise(times[10:])]
    assert late == pytest.approx([0.1 / HEADROOM] * len(late), abs=1e-6)


@given(st.lists(st.floats(0.0, 1.4), min_size=1, max_size=20), st.sampled_from([0.0, 0.01, 0.3, 2.0]))
def test_no_minute_of_the_servers_sees_more_than_the_limit(delays: list[float], pause: float) -> None:
    times = drained(TEN_A_SECOND, [1] * 700, pause=pause)
    arrived = sorted(time + delay for time, delay in zip(times, cycle(delays), strict=False))
    assert most_in_a_minute(arrived) <= 600


@given(st.integers(1, 5000), st.floats(0.0, BURST))
def test_a_process_that_asks_late_by_less_than_the_burst_loses_nothing(limit: int, pause: float) -> None:
    times = drained(Rates.of(limit, None), [1] * 300, pause=pause)
    assert times[-1] - NOW <= 299 * 60 / (HEADROOM * limit) + BURST + 1e-6


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=100), st.integers(1, 1000), st.integers(100, 100_000))
def test_times_are_in_order_and_keep_both_limits(calls: list[int], requests: int, tokens: int) -> None:
    rates = Rates.of(requests, tokens)
    times = drained(rates, calls)
    assert times == sorted(times)
    for first, last in ((0, len(calls) - 1), (len(calls) // 2, len(calls) - 1)):
        used = sum(min(60.0, call * rates.token) for call in calls[first:last])
        assert times[last] - times[first] >= max(used, (last - first) * rates.request) - BURST - 1e-6


def test_a_reservation_reaches_half_a_second_or_one_call() -> None:
    batch, _ = plan(FreeTimes(), [1] * 1000, rates=Rates.of(6000, None), now=NOW)
    assert 0.4 < batch[-1] - batch[0] <= BATCH
    slow, free = plan(FreeTimes(requests=NOW, written=NOW), [1] * 1000, rates=Rates.of(1, None), now=NOW)
    assert slow == [NOW]
    next_time, _ = plan(free, [1] * 1000, rates=Rates.of(1, None), now=NOW)
    assert next_time == [pytest.approx(NOW + 62.5)]


def test_no_call_reserves_nothing_and_without_limits_all_start_now() -> None:
    assert plan(FreeTimes(), [], rates=TEN_A_SECOND, now=NOW)[0] == []
    assert plan(FreeTimes(), [10**9] * 3, rates=Rates(), now=NOW)[0] == [NOW] * 3


def test_a_call_larger_than_a_minutes_tokens_holds_up_the_line_for_a_minute() -> None:
    free = FreeTimes(requests=NOW, tokens=NOW, written=NOW)
    times, _ = plan(plan(free, [10**9], rates=Rates.of(None, 1000), now=NOW)[1], [1], rates=Rates(), now=NOW)
    assert times == [NOW + 60.0]


def test_a_clock_that_is_put_back_voids_what_was_reserved() -> None:
    _, free = plan(FreeTimes(), [1] * 100, rates=Rates.of(1, None), now=NOW)
    assert plan(free, [1], rates=Rates.of(1, None), now=NOW - 3600)[0] == [NOW - 3600]
    assert plan(free, [1], rates=Rates.of(1, None), now=NOW - 0.5)[0][0] > NOW
