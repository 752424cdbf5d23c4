"""The completion store in one SQLite file, for every process of a machine."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path

import sqlalchemy as sa

from sia_dagster.adapters.engine.store.completion_store import Action, CompletionStore, Result, Work
from sia_dagster.adapters.engine.store.store_sql import StoreSql
from sia_dagster.adapters.engine.store.stored_values import LedgerScope

FORMAT = 2
"""2 has the tables of batches."""

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that is writing."""


class SqliteStore(CompletionStore):
    """The store for one machine.

    The file is in WAL mode with `synchronous=NORMAL`: a commit is in the operating system's hands before `put`
    returns, so that a killed process loses nothing, and costs some 0.2 ms in the event loop. Commits of several answers
    at once would save most of that, but keep answers waiting. A power cut can lose the last seconds (which are then
    paid again), never break the file. FULL would close that gap for an fsync a call. WAL needs a local disk, not a
    network share. Beside the file stand SQLite's own `-wal` and `-shm`, and empty files for locks.
    """

    remote = False
    hint = (
        "Check that it is a completion store on a local disk with free space and write permission. Without it its "
        "answers are paid for again."
    )

    def __init__(self, path: Path | str) -> None:
        """Open or create the file and its folder. Raises SiaError where that cannot be."""
        self.sql = _sql()
        self.path = Path(path)
        self.name = str(self.path)
        self.limits = Path(f"{self.path}.limits")
        self._lock = threading.Lock()
        self._uses: list[sqlite3.Connection] = []
        self._turn: sqlite3.Connection | None = None
        with self._explained("opened"):
            self._db = self._opened()

    def transact(self, action: Action, work: Work[Result], *, after: Work[Result] | None = None) -> Result:
        """See `CompletionStore.transact`. The end of a file's commit is always seen, so that `after` is not needed."""
        with self._explained(action), self._lock, self._db.begin():
            if action != "read":
                self._db.exec_driver_sql("BEGIN IMMEDIATE")
            return work(self._db)

    def take_turn(self) -> bool:
        """See `CompletionStore.take_turn`; the lock is a file beside the store's."""
        with self._explained("used"):
            turn = self._hold_if_free("batches")
        self._turn = turn or self._turn
        return turn is not None

    def end_turn(self) -> None:
        """See `CompletionStore.end_turn`."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close()

    def begin(self) -> None:
        """See `CompletionStore.begin`; waits while answers are pruned."""
        with self._explained("used"):
            self._uses.append(self._hold("use", alone=False))

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

    def prune(self, windows: Sequence[LedgerScope], *, before: datetime) -> int:
        """See `CompletionStore.prune`; the file is made smaller, too."""
        at = before.strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._explained("pruned"):
            alone = self._hold_if_free("use")
            if alone is None:
                raise self._in_use()
            with closing(alone):
                dropped = self.transact("pruned", lambda db: self._drop(db, windows, at))
                with self._lock, self._db.begin():
                    self._db.exec_driver_sql("VACUUM")
                    self._db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
        return dropped

    def _opened(self) -> sa.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = _engine(self.path).connect()
        try:
            # Turning on WAL is the one step in which SQLite does not wait for other processes.
            with closing(self._hold("lock", alone=True)), db.begin():
                self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sa.Connection) -> None:
        db.exec_driver_sql("PRAGMA synchronous = NORMAL")
        found = db.exec_driver_sql("PRAGMA user_version").scalar_one()
        self._check_format(found, FORMAT)
        if found < FORMAT:
            db.exec_driver_sql("PRAGMA journal_mode = WAL").close()
            db.exec_driver_sql("BEGIN IMMEDIATE")
            self.sql.metadata.create_all(db)
            db.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")

    def _hold(self, purpose: str, *, alone: bool, timeout: float = LOCK_TIMEOUT) -> sqlite3.Connection:
        """Hold a lock, a file beside the store's, alone or with others, until the connection is closed.

        Waits for `timeout` seconds; sqlite3.OperationalError (SQLITE_BUSY) after that. The system lets go of it when
        the process dies.
        """
        lock = _connected(Path(f"{self.path}.{purpose}"), timeout)
        try:
            lock.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
            lock.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        except BaseException:
            lock.close()
            raise
        return lock

    def _hold_if_free(self, purpose: str) -> sqlite3.Connection | None:
        try:
            return self._hold(purpose, alone=True, timeout=0.0)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise
            return None

    @contextmanager
    def _explained(self, action: Action) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._failed(action, error) from error


@cache
def _sql() -> StoreSql:
    return StoreSql("sqlite")


@lru_cache(maxsize=8)
def _engine(path: Path) -> sa.Engine:
    """Kept, as the tables are: every stage of a window opens the store, and an engine compiles each statement once."""
    return sa.create_engine("sqlite://", creator=lambda: _connected(path), poolclass=sa.NullPool, hide_parameters=True)


def _connected(path: Path, timeout: float = LOCK_TIMEOUT) -> sqlite3.Connection:
    """A connection for any thread, which begins no transaction by itself."""
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
