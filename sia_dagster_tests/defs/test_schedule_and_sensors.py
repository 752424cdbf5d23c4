"""When a loop runs by itself, who approves what it found, and who hears of it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.core.errors import ConfigError, SiaError
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.defs.names import STAGES, LoopNames
from sia_dagster.defs.sensors import _facts, _needs_somebody
from sia_dagster_tests.adapters.test_webhook import hook
from simulation.loops import FIRST, NAME, SECOND, WEEKS, Desk, checks, desk, loop_config, materialized
from simulation.servers import refusal

WAITS = f"{NAME}_waits_for_approval"
FAILED = f"{NAME}_run_failed"


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A loop whose first week waits for approval; only read here."""
    with desk(tmp_path_factory.mktemp("waits"), promotion="manual") as (found, _):
        found.write()
        assert found.run().success
        yield found


@pytest.fixture
def accepted(waits: Desk, tmp_path: Path) -> Desk:
    """A copy for decisions, at the time of the test. It shares the instance: what runs a window brings its own."""
    shutil.copytree(waits.folder, tmp_path, dirs_exist_ok=True)
    return replace(waits, folder=tmp_path, clock="now")


def tick(found: Desk, cursor: str | None = None) -> tuple[str, str | None]:
    """What the approval sensor says, and its cursor after it."""
    definitions = found.definitions
    resources = {f"{NAME}__storage": (definitions.resources or {})[f"{NAME}__storage"]}
    context = dg.build_sensor_context(instance=found.instance, cursor=cursor, resources=resources)
    result = definitions.resolve_sensor_def(WAITS).evaluate_tick(context)
    assert not result.run_requests
    return str(result.skip_message), result.cursor


def tell_failure(found: Desk, result: dg.ExecuteInProcessResult) -> object:
    """What the sensor of failed runs returns for this run."""
    (event,) = [event for event in result.all_events if event.is_run_failure]
    context = dg.build_run_status_sensor_context(
        sensor_name=FAILED, dagster_instance=found.instance, dagster_run=result.dagster_run, dagster_event=event
    ).for_run_failure()
    sensor = found.definitions.resolve_sensor_def(FAILED)
    return sensor(context)


@pytest.mark.parametrize(
    ("window", "cron"),
    [("hourly", "15 * * * *"), ("daily", "15 0 * * *"), ("weekly", "15 0 * * 1"), ("monthly", "15 0 28 * *")],
)
def test_a_window_runs_a_quarter_of_an_hour_after_it_closed(tmp_path: Path, window: str, cron: str) -> None:
    with desk(tmp_path, window=window) as (found, _):
        schedule = found.definitions.resolve_schedule_def(f"{NAME}_schedule")
    assert schedule.cron_schedule == cron
    assert schedule.job_name == f"{NAME}_improvement"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED


