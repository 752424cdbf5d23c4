"""Places for calls in flight: in order of arrival, never more than the limit, none lost."""

import asyncio

import pytest

from sia_dagster.adapters.engine.rate_limits.concurrency import ConcurrencyLimit


def test_sustained_429s_thin_out_the_places_and_ask_once_for_a_hold() -> None:
    """All 32 in flight are refused at once."""
    holds: list[float] = []
    gate = ConcurrencyLimit(32, hold=holds.append)
    everyone_in = asyncio.Event()
    inside = 0

    async def call() -> None:
        nonlocal inside
        async with gate.slot() as slot:
            inside += 1
            if inside == 32:
                everyone_in.set()
            await everyone_in.wait()
            slot.limited, slot.wait = True, 3.0

    async def burst() -> None:
        await asyncio.gather(*(call() for _ in range(32)))

    asyncio.run(burst())
    assert gate.limit == 16
    assert holds == [3.0]


def test_after_a_halving_no_more_are_inside_than_that() -> None:
    gate = ConcurrencyLimit(8)
    inside: list[int] = [0]

    async def call(*, limited: bool) -> None:
        async with gate.slot() as slot:
            inside.append(inside[-1] + 1)
            await asyncio.sleep(0)
            slot.limited = limited
            inside.append(inside[-1] - 1)

    async def crowd(calls: int, *, limited: bool) -> None:
        await asyncio.gather(*(call(limited=limited) for _ in range(calls)))

    asyncio.run(crowd(8, limited=True))
    assert (gate.limit, max(inside)) == (4, 8)
    inside.clear()
    inside.append(0)
    asyncio.run(crowd(20, limited=False))
    assert max(inside) == 4


def test_no_more_than_the_limit_are_inside_and_they_enter_in_order() -> None:
    gate = ConcurrencyLimit(3)
    entered: list[int] = []
    most = inside = 0

    async def call(number: int) -> None:
        nonlocal most, inside
        async with gate.slot():
            entered.append(number)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def crowd() -> None:
        await asyncio.gather(*(call(number) for number in range(20)))

    asyncio.run(crowd())
    assert most == 3
    assert entered == list(range(20))


@pytest.mark.parametrize("turn_given", [False, True])
def test_who_is_cancelled_while_waiting_takes_no_place_with_them(turn_given: bool) -> None:
    gate = ConcurrencyLimit(1)

    async def enter() -> None:
        async with gate.slot():
            pass

    async def scene() -> bool:
        async with gate.slot():
            waiting = asyncio.create_task(enter())
            await asyncio.sleep(0)
            if not turn_given:
                waiting.cancel()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await enter()
        return waiting.cancelled()

    assert asyncio.run(asyncio.wait_for(scene(), 10))
