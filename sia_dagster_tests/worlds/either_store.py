"""Fixtures of tests that hold on every completion store: each runs on SQLite and on a real Postgres server."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sia_dagster.adapters.engine.store import CompletionStore
from sia_dagster.adapters.engine.store.postgres import PostgresStore, pause
from sia_dagster.adapters.engine.store.sqlite import SqliteStore


class Connect:
    """Opens the same store each time, as another process would."""

    def __init__(self, opened: Callable[[], CompletionStore], released: Callable[[], None] = lambda: None) -> None:
        self._opened = opened
        self.wait_until_released = released
        """Returns when nobody holds a lock: a server learns a little later that a connection was closed."""

    def __call__(self) -> CompletionStore:
        return self._opened()


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """One store; the file's folder is not there yet."""
    if request.param == "sqlite":
        return Connect(lambda: SqliteStore(tmp_path / "deep" / "completions.sqlite"))
    server = request.getfixturevalue("postgres")
    database = server.new_database()
    address = server.address(database)
    return Connect(
        lambda: PostgresStore(address, limits=tmp_path / "limits"), lambda: server.wait_until_unlocked(database, pause)
    )


@pytest.fixture
def store(connect: Connect) -> Iterator[CompletionStore]:
    """That store, open."""
    with closing(connect()) as opened:
        yield opened
