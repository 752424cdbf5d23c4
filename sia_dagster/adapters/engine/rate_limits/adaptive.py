"""How many calls in flight an endpoint bears: less after sustained 429s, more while its answers stay as fast."""

from collections import deque
from statistics import median

SHORTEST_WINDOW = 16
"""Attempts; else as many as may be in flight."""


SUSTAINED = 0.25
"""The share of 429s in a window that halves the limit."""


STRAY = 0.1
"""The share of 429s in a window below which the limit may grow."""


SLOWER = 1.5
"""Times the baseline: with slower answers the limit does not grow, since more calls would only wait longer."""


class Slot:
    """One place in flight; whoever held it says how its attempt went."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.limited = False
        """The endpoint answered 429."""
        self.wait = 0.0
        """Seconds that it asked to wait."""
        self.seconds: float | None = None
        """What an answer took; None without one."""


class Adaptation:
    """The limit of calls in flight, from the attempts seen; it starts at `most`, so that no run begins slowly.

    Among the last max(SHORTEST_WINDOW, limit) attempts a share of SUSTAINED 429s halves the limit, down to 1. After
    each such number of attempts with a share of 429s below STRAY, and a median of the answers' seconds that is at
    most SLOWER times the baseline, it grows by an eighth of `most`. The baseline is the lowest such median; it moves
    up by a quarter of the difference, so that answers that stay slower become the measure. A stray 429 changes
    nothing. Attempts that began before the limit moved say nothing about the new one and are not counted.
    """

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._epoch = 0
        self._baseline: float | None = None
        self._recent: deque[Slot] = deque()
        self._limited = 0
        self._unreviewed: list[Slot] = []

    def slot(self) -> Slot:
        """A place for an attempt that begins now."""
        return Slot(self._epoch)

    def observe(self, slot: Slot) -> float:
        """Learn from an attempt that ended.

        Where that halves the limit, returns for how many seconds no call should start: the longest that the 429s of
        the window asked for. Else 0.0.
        """
        if slot.epoch != self._epoch:
            return 0.0
        size = max(SHORTEST_WINDOW, self.limit)
        self._remember(slot, size)
        if self._limited >= SUSTAINED * size:
            wait = max(seen.wait for seen in self._recent)
            self._move_to(max(1, self.limit // 2))
            return wait
        if len(self._unreviewed) >= size:
            self._review()
        return 0.0

    def _remember(self, slot: Slot, size: int) -> None:
        self._unreviewed.append(slot)
        self._recent.append(slot)
        self._limited += slot.limited
        if len(self._recent) > size:
            self._limited -= self._recent.popleft().limited

    def _review(self) -> None:
        seen, self._unreviewed = self._unreviewed, []
        answered = [slot.seconds for slot in seen if slot.seconds is not None]
        if not answered:
            return
        now = median(answered)
        holds = self._baseline is None or now <= SLOWER * self._baseline
        self._baseline = now if self._baseline is None else min(now, self._baseline + (now - self._baseline) / 4)
        if holds and self.limit < self.most and sum(slot.limited for slot in seen) < STRAY * len(seen):
            self._move_to(min(self.most, self.limit + max(1, self.most // 8)))

    def _move_to(self, limit: int) -> None:
        self.limit = limit
        self._epoch += 1
        self._recent.clear()
        self._unreviewed.clear()
        self._limited = 0
