"""A SQLite file that many processes open at a time: made once, and locks that die with their process."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sia_dagster.adapters.engine.store.batch_records import BATCH_TABLES

PATIENCE = 60.0
"""Seconds to wait for another process that is writing."""


_FORMAT = 2
"""2 has the tables of batches."""


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


def open_file(path: Path) -> sqlite3.Connection:
    """A connection for any thread to the store's file, which is made, with its folder, where there is none.

    Raises sqlite3.Error or OSError; a file of a newer format is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        # Turning on WAL is the one step in which SQLite does not wait for other processes.
        with closing(hold(Path(f"{path}.lock"), alone=True, patience=PATIENCE)):
            _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def hold(path: Path, *, alone: bool, patience: float) -> sqlite3.Connection:
    """Hold the lock that the file `path` stands for, alone or with others, until the connection is closed.

    Waits for `patience` seconds; sqlite3.OperationalError (SQLITE_BUSY) after that. The system lets go of it when
    the process dies.
    """
    lock = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
        lock.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        lock.close()
        raise
    return lock


def _prepare(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > _FORMAT:
        raise sqlite3.DatabaseError(f"it was written by a newer version of this package (format {found})")
    if found < _FORMAT:
        _create(db)


def _create(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in (_SCHEMA + BATCH_TABLES).split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
