"""Hands requests in as batches and collects what became of them, so that no request is paid for twice."""

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby, islice
from pathlib import Path

from sia_dagster.adapters.engine.batches.batch_api import BatchState
from sia_dagster.adapters.engine.batches.lanes import BatchTerms, Lane
from sia_dagster.adapters.engine.batches.lines import MOST_BYTES, read_line
from sia_dagster.adapters.engine.batches.wants import Handing, Want, Wants, affordable
from sia_dagster.adapters.engine.money.cap import Amount
from sia_dagster.adapters.engine.money.list_prices import price_of
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope, Paid
from sia_dagster.adapters.engine.store.batch_records import Asked, BatchRecords, Handed
from sia_dagster.adapters.engine.wire.failures import Failure, course
from sia_dagster.adapters.request_chunks import portions
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import EndpointRefused
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.value import Value

_SOME = 500
"""Answers that are stored at a time."""


class Standing(Value):
    """How the batches that a stage waits for stand."""

    done: int = 0
    of: int = 0
    """Requests, of the batches that have not ended."""
    under_way: tuple[str, ...] = ()
    """The tokens of those batches."""


class BatchDesk:
    """One window's batches.

    A batch is noted in the store with all its requests before it is sent, under a token that goes with it; its id is
    noted as soon as the endpoint says it. Whoever dies between the two leaves a note without an id: the endpoint is
    then asked whether it has a batch of that token. One process at a time hands in or collects (the store's turn),
    so a note without an id is always a dead process's.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        store: CompletionStore,
        scope: LedgerScope,
        terms: BatchTerms,
    ) -> None:
        """`lanes` by stage."""
        self._lanes, self._store, self._scope, self._terms = lanes, store, scope, terms
        self.records = BatchRecords(store)
        self.problems: list[str] = []
        """Why endpoints did not take a batch, in their words."""
        self.paid: Counter[str] = Counter()
        """Answers that this desk collected, by `stage model`."""

    async def hand_in(self, wants: Wants, config: LLMConfig) -> Handing:
        """Hand in those that are neither answered nor under way already, as far as the caps of `config` allow."""
        async with self._turn():
            await self._recover()
            free, tries = await asyncio.to_thread(self._free, wants)
            spent = Amount(*await asyncio.to_thread(self._store.spent, self._scope.loop, self._scope.window))
            chosen = affordable(free, spent, config)
            # One model a file: endpoints ask for that.
            for _, group in groupby(sorted(chosen, key=_file_of), key=_file_of):
                sized = ((want, want.size) for want in group)
                for portion in portions(sized, most=self._terms.most_requests, most_bytes=MOST_BYTES):
                    await self._send(portion, wants, tries)
        return Handing(len(chosen), next(iter(free[len(chosen) :]), None), spent)

    async def look(self, tokens: Iterable[str]) -> Standing:
        """Look at these batches, collect those that have ended, and say how the others stand."""
        states = await self._states(await self._known(tokens))
        for handed, state in states:
            if state.ended:
                async with self._turn():
                    await self._collect(self._lane(handed), handed, state)
        return _standing(states)

    async def standing(self, tokens: Iterable[str]) -> Standing:
        """How these batches stand; collects nothing. One of which nobody knows the id is for `look`, as if ended."""
        found = await asyncio.to_thread(self.records.batches, tokens)
        return _standing(await self._states([handed for handed in self._here(found) if handed.state == "open"]))

    async def _states(self, batches: Iterable[Handed]) -> list[tuple[Handed, BatchState]]:
        return [
            (handed, await self._lane(handed).endpoint.state(handed.batch, age=self._age(handed))) for handed in batches
        ]

    def _age(self, handed: Handed) -> float:
        return self._terms.clock() - handed.handed_in

    def _here(self, batches: Iterable[Handed]) -> list[Handed]:
        """Those of the endpoints that are configured now."""
        here = {lane.identity for lane in self._lanes.values()}
        return [handed for handed in batches if handed.endpoint in here]

    async def _known(self, tokens: Iterable[str]) -> list[Handed]:
        """Those of the batches that have not ended, all with their ids."""
        wanted = tuple(tokens)
        found = await asyncio.to_thread(self.records.batches, wanted)
        if any(handed.state == "sending" for handed in found):
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
        """Find out what became of batches whose sender died."""
        for identity in sorted({lane.identity for lane in self._lanes.values()}):
            for handed in await asyncio.to_thread(self.records.unfinished, identity):
                batch = await self._lane(handed).endpoint.find(handed.token, handed.handed_in)
                if batch is None:
                    await asyncio.to_thread(self.records.withdraw, handed.token)
                else:
                    await asyncio.to_thread(self.records.opened, handed.token, batch)

    def _free(self, wants: Iterable[Want]) -> tuple[list[Want], dict[str, int]]:
        """Those that nobody has asked or answered meanwhile, and in how many batches each was."""
        wanted = list(wants)
        keys = [want.key for want in wanted]
        asked, answered = self.records.find(keys), self._store.get_many(keys)
        free = [w for w in wanted if w.key not in answered and not (w.key in asked and asked[w.key].under_way)]
        return free, {key: found.tries for key, found in asked.items()}

    async def _send(self, part: Sequence[Want], wants: Wants, tries: Mapping[str, int]) -> None:
        """One batch of one stage and model."""
        lane = self._lanes[part[0].stage]
        handed = self._handed(part, lane)
        asked = [
            Asked(
                key=want.key,
                token=handed.token,
                tries=tries.get(want.key, 0) + 1,
                estimated_prompt=want.estimated_prompt,
                left_out=want.left_out,
            )
            for want in part
        ]
        await asyncio.to_thread(self.records.claim, handed, asked)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "requests.jsonl"
            wants.write(part, path)
            try:
                found = await lane.endpoint.hand_in(path, handed.token, handed.handed_in)
            except EndpointRefused:
                await asyncio.to_thread(self.records.withdraw, handed.token)
                raise
        if isinstance(found, Failure):
            # Not taken. Its requests count as tried: after `batch_tries` they are called directly.
            self.problems.append(found.message)
            await asyncio.to_thread(self.records.end, handed.token)
        else:
            await asyncio.to_thread(self.records.opened, handed.token, found)

    def _handed(self, part: Sequence[Want], lane: Lane) -> Handed:
        now, promised = self._terms.clock(), sum((want.expected for want in part), Amount())
        named = "\n".join((f"{now!r}", *(want.key for want in part)))
        return Handed(
            token=hashlib.sha256(named.encode()).hexdigest()[:32],
            endpoint=lane.identity,
            loop=self._scope.loop,
            of_window=self._scope.window,
            stage=part[0].stage,
            model=part[0].model,
            usd=promised.usd,
            tokens=promised.tokens,
            handed_in=now,
        )

    def _lane(self, handed: Handed) -> Lane:
        lane = self._lanes.get(handed.stage)
        if lane is not None and lane.identity == handed.endpoint:
            return lane
        return next(lane for lane in self._lanes.values() if lane.identity == handed.endpoint)

    async def _collect(self, lane: Lane, handed: Handed, state: BatchState) -> None:
        if not await asyncio.to_thread(self.records.batches, [handed.token]):
            return  # Another process was faster.
        if state.problem:
            self.problems.append(state.problem)
        with tempfile.TemporaryDirectory() as folder:
            for number, file in enumerate(state.files):
                path = Path(folder) / str(number)
                await lane.endpoint.download(file, path, age=self._age(handed))
                with path.open("rb") as lines:
                    while some := list(islice(lines, _SOME)):
                        await asyncio.to_thread(self._keep, lane, handed, some)
        await asyncio.to_thread(self.records.end, handed.token)

    def _keep(self, lane: Lane, handed: Handed, lines: Iterable[bytes]) -> None:
        """Store the answers of some lines, and note which requests would fail again; the others may be sent again."""
        entries = dict(found for line in lines if (found := read_line(line)))
        asked = {key: each for key, each in self.records.find(entries).items() if each.token == handed.token}
        replies, failed = dict[str, ChatReply](), dict[str, Failure]()
        price = price_of(handed.model, lane.config.prices)
        for key, each in asked.items():
            outcome = lane.endpoint.outcome(entries[key], estimated_prompt=each.estimated_prompt)
            if isinstance(outcome, ChatReply):
                tokens = outcome.prompt_tokens, outcome.completion_tokens
                cost = price.cost(*tokens, cached_tokens=outcome.cached_tokens, batch=True) if price else None
                replies[key] = outcome.model_copy(
                    update={"cost_usd": cost, "attempts": each.tries, "left_out": each.left_out}
                )
            elif course(outcome) != "retry":
                failed[key] = outcome
        self._book(handed, replies)
        self.records.settle(replies, failed)

    def _book(self, handed: Handed, replies: Mapping[str, ChatReply]) -> None:
        """Store and book them, but for those that a collection which was cut short has stored and booked."""
        known = self._store.get_many(list(replies))
        scope = LedgerScope(loop=handed.loop, window=handed.of_window)
        new = [
            Paid(key=key, reply=reply, scope=scope, stage=handed.stage, model=handed.model)
            for key, reply in replies.items()
            if known.get(key) != reply.model_copy(update={"cached": True})
        ]
        self._store.put_many(new)
        self.paid[f"{handed.stage} {handed.model}".strip()] += len(new)


def _file_of(want: Want) -> tuple[str, str]:
    return want.stage, want.model


def _standing(states: Iterable[tuple[Handed, BatchState]]) -> Standing:
    open_ = [(handed.token, state) for handed, state in states if not state.ended]
    return Standing(
        done=sum(state.done for _, state in open_),
        of=sum(state.of for _, state in open_),
        under_way=tuple(token for token, _ in open_),
    )
