"""Every answer that was paid for, kept in one SQLite file, so that nothing is paid for twice."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sia_dagster.core.errors import SiaError
from sia_dagster.core.models import Spend, Value
from sia_dagster.core.ports import ChatReply, ChatRequest

_VERSION = 1
_PATIENCE = 60.0
"""Seconds to wait for another process that is writing."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    key TEXT PRIMARY KEY,
    loop TEXT NOT NULL, window TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    reply TEXT NOT NULL,
    paid_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE TABLE IF NOT EXISTS ledger (
    loop TEXT NOT NULL, window TEXT NOT NULL, stage TEXT NOT NULL, model TEXT NOT NULL,
    calls INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL, unpriced INTEGER NOT NULL,
    PRIMARY KEY (loop, window, stage, model)
);
"""
_BOOK = """
INSERT INTO ledger VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + 1, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens,
    cost_usd = cost_usd + excluded.cost_usd, unpriced = unpriced + excluded.unpriced
"""
_KEEP = "INSERT OR IGNORE INTO completions (key, loop, window, stage, model, reply) VALUES (?, ?, ?, ?, ?, ?)"


class LedgerScope(Value):
    """Whose budget a call is booked on."""

    loop: str
    window: str
    """The partition key."""


def request_key(endpoint: str, request: ChatRequest) -> str:
    """SHA-256 of endpoint, model, messages, parameters, tools, response format and draw; not of the stage.

    Key order does not matter, save in schemas: there the order of the properties is the order of the answer.
    """
    asked = {"endpoint": endpoint, "model": request.model, "draw": request.draw}
    said = {"messages": request.messages, "parameters": request.parameters}
    schemas = {"tools": request.tools, "response_format": request.response_format}
    text = json.dumps(asked | said, sort_keys=True) + json.dumps(schemas)
    return hashlib.sha256(text.encode()).hexdigest()


class CompletionStore:
    """A durable map from request to answer, and what each window paid. Safe for threads and processes.

    The file is in WAL mode with `synchronous=NORMAL`: a commit is in the operating system's hands before `put`
    returns, so that a killed process loses nothing, and costs some 50 microseconds in the event loop. A power cut
    can lose the last seconds (which are then paid again), never break the file. FULL would close that gap for an
    fsync a call. WAL needs a local disk, not a network share. Beside the file stand SQLite's own `-wal` and `-shm`,
    and an empty `.lock`.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create the file and its folder. Raises SiaError where that cannot be."""
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._explained("opened"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def get(self, key: str) -> ChatReply | None:
        """The stored answer with `cached=True`, or None."""
        with self._explained("read"), self._lock:
            row = self._db.execute("SELECT reply FROM completions WHERE key = ?", (key,)).fetchone()
        return _reply(row[0]) if row else None

    def put(self, key: str, reply: ChatReply, *, scope: LedgerScope, stage: str, model: str) -> ChatReply:
        """Keep an answer that was just paid for, and book it; both are committed when this returns.

        Returns the answer that holds from now on: `reply`, or the one that another process stored under `key`
        first (`cached=True`). Both were paid for, so both are booked.
        """
        where = (scope.loop, scope.window, stage, model)
        used = (reply.prompt_tokens, reply.completion_tokens, reply.cost_usd or 0.0, reply.cost_usd is None)
        text = reply.model_dump_json(exclude={"cached"})
        with self._explained("written"), self._lock, self._transaction():
            self._db.execute(_BOOK, (*where, *used))
            if self._db.execute(_KEEP, (key, *where, text)).rowcount:
                return reply
            row = self._db.execute("SELECT reply FROM completions WHERE key = ?", (key,)).fetchone()
        return _reply(row[0])

    def spent(self, loop: str, window: str) -> tuple[float, int]:
        """USD and tokens that a window has paid so far, in this and earlier runs, over all stages.

        Calls of models without a price count as tokens alone.
        """
        query = (
            "SELECT COALESCE(SUM(cost_usd), 0.0), COALESCE(SUM(prompt_tokens + completion_tokens), 0) "
            "FROM ledger WHERE loop = ? AND window = ?"
        )
        with self._explained("read"), self._lock:
            usd, tokens = self._db.execute(query, (loop, window)).fetchone()
        return usd, tokens

    def ledger(self, loop: str, window: str) -> dict[str, Spend]:
        """What a window has paid so far, by stage and model (`judge gpt-4o-mini`), in that order."""
        query = (
            "SELECT stage || ' ' || model, calls, prompt_tokens, completion_tokens, cost_usd, unpriced "
            "FROM ledger WHERE loop = ? AND window = ? ORDER BY stage, model"
        )
        with self._explained("read"), self._lock:
            rows = self._db.execute(query, (loop, window)).fetchall()
        return {
            line: Spend(
                calls=calls,
                prompt_tokens=prompt,
                completion_tokens=completion,
                cost_usd=None if unpriced else round(usd, 9),
            )
            for line, calls, prompt, completion, usd, unpriced in rows
        }

    def close(self) -> None:
        """Close the file. What was put is already in it."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._alone():
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found > _VERSION:
                raise sqlite3.DatabaseError(f"it was written by a newer version of this package (format {found})")
            if found < _VERSION:
                self._create()

    def _create(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        with self._transaction():
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock file: turning on WAL is the one step in which SQLite does not wait for other processes."""
        lock = sqlite3.connect(f"{self.path}.lock", timeout=_PATIENCE, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            lock.close()

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


def _reply(text: str) -> ChatReply:
    return ChatReply.model_validate_json(text).model_copy(update={"cached": True})