def test_a_tick_asks_for_the_window_that_just_closed(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        schedule = found.definitions.resolve_schedule_def(f"{NAME}_schedule")
        at = WEEKS[1].end + timedelta(minutes=15)
        context = dg.build_schedule_context(
            instance=found.instance, scheduled_execution_time=at, repository_def=found.definitions.get_repository_def()
        )
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.partition_key == SECOND


def test_the_schedule_follows_the_loop_s_time_zone(tmp_path: Path) -> None:
    with desk(tmp_path, timezone="Europe/Berlin") as (found, _):
        schedule = found.definitions.resolve_schedule_def(f"{NAME}_schedule")
    assert schedule.execution_timezone == "Europe/Berlin"


def test_a_manual_loop_promotes_nothing_by_itself(waits: Desk) -> None:
    assert waits.document("validation_results", ValidationReport).verdict == "accept"
    assert not waits.file("promoted_policy").exists()
    assert waits.versions == ()


def test_a_person_who_materialises_the_policy_promotes_it(accepted: Desk) -> None:
    result = accepted.run(FIRST, "promoted_policy", config={"approved_by": "Ada"})
    again = accepted.run(FIRST, "promoted_policy", config={"approved_by": "Bob"})
    assert materialized(result) == {"promoted_policy"}
    (version,) = accepted.versions
    assert (version.by, version.window, version.parent) == ("Ada", WEEKS[0], None)
    assert version.actions == accepted.document("validation_results", ValidationReport).candidate
    assert version.report == str(accepted.folder / ".sia" / "reports" / NAME / f"{FIRST}.html")
    assert datetime.now(UTC) - version.at < timedelta(minutes=10)
    assert checks(result)["approved_policy_is_in_force"].passed
    assert again.success
    assert accepted.document("promoted_policy", Promotion).promoted == version


def test_nobody_can_promote_what_is_not_proven(tmp_path: Path) -> None:
    with desk(tmp_path, promotion="manual") as (found, _):
        found.write(conversations=4)
        assert found.run().success
        result = found.run(FIRST, "promoted_policy", config={"approved_by": "Ada"})
    assert result.success
    promotion = found.document("promoted_policy", Promotion)
    assert promotion.promoted is None
    assert "the verdict is inconclusive" in promotion.reason
    assert found.versions == ()
    claims = checks(result)
    assert claims["promotion_rests_on_evidence"].passed
    assert not claims["approved_policy_is_in_force"].passed
    assert promotion.reason in str(claims["approved_policy_is_in_force"].description)


def test_nobody_approves_what_the_same_run_has_just_found(tmp_path: Path) -> None:
    with desk(tmp_path, promotion="manual") as (found, _):
        found.write()
        result = found.run(FIRST, *STAGES)
    assert result.success
    assert found.document("validation_results", ValidationReport).verdict == "accept"
    assert "it waits for approval" in found.document("promoted_policy", Promotion).reason
    assert found.versions == ()


def test_nobody_overrides_what_the_same_run_has_just_found(tmp_path: Path) -> None:
    """Nor in a loop that promotes by itself: an override is of evidence that is there to be read."""
    with desk(tmp_path) as (found, _):
        found.write(conversations=4)
        decision = {"approved_by": "Ada", "note": "whatever it is", "override": True}
        result = found.run(FIRST, "promoted_policy", *(s for s in STAGES if s != "promoted_policy"), config=decision)
    assert result.success
    assert "materialise promoted_policy of this window by itself" in (
        found.document("promoted_policy", Promotion).reason
    )
    assert found.versions == ()


def test_history_is_promoted_by_a_person_alone(accepted: Desk) -> None:
    """An automatic loop leaves a window alone that others have followed, until somebody says who wants it."""
    with dg.DagsterInstance.ephemeral() as instance:
        found = replace(accepted.with_loop(promotion="auto"), instance=instance)
        assert found.run().success
        promotion = found.document("promoted_policy", Promotion)
        assert promotion.promoted is None
        assert "a later window has closed since" in promotion.reason
        assert found.run(FIRST, "promoted_policy", config={"approved_by": "Ada"}).success
    assert [version.by for version in found.versions] == ["Ada"]


def test_a_window_that_waits_is_told_once_in_the_log(waits: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    message, cursor = tick(waits)
    later, unmoved = tick(waits, cursor)
    assert message == f"notified of {FIRST}"
    assert cursor == unmoved
    assert later == "no new window waits for approval"
    text = capsys.readouterr().err
    assert text.count("an accepted policy waits for approval") == 1
    assert f"{NAME}/promoted_policy" in text
    assert str(waits.folder / ".sia" / "reports" / NAME / f"{FIRST}.html") in text


def notifying(found: Desk) -> Desk:
    """The same loop with a webhook."""
    return found.with_loop(promotion="manual", notify={"webhook": "DESK_HOOK"})


def test_every_window_of_a_backfill_that_waits_is_told_to_the_webhook(
    accepted: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as server, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("DESK_HOOK", server.url)
        found = replace(notifying(accepted), instance=instance)
        found.write(1)
        for window in (FIRST, SECOND):
            assert found.run(window).success
            assert found.document("validation_results", ValidationReport, window).verdict == "accept"
        tick(found)
        sent = [body["facts"] for _, _, body in server.received]
    assert [facts["window"] for facts in sent] == [FIRST, SECOND]
    assert all(f"sia policy promote --loop {NAME} --window {facts['window']}" in facts["approve"] for facts in sent)


def test_a_window_that_was_promoted_meanwhile_does_not_wait(accepted: Desk) -> None:
    assert accepted.run(FIRST, "promoted_policy", config={"approved_by": "Ada"}).success
    assert tick(accepted)[0] == "no new window waits for approval"


def test_a_window_that_was_rejected_does_not_wait(accepted: Desk) -> None:
    assert accepted.run(FIRST, "promoted_policy", config={"decision": "reject", "approved_by": "Ada"}).success
    assert tick(accepted)[0] == "no new window waits for approval"


def test_a_webhook_that_is_down_is_tried_again_at_the_next_tick(waits: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    found = notifying(waits)
    with hook(500) as down:
        monkeypatch.setenv("DESK_HOOK", down.url)
        with pytest.raises(SiaError, match="answered HTTP 500"):
            tick(found)
    with hook() as up:
        monkeypatch.setenv("DESK_HOOK", up.url)
        assert tick(found)[0] == f"notified of {FIRST}"
        assert len(up.received) == 1


def test_a_result_that_a_person_reported_by_hand_is_passed_over(tmp_path: Path) -> None:
    with desk(tmp_path, promotion="manual") as (found, _):
        key = dg.AssetKey([NAME, "validation_results"])
        found.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=FIRST))
        assert tick(found)[0] == "no new window waits for approval"


def test_a_variable_that_is_not_set_is_named(waits: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESK_HOOK", raising=False)
    with pytest.raises(ConfigError, match="DESK_HOOK"):
        tick(notifying(waits))


def test_an_automatic_loop_waits_only_where_a_person_must_look(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        names = {sensor.name for sensor in found.definitions.sensors or ()}
    assert names == {FAILED, WAITS, f"{NAME}_proposes_rollback", f"{NAME}_fills_next_window_results"}
    loop = LoopNames(loop_config(promotion="auto"), tmp_path)
    look = {"a_person_must_look": dg.MetadataValue.md("- support: edit 1 rests on samples of 1 user")}
    plain, odd = (dg.AssetMaterialization("x", partition=FIRST, metadata=given) for given in ({}, look))
    assert not _needs_somebody(loop, plain)
    assert _needs_somebody(loop, odd)
    facts = _facts(loop, odd)
    assert facts["a_person_must_look"] == "- support: edit 1 rests on samples of 1 user"
    assert facts["approve"].endswith("--by YOU --note WHY`")


@pytest.mark.parametrize("stages", [(), ("traces", "eval_results")], ids=["job", "materialised by hand"])
def test_a_failed_run_is_told_with_its_window_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: tuple[str, ...]
) -> None:
    refused = refusal(401, "Incorrect API key.", code="invalid_api_key")
    with hook() as server, desk(tmp_path, lambda body, n: refused, notify={"webhook": "DESK_HOOK"}) as (found, _):
        monkeypatch.setenv("DESK_HOOK", server.url)
        found.write(conversations=2)
        result = found.run(FIRST, *stages)
        tell_failure(found, result)
        ((_, _, body),) = server.received
    facts = body["facts"]
    assert (facts["loop"], facts["window"], facts["run"]) == (NAME, FIRST, result.run_id)
    assert "the key is not accepted" in facts["error"]


def test_a_failed_run_without_our_own_words_is_told_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with desk(tmp_path) as (found, _):
        result = found.run(FIRST, "eval_results")  # what it reads was never stored
        tell_failure(found, result)
    text = capsys.readouterr().err.partition("a run failed")[2]
    assert "the stage desk__eval_results failed: " in text
    assert f"{FIRST}.parquet" in text


def test_a_failed_run_of_another_loop_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with desk(tmp_path, name="other") as (other, _):
        result = other.run(FIRST, "traces")
        found = Desk(tmp_path, other.base_url, loop_config(), instance=other.instance)
        outcome = tell_failure(found, result)
    assert isinstance(outcome, dg.SkipReason)
    assert "a run failed" not in capsys.readouterr().err
