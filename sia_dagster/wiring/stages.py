"""The stages of a window over a model session: one async function each, for assets and scripts alike."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from sia_dagster.core.config import LoopConfig
from sia_dagster.core.errors import BudgetReached
from sia_dagster.core.evidence import HeldOut, MissingScore
from sia_dagster.core.models import EvalConstant, EvalMetrics, Sample, Spend, StateActions, TimeWindow
from sia_dagster.core.ports import Advance, ChatModel, Evaluator, Progress
from sia_dagster.core.results import PolicyUpdate, ValidationReport
from sia_dagster.core.spending import total
from sia_dagster.core.watch_results import JudgeWatch
from sia_dagster.wiring.ports import ChatSettings, evaluators_of, open_chat, updater_of

if TYPE_CHECKING:
    from sia_dagster.core.carrying import Undecided

Result = TypeVar("Result")
REPORTS = 200
"""About how often a stage says how far it is."""
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
    wait: Callable[[float], Awaitable[object]] | None = asyncio.sleep
    """Takes the seconds until batches are looked at again; None: BatchesUnderWay is raised instead of waiting."""

    @property
    def workers(self) -> int:
        """Rows worked on at a time; the endpoint's own limit bounds the calls."""
        return self.chat.llm.workers


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What a stage found, and what it used by stage and model."""

    value: Result
    spend: Mapping[str, Spend]
    rows: Advance
    """How many rows there were, and how many of them failed."""


class _Count:
    """Passes progress on with what was spent, and remembers it, so that a stage cut short can say what is missing.

    Adding up what was spent takes longer the more there is, so that of many rows only every so many-th is told.
    """

    def __init__(self, progress: Progress | None, chat: ChatModel) -> None:
        self._last: dict[str, Advance] = {}
        self._progress, self._chat = progress, chat

    def __call__(self, advance: Advance) -> None:
        self._last[advance.what] = advance
        done, of = advance.done, advance.of
        if self._progress and (done % max(1, of // REPORTS) == 0 or done == of):
            self._progress(advance.model_copy(update={"spent": total(self._chat.spend.values())}))

    def begin(self) -> None:
        """Forget the rows of the round before."""
        self._last.clear()

    @property
    def rows(self) -> Advance:
        """The rows of all kinds, under the name of the latest."""
        told = self._last.values()
        return Advance(
            done=sum(each.done for each in told),
            of=sum(each.of for each in told),
            what=next(reversed(self._last), "rows"),
            failed=sum(each.failed for each in told),
        )

    def missing(self, error: BudgetReached) -> BudgetReached:
        """The error, with what was left undone, as far as rows were counted: the first call may be one too many."""
        last = self.rows
        sentence = f"{error} Missing: {last.of - last.done} of {last.of} {last.what}." if last.of else str(error)
        return BudgetReached(sentence, spent=error.spent, budget=error.budget, unit=error.unit)


Work = Callable[[ChatModel, tuple[Evaluator, ...], Progress], Awaitable[Result]]


async def run_stage(session: LoopSession, work: Work[Result]) -> Outcome[Result]:
    """Run `work` with a model session and the loop's evaluators."""
    async with open_chat(session.chat, session.loop.name, session.window) as chat:
        count = _Count(session.progress, chat)
        try:
            evaluators = evaluators_of(session.loop, session.folder, chat)
            value = await _rounds(session, chat, count, lambda progress: work(chat, evaluators, progress))
        except BudgetReached as error:
            raise count.missing(error) from error
        return Outcome(value, dict(chat.spend), count.rows)


async def _rounds(
    session: LoopSession, chat: ChatModel, count: _Count, work: Callable[[Progress], Awaitable[Result]]
) -> Result:
    """What `work` returns; with batches it is run again until every answer is there, and the last result counts."""
    from sia_dagster.adapters.engine.batch_chat import BatchChat

    if not isinstance(chat, BatchChat):
        return await work(count)
    while True:
        count.begin()
        value = await work(lambda advance: count(_without(chat.pending, advance)))
        if await chat.settled(wait=session.wait, progress=count):
            return value


