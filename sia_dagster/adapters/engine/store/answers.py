"""The completion store as an event loop uses it: a store beyond a network answers many questions in one trip."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

from sia_dagster.adapters.engine.store.port import CompletionStore, LedgerScope, Paid
from sia_dagster.core.ports.model import ChatReply

Asked = TypeVar("Asked")


Told = TypeVar("Told")


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
        self._trips: ThreadPoolExecutor | None = None
        self._working = False

    async def __aenter__(self) -> Self:
        """Nothing is pruned from here on. Raises SiaError where the store cannot be used."""
        if self._store.remote:
            self._trips = await self._begun()
            self._gets = Batches(self._found, self._trips)
            self._puts = Batches(self._store.put_many, self._trips)
            self._spends = Batches(self._spent, self._trips)
        else:
            self._store.begin()
        self._working = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for what is under way, so that what was paid for is stored also where nobody waits for it any more."""
        working, self._working = self._working, False
        trips, self._trips = self._trips, None
        if trips is None:
            if working:
                self._store.end()
            return
        try:
            for under_way in (self._gets, self._puts, self._spends):
                await under_way.done()
            await asyncio.get_running_loop().run_in_executor(trips, self._store.end)
        finally:
            trips.shutdown()

    async def get(self, key: str) -> ChatReply | None:
        """See `CompletionStore.get`."""
        return self._store.get(key) if self._trips is None else await self._gets.ask(key)

    async def put(self, paid: Paid) -> ChatReply:
        """See `CompletionStore.put`; it is stored also where whoever waits for this is cancelled."""
        return self._store.put_many([paid])[0] if self._trips is None else await self._puts.ask(paid)

    async def spent(self, scope: LedgerScope) -> tuple[float, int]:
        """See `CompletionStore.spent`."""
        return self._store.spent(scope.loop, scope.window) if self._trips is None else await self._spends.ask(scope)

    async def _begun(self) -> ThreadPoolExecutor:
        trips = ThreadPoolExecutor(max_workers=1, thread_name_prefix="completions")
        try:
            await asyncio.get_running_loop().run_in_executor(trips, self._store.begin)
        except BaseException:
            trips.shutdown(wait=False)
            raise
        return trips

    def _found(self, keys: Sequence[str]) -> list[ChatReply | None]:
        found = self._store.get_many(keys)
        return [found.get(key) for key in keys]

    def _spent(self, scopes: Sequence[LedgerScope]) -> list[tuple[float, int]]:
        each = {scope: self._store.spent(scope.loop, scope.window) for scope in set(scopes)}
        return [each[scope] for scope in scopes]


class Batches(Generic[Asked, Told]):
    """Asks `answer` for many at once, in one of the threads of `pool`: what comes meanwhile goes with the next trip."""

    def __init__(self, answer: Callable[[Sequence[Asked]], Sequence[Told]], pool: ThreadPoolExecutor) -> None:
        self._answer, self._pool = answer, pool
        self._waiting: list[tuple[Asked, asyncio.Future[Told]]] = []
        self._trips: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Told:
        """The answer to this one. Raises what `answer` raises for its trip."""
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, told))
        if self._trips is None or self._trips.done():
            self._trips = asyncio.create_task(self._travel())
        return await told

    async def done(self) -> None:
        """Wait until nothing is under way."""
        if self._trips is not None:
            await asyncio.shield(self._trips)

    async def _travel(self) -> None:
        while self._waiting:
            trip, self._waiting = self._waiting[:MOST_IN_ONE_TRIP], self._waiting[MOST_IN_ONE_TRIP:]
            asked = [each for each, _ in trip]
            try:
                told = await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, asked)
            except Exception as error:  # noqa: BLE001  each that waits for the trip gets it
                for _, future in trip:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), found in zip(trip, told, strict=True):
                    if not future.done():
                        future.set_result(found)
