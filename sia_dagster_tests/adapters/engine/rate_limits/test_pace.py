"""When calls start: at the limits' pace over all who share them, in order, never during a hold."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.rate_limits.pace import FIRST_COMPLETION, Pace, Turn
from sia_dagster.adapters.engine.rate_limits.rate_schedule import BURST
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.fakes.clocks import VirtualTime
from sia_dagster_tests.worlds.chats import ask

NOTHING_LEFT = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}

LONG_LINE = 48
"""Calls that take about five seconds at ten a second."""


@contextmanager
def pace(time: VirtualTime, folder: Path, **config: Any) -> Iterator[Pace]:
    made = Pace(LLMConfig.model_validate(config), limits=folder / "limits", account="a", sleep=time.sleep, clock=time)
    try:
        yield made
    finally:
        made.close()


async def started(pace: Pace, time: VirtualTime, calls: int) -> list[float]:
    """The seconds after which each of `calls` calls, all asked at once, started."""

    async def one() -> float:
        await pace.turn(ask(), estimated_prompt=10)
        return time.passed

    return await asyncio.gather(*(one() for _ in range(calls)))


def reply(prompt: int, completion: int) -> ChatReply:
    return ChatReply(text="yes", finish_reason="stop", prompt_tokens=prompt, completion_tokens=completion)


def test_without_limits_nobody_waits_and_no_file_is_made(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path) as free:
        free.read_headers(NOTHING_LEFT)
        assert time.run(started(free, time, 1000)) == [0.0] * 1000
    assert list(tmp_path.iterdir()) == []


def test_calls_asked_at_once_do_not_start_in_one_turn_of_the_event_loop(tmp_path: Path) -> None:
    turns: list[int] = [0]

    async def count() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    async def scene(free: Pace) -> list[int]:
        async def one() -> int:
            await free.turn(ask(), estimated_prompt=1)
            return turns[0]

        counting = asyncio.create_task(count())
        found = await asyncio.gather(*(one() for _ in range(20)))
        counting.cancel()
        return found

    with pace(VirtualTime(), tmp_path) as free:
        started_in = asyncio.run(scene(free))
    assert started_in == sorted(set(started_in))


def test_calls_start_in_order_at_the_pace_of_the_limit(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=600) as limited:
        times = time.run(started(limited, time, 100))
    assert times == sorted(times)
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(99 * 0.1 / 0.96 - BURST)


def test_two_that_share_a_line_get_half_each_and_both_all_of_it(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=600) as one, pace(time, tmp_path, requests_per_minute=600) as other:

        async def both() -> tuple[list[float], list[float]]:
            return await asyncio.gather(started(one, time, 100), started(other, time, 100))

        mine, yours = time.run(both())
    assert max(mine[-1], yours[-1]) == pytest.approx(199 * 0.1 / 0.96 - BURST)
    assert abs(mine[-1] - yours[-1]) < 1.5


def test_a_process_that_comes_later_waits_for_no_more_than_a_batch(tmp_path: Path) -> None:
    """The calls that wait in one process are not all reserved: another one has its turn soon."""
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=60) as first, pace(time, tmp_path, requests_per_minute=60) as second:

        async def scene() -> float:
            crowd = asyncio.gather(*(first.turn(ask(), estimated_prompt=1) for _ in range(100)))
            await time.sleep(10.0)
            asked = time.passed
            await second.turn(ask(), estimated_prompt=1)
            crowd.cancel()
            return time.passed - asked

        assert time.run(scene()) < 3.0


def test_tokens_are_estimated_before_and_settled_after(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, tokens_per_minute=60_000) as limited:

        async def call(**fields: Any) -> Turn:
            return await limited.turn(ask(**fields), estimated_prompt=100)

        async def scene() -> list[int]:
            first = await call()
            capped = await call(parameters={"max_tokens": 50, "max_completion_tokens": 60})
            limited.settle(first, reply(120, 480))
            learned = await call()
            limited.settle(learned, reply(100, 0))
            cheaper = await call()
            return [turn.tokens for turn in (first, capped, learned, cheaper)]

        assert time.run(scene()) == [100 + FIRST_COMPLETION, 150, 600, 538]


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (reply(1900, 100), 2.0 / 0.96),
        (reply(10, 10), 0.02 / 0.96),
        (Failure(message="slow down", status=429), 0.0),
        (Failure(message="no reply within 60 seconds"), 1.0 / 0.96),
        (Failure(message="the reply is no valid JSON", status=200), 1.0 / 0.96),
    ],
)
def test_the_next_call_waits_for_what_the_one_before_really_took(
    tmp_path: Path, outcome: ChatReply | Failure, seconds: float
) -> None:
    """A thousand tokens a second; the call was estimated at a thousand."""
    time = VirtualTime()
    with pace(time, tmp_path, tokens_per_minute=60_000) as limited:

        async def scene() -> float:
            turn = await limited.turn(ask(), estimated_prompt=1000 - FIRST_COMPLETION)
            assert turn.tokens == 1000
            limited.settle(turn, outcome)
            await limited.turn(ask(stage="replay"), estimated_prompt=1)
            return time.passed

        assert time.run(scene()) == pytest.approx(max(0.0, seconds - BURST), abs=1e-6)


def test_what_is_settled_last_counts_for_the_next_run(tmp_path: Path) -> None:
    time = VirtualTime()

    async def first(limited: Pace) -> None:
        turn = await limited.turn(ask(), estimated_prompt=10)
        limited.settle(turn, reply(9000, 600))

    with pace(time, tmp_path, tokens_per_minute=60_000) as limited:
        time.run(first(limited))
    with pace(time, tmp_path, tokens_per_minute=60_000) as again:
        assert time.run(started(again, time, 1)) == pytest.approx([10.0 - BURST])


def test_a_call_that_is_larger_than_a_minute_counts_as_a_minute(tmp_path: Path) -> None:
    """Else one long answer would stop the line for hours."""
    time = VirtualTime()

    async def scene(limited: Pace) -> float:
        limited.settle(await limited.turn(ask(), estimated_prompt=10), reply(10**7, 10**7))
        await limited.turn(ask(stage="replay"), estimated_prompt=1)
        return time.passed

    with pace(time, tmp_path, tokens_per_minute=1000) as limited:
        assert time.run(scene(limited)) == pytest.approx(60.0, abs=1.0)


def test_a_refused_giant_gives_back_what_it_took_and_nothing_of_others(tmp_path: Path) -> None:
    time = VirtualTime()
    small: dict[str, Any] = {"parameters": {"max_tokens": 1}}

    async def scene(mine: Pace, other: Pace) -> float:
        giant = await mine.turn(ask(parameters={"max_tokens": 10**30}), estimated_prompt=10)
        for turn in [await other.turn(ask(**small), estimated_prompt=1) for _ in range(2)]:
            other.settle(turn, reply(1000, 0))
        other.close()
        mine.settle(giant, Failure(message="too large", status=429))
        began = time.passed
        await mine.turn(ask(**small), estimated_prompt=1)
        return time.passed - began

    with pace(time, tmp_path, tokens_per_minute=1000) as mine, pace(time, tmp_path, tokens_per_minute=1000) as other:
        assert time.run(scene(mine, other)) == pytest.approx(60.0, abs=3.0)


@pytest.mark.parametrize("unlimited", [-1, 0, True])
def test_a_limit_that_is_none_counts_as_no_limit(tmp_path: Path, unlimited: int) -> None:
    """Local servers take -1 for as many tokens as fit."""
    time = VirtualTime()
    with pace(time, tmp_path, tokens_per_minute=60_000) as limited:
        asked = ask(parameters={"max_tokens": unlimited})
        assert time.run(limited.turn(asked, estimated_prompt=100)).tokens == 100 + FIRST_COMPLETION


def test_nothing_left_holds_everyone_back_until_there_is(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=600) as told, pace(time, tmp_path, requests_per_minute=600) as other:

        async def scene() -> tuple[list[float], list[float]]:
            await told.turn(ask(), estimated_prompt=1)
            told.read_headers(NOTHING_LEFT)
            told.read_headers(NOTHING_LEFT)
            return await started(told, time, 20), await started(other, time, 1)

        mine, others = time.run(scene())
    assert mine[0] == pytest.approx(20.0)
    assert mine[-1] == pytest.approx(20.0 + 19 * 0.1 / 0.96, abs=BURST)
    assert others[0] > mine[-1]


def test_a_reply_with_enough_left_or_without_a_word_holds_nobody(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=600) as limited:
        limited.read_headers({})
        limited.read_headers(NOTHING_LEFT | {"x-ratelimit-remaining-requests": "1"})
        assert time.run(started(limited, time, 1)) == [0.0]


@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": 600}])
def test_a_hold_lasts_a_minute_at_most_and_a_shorter_one_does_not_end_it(
    tmp_path: Path, limits: dict[str, int]
) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, **limits) as held:
        assert held.hold(1e6)
        assert not held.hold(5.0)
        assert time.run(started(held, time, 1)) == [60.0]


@pytest.mark.parametrize("begins", [1.0, 1.2, 1.4])
def test_after_a_hold_no_burst_makes_up_for_it(tmp_path: Path, begins: float) -> None:
    """What was reserved before it is given up."""
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=600) as held:

        async def scene() -> list[float]:
            crowd = asyncio.create_task(started(held, time, LONG_LINE))
            await time.sleep(begins)
            held.hold(10.0)
            return await crowd

        times = time.run(scene())
    resumed = [each for each in times if each > begins]
    assert resumed[0] == pytest.approx(begins + 10.0)
    assert sum(each < begins + 11.0 for each in resumed) <= 10 + BURST * 10 + 1


def test_who_gives_up_while_waiting_leaves_the_time_to_the_next(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, requests_per_minute=6) as slow:

        async def scene() -> float:
            await slow.turn(ask(), estimated_prompt=1)
            impatient = asyncio.create_task(slow.turn(ask(), estimated_prompt=1))
            behind = asyncio.create_task(slow.turn(ask(), estimated_prompt=1))
            await time.sleep(1.0)
            impatient.cancel()
            await behind
            assert impatient.cancelled()
            return time.passed

        assert time.run(scene()) < 11.0


def test_what_was_reserved_and_not_used_is_given_back(tmp_path: Path) -> None:
    time = VirtualTime()
    with pace(time, tmp_path, tokens_per_minute=60_000) as limited:

        async def scene() -> None:
            await limited.turn(ask(), estimated_prompt=5_000)
            late = asyncio.create_task(limited.turn(ask(), estimated_prompt=50_000))
            await time.sleep(0.1)
            late.cancel()

        time.run(scene())
    with pace(time, tmp_path, tokens_per_minute=60_000) as again:
        assert time.run(started(again, time, 1))[0] < 6.0
