"""Fixtures of tests that hold on every completion store: each runs on SQLite and on a real Postgres server."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sia_dagster.adapters.engine.store.port import CompletionStore
from sia_dagster.adapters.engine.store.postgres import PostgresStore
from sia_dagster.adapters.engine.store.sqlite import SqliteStore

Connect = Callable[[], CompletionStore]


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    """Opens the same store each time, as another process would; the file's folder is not there yet."""
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "deep" / "completions.sqlite")
    server = request.getfixturevalue("postgres")
    address = server.address(server.new_database())
    return lambda: PostgresStore(address, limits=tmp_path / "limits")


@pytest.fixture
def store(connect: Connect) -> Iterator[CompletionStore]:
    """One such store, open."""
    with closing(connect()) as opened:
        yield opened
