"""Windows that wait for batches: their runs end at once, and a sensor runs the rest when the answers are there.

A step that raised `dg.RetryRequested` would give its pool's slot back while it waits, but its run would go on: a
process that sleeps for hours, and one place less of `max_concurrent_runs`, so that a backfill's batches would wait
for each other. A run that ended holds nothing, and all windows' batches are under way at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

from sia_dagster.core.errors import BatchesUnderWay, CallFailed, SiaError
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.resources import ModelEndpoint

WAITS = "sia/waits_for_batches"
"""Tag of a run: the loop, until the window is resumed."""
BATCHES = "sia/batches"
"""Tag of the same run: the batches' names in the completion store."""
RESUMED = "no more"
_PARTITION = "dagster/partition"
_LATEST = 50
"""Runs of one window's key, over all loops, among which its last one is looked for."""
Wait = Callable[[float], Awaitable[object]]
_wait: ContextVar[Wait | None] = ContextVar("wait_for_batches", default=None)


@contextmanager
def waiting(wait: Wait = asyncio.sleep) -> Iterator[None]:
    """Have every stage that runs in this context wait for its batches."""
    token = _wait.set(wait)
    try:
        yield
    finally:
        _wait.reset(token)


def batch_wait() -> Wait | None:
    """How stages wait in this context; None: their runs end instead."""
    return _wait.get()


def sensor_name(names: LoopNames) -> str:
    """The name of the sensor that resumes a loop's windows."""
    return f"{names.name}_collects_batches"


def note_waiting(names: LoopNames, context: dg.AssetExecutionContext, error: BatchesUnderWay) -> None:
    """Mark the run as one that waits."""
    tags = {WAITS: names.name, BATCHES: ",".join(error.batches)}
    context.instance.add_run_tags(context.run.run_id, tags)


def batch_sensor(names: LoopNames, job: dg.JobDefinition, *, seconds: float) -> dg.SensorDefinition:
    """Resumes every window whose batches have ended; checks every `seconds`, or a little later."""
    model_key = names.resource("model")

    @dg.sensor(
        name=sensor_name(names),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=round(seconds),
        description="Runs the rest of a window when the batches that it waits for have ended.",
        job=job,
        required_resource_keys={model_key},
    )
    def collects_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        model: ModelEndpoint = getattr(context.resources, model_key)
        runs, problems = list(_waiting_runs(names, context.instance)), list[str]()
        try:
            ready = [run for run in runs if _ended(model, run, problems)]
        except SiaError as error:
            return dg.SkipReason(str(error))
        if not ready:
            return dg.SkipReason("; ".join([f"windows that wait for batches under way: {len(runs)}", *problems]))
        return dg.SensorResult(run_requests=[_rest_of(names, run, context.instance) for run in ready])

    return collects_batches


def _ended(model: ModelEndpoint, run: dg.DagsterRun, problems: list[str]) -> bool:
    """Whether the batches of a run have ended; a missing batch of this run goes to `problems`."""
    from sia_dagster.wiring.endpoint import batches_ended

    try:
        return batches_ended(model.settings(), run.tags[BATCHES].split(","))
    except CallFailed as error:
        if error.status != 404:
            raise
        problems.append(f"{run.tags.get(_PARTITION, '')}: {error}")
        return False


def is_of_loop(names: LoopNames, run: dg.DagsterRun) -> bool:
    """Whether a run is of the loop's job, of a backfill, or of its assets materialised by hand."""
    chosen = run.asset_selection or ()
    return run.job_name == names.job or any(key.path[:1] == [names.name] for key in chosen)


def _waiting_runs(names: LoopNames, instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    """The last run of each window that waits; earlier ones, and those that somebody ran again, wait no more."""
    marked = dg.RunsFilter(tags={WAITS: names.name}, statuses=[dg.DagsterRunStatus.FAILURE])
    for run in instance.get_runs(marked):
        window = run.tags.get(_PARTITION, "")
        latest = instance.get_runs(dg.RunsFilter(tags={_PARTITION: window}), limit=_LATEST)
        if next((other.run_id for other in latest if is_of_loop(names, other)), "") == run.run_id:
            yield run
        else:
            instance.add_run_tags(run.run_id, {WAITS: RESUMED})


def _rest_of(names: LoopNames, run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.RunRequest:
    """A request for the assets that the run planned and did not materialise."""
    planned, done = (_assets_in(run, instance, kind) for kind in (_PLANNED, _DONE))
    left = [key for stage in names.job_stages if (key := names.asset(stage)) in planned and key not in done]
    return dg.RunRequest(run_key=f"after {run.run_id}", partition_key=run.tags.get(_PARTITION), asset_selection=left)


_PLANNED, _DONE = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_MATERIALIZATION


def _assets_in(run: dg.DagsterRun, instance: dg.DagsterInstance, kind: dg.DagsterEventType) -> set[dg.AssetKey]:
    events = (entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kind))
    return {event.asset_key for event in events if event is not None and event.asset_key is not None}
