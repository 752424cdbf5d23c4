"""Why a run failed, in words for people."""

from collections.abc import Iterable, Iterator

import dagster as dg


def failure_reasons(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    """What each failed stage among `events` said: our own sentence, else the stage and the first cause of all."""
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            told = failure.description if failure else None
            yield told or f"the stage {event.step_key} failed: {_first_cause(event)}"


def _first_cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "no reason is known"
