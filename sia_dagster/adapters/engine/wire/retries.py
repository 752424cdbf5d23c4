"""The loop around an attempt: tenacity's, under the policy of `failures`; waiting is an argument."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.engine.wire.failures import Failure, action_after, delay_before_retry

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, Retrying

Again = Callable[[Any], bool]
"""Whether an attempt's outcome is a failure that another attempt may not meet."""


def is_transient(outcome: object) -> bool:
    """Whether it is a failure that another model call may not meet, see `action_after`."""
    return isinstance(outcome, Failure) and action_after(outcome) == "retry"


def retrying(key: str, max_attempts: int, wait: Callable[[float], object], again: Again = is_transient) -> "Retrying":
    """Calls a function until `again` is False for what it returns, at most `max_attempts` times; returns the last.

    What the function raises ends the loop. `wait` waits the seconds of `delay_before_retry` for `key`.
    """
    from tenacity import Retrying

    return Retrying(**_rules(key, max_attempts, wait, again))


def retrying_async(
    key: str, max_attempts: int, wait: Callable[[float], Awaitable[object]], again: Again = is_transient
) -> "AsyncRetrying":
    """`retrying` for an `async def`."""
    from tenacity import AsyncRetrying

    return AsyncRetrying(**_rules(key, max_attempts, wait, again))


def attempts_of(loop: "Retrying | AsyncRetrying") -> int:
    """The number of the attempt that is running, or was the last."""
    return int(loop.statistics["attempt_number"])


def _rules(key: str, max_attempts: int, wait: Callable[[float], object], again: Again) -> dict[str, Any]:
    from tenacity import RetryCallState, retry_if_result, stop_after_attempt

    def outcome(state: RetryCallState) -> Any:
        return state.outcome.result() if state.outcome else None

    def delay(state: RetryCallState) -> float:
        requested = getattr(outcome(state), "retry_after", None)
        return delay_before_retry(requested, key=key, attempt=state.attempt_number)

    return {
        "sleep": wait,
        "retry": retry_if_result(again),
        "stop": stop_after_attempt(max_attempts),
        "wait": delay,
        "retry_error_callback": outcome,
    }
