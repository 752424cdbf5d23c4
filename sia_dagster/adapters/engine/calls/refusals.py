"""What an endpoint refuses, by model: remembered for later runs, so that they do not send it again."""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

REMEMBERED_SECONDS = 30 * 86400.0
"""How long a refusal is remembered; a server that was updated meanwhile is asked again."""

_LOCK_TIMEOUT = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS refusals (
    endpoint TEXT, model TEXT, what TEXT, said TEXT, at REAL, PRIMARY KEY (endpoint, model, what)
) WITHOUT ROWID
"""


class Refusals:
    """What one endpoint refuses, by model, with its messages; shared by the processes that use the same file.

    The file only saves requests: where it cannot be read or written, each run learns for itself. It can be deleted.
    """

    def __init__(self, path: Path | None, *, endpoint: str, clock: Callable[[], float] = time.time) -> None:
        """Nothing is opened yet; without `path` nothing is kept. The file holds a digest of `endpoint` only."""
        self._path, self._clock = path, clock
        self._endpoint = hashlib.sha256(endpoint.encode("utf-8", "surrogatepass")).hexdigest()
        self._known: dict[str, dict[str, str]] | None = None

    def of(self, model: str) -> Mapping[str, str]:
        """What is refused in calls of `model` -> the endpoint's message."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(model, {})

    def learn(self, model: str, what: str, message: str) -> None:
        """Remember a refusal."""
        if what in self.of(model) or self._known is None:
            return
        self._known.setdefault(model, {})[what] = message
        self._write((self._endpoint, model, what, message, self._clock()))

    def _read(self) -> dict[str, dict[str, str]]:
        known: dict[str, dict[str, str]] = {}
        if self._path is None or not self._path.exists():
            return known
        asked = (self._endpoint, self._clock() - REMEMBERED_SECONDS)
        try:
            with closing(self._opened()) as db:
                for model, what, message in db.execute(
                    "SELECT model, what, said FROM refusals WHERE endpoint = ? AND at >= ?", asked
                ):
                    known.setdefault(model, {})[what] = message
        except sqlite3.Error:
            return {}
        return known

    def _write(self, row: tuple[str, str, str, str, float]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._opened()) as db, db:
                db.execute("INSERT OR REPLACE INTO refusals VALUES (?, ?, ?, ?, ?)", row)
        except (sqlite3.Error, OSError):
            return

    def _opened(self) -> sqlite3.Connection:
        assert self._path is not None
        db = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT)
        try:
            db.execute(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db
