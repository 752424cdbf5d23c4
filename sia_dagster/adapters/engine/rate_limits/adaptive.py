"""The number of calls in flight: lowered after sustained 429s, raised while answers do not get slower."""

from collections import deque
from statistics import median

SHORTEST_WINDOW = 16
"""Attempts; a window is longer where more may be in flight."""

SUSTAINED = 0.25
"""The share of 429s in a window that halves the limit."""

STRAY = 0.1
"""The share of 429s in a window below which the limit may grow."""

SLOWER = 1.5
"""Multiple of the baseline: with slower answers the limit does not grow, since more calls would only wait longer."""


class Slot:
    """One slot in flight; its holder records the outcome of the attempt."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.limited = False
        """The endpoint answered 429."""
        self.wait = 0.0
        """Seconds that the endpoint asked to wait."""
        self.seconds: float | None = None
        """Duration of the answer; None without one."""


class Adaptation:
    """The limit of calls in flight, adapted to the attempts seen; it starts at `most`, so that no run begins slowly.

    A window is max(SHORTEST_WINDOW, limit) attempts. A share of SUSTAINED 429s among the last window halves the limit,
    down to 1. After each window with a share of 429s below STRAY, and a median duration of the answers of at most
    SLOWER times the baseline, the limit grows by an eighth of `most`. The baseline is the lowest such median; it rises
    by a quarter of the difference, so that answers that stay slower become the baseline. A stray 429 changes nothing.
    Attempts that began before the limit changed are not counted.
    """

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        self._epoch = 0
        self._baseline: float | None = None
        self._recent: deque[Slot] = deque()
        self._limited = 0
        self._unreviewed: list[Slot] = []

    def slot(self) -> Slot:
        """A slot for an attempt that begins now."""
        return Slot(self._epoch)

    def observe(self, slot: Slot) -> float:
        """Take an ended attempt into account.

        Where this halves the limit, returns the seconds for which no call should start: the longest wait that the 429s
        of the window asked for. Else 0.0.
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
