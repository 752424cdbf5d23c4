"""A chat model whose calls are handed in as batches: stages are run in rounds until every answer is there."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Self

from sia_dagster.adapters.engine.batches.desk import BatchDesk, Standing
from sia_dagster.adapters.engine.batches.lanes import BatchTerms, Lane, lanes_of
from sia_dagster.adapters.engine.batches.wants import Sizes, Wants
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.calls.routes import ApiKeys
from sia_dagster.adapters.engine.money.cap import budget_reached
from sia_dagster.adapters.engine.money.ledger import line_of
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, request_key
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.adapters.engine.store.batch_records import Asked
from sia_dagster.adapters.engine.wire.completions import estimate_prompt
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import BatchesUnderWay, CallFailed, EndpointRefused
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.spend import Spend

MOST_MISSES = 60
"""Looks in a row for which the endpoint may be away while somebody waits for batches."""


Wait = Callable[[float], Awaitable[object]]


class AnswerPending(CallFailed):
    """The answer comes with a batch: the row fails in this round, and the round is run again when it is there."""

    def __init__(self) -> None:
        super().__init__("the answer comes with a batch", attempts=0)


class BatchChat:
    """Plays `core.ports.ChatModel` for a configuration in which a stage's mode is `batch`.

    Whoever runs a stage runs it, asks `settled`, and as long as that is False runs it again from the start and takes
    the last result alone. In each round the store answers what it can; what it cannot is noted, its row fails with
    AnswerPending, and `settled` hands all of it in at once and waits. So a round is one batch of everything that can
    be asked without another answer (judging: one round; replaying and judging: two), and a stage that is started
    again after any interruption, in this process or another, goes on where it was. Calls of other stages, and those
    that no batch answered in `batch_tries` tries, are made directly.
    """

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: ApiKeys,
        store: CompletionStore,
        scope: LedgerScope,
        endpoint: str | None = None,
        terms: BatchTerms | None = None,
    ) -> None:
        """As `OpenAIChat`. Nothing is opened yet; `terms` by default are those of a real run."""
        terms = terms or BatchTerms()
        self._config, self._store, self._scope = config, store, scope
        self._new: Callable[[], OpenAIChat] = partial(
            OpenAIChat, config, api_key=api_key, store=store, scope=scope, endpoint=endpoint, sleep=terms.sleep
        )
        self._lanes = lanes_of(config, api_key=api_key, store=store, endpoint=endpoint, terms=terms)
        self._desk = BatchDesk(self._lanes, store=store, scope=scope, terms=terms)
        self._answers, self._direct = Answers(store), self._new()
        self._capped = config.budget_usd is not None or config.budget_tokens is not None
        self._wants, self._sizes = Wants(), Sizes()
        self._pending: set[str] = set()
        self._known: dict[str, Asked] = {}
        self._over: set[str] = set()
        """Requests whose record ends with the stage."""
        self._first: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._paid: Counter[str] = Counter()

    @property
    def spend(self) -> Mapping[str, Spend]:
        """What this round's answers used; `paid_calls` are those of all rounds, calls and batches."""
        paid = self._paid + self._desk.paid
        return {
            name: spend.model_copy(update={"paid_calls": spend.paid_calls + paid[name]})
            for name, spend in self._direct.spend.items()
        }

    @property
    def pending(self) -> int:
        """Requests of this round whose answers are not there yet."""
        return len(self._pending)

    async def __aenter__(self) -> Self:
        """Ready for the first round. Raises SiaError, and holds nothing, where the store cannot be used."""
        async with AsyncExitStack() as opened:
            opened.callback(self._wants.close)
            await opened.enter_async_context(self._answers)
            await opened.enter_async_context(self._direct)
            self._known = await asyncio.to_thread(self._desk.records.of_window, self._scope)
            opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; batches go on. What failed is asked anew by the next run, unless this one goes on."""
        async with AsyncExitStack() as last:
            last.callback(self._wants.close)
            last.push_async_exit(self._answers.__aexit__)
            for lane in self._lanes.values():
                last.push_async_callback(lane.endpoint.close)
            await self._direct.__aexit__(kind, error, trace)
            if self._over and (error is None or _is_the_end(error)):
                await asyncio.to_thread(self._desk.records.forget, self._over)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`; raises AnswerPending where the answer comes with a batch."""
        lane = self._lanes.get(request.stage)
        if lane is None:
            return await self._direct.complete(request)
        key = request_key(lane.identity, request)
        if await self._answers.get(key) is None and not self._is_for_a_call(lane, key, request):
            if self._asks_first(key, request):
                async with self._first[line_of(request)]:
                    if not self._sizes.knows(request):
                        return await self._called(request)
            self._want(lane, key, request)
            raise AnswerPending
        return await self._called(request)

    async def settled(self, *, wait: Wait | None, progress: Progress | None = None) -> bool:
        """Whether the round had every answer. Else hand in what was asked, wait, and make ready for another round.

        `wait` takes the seconds between two looks at the batches. Without it nobody waits: raises BatchesUnderWay
        where a batch has not ended. Raises SpendCapReached where not one more request may be handed in.
        """
        if not self._pending:
            await self._tidy()
            return True
        handing = await self._desk.hand_in(self._wants, self._config)
        if handing.short is not None and not handing.handed and not await self._awaited():
            where, short = f"{self._scope.loop} {self._scope.window}", handing.short
            raise budget_reached(where, short.line, handing.spent, short.expected, self._config)
        misses = 0
        while (standing := await self._looked(MOST_MISSES if wait is None else misses)) is None or (standing.under_way):
            if standing is not None and wait is None:
                raise self._underway(standing)
            misses = misses + 1 if standing is None else 0
            if standing is not None and progress is not None:
                progress(Advance(done=standing.done, of=standing.of, what="answers in batches"))
            if wait is not None:
                await wait(self._config.batch_poll_seconds)
        self._tell_problems(progress)
        await self._next_round()
        return False

    async def _looked(self, misses: int) -> Standing | None:
        """How the batches stand; None where the endpoint is away, and was not for long."""
        try:
            return await self._desk.look(await self._awaited())
        except CallFailed as error:
            if error.status == 404 or misses >= MOST_MISSES:
                raise
            return None

    def _tell_problems(self, progress: Progress | None) -> None:
        for problem in self._desk.problems:
            if progress is not None:
                progress(Advance(done=0, of=self.pending, what=f"not taken as a batch ({problem}): asked again"))
        self._desk.problems.clear()

    def _is_for_a_call(self, lane: Lane, key: str, request: ChatRequest) -> bool:
        """Whether no batch is to be tried any more. Raises what the failure of a batch means for its request."""
        known = self._known.get(key)
        if known is None or known.under_way:
            return False
        self._over.add(key)
        if known.failure is not None and not lane.endpoint.learns(request, known.failure):
            raise lane.error(request, known.failure, known.tries)
        return known.tries >= lane.config.batch_tries

    def _asks_first(self, key: str, request: ChatRequest) -> bool:
        """Whether a call has to show what such requests cost, since a cap cannot count them yet."""
        known = self._known.get(key)
        return self._capped and not (known and known.under_way) and not self._sizes.knows(request)

    async def _called(self, request: ChatRequest) -> ChatReply:
        reply = await self._direct.complete(request)
        self._sizes.learn(request, estimate_prompt(request), reply)
        return reply

    def _want(self, lane: Lane, key: str, request: ChatRequest) -> None:
        known = self._known.get(key)
        if key not in self._wants and not (known and known.under_way):
            line = lane.endpoint.line(key, request)
            if isinstance(line, Failure):
                raise lane.error(request, line, 0)
            estimated = estimate_prompt(request)
            expected = self._sizes.expected(request, estimated, price_of(request.model, lane.config.prices))
            self._wants.add(key, request, line, estimated_prompt=estimated, expected=expected)
        self._pending.add(key)

    async def _tidy(self) -> None:
        """Collect batches of the window that a killed run had as good as collected; it is no matter if that fails."""
        with suppress(CallFailed, EndpointRefused):
            await self._desk.look(await asyncio.to_thread(self._desk.records.open_of, self._scope))

    async def _awaited(self) -> set[str]:
        """The batches that are under way with what is pending."""
        asked = await asyncio.to_thread(self._desk.records.find, self._pending)
        return {each.token for each in asked.values() if each.under_way}

    def _underway(self, standing: Standing) -> BatchesUnderWay:
        batches = len(standing.under_way)
        return BatchesUnderWay(
            f"{self.pending} answers come with {batches} {'batch' if batches == 1 else 'batches'} that "
            f"{'is' if batches == 1 else 'are'} under way ({standing.done} of {standing.of} requests done). They are "
            "collected when the window is run again; nothing is paid for twice",
            batches=standing.under_way,
        )

    async def _next_round(self) -> None:
        """The answers that are stored now, and what is known of the others."""
        before = set(self._pending) | set(self._known)
        self._known = await asyncio.to_thread(self._desk.records.find, before)
        self._pending.clear()
        self._wants.clear()
        await self._direct.__aexit__(None, None, None)
        self._paid.update({name: spend.paid_calls for name, spend in self._direct.spend.items()})
        self._direct = self._new()
        await self._direct.__aenter__()


def _is_the_end(error: BaseException) -> bool:
    """Whether the stage is over, and not to be gone on with where it was."""
    return isinstance(error, Exception) and not isinstance(error, BatchesUnderWay)
