"""A process killed in the middle of a stage, then run again: the same result, and no answer paid for twice."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from simulation.loops import FIRST, Desk, desk, let_go, metadata, simulated, start
from simulation.servers import Body, Reply, ScriptedServer

IN_FLIGHT = 8


PAYING = ("eval_results", "judge_watch", "updated_policy", "validation_results")
"""In the order in which they run."""


class Whole(NamedTuple):
    """The undisturbed run: what it stored and how many calls each stage paid for."""

    contents: dict[str, object]
    paid: dict[str, int]

    def middle_of(self, stage: str) -> int:
        """The number of the request in the middle of a stage."""
        before = sum(self.paid[name] for name in PAYING[: PAYING.index(stage)])
        return before + self.paid[stage] // 2


class Deadly:
    """Answers as the demo's models do, and kills a process when request `at` arrives."""

    def __init__(self, at: int = -1) -> None:
        self.at = at
        self.child: subprocess.Popen[str] | None = None

    def __call__(self, body: Body, n: int) -> Reply:
        if n == self.at and self.child:
            os.kill(self.child.pid, signal.SIGKILL)
        return Reply(body=simulated(body), delay=0.002)


def run_killed(found: Desk, server: ScriptedServer, deadly: Deadly) -> int:
    """Run until the kill; how many requests the server saw."""
    deadly.child = start(found)
    assert let_go(deadly.child) == "ready\n"
    deadly.child.communicate()
    assert deadly.child.returncode == -signal.SIGKILL
    return len(server.requests)


def stored(found: Desk) -> int:
    """The answers in the store, which is not there before the first."""
    if not (found.folder / ".sia" / "completions.sqlite").exists():
        return 0
    with closing(sqlite3.connect(found.folder / ".sia" / "completions.sqlite")) as database:
        (count,) = database.execute("SELECT count(*) FROM completions").fetchone()
    return int(count)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with desk(tmp_path_factory.mktemp("whole")) as (found, _):
        found.write()
        result = found.run()
        assert result.success
        yield Whole(
            found.contents(), {stage: metadata(result, stage)["model_calls_paid_in_this_run"] for stage in PAYING}
        )


def test_a_window_killed_in_every_stage_ends_as_if_nothing_had_happened(tmp_path: Path, whole: Whole) -> None:
    """Four processes, each killed in the middle of the next stage that pays, and one that comes to the end."""
    deadly = Deadly()
    with desk(tmp_path, deadly) as (found, server):
        found.write()
        for stage in PAYING:
            before, kept = len(server.requests), stored(found)
            deadly.at = before + whole.middle_of(stage) - kept
            seen = run_killed(found, server, deadly)
            assert seen - before - IN_FLIGHT <= stored(found) - kept <= seen - before
            assert not found.file(stage).exists()
            assert all(found.file(done).exists() for done in PAYING[: PAYING.index(stage)])
        seen, kept = len(server.requests), stored(found)
        result = found.run()
    assert result.success
    assert len(server.requests) - seen == sum(whole.paid.values()) - kept
    assert found.contents() == whole.contents
    assert sum(metadata(result, name)["model_calls_paid_in_this_run"] for name in PAYING) == len(server.requests) - seen
    assert len(found.versions) == 1
    assert [path.name for path in (found.folder / ".sia" / "assets").rglob(".*")] == []


def test_500_judged_spans_are_paid_for_once(tmp_path: Path) -> None:
    """The process dies in the middle of `eval_results`; what was answered before is never asked again."""
    deadly = Deadly(250)
    with desk(tmp_path, deadly, sample_limit=500) as (found, server):
        found.write(conversations=480)
        assert found.run(FIRST, "traces").success
        seen = run_killed(found, server, deadly)
        kept = stored(found)
        result = found.run(FIRST, "eval_results")
        again = [str(body) for body in server.requests[seen:]]
    assert result.success
    rows = found.rows("eval_results")
    spans = len({row["span_id"] for row in rows})
    assert spans == 500
    assert [row["span_id"] for row in rows if row["error"]] == []
    distinct = {str(body) for body in server.requests}
    assert kept + len(again) == len(distinct)
    asked_twice = set(again) & {str(body) for body in server.requests[:seen]}
    assert len(asked_twice) == seen - kept <= IN_FLIGHT
