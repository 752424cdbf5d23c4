"""The chat model behind an OpenAI-compatible endpoint: stored answers first, then attempts within the budget."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from sia_dagster.adapters.engine.attempts import Failure, course, delay_before_retry
from sia_dagster.adapters.engine.completions import estimate_prompt
from sia_dagster.adapters.engine.endpoint import Endpoint
from sia_dagster.adapters.engine.gate import ConcurrencyGate
from sia_dagster.adapters.engine.ledger import Ledger
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, request_key
from sia_dagster.core.config import LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.models import Spend
from sia_dagster.core.ports import ChatReply, ChatRequest

__all__ = ["CompletionStore", "LedgerScope", "OpenAIChat", "request_key"]


class OpenAIChat:
    """Plays `core.ports.ChatModel`; one for a stage, inside `async with`, in one event loop.

    An answer is committed to the store before `complete` returns it. Equal requests in flight are paid for once. A
    call outlives whoever waits for it: its answer is paid for, so closing waits for the calls that are at the
    endpoint (at most `timeout_seconds`, without retries) and stores them, unless the block is being cancelled.
    """

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: str | None,
        store: CompletionStore,
        scope: LedgerScope,
        endpoint: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is opened yet.

        `api_key` is the key itself (`config.api_key` names its variable). `endpoint` is who answers, in the store's
        keys: by default `base_url`; a name where the same endpoint moves from address to address. `sleep` waits
        between attempts. Raises ConfigError where `base_url` or the key cannot be one.
        """
        self._store, self._scope = store, scope
        self._max_attempts = config.max_attempts
        self._identity = endpoint or config.base_url
        self._sleep = sleep
        self._endpoint = Endpoint(config, api_key=api_key)
        self._gate = ConcurrencyGate(config.max_concurrency)
        self._ledger = Ledger(config, store=store, scope=scope)
        self._running: dict[str, asyncio.Task[ChatReply]] = {}
        self._at_endpoint: set[str] = set()
        self._closing = False

    @property
    def spend(self) -> Mapping[str, Spend]:
        """What this object's answers used, by `stage model`; see `Ledger.spend`."""
        return self._ledger.spend

    async def __aenter__(self) -> Self:
        """Ready for calls; the client itself opens with the first one that the store cannot answer."""
        self._closing = False
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        """Let the calls at the endpoint end, cancel the rest, and close the connections."""
        self._closing = True
        abandoned = error is not None and not isinstance(error, Exception)
        tasks = dict(self._running)
        try:
            for key, task in tasks.items():
                if abandoned or key not in self._at_endpoint:
                    task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        finally:
            await self._endpoint.close()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See `core.ports.ChatModel.complete`. Also raises SiaError where the store cannot be read or written."""
        key = request_key(self._identity, request)
        if (running := self._running.get(key)) is not None:
            reply = (await asyncio.shield(running)).model_copy(update={"cached": True})
        elif (stored := self._store.get(key)) is not None:
            reply = stored
        else:
            reply = await asyncio.shield(self._start(key, request))
        self._ledger.use(request, key, reply)
        return reply

    def _start(self, key: str, request: ChatRequest) -> asyncio.Task[ChatReply]:
        task = asyncio.create_task(self._pay(key, request, estimate_prompt(request)))
        self._running[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[ChatReply]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # Looked at, so that a call nobody waits for any more does not complain.

    async def _pay(self, key: str, request: ChatRequest, estimated: int) -> ChatReply:
        """Attempt until there is an answer; raise what the last failure means."""
        attempt = 0
        while True:
            attempt += 1
            outcome = await self._attempt(key, request, estimated, attempt)
            if isinstance(outcome, ChatReply):
                return outcome
            what = course(outcome)
            if what == "stop":
                raise self._endpoint.refused(outcome, request.model)
            if what == "row" or self._closing or attempt >= self._max_attempts:
                raise _failed(request, outcome, attempt)
            await self._sleep(delay_before_retry(outcome, key=key, attempt=attempt))

    async def _attempt(self, key: str, request: ChatRequest, estimated: int, attempt: int) -> ChatReply | Failure:
        """One attempt in a slot of the gate, within the budget; an answer is stored before this returns."""
        async with self._gate.slot() as slot:
            reservation = await self._ledger.reserve(request, estimated_prompt=estimated)
            paid: ChatReply | None = None
            time = asyncio.get_running_loop().time
            self._at_endpoint.add(key)
            try:
                began = time()
                outcome = await self._endpoint.attempt(request, estimated_prompt=estimated)
                if isinstance(outcome, Failure):
                    slot.limited = outcome.status == 429
                    return outcome
                paid = self._priced(request, outcome, attempt, time() - began)
                return self._store.put(key, paid, scope=self._scope, stage=request.stage, model=request.model)
            finally:
                self._at_endpoint.discard(key)
                self._ledger.settle(reservation, paid)

    def _priced(self, request: ChatRequest, reply: ChatReply, attempt: int, seconds: float) -> ChatReply:
        cost = self._ledger.cost(request, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
        return reply.model_copy(update={"cost_usd": cost, "attempts": attempt, "seconds": seconds})


def _failed(request: ChatRequest, failure: Failure, attempts: int) -> CallFailed:
    status = "" if failure.status is None else f" (status {failure.status})"
    tries = "attempt" if attempts == 1 else "attempts"
    stage = f"{request.stage} " if request.stage else ""
    return CallFailed(
        f"{stage}{request.model}: no answer after {attempts} {tries}{status}: {failure.message}",
        attempts=attempts,
        status=failure.status,
    )
