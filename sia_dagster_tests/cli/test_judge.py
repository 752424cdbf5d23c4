"""`sia judge`: what the judges are held against, since when one drifts, and how people let new anchors be frozen."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import WHENEVER
from sia_dagster.core.records.judge_report import Anchors, AnchorScore, JudgeWatch, WatchRecord
from sia_dagster_tests.worlds.cli_world import FIRST, NOWHERE, SECOND, Sia, configure, enter, loop_entry
from sia_dagster_tests.worlds.evaluation_samples import sample

SCORE = EvalMetrics(name="correctness", score=1.0, label="correct")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configure(enter(tmp_path, monkeypatch), NOWHERE)
    monkeypatch.setenv("USER", "ada")
    return tmp_path


@pytest.fixture
def log(folder: Path) -> GateFiles:
    return GateFiles(folder / ".sia", "desk")


def fingerprint(sia: Sia) -> str:
    (judge,) = listed(sia)
    return str(judge["fingerprint"])


def listed(sia: Sia) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sia("judge", "list", "--json").out)
    return found


def freeze(log: GateFiles, print_: str) -> None:
    scores = tuple(AnchorScore(sample=sample(span_id=f"s{n}"), first=SCORE, second=SCORE) for n in range(6))
    log.freeze(
        Anchors(loop="desk", evaluator="correctness", fingerprint=print_, window=FIRST, at=FIRST.end, scores=scores)
    )


def record(log: GateFiles, print_: str, **found: Any) -> None:
    judge = JudgeWatch(evaluator="correctness", fingerprint=print_, anchors=6, anchored_in=FIRST.key, **found)
    log.record_watch(WatchRecord(loop="desk", window=SECOND, at=SECOND.end, judge=judge))


def test_a_judge_without_anchors_says_so(sia: Sia) -> None:
    shown = sia("judge", "list").out
    assert "none; the next window freezes some" in shown
    (judge,) = listed(sia)
    assert (judge["evaluator"], judge["anchors"], judge["last"]) == ("correctness", 0, None)


def test_anchors_and_a_drift_are_shown(sia: Sia, log: GateFiles) -> None:
    print_ = fingerprint(sia)
    freeze(log, print_)
    record(log, print_, shift=0.25, disagreement=0.3, drifted=True, since=(SECOND.key,))
    shown = sia("judge", "list").out
    assert f"6 of window {FIRST.key}" in shown
    assert f"1 window ({SECOND.key} to {SECOND.key})" in shown
    assert "+0.25" in shown
    assert "30 %" in shown
    (judge,) = listed(sia)
    assert (judge["last_window"], judge["last"]["drifted"]) == (SECOND.key, True)
    assert (judge["anchored_in"], judge["frozen_at"]) == (FIRST.key, FIRST.end.isoformat())


def test_the_list_is_readable_in_a_narrow_terminal(sia: Sia, log: GateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_ = fingerprint(sia)
    freeze(log, print_)
    record(log, print_, shift=0.25, disagreement=0.3, drifted=True, since=(SECOND.key,))
    lines = sia("judge", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    assert {"correctness", "moved", "otherwise", SECOND.key, f"({SECOND.key}", f"{SECOND.key})", "+0.25"} <= set(words)


def test_what_another_judge_of_this_name_said_is_not_shown(sia: Sia, log: GateFiles) -> None:
    freeze(log, "another")
    record(log, "another", shift=0.25, drifted=True)
    (judge,) = listed(sia)
    assert (judge["anchors"], judge["last"]) == (0, None)


def test_reset_lets_the_next_window_freeze_new_anchors_and_says_who_and_why(sia: Sia, log: GateFiles) -> None:
    print_ = fingerprint(sia)
    freeze(log, print_)
    done = sia("judge", "reset", "--evaluator", "correctness", "--by", "Ada", "--note", "the new model is right")
    assert done.out == (
        f"desk: correctness: the anchors of window {FIRST.key} no longer count; the next window that runs freezes new "
        "ones\n"
    )
    assert "reset by Ada: the new model is right; the next window freezes new ones" in sia("judge", "list").out
    (judge,) = listed(sia)
    assert (judge["reset"]["by"], judge["anchors"], judge["anchored_in"]) == ("Ada", 0, None)
    newest = log.anchors("correctness", print_, WHENEVER)
    assert newest
    assert newest.at > FIRST.end


def test_the_old_anchors_stay_for_windows_that_ended_before_the_reset(sia: Sia, log: GateFiles) -> None:
    print_ = fingerprint(sia)
    freeze(log, print_)
    sia("judge", "reset", "--evaluator", "correctness")
    seen = log.anchors("correctness", print_, FIRST.end + timedelta(seconds=1))
    assert seen
    assert len(seen.scores) == 6


def test_reset_is_by_the_user_without_a_name(sia: Sia, log: GateFiles) -> None:
    freeze(log, fingerprint(sia))
    document = json.loads(sia("judge", "reset", "--evaluator", "correctness", "--json").out)
    assert document == {"evaluator": "correctness", "reset": True}
    assert "reset by ada; the next" in sia("judge", "list").out


def test_reset_without_anchors_changes_nothing(sia: Sia, folder: Path) -> None:
    assert (
        "has no anchors; the next window that runs freezes some"
        in sia("judge", "reset", "--evaluator", "correctness").out
    )
    assert json.loads(sia("judge", "reset", "--evaluator", "correctness", "--json").out)["reset"] is False
    assert not (folder / ".sia" / "gate").exists()


def test_an_unknown_judge_is_named_with_those_there_are(sia: Sia) -> None:
    refused = sia("judge", "reset", "--evaluator", "politeness")
    assert (refused.code, refused.out) == (1, "")
    assert "'politeness' is no judge of desk; its judges (llm_classify) are: correctness" in refused.err


def test_a_loop_without_a_judge_says_that_none_is_watched(sia: Sia, folder: Path) -> None:
    function = "kind: code\n        function: sia_dagster.demo.checks:is_brief\n"
    judge = r"kind: llm_classify\n.*?rails: [^\n]*\n"
    configure(folder, NOWHERE, loops=[re.sub(judge, function, loop_entry(), flags=re.DOTALL)])
    assert "desk: the loop has no judge" in sia("judge", "list").out
    assert listed(sia) == []
    assert "its judges (llm_classify) are: none" in sia("judge", "reset", "--evaluator", "correctness").err


def test_text_of_people_cannot_steer_the_terminal(sia: Sia, log: GateFiles) -> None:
    freeze(log, fingerprint(sia))
    sia("judge", "reset", "--evaluator", "correctness", "--by", "A[bold]\x1b[31m", "--note", "n")
    shown = sia("judge", "list").out
    assert "\x1b" not in shown
    assert "A[bold]" in shown
