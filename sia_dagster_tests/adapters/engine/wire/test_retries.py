"""The loop around an attempt: repeated while the policy allows it, after the delays of the policy."""

import asyncio
from collections.abc import Callable

import pytest

from sia_dagster.adapters.engine.wire.failures import Failure, delay_before_retry
from sia_dagster.adapters.engine.wire.retries import attempts_of, retrying, retrying_async

BUSY = Failure(message="busy", status=503)


def in_turn(*outcomes: object) -> Callable[[], object]:
    left = iter(outcomes)
    return lambda: next(left)


def test_a_transient_failure_is_repeated_after_the_delay_that_it_asks_for_or_our_own() -> None:
    waits = list[float]()
    loop = retrying("key", 5, waits.append)
    assert loop(in_turn(BUSY, BUSY.model_copy(update={"retry_after": 7.0}), "answer")) == "answer"
    assert waits == [delay_before_retry(None, key="key", attempt=1), 7.0]
    assert attempts_of(loop) == 3


@pytest.mark.parametrize("outcomes", [(BUSY, BUSY, BUSY), (BUSY, Failure(message="bad", status=400), "not reached")])
def test_the_last_failure_is_returned(outcomes: tuple[object, ...]) -> None:
    loop = retrying("key", 3, lambda seconds: None)
    assert isinstance(loop(in_turn(*outcomes)), Failure)


def test_an_async_function_is_repeated_by_a_rule_of_its_own_and_its_error_passes_through() -> None:
    waits = list[float]()
    given = in_turn("again", "again", "done")

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def once() -> object:
        return given()

    async def broken() -> None:
        raise OSError("gone")

    assert asyncio.run(retrying_async("key", 5, wait, lambda outcome: outcome == "again")(once)) == "done"
    assert len(waits) == 2
    with pytest.raises(OSError, match="gone"):
        asyncio.run(retrying_async("key", 5, wait)(broken))
