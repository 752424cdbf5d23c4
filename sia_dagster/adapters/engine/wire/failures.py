"""The retry policy: which failures are worth another attempt, after how long, and which end the run."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from sia_dagster.adapters.engine.wire.rate_headers import read_limits
from sia_dagster.core.records.value import Value

FailureAction = Literal["retry", "row", "stop"]
"""Try again; give up this row; or stop, since every call would fail in the same way."""

FIRST_DELAY = 1.0

LONGEST_DELAY = 30.0
"""Seconds; of our own backoff."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds; the longest wait that an endpoint may request."""

_NO_QUOTA = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}

_NO_ACCESS = {"invalid_api_key", "model_not_found"}

# Some endpoints return 400 where others return 401.
_BAD_KEY = re.compile(r"(incorrect|invalid) api key|api key (is )?(not valid|invalid)", re.IGNORECASE)

# Some routers return 404, others 400, for a model without this feature: another form of the request may pass.
_FEATURE = re.compile(r"tool|response_format|json_schema|structured output", re.IGNORECASE)


class Failure(Value):
    """Why one attempt gave no answer. `message` is trimmed and contains no key."""

    message: str
    status: int | None = None
    """HTTP status; None where no reply came; 200 where the reply was no chat completion."""
    code: str = ""
    """The endpoint's error code (`insufficient_quota`)."""
    param: str = ""
    """The parameter at fault, where the endpoint names one."""
    retry_after: float | None = None
    """Seconds that the endpoint asks to wait."""

    @property
    def no_quota(self) -> bool:
        """Whether the account's quota is used up, which waiting does not change."""
        return self.status == 402 or self.code in _NO_QUOTA

    @property
    def bad_key(self) -> bool:
        """Whether the endpoint refuses the key."""
        return self.status == 401 or self.code == "invalid_api_key" or bool(_BAD_KEY.search(self.message))


def action_after(failure: Failure) -> FailureAction:
    """What to do after `failure` while attempts are left."""
    status = failure.status
    if status is None or status < 400:
        return "retry"
    if failure.no_quota or failure.code in _NO_ACCESS or status in (401, 403):
        return "stop"
    if status == 404:
        return "row" if _FEATURE.search(failure.message) else "stop"
    if status in (408, 409, 425, 429) or (status >= 500 and status != 501):
        return "retry"
    return "stop" if failure.bad_key else "row"


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
