"""The completion store as an event loop uses it: a store beyond a network answers many questions in one trip."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

from sia_dagster.adapters.engine.store.completion_store import CompletionStore
from sia_dagster.adapters.engine.store.stored_values import LedgerScope, Paid
from sia_dagster.core.ports.model import ChatReply

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST_IN_ONE_TRIP = 500


class Answers:
    """`CompletionStore` for coroutines of one event loop, inside `async with`.

    A local store answers at once, without a turn for anybody else. The trips to a remote one are made by a single
    thread, in the order of asking: what is put before something is asked is in that answer. Trips are as large as
    the work that gathers while another is under way, so that no answer waits for company.
    """

    def __init__(self, store: CompletionStore) -> None:
        """Nothing is asked yet."""
        self._store = store
        self._thread: ThreadPoolExecutor | None = None
        self._working = False

    async def __aenter__(self) -> Self:
        """Nothing is pruned from here on. Raises SiaError where the store cannot be used."""
        if self._store.remote:
            self._thread = await self._begun()
            self._gets = RoundTrips(self._found, self._thread)
            self._puts = RoundTrips(self._store.put_many, self._thread)
            self._spends = RoundTrips(self._spent, self._thread)
        else:
            self._store.begin()
        self._working = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for what is under way, so that what was paid for is stored also where nobody waits for it any more."""
        working, self._working = self._working, False
        thread, self._thread = self._thread, None
        if thread is None:
            if working:
                self._store.end()
            return
        try:
            for under_way in (self._gets, self._puts, self._spends):
                await under_way.done()
            await asyncio.get_running_loop().run_in_executor(thread, self._store.end)
        finally:
            thread.shutdown()

    async def get(self, key: str) -> ChatReply | None:
        """The stored answer that can be used, with `cached=True`, or None; see `CompletionStore.usable`."""
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[str]) -> Sequence[ChatReply | None]:
        """`get` for each, in one question to the store."""
        if self._thread is None:
            return self._found(keys)
        return await asyncio.gather(*(self._gets.ask(key) for key in keys))

    async def put(self, paid: Paid) -> ChatReply:
        """See `CompletionStore.put`; it is stored also where whoever waits for this is cancelled."""
        return self._store.put_many([paid])[0] if self._thread is None else await self._puts.ask(paid)

    async def spent(self, scope: LedgerScope) -> tuple[float, int]:
        """See `CompletionStore.spent`."""
        return self._store.spent(scope.loop, scope.window) if self._thread is None else await self._spends.ask(scope)

    async def _begun(self) -> ThreadPoolExecutor:
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="completions")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._store.begin)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return thread

    def _found(self, keys: Sequence[str]) -> list[ChatReply | None]:
        found = self._store.usable(keys)
        return [found.get(key) for key in keys]

    def _spent(self, scopes: Sequence[LedgerScope]) -> list[tuple[float, int]]:
        each = {scope: self._store.spent(scope.loop, scope.window) for scope in set(scopes)}
        return [each[scope] for scope in scopes]


class RoundTrips(Generic[Question, Answer]):
    """Calls `answer` with many questions at once, in `pool`: those that come meanwhile go with the next trip."""

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[Answer]], pool: ThreadPoolExecutor) -> None:
        self._answer, self._pool = answer, pool
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._trips: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer to this one. Raises what `answer` raises for its trip."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._trips is None or self._trips.done():
            self._trips = asyncio.create_task(self._travel())
        return await future

    async def done(self) -> None:
        """Wait until nothing is under way."""
        if self._trips is not None:
            await asyncio.shield(self._trips)

    async def _travel(self) -> None:
        while self._waiting:
            trip, self._waiting = self._waiting[:MOST_IN_ONE_TRIP], self._waiting[MOST_IN_ONE_TRIP:]
            questions = [question for question, _ in trip]
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, questions)
            except Exception as error:  # noqa: BLE001  each that waits for the trip gets it
                for _, future in trip:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(trip, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
