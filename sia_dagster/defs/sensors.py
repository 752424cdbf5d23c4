"""Who hears of it: a failed run, and a window whose accepted candidate waits for a person."""

from typing import Any

import dagster as dg

from sia_dagster.adapters.environment import require
from sia_dagster.core.ports import Notifier
from sia_dagster.defs.names import LoopNames


def _notifier(names: LoopNames, log: Any) -> Notifier:
    """The loop's webhook, or the log alone."""
    from sia_dagster.adapters.webhook import LogNotifier, WebhookNotifier

    variable = names.loop.notify.webhook
    return WebhookNotifier(require(variable)) if variable else LogNotifier(log)


def run_failed_sensor(names: LoopNames, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Tells of a failed run of the loop's job."""

    @dg.run_failure_sensor(
        name=f"{names.name}_run_failed",
        monitored_jobs=[job],
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says which window failed and why, to the log and the loop's webhook.",
    )
    def run_failed(context: dg.RunFailureSensorContext) -> None:
        facts = {
            "loop": names.name,
            "window": context.dagster_run.tags.get("dagster/partition", ""),
            "run": context.dagster_run.run_id,
            "error": context.failure_event.message or "",
        }
        _notifier(names, context.log).notify(f"{names.name}: a run failed", facts)

    return run_failed


def approval_sensor(names: LoopNames, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Tells of an accepted candidate that nobody has promoted yet."""

    @dg.asset_sensor(
        asset_key=names.asset("validation_results"),
        name=f"{names.name}_waits_for_approval",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says that a window was accepted and waits for a person to materialise promoted_policy.",
        job=job,
    )
    def waits_for_approval(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.SkipReason:
        materialization = event.asset_materialization
        verdict = materialization.metadata["verdict"].value if materialization else ""
        if verdict != "accept" or materialization is None:
            return dg.SkipReason(f"the verdict is {verdict}: nothing to approve")
        facts = {
            "loop": names.name,
            "window": materialization.partition or "",
            "report": str(materialization.metadata["report"].value),
            "approve": f"materialise {names.name}/promoted_policy for this window, or "
            f"`sia policy promote --loop {names.name} --window {materialization.partition}`",
        }
        _notifier(names, context.log).notify(f"{names.name}: an accepted policy waits for approval", facts)
        return dg.SkipReason(f"window {materialization.partition} waits for approval; told so")

    return waits_for_approval
