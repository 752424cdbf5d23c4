"""The number of calls in flight follows sustained 429s, and only those."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.gate import ConcurrencyGate


async def _rounds(gate: ConcurrencyGate, limited: Sequence[bool]) -> None:
    for each in limited:
        async with gate.slot() as slot:
            slot.limited = each


def _limit_after(most: int, limited: Sequence[bool]) -> int:
    gate = ConcurrencyGate(most)
    asyncio.run(_rounds(gate, limited))
    return gate.limit


def test_a_stray_429_changes_nothing() -> None:
    assert _limit_after(32, ([False] * 40 + [True]) * 20) == 32


def test_sustained_429s_halve_the_limit_down_to_one() -> None:
    assert _limit_after(32, [True] * 8) == 16
    assert _limit_after(32, [True] * 200) == 1


def test_the_limit_recovers_stepwise_to_where_it_was() -> None:
    gate = ConcurrencyGate(32)
    asyncio.run(_rounds(gate, [True] * 8))
    limits = []
    for _ in range(8):
        asyncio.run(_rounds(gate, [False] * 16))
        limits.append(gate.limit)
    assert limits == sorted(limits)
    assert limits[0] == 20
    assert limits[-1] == 32


@given(st.integers(1, 64), st.lists(st.booleans(), max_size=300))
def test_the_limit_stays_between_one_and_the_configured_number(most: int, limited: list[bool]) -> None:
    assert 1 <= _limit_after(most, limited) <= most


def test_one_burst_halves_once() -> None:
    """All 32 in flight are refused at once: they began before the halving, so they are one piece of news."""
    gate = ConcurrencyGate(32)
    everyone_in = asyncio.Event()
    inside = 0

    async def call() -> None:
        nonlocal inside
        async with gate.slot() as slot:
            inside += 1
            if inside == 32:
                everyone_in.set()
            await everyone_in.wait()
            slot.limited = True

    async def burst() -> None:
        await asyncio.gather(*(call() for _ in range(32)))

    asyncio.run(burst())
    assert gate.limit == 16


def test_no_more_than_the_limit_are_inside_and_they_enter_in_order() -> None:
    gate = ConcurrencyGate(3)
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
    gate = ConcurrencyGate(1)

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
