"""`WorkflowOrchestrator`: the loop from Python, over the same stages as the Dagster assets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from sia_dagster.adapters.config.environment import add_env_file
from sia_dagster.adapters.files.storage import storage_root, write_atomically
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import EvaluatorConfig
from sia_dagster.core.errors import ConfigError, EvaluatorError
from sia_dagster.core.evaluators import worst_unscored_share
from sia_dagster.core.gate import Trial
from sia_dagster.core.openinference import MappedSpans
from sia_dagster.core.ports.trace_store import SpanQuery, span_query
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.traffic import build_baseline
from sia_dagster.runners.llm_classify import run_to_end
from sia_dagster.runners.windows import When, window_between
from sia_dagster.runners.workflow import Models, Traces, Workflow, chat_settings, check_name, open_traces
from sia_dagster.wiring.loop_session import LoopSession, completions_file
from sia_dagster.wiring.session import eval_constants
from sia_dagster.wiring.stages import evaluate_window, search_window, validate_window

if TYPE_CHECKING:
    import pandas as pd


UNRECORDED: Final = (
    "this verdict is not in the looks ledger: its level holds for the first candidate that is tried on this window; "
    "trying more candidates until one is accepted finds gains that do not exist"
)
"""The last reason of every verdict on replayed samples."""


class WorkflowResults(TypedDict):
    """The results of `run_complete_workflow`."""

    baseline_state_actions: StateActions
    updated_actions: Actions | None
    """The policy that went to validation: the one in force where none was better."""
    policy_update: PolicyUpdate
    updated_validation_results: ValidationReport


class WorkflowOrchestrator:
    """Export, evaluate, improve and validate one window of traces from a script or a notebook.

    Nothing is promoted, and no verdict from here can be: a promotion needs a verdict in the gate's looks ledger, from a
    window of the Dagster project. The error budget, the judge watch and pooling do not apply here. Every
    paid answer is kept under `storage`, so that a second run pays for none of them again.
    """

    def __init__(  # noqa: PLR0913  each has a default, and people write them by name
        self,
        traces: Traces | None = None,
        *,
        llm: LLMConfig | None = None,
        api_key: str | None = None,
        models: Models | None = None,
        evaluators: Sequence[EvaluatorConfig] = (),
        storage: str = ".sia",
        name: str = "workflow",
    ) -> None:
        """`traces`: a file, folder or glob, one of the `...TracesConfig`, or any TraceSource; else the environment.

        SIA_TRACES names files; else ARIZE_SPACE_ID, ARIZE_MODEL_ID (the project) and ARIZE_API_KEY name Arize's.
        `llm` defaults to OpenAI with the key in OPENAI_API_KEY, which a `.env` here may set; `api_key` is the key
        itself and is neither stored nor shown. `evaluators` are known by their names beside the ready-made judges.
        Where the loop `name` has a registry in `storage`, its policy is the one in force. Raises ConfigError.
        """
        folder = Path.cwd()
        add_env_file(folder / ".env")
        check_name(name)
        root = storage_root(storage, folder)
        config, source = open_traces(traces, folder)
        self._workflow = Workflow(
            name=name,
            traces=config,
            source=source,
            chat=chat_settings(llm, api_key, completions_file(root, folder)),
            models=models or Models(),
            evaluators={evaluator.name: evaluator for evaluator in evaluators},
            storage=root,
            folder=folder,
        )

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

        With `checkpoint` each stage's document is written to `<storage>/checkpoints/<name>/<window>/` as it is found.
        Raises as the stages do: ConfigError, TraceError, EvaluatorError, EndpointRefused, SpendCapReached.
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
            updated_actions=update.candidate,
            policy_update=update,
            updated_validation_results=report,
        )

    def validate_baseline(
        self, *, start_date: When, end_date: When, evaluator_names: Sequence[str], limit: int = 200
    ) -> StateActions:
        """The window's samples with their evaluations, under the policy in force.

        That is the registry's, else the one that most samples show. At most `limit` calls, chosen by hash.
        """
        window = window_between(start_date, end_date)
        session = self._workflow.session(window, evaluator_names, limit)
        spans = self.spans(span_query(session.loop, window))
        evals: dict[str, tuple[EvalMetrics, ...]] = run_to_end(lambda: evaluate_window(session, spans.samples)).value
        constants = eval_constants(session.loop, session.folder)
        return build_baseline(session.loop.name, window, spans, evals, constants, self._workflow.registry)

    def search(self, state_actions: StateActions) -> PolicyUpdate:
        """The search with all candidates, their edits and samples, and why one of them is chosen or none.

        Raises EvaluatorError where more than a fifth of the evaluations have no score: too many to learn from.
        """
        session = self._session(state_actions)
        _require_scores(state_actions, session.loop.validation.max_unscored_share)
        return run_to_end(lambda: search_window(session, state_actions)).value

    def update_policy(self, *, state_actions: StateActions) -> Actions | None:
        """The policy chosen for validation; the one in force where no candidate is better. `search` says why."""
        return self.search(state_actions).candidate

    def validate_updated_policy(
        self, *, state_actions: StateActions, updated_actions: "Actions | PolicyUpdate | None"
    ) -> ValidationReport:
        """Both policies on the held-out samples, and the verdict. `updated_actions` may be written by hand.

        The level of the verdict holds for the first candidate that is tried on a window. Its last reason says so.
        """
        update = updated_actions
        if not isinstance(update, PolicyUpdate):
            update = _update(state_actions, update)
        session = self._session(state_actions)
        trial = Trial(state=state_actions, update=update)
        return _unrecorded(run_to_end(lambda: validate_window(session, trial)).value)

    def run_eval_pipeline(
        self,
        *,
        evaluator: Any,
        evaluator_name: str,
        get_telemetry_kwargs: Mapping[str, Any],
        evaluator_kwargs: Mapping[str, Any] | None = None,
        upsert: bool = False,
    ) -> "pd.DataFrame":
        """Score a window's logged outputs with any callable of a DataFrame or a sample; a row for each span.

        See `runners.eval_pipeline.EvalPipeline.run`, which this calls with the orchestrator's traces and storage.
        """
        from sia_dagster.runners.eval_pipeline import EvalPipeline

        workflow = self._workflow.of_project(get_telemetry_kwargs.get("model_id"))
        pipeline = EvalPipeline(
            name=evaluator_name,
            storage=workflow.storage,
            spans=workflow.spans,
            workers=workflow.chat.llm.workers,
            kwargs=dict(evaluator_kwargs or {}),
            store=workflow.evaluation_store() if upsert else None,
        )
        return pipeline.run(evaluator, get_telemetry_kwargs, upsert=upsert)

    def spans(self, query: SpanQuery) -> MappedSpans:
        """The window's sampled calls as samples, and why others could not be read.

        A query without a condition takes that of the traces' configuration.
        """
        return self._workflow.spans(query)

    def _session(self, state: StateActions) -> LoopSession:
        """A session with the evaluators that the state was judged by, the primary first."""
        ordered = sorted(state.eval_constants, key=lambda constant: not constant.primary)
        return self._workflow.session(state.window, [constant.name for constant in ordered])

    def _keep(self, wanted: bool, stage: str, value: StateActions | PolicyUpdate | ValidationReport) -> None:
        if wanted:
            folder = self._workflow.storage / "checkpoints" / self._workflow.name / value.window.key
            write_atomically(folder / f"{stage}.json", (value.model_dump_json(indent=1) + "\n").encode())


def _unrecorded(report: ValidationReport) -> ValidationReport:
    """The report marked as unrecorded: it is in no ledger, and no next window carries its candidate."""
    if not report.interim_analyses:
        return report
    return report.model_copy(update={"reasons": (*report.reasons, UNRECORDED), "carries_on": False})


def _require_scores(state: StateActions, allowed: float) -> None:
    name, share = worst_unscored_share({sample.span_id: sample.evals for sample in state.samples})
    if share > allowed:
        missing = (e for sample in state.samples for e in sample.evals if e.score is None and not e.not_applicable)
        first = next(e for e in missing if e.name == name)
        raise EvaluatorError(
            f"{share:.0%} of the evaluations by {name} have no score (allowed: {allowed:.0%}), too many to learn from. "
            f"The first: {first.error}. Fix the evaluator and run the window again: answers are kept"
        )


def _update(state: StateActions, actions: Actions | None) -> PolicyUpdate:
    changed = actions is not None and actions != state.actions
    if changed and actions and not actions.model:
        raise ConfigError(
            "the policy names no model; change the one in force by copy: "
            "state_actions.actions.model_copy(update={'system_prompt': ...})"
        )
    return PolicyUpdate(
        loop=state.loop,
        window=state.window,
        baseline=state.actions,
        candidate=actions if changed else state.actions,
        changed=changed,
        reason="given by the caller" if changed else "the policy stays: no other policy was given",
    )
