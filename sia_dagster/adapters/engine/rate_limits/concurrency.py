"""The slots for calls in flight: as many as configured, fewer while the endpoint refuses too many."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sia_dagster.adapters.engine.rate_limits.adaptive import Adaptation, Slot


class ConcurrencyLimit:
    """Admits `limit` holders at once, in order of arrival; see `Adaptation` for how the limit changes.

    `hold` is called with the seconds for which no call should start, when sustained 429s ask for that.
    """

    def __init__(self, most: int, *, hold: Callable[[float], object] = lambda seconds: None) -> None:
        self._adaptation = Adaptation(most)
        self._hold = hold
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """The number of holders admitted at once now."""
        return self._adaptation.limit

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Wait for a slot and hold it for the block."""
        await self._acquire()
        slot = self._adaptation.slot()
        try:
            yield slot
        finally:
            if wait := self._adaptation.observe(slot):
                self._hold(wait)
            self._held -= 1
            self._wake()

    async def _acquire(self) -> None:
        if self._held < self.limit and not self._waiting:
            self._held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._held -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._held < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._held += 1
                turn.set_result(None)
