"""One stage over a model session: opens the endpoint, counts rows and spend, and waits for batches."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from sia_dagster.adapters.engine.batches.batch_chat import BatchChat
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import SpendCapReached
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.spend import total
from sia_dagster.wiring.endpoint import evaluators_of, open_chat
from sia_dagster.wiring.loop_session import LoopSession, Result, StageResult

REPORTS = 200
"""Progress is reported about this often per stage."""


class _Count:
    """Passes progress on with the spend, and keeps it, so that a stage that stops early can name the missing rows.

    Summing the spend takes longer the more there is, so progress is reported about REPORTS times a stage.
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
        steps = self._last.values()
        return Advance(
            done=sum(each.done for each in steps),
            of=sum(each.of for each in steps),
            what=next(reversed(self._last), "rows"),
            failed=sum(each.failed for each in steps),
        )

    def missing(self, error: SpendCapReached) -> SpendCapReached:
        """The error with the number of missing rows, if any were counted before it."""
        last = self.rows
        sentence = f"{error} Missing: {last.of - last.done} of {last.of} {last.what}." if last.of else str(error)
        return SpendCapReached(sentence, spent=error.spent, cap=error.cap, unit=error.unit)


Work = Callable[[ChatModel, tuple[Evaluator, ...], Progress], Awaitable[Result]]


async def run_stage(session: LoopSession, work: Work[Result]) -> StageResult[Result]:
    """Run `work` with a model session and the loop's evaluators."""
    async with open_chat(session.chat, session.loop.name, session.window) as chat:
        count = _Count(session.progress, chat)
        try:
            evaluators = evaluators_of(session.loop, session.folder, chat)
            value = await _rounds(session, chat, count, lambda progress: work(chat, evaluators, progress))
        except SpendCapReached as error:
            raise count.missing(error) from error
        return StageResult(value, dict(chat.spend), count.rows)


async def _rounds(
    session: LoopSession, chat: ChatModel, count: _Count, work: Callable[[Progress], Awaitable[Result]]
) -> Result:
    """The result of `work`; with batches it is run again until every answer is there, and the last result counts."""
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


def eval_constants(loop: LoopConfig, folder: Path) -> tuple[EvalConstant, ...]:
    """What each evaluator measures, without a call. Raises ConfigError."""
    return tuple(evaluator.constant for evaluator in evaluators_of(loop, folder, None))
