"""The completion store in one SQLite file, for every process of a machine."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from sia_dagster.adapters.engine.store.batch_records import PROMISED
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
from sia_dagster.adapters.engine.store.sqlite_file import PATIENCE, hold, open_file
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.spend import Spend

_SOME = 1000
"""Rows, or keys, in one statement."""


_BOOK = """
INSERT INTO ledger VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + 1, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    cost_usd = cost_usd + excluded.cost_usd, unpriced = unpriced + excluded.unpriced
"""


_KEEP = "INSERT OR IGNORE INTO completions (key, loop, window, stage, model, reply) VALUES (?, ?, ?, ?, ?, ?)"


_SPENT = """
SELECT COALESCE(SUM(cost_usd), 0.0), COALESCE(SUM(prompt_tokens + completion_tokens), 0)
FROM ledger WHERE loop = ? AND window = ?
"""


_LEDGER = """
SELECT stage, model, calls, prompt_tokens, completion_tokens, cost_usd, unpriced
FROM ledger WHERE loop = ? AND window = ? ORDER BY stage, model
"""


_GROUPS = """
SELECT loop, window, stage, model, COUNT(*) AS answers, SUM(LENGTH(CAST(reply AS BLOB))) AS size,
    TOTAL(json_extract(reply, '$.cost_usd')) AS cost_usd,
    SUM(json_extract(reply, '$.cost_usd') IS NULL) AS unpriced, MIN(paid_at) AS oldest, MAX(paid_at) AS newest
