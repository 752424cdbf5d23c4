"""The stages of a window over a model session, one async function each, for assets and scripts."""

from collections.abc import Sequence
from dataclasses import replace

from sia_dagster.adapters.config.references import read_template
from sia_dagster.core.config.loop import LLMClassifyConfig
from sia_dagster.core.evaluators import build_evaluator, check_fingerprints, evaluate
from sia_dagster.core.gate import Admission, Gate, Trial, ValidationRules, validate
from sia_dagster.core.judge_watch import WatchedJudge, WatchResult, WatchRules, judge_history, watch_judges
from sia_dagster.core.next_window import NextWindowCheck, NextWindowRules, check_next_window
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.spend import total
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search import (
    MeteredChat,
    PlannedValidation,
    SearchRules,
    SearchWork,
    Undecided,
    ask_guard_model,
    carry_on,
    in_order_of_gain,
    search_after_carried,
    search_policy,
    too_noisy_to_search,
)
from sia_dagster.wiring.endpoint import evaluators_of, strategies_of
from sia_dagster.wiring.loop_session import LoopSession, StageResult
from sia_dagster.wiring.prices import guard_limits
from sia_dagster.wiring.session import eval_constants, run_stage

Evals = dict[str, tuple[EvalMetrics, ...]]


async def evaluate_window(session: LoopSession, samples: Sequence[Sample]) -> StageResult[Evals]:
    """All evaluators on the logged outputs, by span id.

    Raises EndpointRefused, SpendCapReached, ConfigError, and BatchesUnderWay where `session.wait` is None.
    """

    async def work(_: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> Evals:
        return await evaluate(samples, evaluators, draw="logged/0", workers=session.workers, progress=progress)

    return await run_stage(session, work)


async def search_window(
    session: LoopSession,
    state: StateActions,
    carried: Undecided | None = None,
    earlier: Sequence[ValidationReport] = (),
) -> StageResult[PolicyUpdate]:
    """Candidates, guarded and compared on the selection split; a `carried` candidate goes on instead, if it still may.

    No search starts where the noise of the `earlier` windows hides any gain; of several strategies the one that gained
    most for an answer in them comes first. Raises as `evaluate_window`.
    """

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> PolicyUpdate:
        _check_evaluators(state, evaluators)
        limits, config = guard_limits(session, state), session.loop.policy
        rules = SearchRules.of(session.loop, workers=session.workers, limits=limits, in_batches=session.in_batches)
        again = carry_on(state, carried, rules) if carried else None
        if again and again.changed:
            return again
        update = too_noisy_to_search(state, earlier, _planned_validation(session))
        if update is None:
            metered = MeteredChat(chat, config)
            own = evaluators_of(session.loop, session.folder, metered)
            work = SearchWork(state, metered, own, rules, config, progress)
            strategies = strategies_of(config, session.folder)
            update = await search_policy(work, in_order_of_gain(strategies, (each.strategies for each in earlier)))
        if guard := config.guard_model:
            update = await ask_guard_model(update, state, chat=chat, model=guard)
        update = search_after_carried(update, again) if again else update
        return update.model_copy(update={"spend": total(chat.spend.values())})

    return await run_stage(session, work)


def _planned_validation(session: LoopSession) -> PlannedValidation:
    rules = _validation_rules(session)
    return PlannedValidation(session.loop.validation, rules.rule.alpha, rules.most_repeats)


def _validation_rules(session: LoopSession) -> ValidationRules:
    return ValidationRules.of(
        session.loop, workers=session.workers, window=session.window, in_batches=session.in_batches
    )


async def validate_window(session: LoopSession, trial: Trial) -> StageResult[ValidationReport]:
    """Both policies on the held-out samples, and the verdict. Raises as `evaluate_window`."""

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> ValidationReport:
        _check_evaluators(trial.state, evaluators)
        rules = _validation_rules(session)
        return await validate(trial, chat=chat, evaluators=evaluators, rules=rules, progress=progress)

    return await run_stage(session, work)


async def gated_validation(
    session: LoopSession, state: StateActions, update: PolicyUpdate, gate: Gate
) -> StageResult[ValidationReport]:
    """Validates one window: checks the error budget, replays both policies, records the look.

    Nothing is replayed without a candidate, where a judge drifted, where the year's error budget cannot pay for the
    verdict, or where the window's holdout was used for another verdict. A window that is run again has the same verdict
    with the same bytes, and spends nothing anew. Raises as `evaluate_window`, and GateLogError.
    """
    admission = Admission.of(session.loop, state, update, gate)
    if refused := admission.refused:
        return StageResult(refused, {}, Advance(done=0, of=0, what="rows"))
    outcome = await validate_window(session, admission.trial())
    return replace(outcome, value=admission.finish(outcome.value))


async def check_promise(session: LoopSession, check: NextWindowCheck) -> StageResult[NextWindowResults]:
    """The candidate of the window before on this window's held-out samples. Raises as `evaluate_window`."""

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> NextWindowResults:
        _check_evaluators(check.state, evaluators)
        rules = NextWindowRules.of(session.loop, workers=session.workers)
        return await check_next_window(check, chat=chat, evaluators=evaluators, rules=rules, progress=progress)

    return await run_stage(session, work)


def _check_evaluators(state: StateActions, evaluators: tuple[Evaluator, ...]) -> None:
    """Replays must be scored by the evaluators that scored the logged outputs. Raises EvaluatorError."""
    check_fingerprints(state.evaluator_fingerprints.items(), [evaluator.constant for evaluator in evaluators])


async def watch_window(
    session: LoopSession, samples: Sequence[Sample], log: GateLog
) -> StageResult[tuple[WatchResult, ...]]:
    """Watch every judge of the loop, in the order of the configuration; the log is read, not written.

    `samples` are the window's with their evaluations. A function that calls a model itself is not watched. Raises as
    `evaluate_window`, and GateLogError.
    """
    histories = {judge.name: judge_history(log, judge, session.window) for judge in judges_of(session)}
    rules = WatchRules.of(session.loop, session.window.key, workers=session.workers)

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> tuple[WatchResult, ...]:
        reordered = _reordered_judges(session, chat)
        judges = [
            WatchedJudge(judge, reordered[judge.constant.name], histories[judge.constant.name])
            for judge in evaluators
            if judge.constant.name in reordered
        ]
        return await watch_judges(judges, samples, rules=rules, progress=progress)

    return await run_stage(session, work)


def judges_of(session: LoopSession) -> tuple[EvalConstant, ...]:
    """The loop's judges, without a call. Raises ConfigError."""
    constants = eval_constants(session.loop, session.folder)
    return tuple(constant for constant in constants if constant.kind == "llm_classify")


def _reordered_judges(session: LoopSession, chat: ChatModel) -> dict[str, Evaluator]:
    """Every judge with its labels in reverse order, by name; their scores serve the probe alone."""
    judges = [evaluator for evaluator in session.loop.evaluators if isinstance(evaluator, LLMClassifyConfig)]
    return {
        judge.name: build_evaluator(
            judge.model_copy(update={"rails": dict(reversed(judge.rails.items()))}),
            chat=chat,
            template=read_template(judge.template, session.folder),
            primary=False,
        )
        for judge in judges
    }
