"""Why a run failed, in words for people."""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg


def failure_reasons(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    """What each failed stage among `events` said: our own sentence, else Dagster's and those of the errors beneath."""
    for event in events:
        if event.is_step_failure:
            failure, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
            told = failure.description if failure else None
            yield told or " ".join(message.strip() for message in _messages(error))


def _messages(error: Any) -> Iterator[str]:
    """The message of a run's recorded error and of each cause beneath it."""
    while error:
        yield error.message
        error = error.cause
