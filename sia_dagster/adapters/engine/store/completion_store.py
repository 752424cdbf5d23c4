"""The completion store: every paid answer under what was asked, so that nothing is paid for twice."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from sia_dagster.adapters.engine.store.stored_values import LedgerScope, Paid, StoredAnswer, StoredGroup
from sia_dagster.adapters.engine.wire.completions import as_answer
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.spend import Spend, spend_key

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

    from sia_dagster.adapters.engine.store.store_sql import StoreSql

Action = Literal["opened", "read", "written", "used", "pruned"]
"""What an error says could not be done."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[["Connection"], Result]
"""Executes the statements of one transaction."""


class CompletionStore(ABC):
    """A durable map from request to answer, and what each window paid. Safe for threads, processes and machines.

    What is here holds for both databases, which add connection and locks. Every method raises SiaError, with the place
    and what to check, where the store cannot be used.
    """

    remote: ClassVar[bool]
    """Whether a call waits for a network, for which an event loop should not stand still."""

    hint: ClassVar[str]
    """What to check where the store cannot be used."""

    name: str
    """The place as people may see it: without a password."""

    limits: Path
    """The file in which this machine's users of the store share their rate limits."""

    sql: "StoreSql"

    @abstractmethod
    def transact(self, action: Action, work: Work[Result], *, after: Work[Result] | None = None) -> Result:
        """What `work` returns, in one transaction; work that is `read` changes nothing.

        Where the connection is lost the work may be done again after it went through: it has to bear that. With
        `after` it happens once: where a commit whose end was not seen turns out to have gone through, `after` finds
        the result instead of a second run.
        """

    @abstractmethod
    def take_turn(self) -> bool:
        """Become the one user of the store that hands in or collects batches; False where another is.

        Ends with `end_turn`, with the process, or with a connection that is lost.
        """

    @abstractmethod
    def end_turn(self) -> None:
        """Let others hand in and collect."""

    @abstractmethod
    def begin(self) -> None:
        """Say that a stage works with the answers: until `end`, or the process's death, nothing is pruned.

        Waits while answers are pruned.
        """

    @abstractmethod
    def end(self) -> None:
        """The stage is over."""

    @abstractmethod
    def close(self) -> None:
        """Close it. What was put is already in it."""

    @abstractmethod
    def size(self) -> int:
        """Bytes on the disk, answers and ledger."""

    @abstractmethod
    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """Drop the answers of these windows that were paid for before that; how many there were.

        The ledger stays. Raises SiaError, and drops nothing, while a stage works with the store.
        """

    def get(self, key: str) -> ChatReply | None:
        """The stored answer with `cached=True`, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """The stored answers of those keys that have one."""
        return self.transact("read", lambda db: self._found(db, keys))

    def usable(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """`get_many` without failed generations, which earlier versions stored; the next answer replaces them."""
        found = self.get_many(keys)
        return {key: answer for key, reply in found.items() if (answer := as_answer(reply)) is not None}

    def put(self, key: str, reply: ChatReply, *, scope: LedgerScope, stage: str, model: str) -> ChatReply:
        """Keep an answer that was just paid for, and book it; both are durable when this returns.

        Returns the answer that holds from now on: `reply`, or the one that somebody else stored under `key` first
        (`cached=True`). Both were paid for, so both are booked.
        """
        return self.put_many([Paid(key=key, reply=reply, scope=scope, stage=stage, model=model)])[0]

    def put_many(self, paid: Sequence[Paid]) -> list[ChatReply]:
        """`put` for each in order, all of them or none."""
        if not paid:
            return []
        return self.transact("written", lambda db: self._put(db, paid), after=lambda db: self._valid(db, paid))

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """USD and tokens that a window has paid so far, in this and earlier runs, over all stages.

        With them what was reserved for the batches that are under way. Calls of models without a price count as
        tokens alone.
        """
        values = {"loop": loop, "window": window}
        usd, tokens, reserved = self.transact("read", lambda db: db.execute(self.sql.spent, values).one())
        return float(usd), int(tokens) + round(reserved)

    def ledger(self, loop: str, window: str) -> dict[str, Spend]:
        """What a window has paid so far, by stage and model (`judge gpt-4o-mini`), in that order."""
        found = {}
        for row in sorted(self._rows(self.sql.lines(loop, window))):
            cost = None if row.unpriced else round(row.cost_usd, 9)
            tokens = {"prompt_tokens": row.prompt_tokens, "completion_tokens": row.completion_tokens}
            found[spend_key(row.stage, row.model)] = Spend(calls=row.calls, **tokens, cost_usd=cost)
        return found

    def groups(self) -> tuple[StoredGroup, ...]:
        """What is stored, by loop, window, stage and model, in that order."""
        return tuple(StoredGroup.model_validate(row._asdict()) for row in sorted(self._rows(self.sql.groups())))

    def answers(self) -> Iterator[StoredAnswer]:
        """Every stored answer in the order of the keys, a few at a time."""
        last = ""
        while rows := self._rows(self.sql.page(last)):
            for row in rows:
                facts = {name: getattr(row, name) for name in StoredAnswer.model_fields}
                yield StoredAnswer.model_validate({**facts, "reply": _stored(row.reply)})
            last = rows[-1].key

    def _rows(self, query: "Select[Any]") -> "Sequence[Row[Any]]":
        return self.transact("read", lambda db: db.execute(query).all())

    def _found(self, db: "Connection", keys: Iterable[str]) -> dict[str, ChatReply]:
        rows = (row for some in chunks(keys) for row in db.execute(self.sql.find, {"keys": some}))
        return {key: _stored(text) for key, text in rows}

    def _put(self, db: "Connection", paid: Sequence[Paid]) -> list[ChatReply]:
        """Keep and book. Both in one order everywhere, the ledger's few lines last, so that machines rarely wait."""
        answers = sorted((each for each in paid if each.answered), key=lambda each: each.key)
        kept = self.sql.keep(db, [each.row for each in answers])
        if len(kept) < len(answers):
            kept |= self._replaced(db, [each for each in answers if each.key not in kept])
        lines: dict[tuple[str, ...], dict[str, Any]] = {}
        for each in paid:
            line = lines.setdefault(tuple(each.line.values()), {**each.line, **dict.fromkeys(each.used, 0)})
            line.update({name: line[name] + value for name, value in each.used.items()})
        db.execute(self.sql.book, [line for _, line in sorted(lines.items())])
        return [each.reply for each in paid] if len(kept) == len(answers) else self._valid(db, paid, kept)

    def _replaced(self, db: "Connection", answers: Sequence[Paid]) -> set[str]:
        """Put answers in place of failed generations that earlier versions stored; the keys of those replaced."""
        stale = set[str]()
        for some in chunks(each.key for each in answers if as_answer(each.reply) is not None):
            for key, text in db.execute(self.sql.find, {"keys": some}):
                if as_answer(_stored(text)) is None and self.sql.discard(db, key, text):
                    stale.add(key)
        return self.sql.keep(db, [each.row for each in answers if each.key in stale])

    def _valid(self, db: "Connection", paid: Sequence[Paid], kept: set[str] | None = None) -> list[ChatReply]:
        """The answers that hold. Own are those of `kept`, without it those that read as `paid` has them."""
        found = self._found(db, [each.key for each in paid])
        result = []
        for each in paid:
            stored = found.get(each.key, each.reply)
            same = stored == each.reply.model_copy(update={"cached": True}) and (kept is None or each.key in kept)
            own = same or not each.answered
            result.append(each.reply if own else stored)
        return result

    def _drop(self, db: "Connection", windows: Sequence[LedgerScope], before: object) -> int:
        return sum(db.execute(self.sql.drop(each.loop, each.window, before)).rowcount for each in windows)

    def _failed(self, action: Action, error: Exception) -> SiaError:
        """The error in the database's own words, without the statement and its values."""
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        return SiaError(f"the completion store {self.name} cannot be {action}: {cause}. {self.hint}")

    def _check_format(self, found: int, ours: int) -> None:
        if found > ours:
            raise SiaError(
                f"the completion store {self.name} cannot be opened: it was written by a newer version of this package "
                f"(format {found}). Update this one, or name another store."
            )

    def _in_use(self) -> SiaError:
        return SiaError(
            f"the completion store {self.name} is in use: a stage of a window works with its answers. Nothing was "
            "pruned; try again when no window is running."
        )


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in order, as many at a time as keys may stand in one statement and answers in memory."""
    left = iter(items)
    while some := list(islice(left, 1000)):
        yield some


def _stored(text: str) -> ChatReply:
    return ChatReply.model_validate_json(text).model_copy(update={"cached": True})
