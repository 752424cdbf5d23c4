"""Start times of calls under limits of requests and tokens a minute: pure arithmetic, whose state is kept elsewhere.

Written here instead of taken from a library: tokens are settled after the answer, and all processes share the limits.
"""

from collections.abc import Sequence

from sia_dagster.core.records.value import Value

HEADROOM = 0.96
"""The share of a limit that is used. Calls reach the endpoint a little after they start, with different delays. With
4 % spare, no minute of its clock has more than the limit as long as delays differ by less than 1.5 seconds."""

BURST = 0.5
"""Seconds without calls that may be made up for; more would be a burst, which endpoints refuse by the second."""

BATCH = 0.5
"""Seconds that one reservation covers, which are lost when its process dies."""

LONGEST_CALL = 60.0
"""Seconds; a call larger than a minute's tokens counts as a minute."""

CLOCK_TOLERANCE = 1.0
"""Seconds; a state written this far in the future is from before the clock was set back, and void."""


class Rates(Value):
    """The seconds that one call occupies; 0.0 where there is no such limit."""

    request: float = 0.0
    """For each request."""
    token: float = 0.0
    """For each token."""

    @classmethod
    def of(cls, requests_per_minute: int | None, tokens_per_minute: int | None) -> "Rates":
        """The rates that keep HEADROOM under both limits."""
        request, token = (
            60.0 / (HEADROOM * limit) if limit else 0.0 for limit in (requests_per_minute, tokens_per_minute)
        )
        return cls(request=request, token=token)


class FreeTimes(Value):
    """When each limit has room again, in seconds since the epoch."""

    requests: float = 0.0
    tokens: float = 0.0
    written: float = 0.0
    """When this state was written."""


def valid(free: FreeTimes, now: float) -> FreeTimes:
    """`free`, or an empty state where it is from before the clock was set back."""
    return FreeTimes() if free.written > now + CLOCK_TOLERANCE else free


def plan(free: FreeTimes, calls: Sequence[int], *, rates: Rates, now: float) -> tuple[list[float], FreeTimes]:
    """Start times of the first `calls` (given by their tokens), in order, none before `now`; and the state after them.

    A generic cell rate algorithm over both limits. The times cover at most BATCH seconds, so they may be fewer than the
    calls, but at least one where there is a call.
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
    return times, FreeTimes(requests=requests, tokens=tokens, written=now)
