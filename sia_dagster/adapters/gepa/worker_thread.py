"""A synchronous library beside the event loop: its thread asks, the loop answers, and both end together."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


class SearchEnded(BaseException):
    """Unwinds the thread once nobody answers it any more. No `except Exception` of a library takes it for a failure."""


class WorkerThread:
    """Runs one piece of synchronous work, whose questions the event loop answers one at a time."""

    def __init__(self) -> None:
        """For the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._asked: asyncio.Queue[tuple[Callable[[], Awaitable[Any]], Future[Any]] | None] = asyncio.Queue()
        self._open: Future[Any] | None = None
        self._ended = False

    def ask(self, question: Callable[[], Awaitable[Result]]) -> Result:
        """Called in the thread: what `question` gives in the event loop. Raises SearchEnded once `run` has ended."""
        answer: Future[Result] = Future()
        self._loop.call_soon_threadsafe(self._receive, question, answer)
        return answer.result()

    async def run(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread until it ends, a question raises, or the task is cancelled; then the thread has ended.

        Raises what `work` or a question raised.
        """
        thread = asyncio.create_task(asyncio.to_thread(_until_the_end, work))
        thread.add_done_callback(lambda _: self._asked.put_nowait(None))
        try:
            while (asked := await self._asked.get()) is not None:
                question, self._open = asked
                self._open.set_result(await question())
        finally:
            self._end()
            await asyncio.wait([thread])
        thread.result()

    def _receive(self, question: Callable[[], Awaitable[Any]], answer: Future[Any]) -> None:
        if self._ended:
            answer.set_exception(SearchEnded())
        else:
            self._asked.put_nowait((question, answer))

    def _end(self) -> None:
        """Unwind the thread at its question, the one under way included."""
        self._ended = True
        waiting = [self._open]
        while not self._asked.empty():
            asked = self._asked.get_nowait()
            waiting += [asked[1]] if asked else []
        for answer in waiting:
            if answer is not None and not answer.done():
                answer.set_exception(SearchEnded())


def _until_the_end(work: Callable[[], None]) -> None:
    with suppress(SearchEnded):
        work()
