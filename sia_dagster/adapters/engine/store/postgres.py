"""The completion store in a Postgres database, for many machines."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.engine.store.batch_records import BATCH_TABLES, PROMISED
from sia_dagster.adapters.engine.store.port import (
    Execute,
    LedgerScope,
    Paid,
    Result,
    StoredAnswer,
    StoredGroup,
    in_use,
    lines_of,
    read,
    written,
)
from sia_dagster.adapters.engine.store.postgres_session import PostgresSession, alone, end_of_turn, in_turn, pause, turn
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.spend import Spend

if TYPE_CHECKING:
    from sia_dagster.adapters.engine.store.postgres_session import Connection

_FORMAT = 1


_SOME = 1000
"""Rows in one trip."""


_SCHEMA = """
CREATE TABLE sia_completions (
    key text PRIMARY KEY,
    loop text NOT NULL, "window" text NOT NULL, stage text NOT NULL, model text NOT NULL,
    reply text NOT NULL, cost_usd double precision,
    paid_at timestamptz NOT NULL DEFAULT date_trunc('second', now())
);
CREATE TABLE sia_ledger (
    loop text NOT NULL, "window" text NOT NULL, stage text NOT NULL, model text NOT NULL,
    calls bigint NOT NULL, prompt_tokens bigint NOT NULL, completion_tokens bigint NOT NULL,
    cost_usd double precision NOT NULL, unpriced bigint NOT NULL,
    PRIMARY KEY (loop, "window", stage, model)
);
CREATE TABLE sia_completions_format (format integer NOT NULL);
"""


_KEEP = """
INSERT INTO sia_completions (key, loop, "window", stage, model, reply, cost_usd)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[])
    AS paid (key, loop, "window", stage, model, reply, cost_usd) ORDER BY key
ON CONFLICT (key) DO NOTHING RETURNING key
"""


_BOOK = """
INSERT INTO sia_ledger AS l VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (loop, "window", stage, model) DO UPDATE SET calls = l.calls + excluded.calls,
    prompt_tokens = l.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = l.completion_tokens + excluded.completion_tokens,
    cost_usd = l.cost_usd + excluded.cost_usd, unpriced = l.unpriced + excluded.unpriced
"""


_SPENT = """
SELECT COALESCE(SUM(cost_usd), 0.0), COALESCE(SUM(prompt_tokens + completion_tokens), 0)::bigint
FROM sia_ledger WHERE loop = %s AND "window" = %s
"""


_LEDGER = """
SELECT stage, model, calls, prompt_tokens, completion_tokens, cost_usd, unpriced
FROM sia_ledger WHERE loop = %s AND "window" = %s ORDER BY stage COLLATE "C", model COLLATE "C"
"""


_GROUPS = """
SELECT loop, "window", stage, model, COUNT(*), SUM(octet_length(reply))::bigint, COALESCE(SUM(cost_usd), 0.0),
    COUNT(*) - COUNT(cost_usd), MIN(paid_at), MAX(paid_at)
