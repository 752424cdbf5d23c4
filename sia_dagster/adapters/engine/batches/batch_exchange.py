"""Submits requests as batches and collects their answers, so that no request is paid for twice."""

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby, islice
from pathlib import Path

from sia_dagster.adapters.engine.batches.batch_api import BatchState
from sia_dagster.adapters.engine.batches.batch_routes import BatchRoute, BatchTerms
from sia_dagster.adapters.engine.batches.lines import MOST_BYTES, read_line
from sia_dagster.adapters.engine.batches.pending_requests import PendingRequest, PendingRequests, Submission, affordable
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.money.spend_cap import Amount
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, Paid
from sia_dagster.adapters.engine.store.batch_records import BatchedRequest, BatchRecords, SubmittedBatch
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.adapters.request_chunks import chunks
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.ports.model import ChatReply, endpoint_stage
from sia_dagster.core.records.spend import spend_key
from sia_dagster.core.records.value import Value

_SOME = 500
"""Answers that are stored at a time."""


class BatchProgress(Value):
    """The progress of the batches that a stage waits for."""

    done: int = 0
    of: int = 0
    """Requests of the batches that have not ended."""
    under_way: tuple[str, ...] = ()
    """The tokens of those batches."""


class BatchExchange:
    """One window's batches.

    Before a batch is sent it is recorded in the store with all its requests, under a token that is sent along; its id
    is recorded as soon as the endpoint returns it. A process that dies between the two leaves a record without an id:
    the endpoint is then asked whether it has a batch with that token. One process at a time submits or collects (the
    store's turn), so a record without an id always belongs to a dead process.
    """

    def __init__(
        self, routes: Mapping[str, BatchRoute], *, store: CompletionStore, scope: LedgerScope, terms: BatchTerms
    ) -> None:
        """`routes` are by stage."""
        self._routes, self._store, self._scope, self._terms = routes, store, scope, terms
        self.records = BatchRecords(store)
        self.problems: list[str] = []
        """Why endpoints refused a batch, in their words."""
        self.paid: Counter[str] = Counter()
        """Number of answers collected by this object, by `stage model`."""

    async def submit(self, requests: PendingRequests, config: LLMConfig) -> Submission:
        """Submit those that are neither answered nor under way, as far as the caps of `config` allow."""
        async with self._turn():
            await self._recover()
            free, tries = await asyncio.to_thread(self._free, requests)
            spent = Amount(*await asyncio.to_thread(self._store.spent, self._scope.loop, self._scope.window))
            chosen = affordable(free, spent, config)
            # Endpoints require one model a file.
            for _, group in groupby(sorted(chosen, key=_file_of), key=_file_of):
                sized = ((request, request.size) for request in group)
                for chunk in chunks(sized, most=self._terms.most_requests, most_bytes=MOST_BYTES):
                    await self._send(chunk, requests, tries)
        return Submission(len(chosen), next(iter(free[len(chosen) :]), None), spent)

    async def collect(self, tokens: Iterable[str]) -> BatchProgress:
        """Collect those of the batches that have ended; returns the progress of the others."""
        states = await self._states(await self._known(tokens))
        for submitted, state in states:
            if state.ended:
                async with self._turn():
                    await self._download(self._route(submitted), submitted, state)
        return _progress(states)

    async def progress(self, tokens: Iterable[str]) -> BatchProgress:
        """The progress of the batches; collects nothing. One without a known id counts as ended: `collect` finds it."""
        found = await asyncio.to_thread(self.records.batches, tokens)
        return _progress(await self._states([each for each in self._here(found) if each.state == "open"]))

    async def _states(self, batches: Iterable[SubmittedBatch]) -> list[tuple[SubmittedBatch, BatchState]]:
        return [(each, await self._route(each).endpoint.state(each.batch, age=self._age(each))) for each in batches]

    def _age(self, submitted: SubmittedBatch) -> float:
        return self._terms.clock() - submitted.handed_in

    def _here(self, batches: Iterable[SubmittedBatch]) -> list[SubmittedBatch]:
        """The batches at endpoints that are configured now."""
        here = {route.identity for route in self._routes.values()}
        return [each for each in batches if each.endpoint in here]

    async def _known(self, tokens: Iterable[str]) -> list[SubmittedBatch]:
        """The batches that have not ended, all with their ids."""
        wanted = tuple(tokens)
        found = await asyncio.to_thread(self.records.batches, wanted)
        if any(each.state == "sending" for each in found):
            async with self._turn():
                await self._recover()
            found = await asyncio.to_thread(self.records.batches, wanted)
        return self._here(found)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        while not await asyncio.to_thread(self._store.take_turn):
            await self._terms.sleep(1.0)
        try:
            yield
        finally:
            await asyncio.to_thread(self._store.end_turn)

    async def _recover(self) -> None:
        """Complete the records of batches whose sender died."""
        for identity in sorted({route.identity for route in self._routes.values()}):
            for submitted in await asyncio.to_thread(self.records.unfinished, identity):
                batch = await self._route(submitted).endpoint.find(submitted.token, submitted.handed_in)
                if batch is None:
                    await asyncio.to_thread(self.records.withdraw, submitted.token)
                else:
                    await asyncio.to_thread(self.records.opened, submitted.token, batch)

    def _free(self, requests: Iterable[PendingRequest]) -> tuple[list[PendingRequest], dict[str, int]]:
        """Those that are neither answered nor under way by now, and in how many batches each key was."""
        pending = list(requests)
        keys = [request.key for request in pending]
        batched, answered = self.records.find(keys), self._store.usable(keys)
        under_way = {key for key, found in batched.items() if found.under_way}
        free = [request for request in pending if request.key not in answered and request.key not in under_way]
        return free, {key: found.tries for key, found in batched.items()}

    async def _send(self, part: Sequence[PendingRequest], requests: PendingRequests, tries: Mapping[str, int]) -> None:
        """One batch of one stage and model."""
        route = self._routes[endpoint_stage(part[0].stage)]
        submitted = self._new_batch(part, route)
        batched = [
            BatchedRequest(
                key=request.key,
                token=submitted.token,
                tries=tries.get(request.key, 0) + 1,
                estimated_prompt=request.estimated_prompt,
                left_out=request.left_out,
            )
            for request in part
        ]
        await asyncio.to_thread(self.records.claim, submitted, batched)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "requests.jsonl"
            requests.write(part, path)
            try:
                found = await route.endpoint.submit(path, submitted.token, submitted.handed_in)
            except EndpointRefused:
                await asyncio.to_thread(self.records.withdraw, submitted.token)
                raise
        if isinstance(found, Failure):
            # Refused. Its requests count as tried: after `batch_tries` they are called directly.
            self.problems.append(found.message)
            await asyncio.to_thread(self.records.end, submitted.token)
        else:
            await asyncio.to_thread(self.records.opened, submitted.token, found)

    def _new_batch(self, part: Sequence[PendingRequest], route: BatchRoute) -> SubmittedBatch:
        now, reserved = self._terms.clock(), sum((request.expected for request in part), Amount())
        named = "\n".join((f"{now!r}", *(request.key for request in part)))
        return SubmittedBatch(
            token=hashlib.sha256(named.encode()).hexdigest()[:32],
            endpoint=route.identity,
            loop=self._scope.loop,
            of_window=self._scope.window,
            stage=part[0].stage,
            model=part[0].model,
            usd=reserved.usd,
            tokens=reserved.tokens,
            handed_in=now,
        )

    def _route(self, submitted: SubmittedBatch) -> BatchRoute:
        route = self._routes.get(endpoint_stage(submitted.stage))
        if route is not None and route.identity == submitted.endpoint:
            return route
        return next(route for route in self._routes.values() if route.identity == submitted.endpoint)

    async def _download(self, route: BatchRoute, submitted: SubmittedBatch, state: BatchState) -> None:
        if not await asyncio.to_thread(self.records.batches, [submitted.token]):
            return  # Another process was faster.
        if state.problem:
            self.problems.append(state.problem)
        with tempfile.TemporaryDirectory() as folder:
            for number, file in enumerate(state.files):
                path = Path(folder) / str(number)
                await route.endpoint.download(file, path, age=self._age(submitted))
                with path.open("rb") as lines:
                    while some := list(islice(lines, _SOME)):
                        await asyncio.to_thread(self._keep, route, submitted, some)
        await asyncio.to_thread(self.records.end, submitted.token)

    def _keep(self, route: BatchRoute, submitted: SubmittedBatch, lines: Iterable[bytes]) -> None:
        """Store the answers of some lines, and record which requests would fail again; the others may be sent again."""
        entries = dict(found for line in lines if (found := read_line(line)))
        batched = {key: each for key, each in self.records.find(entries).items() if each.token == submitted.token}
        replies, failed = dict[str, ChatReply](), dict[str, Failure]()
        price = price_of(submitted.model, route.config.prices)
        for key, each in batched.items():
            outcome = route.endpoint.outcome(entries[key], estimated_prompt=each.estimated_prompt)
            if isinstance(outcome, ChatReply):
                tokens = outcome.prompt_tokens, outcome.completion_tokens
                cost = price.cost(*tokens, cached_tokens=outcome.cached_tokens, batch=True) if price else None
                replies[key] = outcome.model_copy(
                    update={"cost_usd": cost, "attempts": each.tries, "left_out": each.left_out}
                )
            elif action_after(outcome) != "retry":
                failed[key] = outcome
        self._book(submitted, replies)
        self.records.settle(replies, failed)

    def _book(self, submitted: SubmittedBatch, replies: Mapping[str, ChatReply]) -> None:
        """Store and book the answers that an interrupted collection has not stored and booked already."""
        known = self._store.get_many(list(replies))
        scope = LedgerScope(loop=submitted.loop, window=submitted.of_window)
        new = [
            Paid(key=key, reply=reply, scope=scope, stage=submitted.stage, model=submitted.model)
            for key, reply in replies.items()
            if known.get(key) != reply.model_copy(update={"cached": True})
        ]
        self._store.put_many(new)
        self.paid[spend_key(submitted.stage, submitted.model)] += len(new)


def _file_of(request: PendingRequest) -> tuple[str, str]:
    return request.stage, request.model


def _progress(states: Iterable[tuple[SubmittedBatch, BatchState]]) -> BatchProgress:
    open_ = [(each.token, state) for each, state in states if not state.ended]
    return BatchProgress(
        done=sum(state.done for _, state in open_),
        of=sum(state.of for _, state in open_),
        under_way=tuple(token for token, _ in open_),
    )
