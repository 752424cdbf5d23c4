"""`WorkflowOrchestrator`: the loop from Python, over the same stages as the Dagster assets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from sia_dagster.adapters import environment
from sia_dagster.adapters.storage import StoragePath, storage_root, write_atomically
from sia_dagster.core.config import (
    EvaluatorConfig,
    LLMClassifyConfig,
    LLMConfig,
    LoopConfig,
    PolicyConfig,
    TracesConfig,
    ValidationConfig,
)
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.models import Actions, EvalMetrics, StateActions, TimeWindow, Value
from sia_dagster.core.ports import SpanQuery, TraceSource
from sia_dagster.core.results import PolicyUpdate, ValidationReport
from sia_dagster.runners.llm_classify import run_to_end
from sia_dagster.runners.windows import When, window_between
from sia_dagster.wiring.ports import ChatSettings, trace_source
from sia_dagster.wiring.stages import LoopSession, eval_constants, evaluate_window, search_window, validate_window

if TYPE_CHECKING:
    import pandas as pd

    from sia_dagster.core.openinference.samples import MappedSpans


class WorkflowResults(TypedDict):
    """What `run_complete_workflow` found."""

    baseline_state_actions: StateActions
    updated_actions: Actions | None
    policy_update: PolicyUpdate
    updated_validation_results: ValidationReport


class Models(Value):
    """The models that the orchestrator asks."""

    judge: str = "gpt-4o-mini"
    updater: str = "gpt-4o"


class WorkflowOrchestrator:
    """Export, evaluate, improve and validate one window of traces from a script or a notebook.

    Files of traces are named by `traces`. Nothing is promoted: that is the registry's, with Dagster or
    `sia policy promote`. Every paid answer is kept under `storage`, so that a second run pays for none of them again.
    """

    def __init__(
        self,
        traces: "str | Path | TraceSource | None" = None,
        *,
        llm: LLMConfig | None = None,
        models: Models | None = None,
        evaluators: Sequence[EvaluatorConfig] = (),
        storage: str = ".sia",
        name: str = "workflow",
    ) -> None:
        """`traces`: a file, folder or glob, or any TraceSource; else the variable SIA_TRACES.

        `llm` defaults to OpenAI with the key in OPENAI_API_KEY. `evaluators` are known by their names beside the
        ready-made judges. Raises ConfigError where there are no traces.
        """
        source = traces or environment.read("SIA_TRACES")
        if source is None:
            raise ConfigError(
                "WorkflowOrchestrator needs traces: a file, folder or glob of an Arize export, or a TraceSource"
            )
        self._path = str(source) if isinstance(source, (str, Path)) else ""
        self._source = source if not isinstance(source, (str, Path)) else None
        self._llm = llm or LLMConfig(api_key="OPENAI_API_KEY")
        self._models = models or Models()
        self._evaluators = {config.name: config for config in evaluators}
        self._storage = storage_root(storage, Path.cwd())
        self._name = name

    def run_complete_workflow(
        self,
        *,
        start_date: When,
        end_date: When,
        evaluator_names: Sequence[str],
        limit: int = 200,
        checkpoint: bool = False,
    ) -> WorkflowResults:
        """Baseline, search and validation of `[start_date, end_date)`; the first evaluator named decides.

        With `checkpoint` each stage's result is written to `<storage>/checkpoints/<name>/` as it is found. Raises as
        the stages do: ConfigError, TraceError, EndpointRefused, BudgetReached.
        """
        baseline = self.validate_baseline(
            start_date=start_date, end_date=end_date, evaluator_names=evaluator_names, limit=limit
        )
        self._keep(checkpoint, "baseline_state_actions", baseline)
        update = self.search(baseline)
        self._keep(checkpoint, "updated_policy", update)
        report = self.validate_updated_policy(state_actions=baseline, updated_actions=update)
        self._keep(checkpoint, "validation_results", report)
        return WorkflowResults(
            baseline_state_actions=baseline,
            updated_actions=update.actions,
            policy_update=update,
            updated_validation_results=report,
        )

    def validate_baseline(
        self, *, start_date: When, end_date: When, evaluator_names: Sequence[str], limit: int = 200
    ) -> StateActions:
        """The window's samples with their evaluations, under the policy that most of them show."""
        from sia_dagster.core.baseline import build_baseline

        window = window_between(start_date, end_date)
        session = self._session(window, evaluator_names)
        spans = self.spans(SpanQuery(window=window, sample_limit=limit))
        evals: dict[str, tuple[EvalMetrics, ...]] = run_to_end(lambda: evaluate_window(session, spans.samples)).value
        return build_baseline(
            self._name, window, spans, evals, eval_constants(session.loop, session.folder), in_force=None
        )

    def search(self, state_actions: StateActions) -> PolicyUpdate:
        """The search with all it tried: candidates, edits and their evidence, and why the best goes on or none."""
        session = self._session(state_actions.window, _names(state_actions))
        return run_to_end(lambda: search_window(session, state_actions)).value

    def update_policy(self, *, state_actions: StateActions) -> Actions | None:
        """The policy that goes on to validation; the one in force where none is better. `search` says why."""
        return self.search(state_actions).actions

    def validate_updated_policy(
        self, *, state_actions: StateActions, updated_actions: "Actions | PolicyUpdate | None"
    ) -> ValidationReport:
        """Both policies on the held-out samples, and the verdict."""
        update = (
            updated_actions if isinstance(updated_actions, PolicyUpdate) else _update(state_actions, updated_actions)
        )
        session = self._session(state_actions.window, _names(state_actions))
        return run_to_end(lambda: validate_window(session, state_actions, update)).value

    def run_eval_pipeline(
        self,
        *,
        evaluator: Any,
        evaluator_name: str,
        get_telemetry_kwargs: Mapping[str, Any],
        evaluator_kwargs: Mapping[str, Any] | None = None,
        upsert: bool = False,
    ) -> "pd.DataFrame":
        """Score a window's logged outputs with any callable; a row for each span, `eval.<name>.*` columns.

        See `runners.eval_pipeline.run_eval_pipeline`, which this calls with the orchestrator's traces and storage.
        """
        from sia_dagster.runners.eval_pipeline import EvalPipeline

        pipeline = EvalPipeline(
            name=evaluator_name, storage=self._storage, spans=self.spans, kwargs=dict(evaluator_kwargs or {})
        )
        return pipeline.run(evaluator, get_telemetry_kwargs, upsert=upsert)

    def spans(self, query: SpanQuery) -> "MappedSpans":
        """The window's sampled calls as samples, and why others could not be read."""
        from sia_dagster.core.openinference.samples import samples_from_rows

        source = self._source or trace_source(TracesConfig(source="local", path=self._path), Path.cwd())
        rows = (row for batch in source.spans(query) for row in batch.to_pylist() if row["sampled"])
        return samples_from_rows(rows)

    def _session(self, window: TimeWindow, names: Sequence[str]) -> LoopSession:
        loop = LoopConfig(
            name=self._name,
            traces=TracesConfig(source="local", path=self._path),
            start=window.start.date(),
            evaluators=tuple(self._evaluator(name) for name in names),
            policy=PolicyConfig(model=self._models.updater),
            validation=ValidationConfig(primary=names[0]),
        )
        completions = _local(self._storage) / "completions.sqlite"
        chat = ChatSettings(llm=self._llm, completions=completions)
        return LoopSession(loop=loop, window=window, chat=chat, folder=Path.cwd())

    def _evaluator(self, name: str) -> EvaluatorConfig:
        from sia_dagster.core.prompts import BUILTIN_JUDGES

        if name in self._evaluators:
            return self._evaluators[name]
        if name not in BUILTIN_JUDGES:
            known = ", ".join([*self._evaluators, *BUILTIN_JUDGES])
            raise ConfigError(f"there is no evaluator {name!r}; known: {known}. Give others as `evaluators=`")
        return LLMClassifyConfig(
            name=name,
            kind="llm_classify",
            model=self._models.judge,
            template=name,
            rails=dict(BUILTIN_JUDGES[name]),
        )

    def _keep(self, wanted: bool, stage: str, value: StateActions | PolicyUpdate | ValidationReport) -> None:
        if wanted:
            folder = self._storage / "checkpoints" / self._name
            key = value.window.key
            write_atomically(folder / key / f"{stage}.json", (value.model_dump_json(indent=1) + "\n").encode())


def _names(state: StateActions) -> list[str]:
    """The evaluators' names, the primary first."""
    return [c.name for c in sorted(state.eval_constants, key=lambda constant: not constant.primary)]


def _update(state: StateActions, actions: Actions | None) -> PolicyUpdate:
    changed = actions is not None and actions != state.actions
    reason = "given by the caller" if changed else "the policy stays: the same policy was given"
    return PolicyUpdate(
        loop=state.loop, window=state.window, baseline=state.actions, actions=actions, changed=changed, reason=reason
    )


def _local(storage: StoragePath) -> Path:
    return storage if isinstance(storage, Path) else Path(".sia")
