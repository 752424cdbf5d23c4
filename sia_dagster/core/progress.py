"""How far a stage is, in words: rows done and failed, what was spent, and how long the rest may take."""

from collections import deque
from collections.abc import Callable

from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value

RECENT_REPORTS = 20
"""Reports that the speed is estimated from: earlier ones may be stored answers, which come at once."""


class Advance(Value):
    """How far a stage is."""

    done: int
    of: int
    what: str
    """`evaluations`, `selection replay`."""
    failed: int = 0
    """Those of `done` that have an error instead of a result."""
    spent: Spend | None = None
    """What the stage used so far; None where it is not counted."""


Progress = Callable[[Advance], None]
"""Called as rows complete."""


class Remaining:
    """Estimates the time left from the speed of the last RECENT_REPORTS reports. One for each kind of row."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is in seconds, from anywhere."""
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque(maxlen=RECENT_REPORTS)

    def seconds(self, advance: Advance) -> float | None:
        """Seconds until all rows are done; None before two reports at different times."""
        self._seen.append((self._clock(), advance.done))
        (began, first), (now, done) = self._seen[0], self._seen[-1]
        if done <= first or now <= began:
            return None
        return (advance.of - done) * (now - began) / (done - first)


def progress_line(advance: Advance, seconds_left: float | None = None) -> str:
    """`evaluations: 120 of 240, 3 failed, 0.0121 USD, 2 min left`; unknown parts are left out."""
    parts = [f"{advance.what}: {advance.done} of {advance.of}", *extras(advance)]
    if seconds_left and advance.done < advance.of:
        parts.append(f"{_duration(seconds_left)} left")
    return ", ".join(parts)


def extras(advance: Advance) -> list[str]:
    """The rows that failed, and what was spent, as far as there is any."""
    parts = [f"{advance.failed} failed"] if advance.failed else []
    spent = advance.spent
    if spent is None or not spent.calls:
        return parts
    if spent.cost_usd is None:
        return [*parts, f"{spent.prompt_tokens + spent.completion_tokens:,} tokens"]
    return [*parts, f"{spent.cost_usd:.4f} USD"]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
