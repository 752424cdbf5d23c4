"""One loop as Dagster definitions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from sia_dagster.adapters.files.storage import storage_root
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.defs.assets import STAGE_BUILDERS
from sia_dagster.defs.automation import next_window_sensor
from sia_dagster.defs.batches import batch_sensor
from sia_dagster.defs.io_managers import Documents, Tables
from sia_dagster.defs.jobs import improvement_job, improvement_schedule
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import Clock, ModelEndpoint, Storage, trace_store
from sia_dagster.defs.sensors import approval_sensor, rollback_sensor, run_failed_sensor
from sia_dagster.wiring.loop_session import completions_file


def build_loop(
    loop: LoopConfig,
    *,
    llm: LLMConfig,
    storage: str = ".sia",
    folder: Path | None = None,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Assets, checks, job, schedule, sensors and resources of one loop.

    Relative paths of `loop` and `storage` start at `folder`, by default the working folder. `resources` replace the
    loop's own, by role (`model`, `traces`, `storage`, `clock`, `documents`, `tables`). Nothing is read or connected
    before a run.
    """
    names = LoopNames(loop, (folder or Path()).absolute())
    job = improvement_job(names)
    sensors = [run_failed_sensor(names), rollback_sensor(names, job), next_window_sensor(names)]
    sensors.append(approval_sensor(names, job))
    if llm.batches:
        sensors.append(batch_sensor(names, job, seconds=llm.batch_poll_seconds))
    return dg.Definitions(
        assets=[STAGE_BUILDERS[stage](names) for stage in names.stages],
        jobs=[job],
        schedules=[improvement_schedule(names, job)],
        sensors=sensors,
        resources={
            names.resource(role): resource
            for role, resource in {**loop_resources(names, llm=llm, storage=storage), **(resources or {})}.items()
        },
    )


def loop_resources(names: LoopNames, *, llm: LLMConfig, storage: str) -> dict[str, Any]:
    """The loop's own resources, by role."""
    root = storage_root(storage, names.folder)
    return {
        "model": ModelEndpoint.of(llm, completions_file(root, names.folder)),
        "traces": trace_store(names.loop.traces, names.folder),
        "storage": Storage(root=str(root)),
        "clock": Clock(),
        "documents": Documents(root=str(root / "assets")),
        "tables": Tables(root=str(root / "assets")),
    }
