"""What a reply tells of its rate limits, and how long that means to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.wire.failures import retry_after
from sia_dagster.adapters.engine.wire.rate_headers import LONGEST_WAIT, RateLimits, RemainingLimit, read_limits


def headers(kind: str, remaining: str, limit: str = "", reset: str = "") -> dict[str, str]:
    said = {"remaining": remaining, "limit": limit, "reset": reset}
    return {f"x-ratelimit-{name}-{kind}": value for name, value in said.items() if value}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("12", 12.0),
        ("7.66", 7.66),
        ("2026-11-02T12:00:07Z", None),
        ("soon", None),
        ("-1", None),
        ("1s later", None),
        ("", None),
    ],
)
def test_a_reset_is_read_in_all_its_forms(said: str, seconds: float | None) -> None:
    told = read_limits(headers("requests", "3", reset=said))
    assert told
    assert told.requests
    assert told.requests.remaining == 3
    assert told.requests.reset == pytest.approx(seconds)


def test_both_limits_are_read_with_all_that_is_said() -> None:
    told = read_limits(headers("requests", "599", "600", "100ms") | headers("tokens", " 149984", "150000", "6ms"))
    assert told == RateLimits(
        requests=RemainingLimit(remaining=599, limit=600, reset=0.1),
        tokens=RemainingLimit(remaining=149_984, limit=150_000, reset=0.006),
    )


@pytest.mark.parametrize("remaining", ["-1", "", "many", "1e3", "٣"])
def test_what_is_no_count_is_not_said(remaining: str) -> None:
    """Azure sends -1 for a limit that it does not know; it must stop nobody."""
    assert read_limits(headers("requests", remaining, "-1", "60s")) is None
    assert read_limits({}) is None


@pytest.mark.parametrize(
    ("limit", "needed", "seconds"),
    [
        (RemainingLimit(remaining=5, limit=600, reset=60.0), 5, 0.0),
        (RemainingLimit(remaining=0, limit=600, reset=60.0), 1, 0.1),
        (RemainingLimit(remaining=0, limit=600, reset=60.0), 1200, 60.0),
        (RemainingLimit(remaining=100, limit=1000, reset=54.0), 400, 18.0),
        (RemainingLimit(remaining=0, reset=17.0), 1, 17.0),
        (RemainingLimit(remaining=0, limit=0, reset=17.0), 1, 17.0),
        (RemainingLimit(remaining=0), 1, 0.0),
    ],
)
def test_the_wait_is_for_as_much_as_the_next_call_takes(limit: RemainingLimit, needed: int, seconds: float) -> None:
    assert limit.wait(needed) == pytest.approx(seconds)


def test_the_longer_of_both_waits_counts_and_a_minute_is_enough() -> None:
    soon, late = RemainingLimit(remaining=0, reset=1.0), RemainingLimit(remaining=10, reset=5.0)
    assert RateLimits(requests=soon, tokens=late).wait(tokens=10) == 1.0
    assert RateLimits(requests=soon, tokens=late).wait(tokens=11) == 5.0
    assert RateLimits(requests=RemainingLimit(remaining=0, reset=86_400.0)).wait(tokens=1) == LONGEST_WAIT
    assert RateLimits().wait(tokens=1) == 0.0


@given(st.integers(0, 100), st.none() | st.integers(0, 100), st.none() | st.floats(0, 1e6), st.integers(0, 1000))
def test_a_wait_is_never_longer_than_the_reset(remaining: int, limit: int | None, reset: float | None, n: int) -> None:
    assert 0.0 <= RemainingLimit(remaining=remaining, limit=limit, reset=reset).wait(n) <= (reset or 0.0)


def test_without_retry_after_a_refused_call_waits_for_the_reset_of_what_is_used_up() -> None:
    used_up = headers("requests", "0", "600", "9s") | headers("tokens", "5", reset="20s")
    assert retry_after(used_up) == 9.0
    assert retry_after(used_up | {"retry-after": "2"}) == 2.0
    assert retry_after(headers("requests", "4", reset="9s")) is None
    assert retry_after(headers("requests", "0")) is None