FROM completions GROUP BY loop, window, stage, model ORDER BY loop, window, stage, model
"""


_ANSWERS = """
SELECT key, loop, window, stage, model, paid_at, reply FROM completions WHERE key > ? ORDER BY key LIMIT ?
"""


_PRUNE = "DELETE FROM completions WHERE loop = ? AND window = ? AND paid_at < ?"


class SqliteStore:
    """Plays `CompletionStore` for one machine.

    The file is in WAL mode with `synchronous=NORMAL`: a commit is in the operating system's hands before `put`
    returns, so that a killed process loses nothing, and costs some 50 microseconds in the event loop. Commits of
    several answers at once would save 20 of them, a hundredth of what a call costs, and keep answers waiting. A
    power cut can lose the last seconds (which are then paid again), never break the file. FULL would close that gap
    for an fsync a call. WAL needs a local disk, not a network share. Beside the file stand SQLite's own `-wal` and
    `-shm`, and two empty files for locks.
    """

    remote = False

    def __init__(self, path: Path | str) -> None:
        """Open or create the file and its folder. Raises SiaError where that cannot be."""
        self.path = Path(path)
        self._lock = threading.Lock()
        self._uses: list[sqlite3.Connection] = []
        self._turn: sqlite3.Connection | None = None
        with self._explained("opened"):
            self._db = open_file(self.path)

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def limits(self) -> Path:
        """Beside the file."""
        return Path(f"{self.path}.limits")

    def get(self, key: str) -> ChatReply | None:
        """See `CompletionStore.get`."""
        with self._explained("read"), self._lock:
            row = self._db.execute("SELECT reply FROM completions WHERE key = ?", (key,)).fetchone()
        return read(row[0]) if row else None

    def get_many(self, keys: Sequence[str]) -> dict[str, ChatReply]:
        """See `CompletionStore.get_many`."""
        found = ((key, self.get(key)) for key in keys)
        return {key: reply for key, reply in found if reply is not None}

    def put(self, key: str, reply: ChatReply, *, scope: LedgerScope, stage: str, model: str) -> ChatReply:
        """See `CompletionStore.put`."""
        return self.put_many([Paid(key=key, reply=reply, scope=scope, stage=stage, model=model)])[0]

    def put_many(self, paid: Sequence[Paid]) -> list[ChatReply]:
        """See `CompletionStore.put_many`."""
        with self._explained("written"), self._lock, self._transaction():
            return [self._put(each) for each in paid]

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """See `CompletionStore.spent`."""
        with self._explained("read"), self._lock:
            # One statement: between two another process may turn what was promised into what is paid.
            both = f"SELECT * FROM ({_SPENT}), ({PROMISED})"
            usd, tokens, promised_usd, promised_tokens = self._db.execute(both, (loop, window) * 2).fetchone()
        return usd + promised_usd, tokens + round(promised_tokens)

    def ledger(self, loop: str, window: str) -> dict[str, Spend]:
        """See `CompletionStore.ledger`."""
        with self._explained("read"), self._lock:
            return lines_of(self._db.execute(_LEDGER, (loop, window)).fetchall())

    def transact(self, done: str, work: Callable[[Execute], Result]) -> Result:
        """See `CompletionStore.transact`."""
        with self._explained(done), self._lock, self._transaction():
            return work(lambda statement, values: self._db.execute(statement, values).fetchall())

    def take_turn(self) -> bool:
        """See `CompletionStore.take_turn`; the lock is a file beside the store's."""
        with self._explained("used"):
            try:
                self._turn = hold(Path(f"{self.path}.batches"), alone=True, patience=0.0)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY":
                    raise
                return False
        return True

    def end_turn(self) -> None:
        """See `CompletionStore.end_turn`."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close()

    def begin(self) -> None:
        """See `CompletionStore.begin`; waits while answers are pruned."""
        with self._explained("used"):
            self._uses.append(hold(Path(f"{self.path}.use"), alone=False, patience=PATIENCE))

    def end(self) -> None:
        """See `CompletionStore.end`."""
        if self._uses:  # None are left where it was closed meanwhile.
            self._uses.pop().close()

    def close(self) -> None:
        """Close the file and let go of its locks. What was put is already in it."""
        self.end_turn()
        while self._uses:
            self.end()
        with self._lock:
            self._db.close()

    def size(self) -> int:
        """Bytes of the file and of what SQLite has not moved into it yet."""
        files = (self.path, Path(f"{self.path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def groups(self) -> tuple[StoredGroup, ...]:
        """See `CompletionStore.groups`."""
        with self._explained("read"), self._lock:
            found = self._db.execute(_GROUPS)
            names = [column[0] for column in found.description]
            return tuple(StoredGroup.model_validate(dict(zip(names, row, strict=True))) for row in found)

    def answers(self) -> Iterator[StoredAnswer]:
        """See `CompletionStore.answers`."""
        last = ""
        while rows := self._rows(last):
            for key, loop, window, stage, model, paid_at, reply in rows:
                facts = {"key": key, "loop": loop, "window": window, "stage": stage, "model": model}
                yield StoredAnswer.model_validate({**facts, "paid_at": paid_at, "reply": read(reply)})
            last = rows[-1][0]

    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """See `CompletionStore.prune`; the file is made smaller, too."""
        at = before.strftime("%Y-%m-%dT%H:%M:%SZ")
        asked = [(each.loop, each.window, at) for each in windows]
        with self._explained("pruned"), closing(self._alone()), self._lock:
            with self._transaction():
                dropped = sum(self._db.execute(_PRUNE, each).rowcount for each in asked)
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped

    def _put(self, paid: Paid) -> ChatReply:
        self._db.execute(_BOOK, (*paid.line, *paid.used))
        if self._db.execute(_KEEP, (paid.key, *paid.line, written(paid.reply))).rowcount:
            return paid.reply
        row = self._db.execute("SELECT reply FROM completions WHERE key = ?", (paid.key,)).fetchone()
        return read(row[0])

    def _rows(self, after: str) -> list[tuple[str, ...]]:
        with self._explained("read"), self._lock:
            return self._db.execute(_ANSWERS, (after, _SOME)).fetchall()

    def _alone(self) -> sqlite3.Connection:
        try:
            return hold(Path(f"{self.path}.use"), alone=True, patience=0.0)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise
            raise in_use(self.name) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise SiaError(
                f"the completion store {self.path} cannot be {done}: {error}. Check that it is a file of this package "
                "on a local disk with room and write permission; moved away, its answers are paid for again."
            ) from error
