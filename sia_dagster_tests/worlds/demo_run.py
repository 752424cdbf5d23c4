"""The demo's eight windows, run once for all tests that read what they stored and printed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from click.testing import CliRunner

from sia_dagster.cli import cli
from sia_dagster.demo import run
from sia_dagster.demo.run import WeekOutcome


class DemoRun(NamedTuple):
    """A finished `sia demo`. Tests copy the folder before they change anything in it."""

    folder: Path
    printed: str
    weeks: list[WeekOutcome]
    started: list[str]
    """What was reported as each week began."""


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """`sia demo` as a newcomer calls it; its weeks are recorded as they pass."""
    done, run_demo = DemoRun(tmp_path_factory.mktemp("demo"), "", [], []), run.run_demo

    def recorded(
        folder: Path, instance: dg.DagsterInstance, *, started: Callable[[str], None]
    ) -> Iterator[WeekOutcome]:
        def begin(text: str) -> None:
            done.started.append(text)
            started(text)

        for week in run_demo(folder, instance, started=begin):
            done.weeks.append(week)
            yield week

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        patch.setattr(run, "run_demo", recorded)
        result = CliRunner().invoke(cli, ["demo", "--folder", str(done.folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return done._replace(printed=result.stdout)
