"""The job of a loop and its schedule."""

from typing import cast

import dagster as dg

from sia_dagster.defs.names import LoopNames

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Configuration of a run in this process that keeps Dagster's own log lines out of the terminal; the UI has them."""


def improvement_job(names: LoopNames) -> dg.JobDefinition:
    """All stages of a window; `promoted_policy` only where promotion is automatic."""
    job = dg.define_asset_job(
        names.job,
        selection=dg.AssetSelection.assets(*(names.asset(stage) for stage in names.job_stages)),
        description=f"Improve the policy of {names.name} from one {names.loop.window} window of its traces. "
        "Materialise `traces` alone, which costs nothing, to see an estimate of a window's calls, tokens and USD.",
        tags={"sia/loop": names.name},
    )
    return cast(dg.JobDefinition, job)  # Dagster resolves it when the code location is built


def improvement_schedule(names: LoopNames, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Each window a quarter of an hour after it closes, so that late spans have arrived; stopped until turned on."""
    schedule = dg.build_schedule_from_partitioned_job(
        job,
        name=f"{names.name}_schedule",
        minute_of_hour=15,
        description=f"Improves the policy of {names.name} after each {names.loop.window} window.",
    )
    return cast(dg.ScheduleDefinition, schedule)
