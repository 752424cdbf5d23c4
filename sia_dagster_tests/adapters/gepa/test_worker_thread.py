"""A thread that asks the event loop ends with the task that runs it, whatever ended that."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from sia_dagster.adapters.gepa.worker_thread import WorkerThread

ENDED = threading.Event()


async def doubled(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def hang() -> int:
    return int(await asyncio.Event().wait())


async def fail() -> int:
    raise LookupError("no such thing")


def asks(thread: WorkerThread, *questions: Callable[[], Awaitable[int]]) -> Callable[[], None]:
    """Work that swallows every error of its questions, as libraries do."""

    def work() -> None:
        try:
            for question in questions:
                with suppress(Exception):
                    thread.ask(question)
        finally:
            ENDED.set()

    return work


@pytest.fixture(autouse=True)
def running() -> None:
    ENDED.clear()


def test_questions_are_answered_in_the_event_loop() -> None:
    found: list[int] = []

    async def main() -> None:
        thread = WorkerThread()
        await thread.run(lambda: found.extend([thread.ask(lambda: doubled(1)), thread.ask(lambda: doubled(2))]))

    asyncio.run(main())
    assert found == [2, 4]


def test_what_a_question_raises_is_raised_and_unwinds_the_thread() -> None:
    async def main() -> None:
        thread = WorkerThread()
        with pytest.raises(LookupError, match="no such thing"):
            await thread.run(asks(thread, fail, hang, hang))
        assert ENDED.is_set()

    asyncio.run(main())


def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await WorkerThread().run(work)

    asyncio.run(main())


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_is_cancelled_leaves_no_thread(times: int) -> None:
    async def main() -> None:
        thread = WorkerThread()
        task = asyncio.create_task(thread.run(asks(thread, lambda: doubled(1), hang, hang)))
        await asyncio.sleep(0.05)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(ENDED.wait, 10)
        assert ENDED.is_set()

    asyncio.run(main())


def test_a_thread_that_asks_after_the_end_is_unwound() -> None:
    asked = threading.Event()

    async def main() -> None:
        thread = WorkerThread()

        def work() -> None:
            asked.wait()
            asks(thread, hang)()

        task = asyncio.create_task(thread.run(work))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.05)
        asked.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ENDED.is_set()

    asyncio.run(main())