FROM sia_completions GROUP BY loop, "window", stage, model
ORDER BY loop COLLATE "C", "window" COLLATE "C", stage COLLATE "C", model COLLATE "C"
"""


_ANSWERS = """
SELECT key, loop, "window", stage, model, paid_at, reply FROM sia_completions
WHERE key COLLATE "C" > %s ORDER BY key COLLATE "C" LIMIT %s
"""


_PRUNE = 'DELETE FROM sia_completions WHERE loop = %s AND "window" = %s AND paid_at < %s'


class PostgresStore:
    """Plays `CompletionStore` for every machine that reaches the database (Postgres 13 or newer).

    An answer is committed before it is returned, as durably as the server's `synchronous_commit` says, and booked
    once, whatever becomes of the connection. The tables `sia_*` are made where there are none.
    """

    remote = True

    def __init__(self, address: str, *, limits: Path, wait: Callable[[float], object] = pause) -> None:
        """Connect to a `postgresql://` URL. `limits` is a local file; `wait` takes the seconds between two tries.

        Raises ConfigError for what is no address, SiaError where the database cannot be used.
        """
        self.limits = limits
        self._session = PostgresSession(address, wait=wait)
        self.name = self._session.name
        try:
            self._prepare()
        except BaseException:
            self._session.close()
            raise

    def get(self, key: str) -> ChatReply | None:
        """See `CompletionStore.get`."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """See `CompletionStore.get_many`."""
        return self._session.run("read", lambda db: _found(db, keys))

    def put(self, key: str, reply: ChatReply, *, scope: LedgerScope, stage: str, model: str) -> ChatReply:
        """See `CompletionStore.put`."""
        return self.put_many([Paid(key=key, reply=reply, scope=scope, stage=stage, model=model)])[0]

    def put_many(self, paid: Sequence[Paid]) -> list[ChatReply]:
        """See `CompletionStore.put_many`."""
        if not paid:
            return []
        return self._session.run("written", lambda db: _put(db, paid), after=lambda db: _held(db, paid))

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """See `CompletionStore.spent`."""
        query = f"SELECT * FROM ({_SPENT}) AS paid, ({PROMISED.replace('?', '%s')}) AS promised"
        ((usd, tokens, promised_usd, promised_tokens),) = self._rows(query, loop, window, loop, window)
        return usd + promised_usd, tokens + round(promised_tokens)

    def ledger(self, loop: str, window: str) -> dict[str, Spend]:
        """See `CompletionStore.ledger`."""
        return lines_of(self._rows(_LEDGER, loop, window))

    def transact(self, done: str, work: Callable[[Execute], Result]) -> Result:
        """See `CompletionStore.transact`."""
        return self._session.run(done, lambda db: work(lambda statement, values: _executed(db, statement, values)))

    def take_turn(self) -> bool:
        """See `CompletionStore.take_turn`; it ends with the connection."""
        return self._session.run("used", turn)

    def end_turn(self) -> None:
        """See `CompletionStore.end_turn`."""
        self._session.run("used", end_of_turn)

    def begin(self) -> None:
        """See `CompletionStore.begin`; waits while answers are pruned."""
        self._session.begin()

    def end(self) -> None:
        """See `CompletionStore.end`."""
        self._session.end()

    def close(self) -> None:
        """Close the connection. What was put is committed."""
        self._session.close()

    def size(self) -> int:
        """Bytes of the tables with their indexes."""
        sizes = "pg_total_relation_size('sia_completions') + pg_total_relation_size('sia_ledger')"
        return int(self._rows(f"SELECT {sizes}")[0][0])

    def groups(self) -> tuple[StoredGroup, ...]:
        """See `CompletionStore.groups`."""
        names = tuple(StoredGroup.model_fields)
        return tuple(StoredGroup.model_validate(dict(zip(names, row, strict=True))) for row in self._rows(_GROUPS))

    def answers(self) -> Iterator[StoredAnswer]:
        """See `CompletionStore.answers`."""
        last, names = "", tuple(StoredAnswer.model_fields)
        while rows := self._rows(_ANSWERS, last, _SOME):
            for *facts, reply in rows:
                yield StoredAnswer.model_validate(dict(zip(names, (*facts, read(reply)), strict=True)))
            last = rows[-1][0]

    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """See `CompletionStore.prune`; the server gives the room back in its own time."""
        return self._session.run("pruned", lambda db: self._prune(db, windows, before))

    def _prune(self, db: "Connection", windows: Sequence[LedgerScope], before: datetime) -> int:
        if not alone(db):
            raise in_use(self.name)
        return sum(db.execute(_PRUNE, (each.loop, each.window, before)).rowcount for each in windows)

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._session.run("read", lambda db: db.execute(query.encode(), values).fetchall())

    def _prepare(self) -> None:
        found = self._session.run("opened", _format) or self._session.run("opened", _create)
        if found > _FORMAT:
            raise SiaError(
                f"the completion store {self.name} cannot be opened: it was written by a newer version of this "
                f"package (format {found}). Update this one, or name another database."
            )


def _format(db: "Connection") -> int:
    """The format of the tables; 0 where there are none."""
    # Not to_regclass: it may go by what this connection knew before another made the tables.
    there = "SELECT FROM pg_class WHERE relname = 'sia_completions_format' AND pg_table_is_visible(oid)"
    if db.execute(there).fetchone() is None:
        return 0
    row = db.execute("SELECT format FROM sia_completions_format").fetchone()
    return int(row[0]) if row else 0


def _create(db: "Connection") -> int:
    in_turn(db)
    if found := _format(db):
        return found
    db.execute((_SCHEMA + BATCH_TABLES).encode())
    db.execute("INSERT INTO sia_completions_format VALUES (%s)", (_FORMAT,))
    return _FORMAT


def _executed(db: "Connection", statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    cursor = db.execute(statement.replace("?", "%s").encode(), values)
    return cursor.fetchall() if cursor.description else []


def _found(db: "Connection", keys: Sequence[str]) -> dict[str, ChatReply]:
    rows = db.execute("SELECT key, reply FROM sia_completions WHERE key = ANY(%s)", (list(keys),)).fetchall()
    return {key: read(reply) for key, reply in rows}


def _put(db: "Connection", paid: Sequence[Paid]) -> list[ChatReply]:
    """Keep and book. Both in one order everywhere, the ledger's few lines last, so that machines rarely wait."""
    columns = [(each.key, *each.line, written(each.reply), each.reply.cost_usd) for each in paid]
    kept = {row[0] for row in db.execute(_KEEP, [list(column) for column in zip(*columns, strict=True)]).fetchall()}
    lines: dict[tuple[str, ...], list[float]] = {}
    for each in paid:
        used = (1, *each.used)
        lines[each.line] = [a + b for a, b in zip(lines.get(each.line, [0] * len(used)), used, strict=True)]
    for line, sums in sorted(lines.items()):
        db.execute(_BOOK, (*line, *sums))
    if len(kept) == len(paid):
        return [each.reply for each in paid]
    return _held(db, paid, kept)


def _held(db: "Connection", paid: Sequence[Paid], kept: set[str] | None = None) -> list[ChatReply]:
    """The answers that hold; those of `kept`, or without it those that read as `paid` has them, are not others'."""
    found = _found(db, [each.key for each in paid])
    result = []
    for each in paid:
        held = found[each.key]
        own = held == each.reply.model_copy(update={"cached": True}) and (kept is None or each.key in kept)
        result.append(each.reply if own else held)
    return result
