"""A chat model whose calls are submitted as batches: a stage runs in rounds until it has every answer."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Self

from sia_dagster.adapters.engine.batches.batch_exchange import BatchExchange, BatchProgress
from sia_dagster.adapters.engine.batches.batch_routes import BatchRoute, BatchTerms, batch_routes
from sia_dagster.adapters.engine.batches.pending_requests import PendingRequests
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.calls.routes import ApiKeys
from sia_dagster.adapters.engine.money.largest_calls import LargestCalls, ledger_key
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.money.spend_cap import spend_cap_reached
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, request_key
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.adapters.engine.store.batch_records import BatchedRequest
from sia_dagster.adapters.engine.wire.completions import called, estimate_prompt
from sia_dagster.adapters.engine.wire.failures import Failure
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import BatchesUnderWay, CallFailed, EndpointRefused
from sia_dagster.core.ports.model import ChatReply, ChatRequest, endpoint_stage
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.spend import Spend, spend_key

MOST_MISSES = 60
"""Checks in a row for which the endpoint may be unavailable while a run waits for batches."""

Wait = Callable[[float], Awaitable[object]]


class AnswerPending(CallFailed):
    """The answer comes with a batch: the row fails in this round, which is run again once the answer is stored."""

    def __init__(self) -> None:
        super().__init__("the answer comes with a batch", attempts=0)


class BatchChat:
    """Plays `core.ports.ChatModel` for a configuration in which a stage's mode is `batch`.

    The caller runs a stage, then calls `settled`; while that returns False, it runs the stage again from the start and
    uses the last result only. In each round the store answers what it can. Every other request is queued, its row fails
    with AnswerPending, and `settled` submits all of them at once and waits. So a round is one batch of everything that
    can be asked without another answer (judging: one round; replaying and judging: two), and a stage that is started
    again after an interruption, in this process or another, continues where it was. Calls of other stages, and requests
    that were not answered in `batch_tries` batches, are made directly.
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
        """As `OpenAIChat`. Nothing is opened yet; `terms` are by default those of a real run."""
        terms = terms or BatchTerms()
        self._config, self._store, self._scope = config, store, scope
        self._new: Callable[[], OpenAIChat] = partial(
            OpenAIChat, config, api_key=api_key, store=store, scope=scope, endpoint=endpoint, sleep=terms.sleep
        )
        self._routes = batch_routes(config, api_key=api_key, store=store, endpoint=endpoint, terms=terms)
        self._exchange = BatchExchange(self._routes, store=store, scope=scope, terms=terms)
        self._answers, self._direct = Answers(store), self._new()
        self._capped = config.budget_usd is not None or config.budget_tokens is not None
        self._requests, self._largest = PendingRequests(), LargestCalls()
        self._pending: set[str] = set()
        self._known: dict[str, BatchedRequest] = {}
        self._over: set[str] = set()
        """Requests whose records are deleted when the stage ends."""
        self._first: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._paid: Counter[str] = Counter()

    @property
    def spend(self) -> Mapping[str, Spend]:
        """Spend of this round's answers; `paid_calls` counts all rounds, direct calls and batches."""
        paid = self._paid + self._exchange.paid
        return {
            name: spend.model_copy(update={"paid_calls": spend.paid_calls + paid[name]})
            for name, spend in self._direct.spend.items()
        }

    @property
    def pending(self) -> int:
        """Number of requests of this round without an answer yet."""
        return len(self._pending)

    async def __aenter__(self) -> Self:
        """Open for the first round. Raises SiaError, and leaves nothing open, where the store cannot be used."""
        async with AsyncExitStack() as opened:
            opened.callback(self._requests.close)
            await opened.enter_async_context(self._answers)
            await opened.enter_async_context(self._direct)
            self._known = await asyncio.to_thread(self._exchange.records.of_window, self._scope)
            opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections; batches continue. The next run repeats what failed, unless this one is to continue."""
        async with AsyncExitStack() as last:
            last.callback(self._requests.close)
            last.push_async_exit(self._answers.__aexit__)
            for route in self._routes.values():
                last.push_async_callback(route.endpoint.close)
            await self._direct.__aexit__(kind, error, trace)
            if self._over and (error is None or _is_the_end(error)):
                await asyncio.to_thread(self._exchange.records.forget, self._over)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`; raises AnswerPending where the answer comes with a batch."""
        route = self._routes.get(endpoint_stage(request.stage))
        if route is None:
            return await self._direct.complete(request)
        sent = called(request, self._config)
        key = request_key(route.identity, sent)
        if await self._answers.get(key) is None and not self._is_for_a_call(route, key, sent):
            if self._asks_first(key, sent):
                async with self._first[ledger_key(sent)]:
                    if not self._largest.knows(sent):
                        return await self._called(request, sent)
            self._queue(route, key, sent)
            raise AnswerPending
        return await self._called(request, sent)

    async def stored(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | None]:
        """See `core.ports.ChatModel.stored`."""
        return await self._direct.stored(requests)

    def ignores_form(self, request: ChatRequest) -> bool:
        """See `core.ports.ChatModel.ignores_form`."""
        return self._direct.ignores_form(request)

    def learn_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_form`."""
        self._direct.learn_form(request)

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_ignored_form`."""
        self._direct.learn_ignored_form(request)

    def withdraw(self, request: ChatRequest, reply: ChatReply) -> None:
        """See `core.ports.ChatModel.withdraw`."""
        self._direct.withdraw(request, reply)

    async def settled(self, *, wait: Wait | None, progress: Progress | None = None) -> bool:
        """Whether the round had every answer. If not: submit what is pending, wait, and prepare another round.

        `wait` is called with the seconds between two checks of the batches. Without it nothing waits: raises
        BatchesUnderWay where a batch has not ended. Raises SpendCapReached where the caps leave room for no request.
        """
        if not self._pending:
            await self._tidy()
            return True
        done = await self._exchange.submit(self._requests, self._config)
        if done.refused is not None and not done.submitted and not await self._awaited():
            where, call = f"{self._scope.loop} {self._scope.window}", spend_key(done.refused.stage, done.refused.model)
            raise spend_cap_reached(where, call, done.spent, done.refused.expected, self._config)
        misses = 0
        while (state := await self._checked(MOST_MISSES if wait is None else misses)) is None or state.under_way:
            if state is not None and wait is None:
                raise self._underway(state)
            misses = misses + 1 if state is None else 0
            if state is not None and progress is not None:
                progress(Advance(done=state.done, of=state.of, what="answers in batches"))
            if wait is not None:
                await wait(self._config.batch_poll_seconds)
        self._report_problems(progress)
        await self._next_round()
        return False

    async def _checked(self, misses: int) -> BatchProgress | None:
        """The progress of the batches; None where the endpoint is unavailable, and has not been for long."""
        try:
            return await self._exchange.collect(await self._awaited())
        except CallFailed as error:
            if error.status == 404 or misses >= MOST_MISSES:
                raise
            return None

    def _report_problems(self, progress: Progress | None) -> None:
        for problem in self._exchange.problems:
            if progress is not None:
                progress(Advance(done=0, of=self.pending, what=f"refused as a batch ({problem}): asked again"))
        self._exchange.problems.clear()

    def _is_for_a_call(self, route: BatchRoute, key: str, request: ChatRequest) -> bool:
        """Whether the request is to be called directly by now. Raises its error where it would fail again."""
        known = self._known.get(key)
        if known is None or known.under_way:
            return False
        self._over.add(key)
        if known.failure is not None and not route.endpoint.learns(request, known.failure):
            raise route.error(request, known.failure, known.tries)
        return known.tries >= route.config.batch_tries

    def _asks_first(self, key: str, request: ChatRequest) -> bool:
        """Whether a direct call has to show what such requests cost, since a cap cannot count them yet."""
        known = self._known.get(key)
        return self._capped and not (known and known.under_way) and not self._largest.knows(request)

    async def _called(self, request: ChatRequest, sent: ChatRequest) -> ChatReply:
        """The answer to the request, called directly; `sent` is the request under the name that the endpoint knows."""
        reply = await self._direct.complete(request)
        self._largest.learn(ledger_key(sent), estimate_prompt(sent), reply)
        return reply

    def _queue(self, route: BatchRoute, key: str, request: ChatRequest) -> None:
        known = self._known.get(key)
        if key not in self._requests and not (known and known.under_way):
            line = route.endpoint.line(key, request)
            if isinstance(line, Failure):
                raise route.error(request, line, 0)
            estimated = estimate_prompt(request)
            price = price_of(request.model, route.config.prices)
            expected = self._largest.expected(request, estimated, price, batch=True)
            self._requests.add(key, request, line, estimated_prompt=estimated, expected=expected)
        self._pending.add(key)

    async def _tidy(self) -> None:
        """Collect batches of the window that a killed run had all but collected; a failure to do so is ignored."""
        with suppress(CallFailed, EndpointRefused):
            await self._exchange.collect(await asyncio.to_thread(self._exchange.records.open_of, self._scope))

    async def _awaited(self) -> set[str]:
        """The batches under way that hold pending requests."""
        batched = await asyncio.to_thread(self._exchange.records.find, self._pending)
        return {each.token for each in batched.values() if each.under_way}

    def _underway(self, state: BatchProgress) -> BatchesUnderWay:
        batches = len(state.under_way)
        return BatchesUnderWay(
            f"{self.pending} answers come with {batches} {'batch' if batches == 1 else 'batches'} that "
            f"{'is' if batches == 1 else 'are'} under way ({state.done} of {state.of} requests done). They are "
            "collected when the window is run again; nothing is paid for twice",
            batches=state.under_way,
        )

    async def _next_round(self) -> None:
        """Prepare another round: read the records of all requests, and start with no pending ones."""
        before = set(self._pending) | set(self._known)
        self._known = await asyncio.to_thread(self._exchange.records.find, before)
        self._pending.clear()
        self._requests.clear()
        await self._direct.__aexit__(None, None, None)
        self._paid.update({name: spend.paid_calls for name, spend in self._direct.spend.items()})
        self._direct = self._new()
        await self._direct.__aenter__()


def _is_the_end(error: BaseException) -> bool:
    """Whether the stage has failed for good, rather than being interrupted."""
    return isinstance(error, Exception) and not isinstance(error, BatchesUnderWay)
