"""Which failures are tried again, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.wire.failures import (
    FIRST_DELAY,
    LONGEST_DELAY,
    LONGEST_RETRY_AFTER,
    Failure,
    action_after,
    delay_before_retry,
    retry_after,
)

NOON, LATER = "Mon, 02 Nov 2026 12:00:00 GMT", "Mon, 02 Nov 2026 12:00:07 GMT"


def failed(status: int | None, message: str = "no", code: str = "") -> Failure:
    return Failure(message=message, status=status, code=code)


@pytest.mark.parametrize("status", [None, 200, 304, 408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_later_is_tried_again(status: int | None) -> None:
    assert action_after(failed(status)) == "retry"


@pytest.mark.parametrize(
    "failure",
    [
        failed(401),
        failed(402),
        failed(403),
        failed(404, "The model `gpt-9` does not exist"),
        failed(429, "You exceeded your current quota", "insufficient_quota"),
        failed(400, "no such model", "model_not_found"),
        failed(400, "API key not valid. Please pass a valid API key."),
        failed(400, "Incorrect API key provided"),
    ],
)
def test_what_every_call_would_meet_stops_the_run(failure: Failure) -> None:
    assert action_after(failure) == "stop"


@pytest.mark.parametrize(
    "failure",
    [
        failed(400, "Invalid parameter: 'response_format'"),
        failed(422),
        failed(413),
        failed(501),
        failed(404, "No endpoints found that support tool use"),
    ],
)
def test_what_this_request_alone_meets_fails_its_row(failure: Failure) -> None:
    assert action_after(failure) == "row"


@pytest.mark.parametrize(("hours", "action"), [(1, "retry"), (5.9, "retry"), (6, "stop"), (24, "stop")])
def test_a_limit_that_ends_on_another_day_is_a_spent_quota(hours: float, action: str) -> None:
    assert action_after(Failure(message="no", status=429, retry_after=hours * 3600)) == action
    assert action_after(Failure(message="no", status=503, retry_after=hours * 3600)) == "retry"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": LATER, "date": NOON}, 7.0),
        ({"retry-after": NOON, "date": LATER}, 0.0),
        ({"retry-after": LATER}, None),
        ({"retry-after": "Mon, 02 Nov 2026 12:00:07 -0000", "date": NOON}, None),
        ({"retry-after": "soon", "date": NOON}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "date": NOON}, None),
        ({"retry-after": "1e999"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_an_endpoint_that_asks_for_an_hour_is_asked_again_after_two_minutes() -> None:
    assert delay_before_retry(3600.0, key="k", attempt=1) == LONGEST_RETRY_AFTER


@given(st.text(), st.integers(1, 20))
def test_delays_double_with_a_factor_that_is_always_the_same(key: str, attempt: int) -> None:
    delay = delay_before_retry(None, key=key, attempt=attempt)
    middle = FIRST_DELAY * 2.0 ** (attempt - 1)
    assert min(LONGEST_DELAY, middle * 0.5) <= delay <= min(LONGEST_DELAY, middle * 1.5)
    assert delay == delay_before_retry(None, key=key, attempt=attempt)


def test_rows_that_failed_together_do_not_come_back_together() -> None:
    delays = {delay_before_retry(None, key=str(row), attempt=1) for row in range(100)}
    assert len(delays) == 100
