"""Why a run failed, in sentences for people."""

from collections.abc import Iterable, Iterator

import dagster as dg

STOPPING = frozenset({dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION})
"""The events of a run that say why it failed."""


def failure_reasons(events: Iterable[dg.DagsterEvent]) -> Iterator[str]:
    """The reason of each failed stage among `events`: our own sentence, else the stage and the root cause.

    For a stage that its own check stopped, the check's description: Dagster's error has only the check's name.
    """
    stopped: dict[str | None, list[str]] = {}
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            stopped.setdefault(event.step_key, []).extend(_stop(event.asset_check_evaluation_data))
        if event.is_step_failure:
            failure = event.step_failure_data.user_failure_data
            reason = failure.description if failure else " ".join(stopped.get(event.step_key, ()))
            yield reason or f"the stage {event.step_key} failed: {_first_cause(event)}"


def _stop(check: dg.AssetCheckEvaluation) -> Iterator[str]:
    """The reason of a check, if it stops the run."""
    if check.passed or check.severity != dg.AssetCheckSeverity.ERROR:
        return
    loop, stage = check.asset_key.path
    window = f", window {check.partition}" if check.partition else ""
    yield f"loop {loop}{window}: the check {check.check_name} of {stage} stopped the run: {check.description}"


def _first_cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    lines = error.message.strip().splitlines() if error else []
    return lines[0] if lines else "no reason is known"
