"""Time for tests: it passes only when everyone sleeps, and then at once."""

import asyncio
import heapq
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

Result = TypeVar("Result")


_TURNS = 40
"""Turns of the event loop after which whoever can go on has gone on."""


class VirtualTime:
    """Plays `sleep` and the clock together, for code that waits for nothing else."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.began = self.now = now
        self._order = count()
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return self.now - self.began

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self.now + seconds, next(self._order), woken))
        await woken

    def run(self, scene: Coroutine[Any, Any, Result]) -> Result:
        """What `scene` returns."""
        return asyncio.run(self._passing(scene))

    async def _passing(self, scene: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(scene)
        while True:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            if self._asleep:
                self.now, _, woken = heapq.heappop(self._asleep)
                if not woken.done():
                    woken.set_result(None)
