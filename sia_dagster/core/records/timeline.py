"""When entries of the registry came into force, also where the clock of the machine that wrote one was wrong."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion

Entry = TypeVar("Entry", PolicyVersion, PolicyDecision)


def timeline(entries: Sequence[Entry], now: datetime) -> tuple[Entry, ...]:
    """The entries, oldest first, with times that never go back: a higher number is never hidden by a lower one.

    Entries are numbered in the order in which they were written. So an entry counts no later than any after it, and not
    before the end of a window that it or one before it decided. One from after `now`, with nothing after it that is
    not, counts as of the earliest time that its number allows. The end of an entry's own window is never taken for a
    wrong clock: history that is replayed as if each window had been decided as it closed has that time.
    """
    latest: list[datetime | None] = []
    for entry in reversed(entries):
        after = latest[-1] if latest else None
        at = entry.at if entry.at <= now or (entry.window and entry.at == entry.window.end) else None
        latest.append(min((time for time in (at, after) if time is not None), default=None))
    times: list[datetime] = []
    for entry, at in zip(entries, reversed(latest), strict=True):
        bounds = times[-1:]
        if entry.window is not None:
            bounds.append(entry.window.end)
        if at is not None:
            bounds.append(at)
        times.append(max(bounds, default=now))
    return tuple(entry.model_copy(update={"at": time}) for entry, time in zip(entries, times, strict=True))
