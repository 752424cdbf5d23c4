"""Calls to Arize over Flight with retries and a time limit, which the package does not have."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from sia_dagster.adapters.arize.arize_client import ArizeConnection
from sia_dagster.adapters.arize.arize_faults import Fault, fault_of
from sia_dagster.adapters.engine.wire.retries import attempts_of, retrying

Result = TypeVar("Result")
Wait = Callable[[float], object]
"""Called with seconds between two attempts."""

wait_for_real: Wait = threading.Event().wait


def with_retries(
    call: Callable[[], Result], settings: ArizeConnection, *, wait: Wait, progress: Callable[[], object] = lambda: None
) -> Result | Fault:
    """What `call` returns, repeated from the start after each transient fault; else the last fault.

    An attempt in which `progress()` did not change for `timeout_seconds` is given up. Errors that are no fault of the
    exchange are raised.
    """
    key = f"{settings.space_id}/{settings.project}"
    loop = retrying(key, settings.max_attempts, wait, lambda answer: isinstance(answer, Fault) and answer.transient)
    answer: Result | Fault = loop(_attempt, call, settings, progress)
    return answer.model_copy(update={"attempts": attempts_of(loop)}) if isinstance(answer, Fault) else answer


def _attempt(call: Callable[[], Result], settings: ArizeConnection, progress: Callable[[], object]) -> Result | Fault:
    try:
        return within(settings.timeout_seconds, call, progress)
    except Exception as error:
        fault = fault_of(error, secret=settings.api_key.get_secret_value())
        if fault is None:
            raise
        return fault


def within(seconds: float, call: Callable[[], Result], progress: Callable[[], object]) -> Result:
    """What `call` returns or raises; TimeoutError once `progress()` has not changed for `seconds` (at most twice that).

    Flight's own deadline cannot be set through the package, and one for the whole call would end a large export that
    is making progress. So the call runs in a thread; one that hangs is left to its socket and does not keep the process
    alive.
    """
    answer: Future[Result] = Future()
    threading.Thread(target=_fulfil, args=(answer, call), name="arize", daemon=True).start()
    seen = progress()
    while True:
        try:
            return answer.result(timeout=seconds)
        except TimeoutError:
            before, seen = seen, progress()
            if answer.done() or before == seen:
                raise


def _fulfil(answer: "Future[Result]", call: Callable[[], Result]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
        answer.set_exception(error)
