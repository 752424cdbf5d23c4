"""Progress of long stages: log lines in Dagster, and a listener for the command's progress bar."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

from sia_dagster.core.progress import Advance, Progress, Remaining, progress_line

QUIET_SECONDS = 60.0
"""The longest time without a line."""

BUSY_SECONDS = 1.0
"""The shortest time between two lines, the last one aside: each is an event that Dagster commits to its database."""

_listener: ContextVar[Progress | None] = ContextVar("progress_listener", default=None)


@contextmanager
def listen(listener: Progress) -> Iterator[None]:
    """Have every stage that runs in this context report to `listener` too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def progress_of(context: dg.AssetExecutionContext, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Logs `evaluations: 120 of 240, 3 failed, 0.0121 USD, 2 min left` at each tenth of the way, and each minute."""
    log = Throttled(context.log.info, clock)

    def report(advance: Advance) -> None:
        if listener := _listener.get():
            listener(advance)
        log(advance)

    return report


class Throttled:
    """Logs progress at each tenth of a stage, at least every QUIET_SECONDS, and at most every BUSY_SECONDS.

    What is done within BUSY_SECONDS has one line, its last.
    """

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float]) -> None:
        self._log, self._clock = log, clock
        self._remaining: dict[str, Remaining] = {}
        self._last: tuple[str, int] = ("", -1)
        self._at = clock()  # No line before BUSY_SECONDS: what ends sooner says so in one.

    def __call__(self, advance: Advance) -> None:
        """Log the report, if it is time for a line."""
        remaining = self._remaining.setdefault(advance.what, Remaining(self._clock))
        left, now = remaining.seconds(advance), self._clock()
        place, since = (advance.what, 10 * advance.done // max(advance.of, 1)), now - self._at
        due = since >= BUSY_SECONDS or advance.done == advance.of
        if (place != self._last and due) or since >= QUIET_SECONDS:
            self._last, self._at = place, now
            self._log(progress_line(advance, left))
