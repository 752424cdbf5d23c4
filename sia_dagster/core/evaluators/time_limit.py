"""Calls of a user's function, sync or async, with a time limit that holds whatever the function does."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject

Function = Callable[[Sample], Any]
Outcome = JsonObject
"""What a call came to, as `Read` gives it."""
Read = Callable[[Any, BaseException | None], Outcome]
"""Reads what a function returned, or what it raised. It runs code of the function's objects, and so may raise or hang
itself: it is called where the function was, within the same time limit."""
_GRACE = 1.0
"""Seconds in which an event loop that is not blocked answers."""


async def call_within(seconds: float, function: Function, sample: Sample, read: Read) -> Outcome | None:
    """The outcome of `function(sample)` by `read`; None without one within `seconds`.

    A sync function is called in a daemon thread of its own. Async functions share one event loop in a daemon thread,
    so that a client which they keep between calls works. Where a function ends the calls in this loop before they have
    an outcome, its own or others, or blocks it until the time limit, each such call is made again, with the same limit,
    in a thread and loop of its own. There it ends no call but its own.
    """
    if not _is_async(function):
        return await _within(seconds, _apart(function, sample, read))
    shared = _shared_loop()
    outcome = await _within(seconds, shared.run(_called(function, sample, read)))
    if outcome is None and await shared.responds():
        return None
    if outcome is None or outcome is _CANCELLED:
        return await _within(seconds, _apart(function, sample, read))
    return outcome


_CANCELLED: Outcome = {}
"""Stands for a call that was ended without an outcome; compared by identity."""


def _is_async(function: Function) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


async def _within(seconds: float, work: Coroutine[Any, Any, Outcome]) -> Outcome | None:
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        return None
    return _CANCELLED if task.cancelled() else task.result()


async def _called(function: Function, sample: Sample, read: Read) -> Outcome:
    try:
        return read(await function(sample), None)
    except asyncio.CancelledError:
        raise
    except BaseException as raised:  # noqa: BLE001  a user's function may raise anything
        return read(None, raised)


async def _apart(function: Function, sample: Sample, read: Read) -> Outcome:
    """Call `function` in a daemon thread: unlike those of an executor, it is not waited for when the process ends."""
    finished: asyncio.Future[Outcome]
    finished, deliver = _future_for_threads()

    def call() -> None:
        try:
            result = function(sample)
            deliver(read(asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result, None))
        except BaseException as error:  # noqa: BLE001  also SystemExit: nothing may be lost between threads
            deliver(read(None, error))

    threading.Thread(target=call, name="code-evaluator", daemon=True).start()
    return await finished


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _future_for_threads() -> tuple[asyncio.Future[Any], Callable[[Any], None]]:
    """A future of the running loop, and a function that fills it from any thread; a late result is dropped."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def fill(content: Any) -> None:
        if not future.done():
            future.set_result(content)

    def deliver(content: Any) -> None:
        # The loop is closed where the content comes after the stage has ended: nobody waits for it any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(fill, content)

    return future, deliver


class _SharedLoop:
    """An event loop in a daemon thread, until it is abandoned. It goes on whatever the functions in it do."""

    def __init__(self) -> None:
        self._loop, self._abandoned = asyncio.new_event_loop(), False
        self._calls: set[Future[Outcome]] = set()
        # A function may end the loop's calls before the thread that made its call has noted it.
        self._noting = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="async-code-evaluators", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Run until the loop is abandoned, then cancel what is left in it."""
        with contextlib.suppress(BaseException), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop()
            while self.usable and not self._loop.is_closed():
                self._run()

    def _run(self) -> None:
        """Run until some function stops the loop, or a callback or task of it raises what ends a loop.

        Nobody knows then whose callback it was, so every call is ended.
        """
        with contextlib.suppress(BaseException):
            self._loop.run_forever()
            return
        self._end_calls()

    def _end_calls(self) -> None:
        with self._noting:
            calls = tuple(self._calls)
        for call in calls:
            call.cancel()

    @property
    def usable(self) -> bool:
        # A forked process has the loops of its parent, but not their threads.
        return not self._abandoned and self._thread.is_alive()

    async def run(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """The result of `work`; cancelled here, it is cancelled there."""
        with self._noting:
            try:
                call = None if self._abandoned else asyncio.run_coroutine_threadsafe(work, self._loop)
            except RuntimeError:  # it is closed
                call = None
            if call is None:
                work.close()
                return _CANCELLED
            self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.wrap_future(call)

    async def responds(self) -> bool:
        """Whether it still runs what it is given; if not, it is abandoned."""
        sign, deliver = _future_for_threads()
        with contextlib.suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(deliver, None)
            await asyncio.wait({sign}, timeout=_GRACE)
        if sign.done() and not self._abandoned:
            return True
        with self._noting:
            self._abandoned = True
        self._end_calls()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        return False


_loops: list[_SharedLoop] = []
"""The one that is in use, if there is one."""
_choosing = threading.Lock()


def _shared_loop() -> _SharedLoop:
    with _choosing:
        if not (_loops and _loops[-1].usable):
            _loops[:] = [_SharedLoop()]
        return _loops[-1]
