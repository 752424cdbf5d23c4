"""The stages of a window over a model session: one async function each, for assets and scripts alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from sia_dagster.core.config import LoopConfig
from sia_dagster.core.errors import BudgetReached
from sia_dagster.core.models import EvalConstant, EvalMetrics, Sample, Spend, StateActions, TimeWindow
from sia_dagster.core.ports import ChatModel, Evaluator, Progress
from sia_dagster.core.results import PolicyUpdate, ValidationReport
from sia_dagster.core.spending import total
from sia_dagster.wiring.ports import ChatSettings, evaluators_of, open_chat, updater_of

Result = TypeVar("Result")
Evals = dict[str, tuple[EvalMetrics, ...]]


@dataclass(frozen=True)
class LoopSession:
    """One loop, one window, and where its model calls go."""

    loop: LoopConfig
    window: TimeWindow
    chat: ChatSettings
    folder: Path
    """Where relative paths of the configuration start."""
    progress: Progress | None = None

    @property
    def workers(self) -> int:
        """Rows worked on at a time; the endpoint's own limit bounds the calls."""
        return self.chat.llm.max_concurrency


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What a stage found, and what it used by stage and model."""

    value: Result
    spend: Mapping[str, Spend]


class _Count:
    """Passes progress on and remembers it, so that a stage cut short can say what is missing."""

    def __init__(self, progress: Progress | None) -> None:
        self.done, self.of, self.what, self._progress = 0, 0, "rows", progress

    def __call__(self, done: int, of: int, what: str) -> None:
        self.done, self.of, self.what = done, of, what
        if self._progress:
            self._progress(done, of, what)

    def missing(self, error: BudgetReached) -> BudgetReached:
        """The error, with what was left undone."""
        sentence = f"{error} Missing: {self.of - self.done} of {self.of} {self.what}."
        return BudgetReached(sentence, spent=error.spent, budget=error.budget, unit=error.unit)


Work = Callable[[ChatModel, tuple[Evaluator, ...], Progress], Awaitable[Result]]


async def _staged(session: LoopSession, work: Work[Result]) -> Outcome[Result]:
    """Run `work` with a model session and the loop's evaluators."""
    count = _Count(session.progress)
    try:
        async with open_chat(session.chat, session.loop.name, session.window) as chat:
            evaluators = evaluators_of(session.loop, session.folder, chat)
            value = await work(chat, evaluators, count)
            return Outcome(value, dict(chat.spend))
    except BudgetReached as error:
        raise count.missing(error) from error


async def evaluate_window(session: LoopSession, samples: Sequence[Sample]) -> Outcome[Evals]:
    """All evaluators on the logged outputs, by span id. Raises EndpointRefused, BudgetReached, ConfigError."""
    from sia_dagster.core.evaluation import evaluate

    async def work(_: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> Evals:
        return await evaluate(samples, evaluators, draw="logged/0", workers=session.workers, progress=progress)

    return await _staged(session, work)


async def search_window(session: LoopSession, state: StateActions) -> Outcome[PolicyUpdate]:
    """Candidates, guarded and compared on the selection split. Raises as `evaluate_window`."""
    from sia_dagster.core.search import SearchRules, search_policy

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> PolicyUpdate:
        _same_evaluators(state, evaluators)
        updater = updater_of(session.loop.policy, chat)
        rules = SearchRules.of(session.loop, workers=session.workers)
        update = await search_policy(
            state, updater=updater, chat=chat, evaluators=evaluators, rules=rules, progress=progress
        )
        return update.model_copy(update={"spend": total(chat.spend.values())})

    return await _staged(session, work)


async def validate_window(session: LoopSession, state: StateActions, update: PolicyUpdate) -> Outcome[ValidationReport]:
    """Both policies on the held-out samples, and the verdict. Raises as `evaluate_window`."""
    from sia_dagster.core.validation import ValidationRules, validate

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> ValidationReport:
        _same_evaluators(state, evaluators)
        rules = ValidationRules.of(session.loop, workers=session.workers)
        report = await validate(state, update, chat=chat, evaluators=evaluators, rules=rules, progress=progress)
        return report.model_copy(update={"spend": total(chat.spend.values())})

    return await _staged(session, work)


def _same_evaluators(state: StateActions, evaluators: tuple[Evaluator, ...]) -> None:
    """Like with like: the replays are scored by what scored the logged outputs. Raises EvaluatorError."""
    from sia_dagster.core.evaluation import check_fingerprints

    said = [(constant.name, constant.fingerprint) for constant in state.eval_constants]
    check_fingerprints(said, [evaluator.constant for evaluator in evaluators])


def eval_constants(loop: LoopConfig, folder: Path) -> tuple[EvalConstant, ...]:
    """What each evaluator measures, without a call. Raises ConfigError."""
    return tuple(evaluator.constant for evaluator in evaluators_of(loop, folder, None))
