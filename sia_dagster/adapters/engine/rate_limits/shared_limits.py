"""Requests and tokens a minute, shared by all processes of this machine that use one endpoint with one key."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sia_dagster.adapters.engine.rate_limits.rate_schedule import FreeTimes, Rates, plan, valid
from sia_dagster.core.errors import SiaError

_LOCK_TIMEOUT = 30.0
"""Seconds to wait for another process that is writing."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS free (account TEXT PRIMARY KEY, requests REAL, tokens REAL, written REAL) WITHOUT ROWID
"""


def account_of(endpoint: str, api_key: str | None) -> str:
    """The account whose limits these are: a digest that reveals neither the endpoint nor the key."""
    return hashlib.sha256(f"{endpoint}\0{api_key or ''}".encode("utf-8", "surrogatepass")).hexdigest()


class SharedLimits:
    """Reserves the times at which calls may start, in one sequence for all processes.

    A reservation is one short transaction for several calls. The state is void after a minute, so nothing is synced to
    the disk: a killed process breaks no file, and a power cut may break this one, which can be deleted.
    """

    def __init__(self, path: Path, *, account: str, rates: Rates, time: Callable[[], float]) -> None:
        """Nothing is opened yet. `time` is in seconds since the epoch, the clock that all processes share."""
        self._path, self._account, self._rates, self._time = path, account, rates, time
        self._opened: sqlite3.Connection | None = None

    def reserve(self, calls: Sequence[int], *, owed: int = 0) -> list[float]:
        """The start times of the first of `calls` (given by their tokens); see `plan`.

        `owed` tokens were used beyond what earlier calls reserved; below zero, fewer were. Raises SiaError where the
        file cannot be used.
        """
        with self._changed() as free:
            used = free[0].model_copy(update={"tokens": free[0].tokens + owed * self._rates.token})
            times, free[0] = plan(used, calls, rates=self._rates, now=self._time())
        return times

    def put_off(self, until: float) -> None:
        """Let no unreserved call start before `until`."""
        with self._changed() as free:
            now = self._time()
            known = valid(free[0], now)
            free[0] = known.model_copy(update={"requests": max(known.requests, until), "written": now})

    def close(self) -> None:
        """Close the file; the next reservation opens it again."""
        db, self._opened = self._opened, None
        if db is not None:
            db.close()

    @contextmanager
    def _changed(self) -> Iterator[list[FreeTimes]]:
        """The state in a list of one, stored after the block; no other process changes it meanwhile."""
        try:
            db = self._open()
            with db:
                db.execute("BEGIN IMMEDIATE")
                found = db.execute("SELECT requests, tokens, written FROM free WHERE account = ?", (self._account,))
                row = found.fetchone()
                free = [FreeTimes(requests=row[0], tokens=row[1], written=row[2]) if row else FreeTimes()]
                yield free
                values = (self._account, free[0].requests, free[0].tokens, free[0].written)
                db.execute("INSERT OR REPLACE INTO free VALUES (?, ?, ?, ?)", values)
        except (sqlite3.Error, OSError) as error:
            raise SiaError(
                f"the file of the shared rate limits, {self._path}, cannot be used: {error}. Check that its folder is "
                "on a local disk with room and write permission; the file itself may be deleted at any time."
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT, isolation_level=None)
            try:
                # No WAL: switching to it is the one step in which SQLite does not wait for other processes.
                db.execute("PRAGMA synchronous = OFF")
                db.execute(_SCHEMA)
            except BaseException:
                db.close()
                raise
            self._opened = db
        return self._opened
