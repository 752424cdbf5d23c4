"""The chat model behind an OpenAI-compatible endpoint: stored answers first, then attempts under the caps."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from sia_dagster.adapters.engine.calls.routes import ApiKeys, Route, Routes
from sia_dagster.adapters.engine.money.ledger import SpendLedger
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, Paid, request_key
from sia_dagster.adapters.engine.store.answers import Answers
from sia_dagster.adapters.engine.wire.completions import called, estimate_prompt
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.adapters.engine.wire.retries import attempts_of, is_transient, retrying_async
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend

__all__ = ["CompletionStore", "LedgerScope", "OpenAIChat", "request_key"]


class OpenAIChat:
    """Plays `core.ports.ChatModel`; one for a stage, inside `async with`, in one event loop.

    An answer is committed to the store before `complete` returns it. Equal requests in flight are paid for once. A
    call continues when its caller is cancelled: its answer is paid for, so closing waits for the calls that are at the
    endpoint (at most `timeout_seconds`, without retries) and stores them, unless the block is being cancelled.
    """

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: ApiKeys,
        store: CompletionStore,
        scope: LedgerScope,
        endpoint: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is opened yet.

        `api_key` is the key itself (`config.api_key` names its variable), or one for each of `config.stages`.
        `endpoint` identifies the endpoint in the store's keys: by default `base_url`; a name where the same endpoint
        moves from address to address. `sleep` waits between attempts. Raises ConfigError for an invalid address or key.
        """
        self._config, self._answers, self._scope = config, Answers(store), scope
        self._sleep = sleep
        self._routes = Routes(config, api_key=api_key, limits=store.limits, endpoint=endpoint, sleep=sleep)
        self._ledger = SpendLedger(config, answers=self._answers, scope=scope)
        self._running: dict[str, asyncio.Task[ChatReply]] = {}
        self._at_endpoint: set[str] = set()
        self._closing = False

    @property
    def pending(self) -> int:
        """Always 0: every call is answered at once."""
        return 0

    @property
    def spend(self) -> Mapping[str, Spend]:
        """Spend of this object's answers, by `stage model`; see `SpendLedger.spend`."""
        return self._ledger.spend

    async def __aenter__(self) -> Self:
        """Open for calls; the client itself opens with the first call that the store cannot answer."""
        self._closing = False
        await self._answers.__aenter__()
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Wait for the calls at the endpoint, cancel the others, and close the connections."""
        self._closing = True
        abandoned = error is not None and not isinstance(error, Exception)
        tasks = dict(self._running)
        try:
            for key, task in tasks.items():
                if abandoned or key not in self._at_endpoint:
                    task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        finally:
            async with AsyncExitStack() as last:
                last.push_async_exit(self._answers.__aexit__)
                await self._routes.close()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`. Also raises SiaError where the store cannot be read or written."""
        request = self._called(request)
        key = self._key(request)
        reply = None if key in self._running else await self._answers.get(key)
        if reply is None:
            reply = await self._shared(key, request)
        self._ledger.use(request, key, reply)
        return reply

    async def stored(self, requests: Sequence[ChatRequest]) -> Sequence[ChatReply | None]:
        """See `core.ports.ChatModel.stored`."""
        return await self._answers.get_many([self._key(self._called(request)) for request in requests])

    def ignores_form(self, request: ChatRequest) -> bool:
        """See `core.ports.ChatModel.ignores_form`."""
        return self._routes.of(request.stage).endpoint.ignores_form(self._called(request))

    def learn_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_form`."""
        self._routes.of(request.stage).endpoint.learn_form(self._called(request))

    def learn_ignored_form(self, request: ChatRequest) -> None:
        """See `core.ports.ChatModel.learn_ignored_form`."""
        self._routes.of(request.stage).endpoint.learn_ignored_form(self._called(request))

    def withdraw(self, request: ChatRequest, reply: ChatReply) -> None:
        """See `core.ports.ChatModel.withdraw`."""
        request = self._called(request)
        self._ledger.withdraw(request, self._key(request), reply)

    def _key(self, request: ChatRequest) -> str:
        return request_key(self._routes.of(request.stage).identity, request)

    def _called(self, request: ChatRequest) -> ChatRequest:
        """The request under the endpoint's name of its model."""
        return called(request, self._config)

    async def _shared(self, key: str, request: ChatRequest) -> ChatReply:
        """The answer of an equal call, if one is running by now, else of a new one."""
        if (running := self._running.get(key)) is not None:
            return (await asyncio.shield(running)).model_copy(update={"cached": True})
        return await asyncio.shield(self._start(key, request))

    def _start(self, key: str, request: ChatRequest) -> asyncio.Task[ChatReply]:
        task = asyncio.create_task(self._pay(key, request, estimate_prompt(request)))
        self._running[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[ChatReply]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # Retrieved, since asyncio warns of errors that nobody has retrieved.

    async def _pay(self, key: str, request: ChatRequest, estimated: int) -> ChatReply:
        """Attempt until there is an answer; raises the error of the last failure, or that the endpoint is down."""
        route = self._routes.of(request.stage)

        async def once() -> ChatReply | Failure:
            return await self._attempt(route, key, request, attempts_of(loop), estimated=estimated)

        def again(outcome: object) -> bool:
            hopeless = self._closing or route.contact.is_hopeless(outcome, attempts_of(loop))
            return is_transient(outcome) and not hopeless

        loop = retrying_async(key, route.max_attempts, self._sleep, again)
        outcome: ChatReply | Failure = await loop(once)
        if isinstance(outcome, ChatReply):
            return outcome
        if action_after(outcome) == "stop" or route.contact.is_lost(outcome):
            raise route.endpoint.refused(outcome, request.model)
        raise _failed(request, outcome, attempts_of(loop))

    async def _attempt(
        self, route: Route, key: str, request: ChatRequest, attempt: int, *, estimated: int
    ) -> ChatReply | Failure:
        """One attempt under the limits and caps; an answer is stored before this returns."""
        async with route.concurrency.slot() as slot:
            reservation = await self._ledger.reserve(request, estimated_prompt=estimated)
            paid: ChatReply | None = None
            time = asyncio.get_running_loop().time
            try:
                turn = await route.pace.turn(request, estimated_prompt=estimated)
                self._at_endpoint.add(key)
                began = time()
                outcome = await route.endpoint.attempt(request, estimated_prompt=estimated)
                route.pace.settle(turn, outcome)
                if isinstance(outcome, Failure):
                    slot.limited, slot.wait = outcome.kind == "rate_limit", outcome.retry_after or 0.0
                    await self._book_failed(key, request, outcome)
                    return outcome
                slot.seconds = time() - began
                paid = self._priced(request, outcome, attempt, slot.seconds)
                booked = Paid(key=key, reply=paid, scope=self._scope, stage=request.stage, model=request.model)
                return await self._answers.put(booked)
            finally:
                self._at_endpoint.discard(key)
                self._ledger.settle(reservation, paid)

    async def _book_failed(self, key: str, request: ChatRequest, failure: Failure) -> None:
        """Book a failed generation that the endpoint billed: the caps count it, though no answer comes of it."""
        tokens = {"prompt_tokens": failure.prompt_tokens, "completion_tokens": failure.completion_tokens}
        if any(tokens.values()):
            billed = self._priced(request, ChatReply(**tokens), 1, 0.0)
            where = {"scope": self._scope, "stage": request.stage, "model": request.model}
            await self._answers.put(Paid(key=key, reply=billed, answered=False, **where))

    def _priced(self, request: ChatRequest, reply: ChatReply, attempt: int, seconds: float) -> ChatReply:
        price, tokens = self._ledger.price(request), (reply.prompt_tokens, reply.completion_tokens)
        cost = price.cost(*tokens, cached_tokens=reply.cached_tokens) if price else None
        return reply.model_copy(update={"cost_usd": cost, "attempts": attempt, "seconds": seconds})


def _failed(request: ChatRequest, failure: Failure, attempts: int) -> CallFailed:
    status = "" if failure.status is None else f" (status {failure.status})"
    tries = "attempt" if attempts == 1 else "attempts"
    stage = f"{request.stage} " if request.stage else ""
    return CallFailed(
        f"{stage}{request.model}: no answer after {attempts} {tries}{status}: {failure.message}",
        attempts=attempts,
        status=failure.status,
        kind=failure.kind,
    )
