"""The role of the completion store: every paid answer under what was asked, so that nothing is paid for twice."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value

Result = TypeVar("Result")


Execute = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs one statement, with a `?` for each value; returns its rows, none where it has none."""


class LedgerScope(Value):
    """Whose budget a call is booked on."""

    loop: str
    window: str
    """The partition key."""


class Paid(Value):
    """An answer that was just paid for, and where it is booked."""

    key: str
    reply: ChatReply
    scope: LedgerScope
    stage: str
    model: str

    @property
    def line(self) -> tuple[str, str, str, str]:
        """Loop, window, stage and model: the line of the ledger."""
        return self.scope.loop, self.scope.window, self.stage, self.model

    @property
    def used(self) -> tuple[int, int, float, int]:
        """What the line grows by: tokens of prompt and completion, USD, and whether the price is unknown."""
        reply = self.reply
        return reply.prompt_tokens, reply.completion_tokens, reply.cost_usd or 0.0, reply.cost_usd is None


class StoredGroup(Value):
    """The answers that one window paid for in one stage and model."""

    loop: str
    window: str
    stage: str
    model: str
    answers: int
    size: int
    """Bytes of their text."""
    cost_usd: float
    """What they cost, those without a price left out: what running them again does not."""
    unpriced: int
    """How many have no price."""
    oldest: datetime
    newest: datetime


class StoredAnswer(Value):
    """One answer with who paid for it. What was asked is not stored, only its hash, the key."""

    key: str
    loop: str
    window: str
    stage: str
    model: str
    paid_at: datetime
    reply: ChatReply


class CompletionStore(Protocol):
    """A durable map from request to answer, and what each window paid. Safe for threads, processes and machines.

    Every method raises SiaError, with the place and what to check, where the store cannot be used.
    """

    @property
    def name(self) -> str:
        """The place as people may see it: without a password."""

    @property
    def remote(self) -> bool:
        """Whether a call waits for a network, for which an event loop should not stand still."""

    @property
    def limits(self) -> Path:
        """The file in which this machine's users of the store share their rate limits."""

    def get(self, key: str) -> ChatReply | None:
        """The stored answer with `cached=True`, or None."""

    def get_many(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """The stored answers of those keys that have one."""

    def put(self, key: str, reply: ChatReply, *, scope: LedgerScope, stage: str, model: str) -> ChatReply:
        """Keep an answer that was just paid for, and book it; both are durable when this returns.

        Returns the answer that holds from now on: `reply`, or the one that somebody else stored under `key` first
        (`cached=True`). Both were paid for, so both are booked.
        """

    def put_many(self, paid: Sequence[Paid]) -> list[ChatReply]:
        """`put` for each in order, all of them or none."""

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """USD and tokens that a window has paid so far, in this and earlier runs, over all stages.

        With them what was reserved for the batches that are under way. Calls of models without a price count as
        tokens alone.
        """

    def ledger(self, loop: str, window: str) -> dict[str, Spend]:
        """What a window has paid so far, by stage and model (`judge gpt-4o-mini`), in that order."""

    def transact(self, done: str, work: Callable[[Execute], Result]) -> Result:
        """What `work` returns, in one transaction; `done` says in an error what could not be (`read`).

        Where the connection is lost the work may be done again after it went through: it has to bear that.
        """

    def take_turn(self) -> bool:
        """Become the one user of the store that hands in or collects batches; False where another is.

        Ends with `end_turn`, or with the process.
        """

    def end_turn(self) -> None:
        """Let others hand in and collect."""

    def begin(self) -> None:
        """Say that a stage works with the answers: until `end`, or the process's death, nothing is pruned."""

    def end(self) -> None:
        """The stage is over."""

    def close(self) -> None:
        """Close it. What was put is already in it."""

    def size(self) -> int:
        """Bytes on the disk, answers and ledger."""

    def groups(self) -> tuple[StoredGroup, ...]:
        """What is stored, by loop, window, stage and model, in that order."""

    def answers(self) -> Iterator[StoredAnswer]:
        """Every stored answer in the order of the keys, a few at a time."""

    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """Drop the answers of these windows that were paid for before that; how many there were.

        The ledger stays. Raises SiaError, and drops nothing, while a stage works with the store.
        """


def request_key(endpoint: str, request: ChatRequest) -> str:
    """SHA-256 of endpoint, model, messages, parameters, tools, response format and draw; not of the stage.

    Key order does not matter, save in schemas: there the order of the properties is the order of the answer.
    """
    asked = {"endpoint": endpoint, "model": request.model, "draw": request.draw}
    said = {"messages": request.messages, "parameters": request.parameters}
    schemas = {"tools": request.tools, "response_format": request.response_format}
    text = json.dumps(asked | said, sort_keys=True) + json.dumps(schemas)
    return hashlib.sha256(text.encode()).hexdigest()


def written(reply: ChatReply) -> str:
    """The reply as stores keep it: JSON in which no character needs more than the text of a database."""
    return reply.model_dump_json(exclude={"cached"})


def read(text: str) -> ChatReply:
    """The reply that `written` wrote, marked as stored."""
    return ChatReply.model_validate_json(text).model_copy(update={"cached": True})


def lines_of(rows: Iterable[Sequence[object]]) -> dict[str, Spend]:
    """The ledger from rows of stage, model, calls, tokens of prompt and completion, USD and calls without a price."""
    found = {}
    for stage, model, calls, prompt, completion, usd, unpriced in rows:
        spend = {"calls": calls, "prompt_tokens": prompt, "completion_tokens": completion}
        cost = None if unpriced else round(float(str(usd)), 9)
        found[f"{stage} {model}"] = Spend.model_validate({**spend, "cost_usd": cost})
    return found


def older_windows(groups: Iterable[StoredGroup], *, before: datetime, loop: str | None = None) -> list[LedgerScope]:
    """The windows (of `loop`, or of all) whose newest answer was paid for before that, in order.

    A window's answers go together: one that is being run, or was run again lately, keeps all of them.
    """
    newest: dict[tuple[str, str], datetime] = {}
    for group in groups:
        window = group.loop, group.window
        newest[window] = max(group.newest, newest.get(window, group.newest))
    old = sorted(window for window, at in newest.items() if at < before and loop in (None, window[0]))
    return [LedgerScope(loop=name, window=window) for name, window in old]


def in_use(name: str) -> SiaError:
    """The error for a store that a stage works with."""
    return SiaError(
        f"the completion store {name} is in use: a stage of a window works with its answers. Nothing was pruned; try "
        "again when no window is running."
    )
