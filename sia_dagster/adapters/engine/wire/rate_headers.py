"""The rate limits in the headers of a reply."""

import re
from collections.abc import Mapping

from sia_dagster.core.records.value import Value

LONGEST_WAIT = 60.0
"""Seconds; limits are per minute, so no header is valid for longer."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_PART = r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)"


class RemainingLimit(Value):
    """The rest of one limit, in requests or tokens."""

    remaining: int
    limit: int | None = None
    """The whole limit, where the reply gives it."""
    reset: float | None = None
    """Seconds until the whole limit is available again."""

    def wait(self, needed: int) -> float:
        """Seconds until `needed` are available; 0.0 where they are, or where the reply gives no `reset`.

        With a known `limit` it refills evenly until `reset` (OpenAI's form), else all at once.
        """
        short = needed - self.remaining
        if short <= 0 or self.reset is None:
            return 0.0
        taken = (self.limit or 0) - self.remaining
        return self.reset * min(1.0, short / taken) if taken > 0 else self.reset


class RateLimits(Value):
    """Both limits, as far as a reply gives them."""

    requests: RemainingLimit | None = None
    tokens: RemainingLimit | None = None

    def wait(self, *, tokens: int) -> float:
        """Seconds until one more call of `tokens` fits, at most LONGEST_WAIT."""
        requests = self.requests.wait(1) if self.requests else 0.0
        return min(max(requests, self.tokens.wait(tokens) if self.tokens else 0.0), LONGEST_WAIT)

    def reset(self) -> float | None:
        """Seconds until exhausted limits are reset; None where none is exhausted, or the reply gives no time."""
        resets = [limit.reset for limit in (self.requests, self.tokens) if limit and limit.remaining == 0]
        return max((seconds for seconds in resets if seconds is not None), default=None)


def read_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """The `x-ratelimit-*-requests` and `-tokens` of a reply; None where there are none.

    A value that is no number, or negative (which some routers send for "unknown"), is ignored.
    """
    requests, tokens = _remaining(headers, "requests"), _remaining(headers, "tokens")
    return RateLimits(requests=requests, tokens=tokens) if requests or tokens else None


def _remaining(headers: Mapping[str, str], kind: str) -> RemainingLimit | None:
    remaining = _count(headers.get(f"x-ratelimit-remaining-{kind}", ""))
    if remaining is None:
        return None
    limit = _count(headers.get(f"x-ratelimit-limit-{kind}", ""))
    return RemainingLimit(
        remaining=remaining, limit=limit, reset=_seconds(headers.get(f"x-ratelimit-reset-{kind}", ""))
    )


def _count(value: str) -> int | None:
    return int(value) if re.fullmatch(r"\d{1,12}", value.strip(), re.ASCII) else None


def _seconds(value: str) -> float | None:
    """A time such as `6m0s`, `1.5s` or `20ms`, or a number of seconds."""
    value = value.strip()
    if re.fullmatch(rf"(?:{_PART})+", value, re.ASCII):
        return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, value, re.ASCII))
    return float(value) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII) else None
