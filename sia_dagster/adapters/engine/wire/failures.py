"""The retry policy: which failures are worth another attempt, after how long, and which end the run."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from sia_dagster.adapters.engine.wire.failure_signs import Kind, kind_by_signs
from sia_dagster.adapters.engine.wire.own_words import own_words
from sia_dagster.adapters.engine.wire.rate_headers import read_limits
from sia_dagster.core.records.value import Value

FailureAction = Literal["retry", "row", "stop"]
"""Try again; give up this row; or stop, since every call would fail in the same way."""

FIRST_DELAY = 1.0

LONGEST_DELAY = 30.0
"""Seconds; of our own backoff."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds; the longest wait that an endpoint may request."""

LONG_LIMIT = 6 * 3600.0
"""Seconds; a rate limit that ends no sooner is a spent quota: no run waits for it."""

UNREACHABLE = "unreachable"
"""The code of a failure where no connection came about: nothing listens, an unknown name, a refused certificate."""

ACTIONS: Final[dict[Kind, FailureAction]] = {
    "no_quota": "stop",
    "bad_key": "stop",
    "no_rights": "stop",
    "no_model": "stop",
    "no_api": "stop",
    "moderated": "row",
    "too_long": "row",
    "feature": "row",
    "bad_request": "row",
    "rate_limit": "retry",
    "overloaded": "retry",
    "unreachable": "retry",
    "no_answer": "retry",
}


_OF_STATUS: Final[dict[int, Kind]] = {
    401: "bad_key",
    402: "no_quota",
    403: "no_rights",
    404: "no_model",
    405: "no_api",
    407: "bad_key",
    408: "no_answer",
    409: "no_answer",
    410: "no_model",
    424: "no_answer",
    425: "no_answer",
    429: "rate_limit",
    451: "moderated",
    498: "overloaded",
    501: "bad_request",
    503: "overloaded",
    529: "overloaded",
}
"""By HTTP status, where neither code nor message says more; any other 4xx is a bad request, any other 5xx no answer."""


_NOT_OF_THE_REQUEST: Final = (401, 402, 407, 429)
"""The statuses of refusals that do not depend on what is asked: they quote the names of limits, not the request."""


class Failure(Value):
    """Why one attempt gave no answer. `message` is trimmed and contains no key."""

    message: str
    status: int | None = None
    """HTTP status, or that of the error code inside a reply of status 200; None where no reply came; 200 where the
    reply was no chat completion and no error with a code."""
    code: str = ""
    """The endpoint's error code (`insufficient_quota`); UNREACHABLE where no connection came about."""
    param: str = ""
    """The parameter at fault, where the endpoint names one."""
    retry_after: float | None = None
    """Seconds that the endpoint asks to wait."""
    prompt_tokens: int = 0
    """Those that the failed generation is billed with, by its usage."""
    completion_tokens: int = 0
    recognised: Kind | None = None
    """What it is, where the message was cut since."""

    @property
    def kind(self) -> Kind:
        """What it is: by code and message first, then by status."""
        if self.recognised is not None:
            return self.recognised
        if self.status is None:
            return "unreachable" if self.code == UNREACHABLE else "no_answer"
        by_status = _OF_STATUS.get(self.status, "bad_request" if 400 <= self.status < 500 else "no_answer")
        found = kind_by_signs(self.status, self.code, self.own_words()) or by_status
        ends_late = found == "rate_limit" and (self.retry_after or 0.0) >= LONG_LIMIT
        return "no_quota" if ends_late else found

    def own_words(self, sent: object = None) -> str:
        """The message without what it repeats of the request's body `sent`, and without quotations."""
        return own_words(self.message, sent, quotations=self.status not in _NOT_OF_THE_REQUEST)

    def shortened(self, longest: int, sent: object = None) -> "Failure":
        """The same with a message of at most `longest` characters, and what its whole own words say it is."""
        text = self.message if len(self.message) <= longest else self.message[:longest] + "..."
        kind = self.model_copy(update={"message": self.own_words(sent)}).kind
        return self.model_copy(update={"message": text, "recognised": kind})

    @property
    def no_quota(self) -> bool:
        """Whether the account's quota is used up, which waiting does not change."""
        return self.kind == "no_quota"

    @property
    def bad_key(self) -> bool:
        """Whether the endpoint refuses the key."""
        return self.kind == "bad_key"


def action_after(failure: Failure) -> FailureAction:
    """What to do after `failure` while attempts are left."""
    return ACTIONS[failure.kind]


def delay_before_retry(requested: float | None, *, key: str, attempt: int) -> float:
    """Seconds to wait after the `attempt`-th attempt (from 1) of the request `key`.

    The seconds that the endpoint requested, up to LONGEST_RETRY_AFTER; else 1, 2, 4, ... seconds times 0.5 to 1.5. The
    factor is taken from a hash, so that rows that failed together are not repeated together, yet each always after the
    same time.
    """
    if requested is not None:
        return min(requested, LONGEST_RETRY_AFTER)
    digest = hashlib.sha256(f"{key}:{attempt}".encode()).digest()
    factor = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
    return min(FIRST_DELAY * 2.0 ** (attempt - 1) * factor, LONGEST_DELAY)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date.

    A date counts from the reply's own `Date`, so that a wrong clock here does no harm. Without either, the time until
    an exhausted rate limit is reset. None where the headers give nothing usable.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", value := headers.get(name, "").strip()):
            return float(value) / scale
    until, now = _date(headers.get("retry-after", "")), _date(headers.get("date", ""))
    if until and now:
        return max(0.0, (until - now).total_seconds())
    return limits.reset() if (limits := read_limits(headers)) else None


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None
