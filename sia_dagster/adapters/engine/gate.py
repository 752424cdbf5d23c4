"""How many calls may be in flight: the configured number, less while the endpoint keeps saying 429."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slot:
    """One place in flight. `limited` is set by whoever held it, when the endpoint answered 429."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.limited = False


class ConcurrencyGate:
    """Admits `limit` holders at once, in order of arrival; `limit` starts at `most`.

    Among the last max(8, limit) attempts a quarter of 429s halves the limit, down to 1; attempts that began before
    a halving say nothing about the new limit and are not counted. That many attempts without any 429 raise the
    limit by an eighth of `most`. So a stray 429 changes nothing.
    """

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._held = 0
        self._epoch = 0
        self._recent: deque[bool] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Wait for a place and hold it for the block."""
        await self._acquire()
        slot = Slot(self._epoch)
        try:
            yield slot
        finally:
            if slot.epoch == self._epoch:
                self._observe(slot.limited)
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

    def _observe(self, limited: bool) -> None:
        self._recent.append(limited)
        size = max(8, self.limit)
        while len(self._recent) > size:
            self._recent.popleft()
        if sum(self._recent) * 4 >= size:
            self._move_to(max(1, self.limit // 2))
        elif len(self._recent) == size and not any(self._recent) and self.limit < self.most:
            self._move_to(min(self.most, self.limit + max(1, self.most // 8)))

    def _move_to(self, limit: int) -> None:
        self.limit = limit
        self._epoch += 1
        self._recent.clear()
