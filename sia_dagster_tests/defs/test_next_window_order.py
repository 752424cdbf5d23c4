"""Exams through the loop's own job and `sia run`: what looked good a week ago, and whether it still does."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster_tests.worlds.cli_world import FIRST as FIRST_WEEK
from sia_dagster_tests.worlds.cli_world import SECOND as SECOND_WEEK
from sia_dagster_tests.worlds.cli_world import Sia, configure, write_week
from sia_dagster_tests.worlds.next_window_world import STAGE, results_of, spoilt
from simulation.loops import FIRST, SECOND, Desk, checks, desk, simulated
from simulation.servers import ScriptedServer

CONVERSATIONS = 90


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, ScriptedServer]]:
    """A first week whose candidate looked good and was promoted, and a second week under it."""
    with desk(tmp_path_factory.mktemp("promoted")) as (found, server):
        found.write(0, conversations=CONVERSATIONS)
        assert found.run(FIRST).success
        assert found.document("validation_results", ValidationReport).verdict == "accept"
        found.write(1, found.versions[0].actions, conversations=CONVERSATIONS)
        yield found, server


def test_a_policy_that_looks_good_and_fails_a_week_later_is_found_out(
    promoted: tuple[Desk, ScriptedServer], tmp_path: Path
) -> None:
    first, server = promoted
    found = replace(first, folder=Path(shutil.copytree(first.folder, tmp_path, dirs_exist_ok=True)))
    server.answer = spoilt
    result = found.run(SECOND)
    server.answer = simulated
    assert result.success
    seen = results_of(found)
    assert (seen.promoted_version, seen.falls_short, seen.rollback_to) == (1, True, 0)
    assert not checks(result)["promise_is_kept"].passed
    assert seen.promised is not None
    assert seen.promised > 0
    assert seen.cumulative_high is not None
    assert seen.cumulative_high < 0


def test_a_policy_that_stays_good_is_left_in_force(promoted: tuple[Desk, ScriptedServer]) -> None:
    found, server = promoted
    result = found.run(SECOND)
    assert result.success
    paid = len(server.requests)
    before = found.file(STAGE, SECOND).read_bytes()
    assert found.run(SECOND).success
    assert (results_of(found).promoted_version, results_of(found).falls_short) == (1, False)
    assert checks(result)["promise_is_kept"].passed
    assert len(server.requests) == paid
    assert found.file(STAGE, SECOND).read_bytes() == before


def test_the_command_checks_the_candidate_in_the_window_after_it(folder: Path, sia: Sia) -> None:
    results = folder / ".sia" / "assets" / "desk" / STAGE
    with SimulatedProvider() as provider:
        configure(folder, provider.base_url)
        write_week(folder, 30)
        write_week(folder, 30, SECOND_WEEK)
        later = sia("run", "--window", SECOND_WEEK.key)
        assert later.code == 0, later.err
        assert "candidate checked on" not in later.out
        assert not (results / f"{SECOND_WEEK.key}.json").exists()
        first = json.loads(sia("run", "--window", FIRST_WEEK.key, "--json").out)
        held = (results / f"{SECOND_WEEK.key}.json").read_bytes()
        again = sia("run", "--window", FIRST_WEEK.key)
        (results / f"{SECOND_WEEK.key}.json").unlink()
        anew = sia("run", "--window", FIRST_WEEK.key)
        checked = (results / f"{SECOND_WEEK.key}.json").read_bytes()
        state = folder / ".sia" / "assets" / "desk" / "baseline_state_actions" / f"{SECOND_WEEK.key}.json"
        (results / f"{SECOND_WEEK.key}.json").unlink()
        state.write_text("{", encoding="utf-8")
        failed = sia("run", "--window", FIRST_WEEK.key)
    assert first["examined_in"] == SECOND_WEEK.key
    assert NextWindowResults.model_validate_json(held).found_in == FIRST_WEEK
    assert "candidate checked on" not in again.out
    assert f"  candidate checked on the next window's traffic: {SECOND_WEEK.key}\n" in anew.out
    assert checked == held
    assert failed.code == 1, "a check that fails does not hide the verdict"
    assert failed.out.startswith(f"desk {FIRST_WEEK.key}: ")
    assert "this window has run, but next_window_results of the window after it failed: " in failed.err
