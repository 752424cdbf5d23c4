"""Traces, endpoint, evaluators and storage of a workflow from Python, checked once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from pydantic import SecretStr, TypeAdapter, ValidationError

from sia_dagster.adapters.config import environment
from sia_dagster.adapters.config.faults import faults
from sia_dagster.adapters.config.keys import dotted
from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.config.fields import Name
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import EvaluatorConfig, LLMClassifyConfig, LoopConfig, PolicyConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.openinference import MappedSpans, samples_from_rows
from sia_dagster.core.ports.trace_store import EvaluationStore, SpanQuery, TraceSource
from sia_dagster.core.prompting.prompts import BUILTIN_JUDGES
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value
from sia_dagster.wiring.loop_session import ChatSettings, LoopSession
from sia_dagster.wiring.platforms import evaluation_store, trace_source

Checked = TypeVar("Checked")
Traces: TypeAlias = str | Path | TracesConfig | TraceSource
"""A file, folder or glob, the same with a condition (`where`), or any source of spans."""


class Models(Value):
    """The models that the orchestrator calls."""

    judge: str = "gpt-4o-mini"
    """Answers for the ready-made judges."""
    updater: str = "gpt-4o"
    """Proposes policies."""


@dataclass(frozen=True)
class Workflow:
    """The parts that all windows of one workflow share."""

    name: str
    traces: TracesConfig
    source: TraceSource
    chat: ChatSettings
    models: Models
    evaluators: Mapping[str, EvaluatorConfig]
    """The caller's evaluators; the ready-made judges are known as well."""
    storage: StoragePath
    folder: Path
    """Where relative paths start."""

    def session(self, window: TimeWindow, names: Sequence[str], limit: int = 200) -> LoopSession:
        """One window's stages with these evaluators, the first of them primary. Raises ConfigError."""
        if isinstance(names, str) or not names:
            raise ConfigError("evaluator_names is a list of at least one name, such as ['correctness']")
        loop = checked(
            lambda: LoopConfig(
                name=self.name,
                traces=self.traces,
                start=window.start.date(),
                sample_limit=limit,
                evaluators=tuple(self._evaluator(name) for name in names),
                policy=PolicyConfig(model=self.models.updater),
                validation=ValidationConfig(primary=names[0]),
            )
        )
        return LoopSession(loop=loop, window=window, chat=self.chat, folder=self.folder)

    def spans(self, query: SpanQuery) -> MappedSpans:
        """The sampled calls as samples, and why others could not be read; see `WorkflowOrchestrator.spans`."""
        asked = query if query.where else query.model_copy(update={"where": self.traces.where})
        rows = (row for batch in self.source.spans(asked) for row in batch.to_pylist() if row["sampled"])
        return samples_from_rows(rows)

    def of_project(self, project: str | None) -> "Workflow":
        """The same over another project of the trace store; files are a project of their own."""
        if project is None or isinstance(self.traces, LocalTracesConfig) or project == self.traces.project:
            return self
        traces = self.traces.model_copy(update={"project": project})
        return replace(self, traces=traces, source=trace_source(traces, self.folder))

    def evaluation_store(self) -> EvaluationStore | None:
        """Where evaluations go back to; None for files and for a source of the caller's own."""
        return None if isinstance(self.traces, LocalTracesConfig) else evaluation_store(self.traces)

    @property
    def registry(self) -> Sequence[PolicyVersion]:
        """The registry's entries, where the loop of this name has any in this storage."""
        return PolicyFiles(self.storage, self.name).timeline()

    def _evaluator(self, name: str) -> EvaluatorConfig:
        if name in self.evaluators:
            return self.evaluators[name]
        if name not in BUILTIN_JUDGES:
            known = ", ".join([*self.evaluators, *BUILTIN_JUDGES])
            raise ConfigError(f"there is no evaluator {name!r}; known: {known}. Give others as `evaluators=`")
        return LLMClassifyConfig(
            name=name, kind="llm_classify", model=self.models.judge, template=name, rails=dict(BUILTIN_JUDGES[name])
        )


def checked(build: Callable[[], Checked]) -> Checked:
    """The result of `build`. A value that its model refuses is a ConfigError in one sentence."""
    try:
        return build()
    except ValidationError as error:
        key, sentence = faults(error)[0]
        raise ConfigError(sentence, key=dotted(key)) from error


def check_name(name: str) -> None:
    """Raises ConfigError for a name with other than letters, digits and underscores."""
    checked(lambda: TypeAdapter(Name).validate_python(name))


def open_traces(given: Traces | None, folder: Path) -> tuple[TracesConfig, TraceSource]:
    """The traces that were given, else those of the environment. Raises ConfigError without either.

    The environment: SIA_TRACES names files; else ARIZE_SPACE_ID and ARIZE_MODEL_ID with ARIZE_API_KEY name a project.
    """
    found = given or environment.read("SIA_TRACES") or _arize_project()
    if found is None:
        raise ConfigError(
            "WorkflowOrchestrator needs traces=...: a file, folder or glob of Parquet, JSONL or JSON with the columns "
            "of Arize's export, an ArizeTracesConfig, a PhoenixTracesConfig or a TraceSource. Or set ARIZE_SPACE_ID, "
            "ARIZE_API_KEY and ARIZE_MODEL_ID (the project), or SIA_TRACES (files)"
        )
    if isinstance(found, str | Path):
        found = LocalTracesConfig(source="local", path=str(found))
    if isinstance(found, LocalTracesConfig | ArizeTracesConfig | PhoenixTracesConfig):
        return found, trace_source(found, folder)
    return LocalTracesConfig(source="local", path="given by the caller"), found


def _arize_project() -> ArizeTracesConfig | None:
    space, project = environment.read("ARIZE_SPACE_ID"), environment.read("ARIZE_MODEL_ID")
    return ArizeTracesConfig(source="arize", space_id=space, project=project) if space and project else None


def chat_settings(llm: LLMConfig | None, api_key: str | None, completions: Path) -> ChatSettings:
    """The endpoint with the key in `api_key`, else in the variable that `llm` names; without both, OpenAI's.

    Raises ConfigError, without the value, where `llm.api_key` is a key instead of a variable's name.
    """
    if api_key:
        without = (llm or LLMConfig()).model_copy(update={"api_key": None})
        return ChatSettings(llm=without, completions=completions, key=SecretStr(api_key))
    llm = llm or LLMConfig(api_key="OPENAI_API_KEY")
    # Any other spelling may be a key: an error about a missing variable would show it.
    unusual = llm.api_key and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", llm.api_key)
    if unusual and environment.read(llm.api_key or "") is None:
        raise ConfigError(
            "must be the name of an environment variable, such as OPENAI_API_KEY; give the key itself as "
            "WorkflowOrchestrator(api_key=...)",
            key="llm.api_key",
        )
    return ChatSettings(llm=llm, completions=completions)
