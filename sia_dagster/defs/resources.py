"""Configuration in, port out: the resources of a loop, as typed fields with one accessor each."""

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from sia_dagster.adapters.files.decision_files import DecisionFiles
from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.adapters.files.policy_files import PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath, resolve_path, storage_root
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.ports.stores import DecisionStore, GateLog, PolicyStore
from sia_dagster.core.ports.trace_store import EvaluationStore, TraceSource
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.wiring.endpoint import ChatSettings
from sia_dagster.wiring.platforms import evaluation_store, trace_source


class ModelEndpoint(dg.ConfigurableResource[ChatSettings]):
    """An OpenAI-compatible endpoint with its limits, its budget and its completion store."""

    provider: str = Field(default="openai", description="`openai` for every compatible API, or `azure`.")
    base_url: str = Field(description="Address of the OpenAI-compatible API, or of the Azure resource.")
    api_version: str | None = Field(default=None, description="Of Azure OpenAI.")
    api_key_variable: str | None = Field(
        default=None, description="Name of the environment variable that holds the API key; its value is never stored."
    )
    max_concurrency: int = Field(description="Model calls in flight at a time.")
    requests_per_minute: int | None = Field(default=None, description="Attempts a minute, over all stages and runs.")
    tokens_per_minute: int | None = Field(default=None, description="Tokens a minute, over all stages and runs.")
    budget_usd: float | None = Field(default=None, description="Cap of a window in USD, over all stages.")
    budget_tokens: int | None = Field(default=None, description="Cap of a window in tokens, over all stages.")
    timeout_seconds: float = Field(description="Of one attempt.")
    max_attempts: int = Field(description="Attempts of one call.")
    mode: str = Field(default="direct", description="`direct`, or `batch` for the Batch API.")
    batch_tries: int = Field(default=2, description="Batches that a request is sent in before it is called directly.")
    batch_poll_seconds: float = Field(default=60.0, description="Between two looks at the batches under way.")
    prices: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="USD for a million tokens by model: {model: {input, output, cached_input, batch_discount}}.",
    )
    stages: dict[str, Any] = Field(
        default_factory=dict,
        description="By judge, replay or update: what differs for its calls; of a key the variable's name.",
    )
    completions: str = Field(description="SQLite file in which every paid answer is kept.")
    completions_database: str | None = Field(
        default=None,
        description="Postgres instead of the file: its URL without a password, or the name of the variable that holds "
        "the URL; the variable's value is never stored.",
    )
    endpoint: str | None = Field(
        default=None, description="Lasting name of the endpoint in the completion store, where its address changes."
    )

    def settings(self) -> ChatSettings:
        """What a session needs; the key itself is read when the session opens."""
        return ChatSettings(
            llm=LLMConfig.model_validate(
                {name: getattr(self, name) for name in LLMConfig.model_fields if name not in _OTHERWISE}
                | {"api_key": self.api_key_variable, "completions": self.completions_database}
            ),
            completions=Path(self.completions),
            endpoint=self.endpoint,
        )

    @classmethod
    def of(cls, llm: LLMConfig, completions: Path) -> "ModelEndpoint":
        """The resource for the `llm` section of the configuration."""
        fields = llm.model_dump(mode="json", exclude=set(_OTHERWISE), exclude_none=True)
        return cls(
            **fields,
            api_key_variable=llm.api_key,
            completions=str(completions),
            completions_database=llm.completions,
        )


_OTHERWISE = ("api_key", "completions")
"""What the resource calls by another name: there `completions` is the file, and a key is said to be a variable."""


class TraceStore(dg.ConfigurableResource[TraceSource], ABC):
    """Where the loop's spans are read from, and where evaluations go back to."""

    where: str = Field(
        default="", description="Which calls of the application this loop improves, in the store's own language."
    )

    @abstractmethod
    def config(self) -> TracesConfig:
        """The section of the configuration that this resource was made from."""

    def connect(self) -> TraceSource:
        """The trace source; a secret is read now. Raises ConfigError."""
        return trace_source(self.config(), Path())

    def evaluations(self) -> EvaluationStore:
        """Where evaluations go back to; a secret is read now. Raises ConfigError."""
        return evaluation_store(self.config())


class LocalTraceStore(TraceStore):
    """Traces in files."""

    path: str = Field(description="File, folder or glob of Parquet, JSONL or JSON with the columns of Arize's export.")

    def config(self) -> LocalTracesConfig:
        """As `traces` of the configuration says it."""
        return LocalTracesConfig(source="local", path=self.path, where=self.where)


class ArizeTraceStore(TraceStore):
    """Traces in Arize AX."""

    project: str = Field(description="Name of the project.")
    space_id: str = Field(description="Id of the space.")
    api_key_variable: str = Field(
        description="Name of the environment variable that holds the API key; its value is never stored."
    )
    timeout_seconds: float = Field(description="Of one attempt to export a window.")
    max_attempts: int = Field(description="Attempts of one request.")

    def config(self) -> ArizeTracesConfig:
        """As `traces` of the configuration says it."""
        fields = {name: getattr(self, name) for name in ("project", "space_id", "where", *_ATTEMPTS)}
        return ArizeTracesConfig(source="arize", api_key=self.api_key_variable, **fields)


class PhoenixTraceStore(TraceStore):
    """Traces in a Phoenix server."""

    base_url: str = Field(description="Address of the server.")
    project: str = Field(description="Name of the project.")
    api_key_variable: str | None = Field(
        default=None, description="Name of the environment variable that holds the API key; its value is never stored."
    )
    timeout_seconds: float = Field(description="Of one request.")
    max_attempts: int = Field(description="Attempts of one request.")

    def config(self) -> PhoenixTracesConfig:
        """As `traces` of the configuration says it."""
        fields = {name: getattr(self, name) for name in ("base_url", "project", "where", *_ATTEMPTS)}
        return PhoenixTracesConfig(source="phoenix", api_key=self.api_key_variable, **fields)


_ATTEMPTS = ("timeout_seconds", "max_attempts")


def trace_store(traces: TracesConfig, folder: Path) -> TraceStore:
    """The resource for the `traces` section of a loop; relative paths start at `folder`."""
    if isinstance(traces, LocalTracesConfig):
        return LocalTraceStore(path=resolve_path(traces.path, folder), where=traces.where)
    fields = traces.model_dump(exclude={"source", "api_key"})
    if isinstance(traces, ArizeTracesConfig):
        return ArizeTraceStore(**fields, api_key_variable=traces.api_key)
    return PhoenixTraceStore(**fields, api_key_variable=traces.api_key)


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
