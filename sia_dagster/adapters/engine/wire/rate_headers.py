"""What an endpoint tells of its rate limits in the headers of a reply."""

import re
from collections.abc import Mapping

from sia_dagster.core.records.value import Value

LONGEST_WAIT = 60.0
"""Seconds; limits are for a minute, so nothing that a reply tells holds longer."""


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


_PART = r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)"


class Left(Value):
    """What is left of one limit, requests or tokens."""

    remaining: int
    limit: int | None = None
    """All of it, where the reply says so."""
    reset: float | None = None
    """Seconds until all of it is back."""

    def wait(self, needed: int) -> float:
        """Seconds until `needed` are there; 0.0 where they are, or where the reply does not say when.

        Where the limit is told it comes back evenly until `reset` (OpenAI's form); else all at once then.
        """
        short = needed - self.remaining
        if short <= 0 or self.reset is None:
            return 0.0
        taken = (self.limit or 0) - self.remaining
        return self.reset * min(1.0, short / taken) if taken > 0 else self.reset


class RateLimits(Value):
    """Both limits, as far as a reply tells them."""

    requests: Left | None = None
    tokens: Left | None = None

    def wait(self, *, tokens: int) -> float:
        """Seconds until one more call of so many tokens fits, at most LONGEST_WAIT."""
        requests = self.requests.wait(1) if self.requests else 0.0
        return min(max(requests, self.tokens.wait(tokens) if self.tokens else 0.0), LONGEST_WAIT)

    def reset(self) -> float | None:
        """Seconds until what is used up is all back; None where nothing is, or the reply does not say when."""
        told = [left.reset for left in (self.requests, self.tokens) if left and left.remaining == 0]
        return max((seconds for seconds in told if seconds is not None), default=None)


def told_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """The `x-ratelimit-*-requests` and `-tokens` of a reply; None where there are none.

    What is no number, or negative (which some routers send for "unknown"), counts as not said.
    """
    requests, tokens = _left(headers, "requests"), _left(headers, "tokens")
    return RateLimits(requests=requests, tokens=tokens) if requests or tokens else None


def _left(headers: Mapping[str, str], kind: str) -> Left | None:
    remaining = _count(headers.get(f"x-ratelimit-remaining-{kind}", ""))
    if remaining is None:
        return None
    limit = _count(headers.get(f"x-ratelimit-limit-{kind}", ""))
    return Left(remaining=remaining, limit=limit, reset=_seconds(headers.get(f"x-ratelimit-reset-{kind}", "")))


def _count(said: str) -> int | None:
    return int(said) if re.fullmatch(r"\d{1,12}", said.strip(), re.ASCII) else None


def _seconds(said: str) -> float | None:
    """A time such as `6m0s`, `1.5s` or `20ms`, or a number of seconds."""
    said = said.strip()
    if re.fullmatch(rf"(?:{_PART})+", said, re.ASCII):
        return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, said, re.ASCII))
    return float(said) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", said, re.ASCII) else None
