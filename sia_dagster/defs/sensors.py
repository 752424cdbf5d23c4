"""Notifications: a failed run, a candidate that waits for approval, and a policy that falls short."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dagster as dg

from sia_dagster.adapters.config.environment import require
from sia_dagster.adapters.webhook import LogNotifier, WebhookNotifier
from sia_dagster.core.ports.roles import Notifier
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.defs.batches import WAITS, is_of_loop
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import Storage
from sia_dagster.defs.run_failures import STOPPING, failure_reasons

_EVENTS_A_TICK = 50


def _notifier(names: LoopNames, log: Any) -> Notifier:
    """The loop's webhook, or the log alone."""
    variable = names.loop.notify.webhook
    return WebhookNotifier(require(variable)) if variable else LogNotifier(log)


def run_failed_sensor(names: LoopNames) -> dg.SensorDefinition:
    """Notifies of every failed run of the loop: of its job, of a backfill, or of assets materialised by hand."""

    # Not `monitored_jobs`: backfills and the Materialize button run Dagster's own job.
    @dg.run_failure_sensor(
        name=f"{names.name}_run_failed",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports which window failed and why, to the log and the loop's webhook.",
    )
    def run_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not is_of_loop(names, context.dagster_run):
            return dg.SkipReason(f"not a run of {names.name}")
        if WAITS in context.dagster_run.tags:
            return dg.SkipReason("the window waits for batches")
        logged = context.instance.all_logs(context.dagster_run.run_id, of_type=set(STOPPING))
        reasons = " ".join(failure_reasons(entry.dagster_event for entry in logged if entry.dagster_event))
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
    """Notifies of every accepted candidate that waits for a person: all, or with `promotion: auto` some."""
    storage_key = names.resource("storage")

    # Not `asset_sensor`: it shows the latest window alone, and a backfill decides many between two ticks.
    @dg.sensor(
        name=f"{names.name}_waits_for_approval",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports an accepted window that waits for a person to materialise promoted_policy.",
        job=job,
        required_resource_keys={storage_key},
    )
    def waits_for_approval(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from sia_dagster.core.policy import rejected_windows

        storage: Storage = getattr(context.resources, storage_key)
        rejected = rejected_windows(storage.decisions(names.name).decisions())
        found = _waiting(_stored(names, context, "validation_results"), storage.policies(names.name).versions())
        waiting = [window for window in found if window not in rejected and _needs_somebody(names, found[window])]
        for window in waiting:
            facts = _facts(names, found[window])
            _notifier(names, context.log).notify(f"{names.name}: an accepted policy waits for approval", facts)
        return dg.SkipReason(f"notified of {', '.join(waiting)}" if waiting else "no new window waits for approval")

    return waits_for_approval


def _stored(names: LoopNames, context: dg.SensorEvaluationContext, stage: str) -> Iterator[dg.AssetMaterialization]:
    """A stage's results since the last tick, oldest first; moves the cursor, which is kept if this tick succeeds."""
    key, cursor = names.asset(stage), context.cursor
    newer = dg.AssetRecordsFilter(asset_key=key, after_storage_id=int(cursor) if cursor else None)
    records = context.instance.fetch_materializations(newer, limit=_EVENTS_A_TICK, ascending=True).records
    yield from (found for record in records if (found := record.asset_materialization))
    if records:
        context.update_cursor(str(records[-1].storage_id))


def rollback_sensor(names: LoopNames, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Notifies of every promoted policy that is in force and falls short on the traffic of the next window."""
    storage_key = names.resource("storage")

    @dg.sensor(
        name=f"{names.name}_proposes_rollback",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports that the policy in force does not keep on the next window's traffic what its verdict "
        "promised, and how to roll back. It changes nothing by itself.",
        job=job,
        required_resource_keys={storage_key},
    )
    def proposes_rollback(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        storage: Storage = getattr(context.resources, storage_key)
        failing = _failing(_stored(names, context, "next_window_results"), storage.policies(names.name).versions())
        for window, materialization in failing.items():
            facts = {
                "loop": names.name,
                "window": window,
                "reason": _text(materialization, "reason"),
                "roll_back": f"`sia policy rollback --loop {names.name} --to {_text(materialization, 'rollback_to')}`",
            }
            _notifier(names, context.log).notify(f"{names.name}: the policy in force falls short", facts)
        return dg.SkipReason(f"notified of {', '.join(failing)}" if failing else "no new window proposes a rollback")

    return proposes_rollback


def _failing(
    stored: Iterable[dg.AssetMaterialization], versions: Sequence[PolicyVersion]
) -> dict[str, dg.AssetMaterialization]:
    """By window, the latest results that propose a rollback of the policy that is still in force."""
    latest = {materialization.partition or "": materialization for materialization in stored}
    today = {str(version.version) for version in versions[-1:]}
    return {
        window: materialization
        for window, materialization in latest.items()
        if _text(materialization, "rollback_to") and _text(materialization, "promoted_version") in today
    }


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


def _needs_somebody(names: LoopNames, materialization: dg.AssetMaterialization) -> bool:
    """Where promotion is automatic, only a candidate at which a person must look waits."""
    return names.loop.promotion == "manual" or bool(_text(materialization, "a_person_must_look"))


def _facts(names: LoopNames, materialization: dg.AssetMaterialization) -> dict[str, str]:
    window = materialization.partition
    look = _text(materialization, "a_person_must_look")
    signed = " --by YOU --note WHY" if look else ""
    return {
        "loop": names.name,
        "window": window or "",
        "report": _text(materialization, "report"),
        **({"saves": saves} if (saves := _text(materialization, "saves")) else {}),
        **({"a_person_must_look": look} if look else {}),
        "approve": f"materialise {names.name}/promoted_policy for this window, or "
        f"`sia policy promote --loop {names.name} --window {window}{signed}`",
    }


def _text(materialization: dg.AssetMaterialization, name: str) -> str:
    """One entry of the metadata; empty where a person reported the materialisation without it."""
    entry = materialization.metadata.get(name)
    return str(entry.value) if entry else ""
