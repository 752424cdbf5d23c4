"""Who hears of it: a failed run, and a window whose accepted candidate waits for a person."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from sia_dagster.adapters.environment import require
from sia_dagster.core.ports import Notifier
from sia_dagster.core.results import PolicyVersion
from sia_dagster.defs.batches import WAITS, is_of_loop
from sia_dagster.defs.failures import failure_reasons
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import Storage

_EVENTS_A_TICK = 50


def _notifier(names: LoopNames, log: Any) -> Notifier:
    """The loop's webhook, or the log alone."""
    from sia_dagster.adapters.webhook import LogNotifier, WebhookNotifier

    variable = names.loop.notify.webhook
    return WebhookNotifier(require(variable)) if variable else LogNotifier(log)


def run_failed_sensor(names: LoopNames) -> dg.SensorDefinition:
    """Tells of a failed run of the loop: of its job, of a backfill, or of assets materialised by hand."""

    # Not `monitored_jobs`: backfills and the Materialize button run Dagster's own job.
    @dg.run_failure_sensor(
        name=f"{names.name}_run_failed",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says which window failed and why, to the log and the loop's webhook.",
    )
    def run_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not is_of_loop(names, context.dagster_run):
            return dg.SkipReason(f"not a run of {names.name}")
        if WAITS in context.dagster_run.tags:
            return dg.SkipReason("the window waits for batches")
        reasons = " ".join(failure_reasons(context.get_step_failure_events()))
        facts = {
            "loop": names.name,
            "window": context.dagster_run.tags.get("dagster/partition", ""),
            "run": context.dagster_run.run_id,
            "error": reasons or context.failure_event.message or "",
        }
        _notifier(names, context.log).notify(f"{names.name}: a run failed", facts)
        return None

    return run_failed


def approval_sensor(names: LoopNames, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Tells of every accepted candidate that nobody has promoted yet."""
    storage_key = names.resource("storage")

    # Not `asset_sensor`: it shows the latest window alone, and a backfill decides many between two ticks.
    @dg.sensor(
        name=f"{names.name}_waits_for_approval",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says that a window was accepted and waits for a person to materialise promoted_policy.",
        job=job,
        required_resource_keys={storage_key},
    )
    def waits_for_approval(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        storage: Storage = getattr(context.resources, storage_key)
        waiting = _waiting(_decided(names, context), storage.policies(names.name).versions())
        for materialization in waiting.values():
            _notifier(names, context.log).notify(
                f"{names.name}: an accepted policy waits for approval", _facts(names, materialization)
            )
        return dg.SkipReason(f"told of {', '.join(waiting)}" if waiting else "no new window waits for approval")

    return waits_for_approval


def _decided(names: LoopNames, context: dg.SensorEvaluationContext) -> Iterator[dg.AssetMaterialization]:
    """The validations since the last tick, oldest first; moves the cursor, which holds if this tick succeeds."""
    key, cursor = names.asset("validation_results"), context.cursor
    wanted = dg.AssetRecordsFilter(asset_key=key, after_storage_id=int(cursor) if cursor else None)
    records = context.instance.fetch_materializations(wanted, limit=_EVENTS_A_TICK, ascending=True).records
    yield from (found for record in records if (found := record.asset_materialization))
    if records:
        context.update_cursor(str(records[-1].storage_id))


def _waiting(
    decided: Iterable[dg.AssetMaterialization], versions: Sequence[PolicyVersion]
) -> dict[str, dg.AssetMaterialization]:
    """By window, the latest validations that accept and can be approved: not yet promoted, and of today's policy."""
    latest = {materialization.partition or "": materialization for materialization in decided}
    promoted = {version.window.key for version in versions if version.window}
    today = {version.actions.fingerprint for version in versions[-1:]}
    return {
        window: materialization
        for window, materialization in latest.items()
        if _text(materialization, "verdict") == "accept"
        and window not in promoted
        and today <= {_text(materialization, "baseline_policy")}
    }


def _facts(names: LoopNames, materialization: dg.AssetMaterialization) -> dict[str, str]:
    window = materialization.partition
    return {
        "loop": names.name,
        "window": window or "",
        "report": _text(materialization, "report"),
        "approve": f"materialise {names.name}/promoted_policy for this window, or "
        f"`sia policy promote --loop {names.name} --window {window}`",
    }


def _text(materialization: dg.AssetMaterialization, name: str) -> str:
    """One entry of the metadata; empty where a person reported the materialisation without it."""
    entry = materialization.metadata.get(name)
    return str(entry.value) if entry else ""
