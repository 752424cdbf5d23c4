"""What the assets of a loop share: their options, their session and their error messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import dagster as dg

from sia_dagster.core.errors import BatchesUnderWay, SiaError, SpendCapReached
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value
from sia_dagster.defs.automation import fills_gaps
from sia_dagster.defs.batches import batch_wait, note_waiting, sensor_name
from sia_dagster.defs.claims import Claim, specs
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.partitions import window_before
from sia_dagster.defs.progress_log import progress_of
from sia_dagster.defs.resources import Clock, ModelEndpoint, Storage, TraceStore
from sia_dagster.reports.wording import visible
from sia_dagster.wiring.loop_session import LoopSession


class StageSpec(Value):
    """What a stage's asset is in every loop."""

    stage: str
    description: str
    claims: tuple[Claim, ...]
    io: str
    """Role of its I/O manager: `documents` or `tables`."""
    kinds: tuple[str, ...]
    """What the lineage shows on its tile."""
    resources: tuple[str, ...] = ()
    """Roles of the resources that it needs."""
    upstream: tuple[str, ...] = ()
    """Stages it reads, by parameter name."""
    previous: tuple[str, ...] = ()
    """Stages of the window before that it reads, by parameter name `previous_<stage>`: None where that window has not
    run. Such a stage may then store nothing, and is materialised once that window has run."""

    def asset(
        self, names: LoopNames, dagster_type: dg.DagsterType | None = None
    ) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
        """The decorator that makes a function this stage of a loop."""
        decorator = dg.asset(
            key=names.asset(self.stage),
            description=self.description,
            group_name=names.name,
            partitions_def=names.partitions,
            io_manager_key=names.resource(self.io),
            kinds=set(self.kinds),
            tags={"sia/loop": names.name},
            ins=self._ins(names),
            output_required=not self.previous,
            automation_condition=fills_gaps() if self.previous else None,
            check_specs=specs(names, self.stage, self.claims),
            required_resource_keys={names.resource(role) for role in self.resources},
            # The stages that call models; `traces` asks the same resource for prices alone.
            pool="llm" if "openai" in self.kinds else None,
            dagster_type=dagster_type,
        )

        def decorate(body: Callable[..., Any]) -> dg.AssetsDefinition:
            # Dagster reads `-> MaterializeResult` as "nothing to store", though the result carries a value.
            body.__annotations__.pop("return", None)
            asset: dg.AssetsDefinition = decorator(body)
            return asset

        return decorate

    def _ins(self, names: LoopNames) -> dict[str, dg.AssetIn]:
        """What the body's parameters hold."""
        ins = {stage: dg.AssetIn(key=names.asset(stage)) for stage in self.upstream}
        for stage in self.previous:
            ins[f"previous_{stage}"] = dg.AssetIn(
                key=names.asset(stage), partition_mapping=window_before(), metadata={"allow_missing_partitions": True}
            )
        return ins


class StageContext:
    """One stage in one window: its ports, and errors that say where they happened."""

    def __init__(self, names: LoopNames, context: dg.AssetExecutionContext) -> None:
        self.names, self.context = names, context

    @property
    def window(self) -> TimeWindow:
        """The window of this run's partition."""
        return self.names.window(self.context.partition_key)

    def _resource(self, role: str) -> Any:
        return getattr(self.context.resources, self.names.resource(role))

    @property
    def traces(self) -> TraceStore:
        """Where spans come from."""
        return cast(TraceStore, self._resource("traces"))

    @property
    def storage(self) -> Storage:
        """Where assets, policies and reports are."""
        return cast(Storage, self._resource("storage"))

    @property
    def model(self) -> ModelEndpoint:
        """The endpoint that answers."""
        return cast(ModelEndpoint, self._resource("model"))

    @property
    def clock(self) -> Clock:
        """The time that the registry records."""
        return cast(Clock, self._resource("clock"))

    def runs(self, stage: str) -> bool:
        """Whether this run materialises that stage too."""
        return self.names.asset(stage) in self.context.job_def.asset_layer.selected_asset_keys

    @property
    def session(self) -> LoopSession:
        """What a stage with model calls works with."""
        return LoopSession(
            loop=self.names.loop,
            window=self.window,
            chat=self.model.settings(),
            folder=self.names.folder,
            progress=progress_of(self.context),
            wait=batch_wait(),
        )


@contextmanager
def staged(names: LoopNames, context: dg.AssetExecutionContext) -> Iterator[StageContext]:
    """Run a stage's body; an error of ours becomes a failure that names loop and window and is not retried."""
    try:
        yield StageContext(names, context)
    except SiaError as error:
        metadata: dict[str, float | str] = {"error": type(error).__name__}
        resumed = ""
        if isinstance(error, BatchesUnderWay):
            note_waiting(names, context, error)
            resumed = f". The sensor {sensor_name(names)} resumes the window when they have ended"
        if isinstance(error, SpendCapReached):
            metadata |= {f"spent_{error.unit.lower()}": error.spent, f"budget_{error.unit.lower()}": error.cap}
        raise dg.Failure(
            description=visible(f"loop {names.name}, window {context.partition_key}: {error}{resumed}"),
            metadata=metadata,
            allow_retries=False,
        ) from error
