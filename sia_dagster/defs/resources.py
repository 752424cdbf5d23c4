"""The resources of a loop: configuration in, port out."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from pydantic import Field, TypeAdapter

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.adapters.files.registry_files import DecisionFiles, PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath, resolve_path, storage_root
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.ports.stores import DecisionStore, GateLog, PolicyStore
from sia_dagster.core.ports.trace_store import EvaluationStore, TraceSource
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.defs.section_fields import with_fields_of
from sia_dagster.wiring.loop_session import ChatSettings


@with_fields_of(LLMConfig)
class ModelEndpoint(dg.ConfigurableResource[ChatSettings]):
    """The model endpoint of the section `llm`, with its limits, spend caps and completion store."""

    completions_file: str = Field(description="SQLite file of the completion store, where `completions` is not set.")
    endpoint: str | None = Field(
        default=None, description="Lasting name of the endpoint in the completion store, where its address changes."
    )

    def settings(self) -> ChatSettings:
        """What a session needs; the key itself is read when the session opens."""
        llm = LLMConfig.model_validate({name: getattr(self, name) for name in LLMConfig.model_fields})
        return ChatSettings(llm=llm, completions=Path(self.completions_file), endpoint=self.endpoint)

    @classmethod
    def of(cls, llm: LLMConfig, completions_file: Path) -> "ModelEndpoint":
        """The resource for the `llm` section of the configuration."""
        return cls(**llm.model_dump(mode="json", exclude_none=True), completions_file=str(completions_file))


class TraceStore(dg.ConfigurableResource[TraceSource]):
    """Where the loop's spans are read from, and where evaluations go back to."""

    def config(self) -> TracesConfig:
        """The section of the configuration that this resource was made from."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return TypeAdapter[TracesConfig](TracesConfig).validate_python(fields)

    def connect(self) -> TraceSource:
        """The trace source; a secret is read now. Raises ConfigError."""
        from sia_dagster.wiring.platforms import trace_source

        return trace_source(self.config(), Path())

    def evaluations(self) -> EvaluationStore:
        """Where evaluations go back to; a secret is read now. Raises ConfigError."""
        from sia_dagster.wiring.platforms import evaluation_store

        return evaluation_store(self.config())


@with_fields_of(LocalTracesConfig)
class LocalTraceStore(TraceStore):
    """Traces in files."""


@with_fields_of(ArizeTracesConfig)
class ArizeTraceStore(TraceStore):
    """Traces in Arize AX."""


@with_fields_of(PhoenixTracesConfig)
class PhoenixTraceStore(TraceStore):
    """Traces in a Phoenix server."""


def trace_store(traces: TracesConfig, folder: Path) -> TraceStore:
    """The resource for the `traces` section of a loop; relative paths start at `folder`."""
    if isinstance(traces, LocalTracesConfig):
        return LocalTraceStore(**traces.model_dump() | {"path": resolve_path(traces.path, folder)})
    store = ArizeTraceStore if isinstance(traces, ArizeTracesConfig) else PhoenixTraceStore
    return store(**traces.model_dump())


class Storage(dg.ConfigurableResource["Storage"]):
    """The folder or fsspec URL that holds assets, policies and reports."""

    root: str = Field(description="Folder or URL (s3://...).")

    def path(self, *parts: str) -> StoragePath:
        """A path under the root."""
        return storage_root(self.root, Path()).joinpath(*parts)

    def policies(self, loop: str) -> PolicyStore:
        """The loop's registry of policies."""
        return PolicyFiles(self.path(), loop)

    def decisions(self, loop: str) -> DecisionStore:
        """What people decided about the loop's candidates."""
        return DecisionFiles(self.path(), loop)

    def gate_log(self, loop: str) -> GateLog:
        """What the loop's gate remembers between windows."""
        return GateFiles(self.path(), loop)


class Clock(dg.ConfigurableResource["Clock"]):
    """What time it is when a policy comes into force."""

    at: str = Field(
        default="now",
        description="`now`, or `window_end`: history is replayed as if each window had been decided as it closed.",
    )

    def time(self, window: TimeWindow) -> datetime:
        """The time that the registry records, aware."""
        return window.end if self.at == "window_end" else datetime.now(UTC)
