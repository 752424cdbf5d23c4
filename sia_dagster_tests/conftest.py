"""Settings of all tests: properties draw the same examples everywhere, and none is timed; what tests share."""

import gc
import os
import ssl
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import settings

from sia_dagster_tests.fakes.phoenix_server import phoenix
from sia_dagster_tests.fakes.postgres import PostgresServer, running_postgres
from sia_dagster_tests.worker_scopes import OneWorkerAFile, start_rank
from sia_dagster_tests.worlds.cli_world import folder, provider, sia
from sia_dagster_tests.worlds.demo_run import demo_run
from sia_dagster_tests.worlds.either_store import connect, store
from sia_dagster_tests.worlds.next_window_world import second_week

__all__ = ["connect", "demo_run", "folder", "phoenix", "provider", "second_week", "sia", "store"]

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def shared_tls_context() -> Iterator[None]:
    """Loading the certificates takes 50 ms; the clients, thousands in a run and all on loopback, share one context."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """No test cuts the power; a killed process loses nothing that it wrote. A descriptor still has to be one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_migrations() -> Iterator[None]:
    """Every new Dagster instance reads the 90 migrations of its storages (50 ms), which stay what they are."""
    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file the order stays."""
    items.sort(key=lambda item: start_rank(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """Every full collection would walk what is loaded for the whole run: Dagster, pandas and the tests themselves.

    The windows make objects by the million; looking for cycles every 700 of them takes 4 % of the run.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def pytest_unconfigure() -> None:
    """Libraries that count what is left at exit (DuckDB's binding) would otherwise report all that was frozen."""
    gc.unfreeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneWorkerAFile:
    """With `-n`: a file's tests in one worker, and what is costly to start in one worker alone."""
    return OneWorkerAFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured (`user_properties`)."""
    for report in chain.from_iterable(terminalreporter.stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {name}: {value}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that ask for it; each makes its own database."""
    with running_postgres() as server:
        yield server