def _without(pending: int, advance: Advance) -> Advance:
    """The rows that wait for a batch are neither done nor failed."""
    done, failed = max(0, advance.done - pending), max(0, advance.failed - pending)
    return advance.model_copy(update={"done": done, "failed": failed})


async def evaluate_window(session: LoopSession, samples: Sequence[Sample]) -> Outcome[Evals]:
    """All evaluators on the logged outputs, by span id.

    Raises EndpointRefused, BudgetReached, ConfigError, and BatchesUnderWay where `session.wait` is None.
    """
    from sia_dagster.core.evaluation import evaluate

    async def work(_: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> Evals:
        return await evaluate(samples, evaluators, draw="logged/0", workers=session.workers, progress=progress)

    return await run_stage(session, work)


async def search_window(
    session: LoopSession, state: StateActions, carried: "Undecided | None" = None
) -> Outcome[PolicyUpdate]:
    """Candidates, guarded and compared on the selection split; `carried` goes on in their place, if it still may.

    Raises as `evaluate_window`.
    """
    from sia_dagster.core.carrying import carry_on, searched_anew
    from sia_dagster.core.search import SearchRules, search_policy
    from sia_dagster.wiring.guarding import guard_limits

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> PolicyUpdate:
        _same_evaluators(state, evaluators)
        rules = SearchRules.of(session.loop, workers=session.workers, limits=guard_limits(session, state))
        again = carry_on(state, carried, rules) if carried else None
        if again and again.changed:
            return again
        updater = updater_of(session.loop.policy, chat)
        update = await search_policy(
            state, updater=updater, chat=chat, evaluators=evaluators, rules=rules, progress=progress
        )
        update = searched_anew(update, again) if again else update
        return update.model_copy(update={"spend": total(chat.spend.values())})

    return await run_stage(session, work)


async def validate_window(
    session: LoopSession,
    state: StateActions,
    update: PolicyUpdate,
    *,
    held_out: HeldOut | None = None,
    watch: Sequence[JudgeWatch] = (),
    unscored: Sequence[MissingScore] = (),
) -> Outcome[ValidationReport]:
    """Both policies on the held-out samples, and the verdict. Raises as `evaluate_window`.

    Without `held_out` they are the window's own. A judge of `watch` that has drifted leaves nothing to be asked. Scores
    that are `unscored` do not count, though they may be had now.
    """
    from sia_dagster.core.trial import Trial, ValidationRules
    from sia_dagster.core.validation import validate

    trial = Trial(state=state, update=update, held_out=held_out, watch=tuple(watch), unscored=tuple(unscored))

    async def work(chat: ChatModel, evaluators: tuple[Evaluator, ...], progress: Progress) -> ValidationReport:
        _same_evaluators(state, evaluators)
        rules = ValidationRules.of(session.loop, workers=session.workers, window=session.window)
        report = await validate(trial, chat=chat, evaluators=evaluators, rules=rules, progress=progress)
        return report.model_copy(update={"spend": total(chat.spend.values())})

    return await run_stage(session, work)


def _same_evaluators(state: StateActions, evaluators: tuple[Evaluator, ...]) -> None:
    """Like with like: the replays are scored by what scored the logged outputs. Raises EvaluatorError."""
    from sia_dagster.core.evaluation import check_fingerprints

    said = [(constant.name, constant.fingerprint) for constant in state.eval_constants]
    check_fingerprints(said, [evaluator.constant for evaluator in evaluators])


def eval_constants(loop: LoopConfig, folder: Path) -> tuple[EvalConstant, ...]:
    """What each evaluator measures, without a call. Raises ConfigError."""
    return tuple(evaluator.constant for evaluator in evaluators_of(loop, folder, None))
