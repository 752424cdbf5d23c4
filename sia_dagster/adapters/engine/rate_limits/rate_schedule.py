"""Times for calls under limits of requests and tokens a minute: pure arithmetic, for whoever keeps its state."""

from collections.abc import Sequence

from sia_dagster.core.records.value import Value

HEADROOM = 0.96
"""The share of a limit that is used. Calls reach the endpoint a little later than they start, each by another delay:
with 4 % left, no minute of a server's clock sees more than the limit, as long as delays differ by less than a second
and a half."""


BURST = 0.5
"""Seconds that may be made up for when nobody called; more would be a burst that endpoints refuse by the second."""


BATCH = 0.5
"""Seconds that one reservation reaches; what a process that dies takes with it."""


LONGEST_CALL = 60.0
"""Seconds; a call larger than a minute's tokens counts as a minute."""


CLOCK_TOLERANCE = 1.0
"""Seconds; a state written later than this from now is from before the clock was put back, and void."""


class Rates(Value):
    """What one call takes of the time line, in seconds; 0.0 where there is no such limit."""

    request: float = 0.0
    """Each."""
    token: float = 0.0
    """For each of its tokens."""

    @classmethod
    def of(cls, requests_per_minute: int | None, tokens_per_minute: int | None) -> "Rates":
        """The rates that keep HEADROOM under both limits."""
        request, token = (
            60.0 / (HEADROOM * limit) if limit else 0.0 for limit in (requests_per_minute, tokens_per_minute)
        )
        return cls(request=request, token=token)


class Free(Value):
    """From when on each limit has room, in seconds since the epoch."""

    requests: float = 0.0
    tokens: float = 0.0
    written: float = 0.0
    """When that was said."""


def valid(free: Free, now: float) -> Free:
    """`free`, or nothing where it is from before the clock was put back."""
    return Free() if free.written > now + CLOCK_TOLERANCE else free


def plan(free: Free, calls: Sequence[int], *, rates: Rates, now: float) -> tuple[list[float], Free]:
    """When each of the first `calls` (their tokens) may start, none before `now`, in order; and what is free then.

    A generic cell rate algorithm over both limits. The times reach over at most BATCH seconds, so they may be fewer
    than the calls, but are one at least where there is a call.
    """
    free = valid(free, now)
    requests, tokens, times = max(free.requests, now - BURST), max(free.tokens, now - BURST), list[float]()
    for call in calls:
        at = max(now, requests, tokens)
        if times and at > times[0] + BATCH:
            break
        times.append(at)
        requests = max(requests, at - BURST) + rates.request
        tokens = max(tokens, at - BURST) + min(call * rates.token, LONGEST_CALL)
    return times, Free(requests=requests, tokens=tokens, written=now)
