"""Who hears that the policy in force falls short on the traffic of the window after."""

from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.core.errors import SiaError
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster_tests.adapters.test_webhook import hook
from sia_dagster_tests.worlds.next_window_world import (
    STAGE,
    SecondWeeks,
    check_next_window,
    promote,
    results_of,
    spoilt,
    verdict,
)
from simulation.loops import NAME, SECOND, WEEKS, Desk

SENSOR = f"{NAME}_proposes_rollback"
NOTHING = "no new window proposes a rollback"


def tick(found: Desk, cursor: str | None = None) -> tuple[str, str | None]:
    """What the sensor says, and its cursor after it."""
    definitions = found.definitions
    resources = {f"{NAME}__storage": (definitions.resources or {})[f"{NAME}__storage"]}
    context = dg.build_sensor_context(instance=found.instance, cursor=cursor, resources=resources)
    sensor = definitions.resolve_sensor_def(SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    result = sensor.evaluate_tick(context)
    assert not result.run_requests, "it tells, and changes nothing"
    return str(result.skip_message), result.cursor


def test_a_proposal_is_told_once_with_its_reason_and_the_command(
    second_week: SecondWeeks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as server, second_week(tmp_path, spoilt, notify={"webhook": "DESK_HOOK"}) as (found, _):
        monkeypatch.setenv("DESK_HOOK", server.url)
        verdict(found)
        promote(found)
        check_next_window(found)
        message, cursor = tick(found)
        later, unmoved = tick(found, cursor)
        ((_, _, body),) = server.received
    assert (message, later, unmoved) == (f"notified of {SECOND}", NOTHING, cursor)
    assert body["title"] == f"{NAME}: the policy in force falls short"
    facts = body["facts"]
    assert (facts["loop"], facts["window"], facts["reason"]) == (NAME, SECOND, results_of(found).reason)
    assert facts["roll_back"] == f"`sia policy rollback --loop {NAME} --to 0`"


def test_without_a_webhook_it_goes_to_the_log(
    second_week: SecondWeeks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found)
        promote(found)
        check_next_window(found)
        assert tick(found)[0] == f"notified of {SECOND}"
    assert f"sia policy rollback --loop {NAME} --to 0" in capsys.readouterr().err


def test_a_webhook_that_is_down_is_tried_again_at_the_next_tick(
    second_week: SecondWeeks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_week(tmp_path, spoilt, notify={"webhook": "DESK_HOOK"}) as (found, _):
        verdict(found)
        promote(found)
        check_next_window(found)
        with hook(500) as down:
            monkeypatch.setenv("DESK_HOOK", down.url)
            with pytest.raises(SiaError, match="answered HTTP 500"):
                tick(found)
        with hook() as up:
            monkeypatch.setenv("DESK_HOOK", up.url)
            assert tick(found)[0] == f"notified of {SECOND}"


def test_what_was_rolled_back_meanwhile_is_not_told(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found)
        first = promote(found)
        check_next_window(found)
        back = {"version": 2, "kind": "rollback", "actions": BASE_POLICY, "parent": first.version}
        promote(found, **back, at=WEEKS[1].end, window=None, replaced=None)
        assert tick(found)[0] == NOTHING


def test_a_kept_promise_and_a_candidate_that_waits_propose_nothing(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found)
        check_next_window(found)
        assert results_of(found).falls_short
        assert tick(found)[0] == NOTHING


def test_a_result_that_a_person_reported_by_hand_is_passed_over(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path) as (found, _):
        promote(found)
        found.instance.report_runless_asset_event(dg.AssetMaterialization([NAME, STAGE], partition=SECOND))
        assert tick(found)[0] == NOTHING
