"""Servers that speak Arize's protocols, to which its package is directed by its environment variables."""

from collections.abc import Iterator

import pytest

from sia_dagster_tests.fakes.arize_rest import ArizeRest
from simulation.arize_flight import ArizeFlight


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArizeRest]:
    with ArizeRest() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArizeFlight]:
    with ArizeFlight() as opened:
        for name, value in opened.environment.items():
            monkeypatch.setenv(name, value)
        yield opened
