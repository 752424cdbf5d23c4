"""Calls of a user's function, sync or async, that cannot hold up the stage whatever the function does."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sia_dagster.core.records.sample import Sample

Function = Callable[[Sample], Any]


StageResult = tuple[Any, BaseException | None]
"""What a function returned, or what it raised."""


_GRACE = 1.0
"""Seconds in which an event loop that is not blocked gives a sign of life."""


async def call_within(seconds: float, function: Function, sample: Sample) -> StageResult | None:
    """What `function` makes of `sample`; None where it gives no answer within `seconds`.

    A sync function is called in a daemon thread of its own. Async functions share one event loop in a daemon thread,
    so that a client which they keep between calls works. A function that blocks this loop is found out at the time
    limit: the loop is given up, and every call that was held up in it is made again, for as long again, in a thread
    of its own.
    """
    if not _is_async(function):
        return await _within(seconds, _apart(function, sample))
    shared = _shared_loop()
    outcome = await _within(seconds, shared.run(_called(function, sample)))
    if outcome is None and await shared.turns():
        return None
    held_up = outcome is None or (isinstance(outcome[1], asyncio.CancelledError) and not shared.usable)
    return await _within(seconds, _apart(function, sample)) if held_up else outcome


def _is_async(function: Function) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


async def _within(seconds: float, work: Coroutine[Any, Any, StageResult]) -> StageResult | None:
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        return None
    return (None, asyncio.CancelledError()) if task.cancelled() else task.result()


async def _called(function: Function, sample: Sample) -> StageResult:
    try:
        return await function(sample), None
    except (Exception, SystemExit, KeyboardInterrupt) as raised:  # noqa: BLE001  a user's function may raise anything
        return None, raised


async def _apart(function: Function, sample: Sample) -> StageResult:
    """Call `function` in a daemon thread: unlike those of an executor, it is not waited for when the process ends."""
    finished: asyncio.Future[StageResult]
    finished, deliver = _letterbox()

    def call() -> None:
        try:
            result = function(sample)
            deliver((asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result, None))
        except BaseException as error:  # noqa: BLE001  also SystemExit: nothing may be lost between threads
            deliver((None, error))

    threading.Thread(target=call, name="code-evaluator", daemon=True).start()
    return await finished


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _letterbox() -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
    """A future of the running loop, and what fills it from any thread; what comes too late is dropped."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def fill(content: Any) -> None:
        if not future.done():
            future.set_result(content)

    def deliver(content: Any) -> None:
        # The loop is closed where the content comes after the stage is over: nobody waits for it any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(fill, content)

    return future, deliver


class _SharedLoop:
    """An event loop in a daemon thread, until it is given up."""

    def __init__(self) -> None:
        self._loop, self._end, self._given_up = asyncio.new_event_loop(), asyncio.Event(), False
        self._thread = threading.Thread(target=self._serve, name="async-code-evaluators", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Turn until the end, or until some callback of a function exits, then cancel what is left."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                runner.run(self._end.wait())
            self._given_up = True

    @property
    def usable(self) -> bool:
        # A process that was forked from another has its loops, but not their threads.
        return not self._given_up and self._thread.is_alive()

    async def run(self, work: Coroutine[Any, Any, StageResult]) -> StageResult:
        """The result of `work`; cancelled here, it is cancelled there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def turns(self) -> bool:
        """Whether it still runs what it is given; if not, it is given up."""
        sign, deliver = _letterbox()
        with contextlib.suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(deliver, None)
            await asyncio.wait({sign}, timeout=_GRACE)
        if sign.done() and not self._given_up:
            return True
        self._given_up = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end.set)
        return False


_loops: list[_SharedLoop] = []
"""The one that is in use, if there is one."""


_choosing = threading.Lock()


def _shared_loop() -> _SharedLoop:
    with _choosing:
        if not (_loops and _loops[-1].usable):
            _loops[:] = [_SharedLoop()]
        return _loops[-1]
