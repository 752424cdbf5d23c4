"""`judge_watch` through the real assets: what it stores, shows and claims, and what a drift does to the checks."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.judge_watch.watch import NOTHING_FROZEN
from sia_dagster.core.records.gate import WHENEVER
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.demo.quotes import read
from sia_dagster.demo.simulated_judge import judge
from sia_dagster.demo.wire import texts
from sia_dagster.wiring.session import eval_constants
from sia_dagster_tests.worlds.evaluation_samples import classified
from sia_dagster_tests.worlds.judge_world import labels_of
from simulation.loops import FIRST, SECOND, THIRD, Desk, checks, desk, metadata, simulated
from simulation.servers import Body, Reply, ScriptedServer, completion

STAGES = ("traces", "eval_results", "judge_watch")


class Bench:
    """The demo's models behind a judge who can be told to let everything pass, or to fail."""

    def __init__(self) -> None:
        self.mood = "just"

    def __call__(self, body: Body, _: int) -> Reply | Body:
        if body["model"] != "simulated-judge" or self.mood == "just":
            return simulated(body)
        if self.mood == "fails":
            return completion(classified("neither"))
        return completion(classified("correct"))


class First(NamedTuple):
    """Three weeks of traffic, of which the first has run."""

    desk: Desk
    server: ScriptedServer
    bench: Bench
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    bench = Bench()
    with desk(tmp_path_factory.mktemp("first"), bench, watch={}) as (found, server):
        for number in range(3):
            found.write(number)
        yield First(found, server, bench, run(found, FIRST))


@pytest.fixture
def watched(tmp_path: Path, first: First) -> Iterator[Desk]:
    """A copy of it, before a just judge."""
    shutil.copytree(first.desk.folder, tmp_path, dirs_exist_ok=True)
    first.bench.mood = "just"
    with dg.DagsterInstance.ephemeral() as instance:
        yield replace(first.desk, folder=tmp_path, instance=instance)


def run(found: Desk, window: str) -> dg.ExecuteInProcessResult:
    result = found.run(window, *STAGES)
    assert result.success
    return result


def document(found: Desk, window: str) -> JudgeReport:
    return found.document("judge_watch", JudgeReport, window)


def test_a_drift_is_stored_shown_and_claimed_in_its_window(watched: Desk, first: First) -> None:
    found, second = watched, run(watched, SECOND)
    first.bench.mood = "lets everything pass"
    third = run(found, THIRD)
    (judged,) = document(found, THIRD).judges
    assert judged.drifted
    assert judged.since == (THIRD,)
    assert judged.anchored_in == FIRST
    assert document(found, FIRST).judges[0].reason == NOTHING_FROZEN
    assert document(found, SECOND).judges[0].since == ()
    steady = [checks(result)["judges_are_steady"].passed for result in (first.result, second, third)]
    assert steady == [True, True, False]
    assert checks(third)["judges_are_steady"].severity == dg.AssetCheckSeverity.WARN
    assert "correctness drifted" in (checks(third)["judges_are_steady"].description or "")
    shown = metadata(third, "judge_watch")
    assert shown["shift_correctness"] == pytest.approx(judged.shift)
    assert shown["windows_not_steady_correctness"] == 1
    assert shown["anchors_correctness"] == 30
    assert "drifted" in shown["judges"]
    assert shown["anchors_judged_otherwise"].count("| incorrect") > 3


def test_the_first_window_freezes_anchors_and_shows_its_probes(first: First) -> None:
    found, result = first.desk, first.result
    shown = metadata(result, "judge_watch")
    assert shown["anchors_frozen"] == 30
    assert shown["rows"] == 2 * 30 + 2 * 20
    assert "shift_correctness" not in shown
    assert isinstance(shown["position_shift_correctness"], float)
    assert isinstance(shown["verbosity_shift_correctness"], float)
    assert "the labels in reverse order" in shown["probes"]
    assert checks(result)["judges_are_fair"].passed
    (constant,) = (c for c in eval_constants(found.loop, found.folder) if c.kind == "llm_classify")
    frozen = GateFiles(found.folder / ".sia", "desk").anchors("correctness", constant.fingerprint, WHENEVER)
    assert frozen
    assert frozen.window.key == FIRST
    assert frozen.at == frozen.window.end


def test_a_window_that_is_run_again_gives_the_same_bytes(watched: Desk, first: First) -> None:
    found, server = watched, first.server
    run(found, SECOND)
    once, asked = [found.file("judge_watch", w).read_bytes() for w in (FIRST, SECOND)], len(server.requests)
    for window in (SECOND, FIRST):
        run(found, window)
    assert [found.file("judge_watch", w).read_bytes() for w in (FIRST, SECOND)] == once
    assert len(server.requests) == asked


def test_a_judge_that_fails_on_the_anchors_is_not_called_steady(watched: Desk, first: First) -> None:
    found = watched
    assert found.run(SECOND, "traces", "eval_results").success
    first.bench.mood = "fails"
    result = found.run(SECOND, "judge_watch")
    assert result.success
    assert not checks(result)["judges_are_steady"].passed
    (judged,) = document(found, SECOND).judges
    assert (judged.drifted, judged.shift) == (False, None)
    assert "30 of 30 anchors got no score" in judged.reason


def test_a_judge_that_goes_by_the_labels_order_is_called_unfair(tmp_path: Path) -> None:
    def first_label(body: Body, _: int) -> Reply | Body:
        quotes = read("\n".join(texts(body["messages"]))).quotes
        wavers = len(quotes["output"]) % 2 == 0
        return completion(classified(labels_of(body)[0] if wavers else judge(quotes["input"], quotes["output"])[0]))

    with desk(tmp_path, first_label, watch={}) as (found, _):
        found.write()
        result = run(found, FIRST)
    assert not checks(result)["judges_are_fair"].passed
    assert "correctness: the labels in reverse order moved" in (checks(result)["judges_are_fair"].description or "")


def test_evaluations_of_a_judge_that_was_changed_since_are_refused(watched: Desk) -> None:
    assert watched.run(SECOND, "traces", "eval_results").success
    changed = [{**entry.model_dump(mode="json"), "model": "another"} if entry.kind == "llm_classify" else entry
               for entry in watched.loop.evaluators]  # fmt: skip
    result = watched.with_loop(evaluators=changed).run(SECOND, "judge_watch")
    assert not result.success
    assert not watched.file("judge_watch", SECOND).exists()


def test_history_leaves_records_that_no_window_of_history_sees(tmp_path: Path) -> None:
    with desk(tmp_path, clock="now") as (found, _):
        for number in range(2):
            found.write(number)
        for window in (SECOND, FIRST):
            run(found, window)
        assert [document(found, window).judges[0].reason for window in (FIRST, SECOND)] == [NOTHING_FROZEN] * 2
        log = GateFiles(found.folder / ".sia", "desk")
        assert log.watches(WHENEVER - timedelta(days=1)) == ()
