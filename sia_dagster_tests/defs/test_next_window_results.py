"""The asset `next_window_results`: materialised for real, in whatever order windows run."""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.defs.assets.next_window_results import SPEC, draw_gain
from sia_dagster.defs.names import LoopNames
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster_tests.worlds.next_window_world import (
    BETTER,
    PREPARED,
    STAGE,
    SecondWeeks,
    check_next_window,
    promote,
    results_of,
    spoilt,
    verdict,
)
from simulation.loops import (
    FIRST,
    NAME,
    SECOND,
    THIRD,
    WEEKS,
    checks,
    desk,
    failure,
    loop_config,
    materialization,
    materialized,
    metadata,
    simulated,
)
from simulation.servers import Body, Reply, refusal

KEY = dg.AssetKey([NAME, STAGE])


def test_a_kept_promise_is_numbers_that_plot_and_a_passed_check(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path) as (found, _):
        verdict(found)
        result = check_next_window(found)
    seen, shown, claim = results_of(found), metadata(result, STAGE), checks(result)["promise_is_kept"]
    assert (seen.found_in, seen.verdict, seen.falls_short) == (WEEKS[0], "accept", False)
    assert materialization(result, STAGE).partition == claim.partition == SECOND
    assert claim.passed
    assert claim.description == shown["reason"] == seen.reason
    assert (shown["promised"], shown["cumulative_gain"]) == (0.2, 0.0)
    (correctness, is_brief) = seen.comparisons
    assert shown["next_window_difference"] == shown["correctness/difference"] == pytest.approx(correctness.difference)
    assert shown["is_brief/ci_low"] == pytest.approx(is_brief.ci_low, abs=1e-6)
    assert "| correctness (primary) |" in shown["next_window"]
    assert Path(shown["gain_by_window"]).read_text(encoding="utf-8").startswith("<svg")


def test_a_policy_that_fails_a_week_later_is_proposed_to_be_rolled_back(
    second_week: SecondWeeks, tmp_path: Path
) -> None:
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found)
        promote(found)
        result = found.run(SECOND, *PREPARED, STAGE)  # The baseline depends on what is in force, too.
    seen, claim = results_of(found), checks(result)["promise_is_kept"]
    assert seen.falls_short
    assert (seen.promoted_version, seen.rollback_to) == (1, 0)
    assert not claim.passed
    assert claim.severity == dg.AssetCheckSeverity.WARN
    assert f"sia policy rollback --loop {NAME} --to 0" in str(claim.description)
    assert f"sia policy rollback --loop {NAME} --to 0" in metadata(result, STAGE)["next_window"]
    assert seen.cumulative_gain is not None
    assert seen.cumulative_gain < 0
    assert seen.cumulative_gain == seen.comparisons[0].difference


@pytest.mark.parametrize(("word", "passes"), [("accept", False), ("inconclusive", True)])
def test_who_promised_nothing_breaks_no_promise(
    second_week: SecondWeeks, tmp_path: Path, word: str, passes: bool
) -> None:
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found, word)
        result = check_next_window(found)
    assert results_of(found).falls_short
    assert checks(result)["promise_is_kept"].passed == passes


def test_the_check_ignores_promotions_from_after_its_window(second_week: SecondWeeks, tmp_path: Path) -> None:
    """A backfill promotes today: what came into force after the window's end is not proposed to be rolled back."""
    with second_week(tmp_path, spoilt) as (found, _):
        verdict(found)
        promote(found, at=WEEKS[1].end)
        check_next_window(found)
    assert (results_of(found).promoted_version, results_of(found).rollback_to) == (None, None)
    assert results_of(found).cumulative_gain == 0


def test_the_first_window_checks_nothing_and_says_so(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, server):
        found.write(0)
        assert found.run(FIRST, *PREPARED).success
        paid = len(server.requests)
        result = check_next_window(found, FIRST)
    assert results_of(found, FIRST).reason == "No candidate was checked: there is no window before this one."
    assert results_of(found, FIRST).found_in is None
    assert checks(result)["promise_is_kept"].passed
    assert len(server.requests) == paid


def test_a_judge_that_drifted_checks_no_candidate(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path, spoilt) as (found, server):
        verdict(found)
        promote(found)
        paid = len(server.requests)
        drifted = JudgeWatch(evaluator="correctness", fingerprint="f", anchors=30, drifted=True)
        report = JudgeReport(loop=NAME, window=WEEKS[1], judges=(drifted,))
        found.file("judge_watch", SECOND).write_text(report.model_dump_json(), encoding="utf-8")
        result = found.run(SECOND, STAGE)
    assert results_of(found).reason.startswith("No candidate was checked: the judge drifted (correctness)")
    assert checks(result)["promise_is_kept"].passed
    assert len(server.requests) == paid


def test_a_window_whose_predecessor_has_not_run_stores_nothing_and_succeeds(
    second_week: SecondWeeks, tmp_path: Path
) -> None:
    with second_week(tmp_path) as (found, _):
        result = found.run(SECOND, *PREPARED, STAGE)
    assert result.success
    assert materialized(result) == set(PREPARED)
    assert not found.file(STAGE, SECOND).exists()
    claim = checks(result)["promise_is_kept"]
    assert claim.passed
    assert claim.description == (f"Nothing is stored: window {FIRST}, whose candidate would be replayed, has not run.")


def test_a_gap_is_filled_with_the_bytes_of_the_usual_order(second_week: SecondWeeks, tmp_path: Path) -> None:
    with second_week(tmp_path / "usual") as (usual, _):
        verdict(usual)
        check_next_window(usual)
    with second_week(tmp_path / "reverse") as (reverse, _):
        check_next_window(reverse)
        verdict(reverse)
        assert reverse.run(SECOND, STAGE).success
        again = reverse.file(STAGE, SECOND).read_bytes()
        assert reverse.run(SECOND, STAGE).success
    assert reverse.file(STAGE, SECOND).read_bytes() == again == usual.file(STAGE, SECOND).read_bytes()


def test_the_automation_asks_for_a_gap_once_the_window_before_has_run(second_week: SecondWeeks, tmp_path: Path) -> None:
    def requested() -> set[str | None]:
        return set(dg.evaluate_automation_conditions(found.definitions, found.instance).get_requested_partitions(KEY))

    def run_verdict(window: TimeWindow) -> None:
        verdict(found)
        event = dg.AssetMaterialization([NAME, "validation_results"], partition=window.key)
        found.instance.report_runless_asset_event(event)

    with second_week(tmp_path) as (found, _):
        assert requested() == set()
        assert found.run(SECOND, *PREPARED, STAGE).success
        assert requested() == set()
        run_verdict(WEEKS[0])
        assert requested() == {SECOND}
        assert found.run(SECOND, STAGE).success
        assert requested() == set()
        run_verdict(WEEKS[1])
        assert requested() == set(), "the third window itself has not run"


def test_a_gap_that_could_not_be_filled_waits_for_a_person(second_week: SecondWeeks, tmp_path: Path) -> None:
    def broken(body: Body, _: int) -> Body | Reply:
        return refusal(401, "no such key") if body["model"] == BASE_POLICY.model else simulated(body)

    with second_week(tmp_path, broken) as (found, _):
        assert found.run(SECOND, *PREPARED).success
        verdict(found)
        found.instance.report_runless_asset_event(
            dg.AssetMaterialization([NAME, "validation_results"], partition=FIRST)
        )
        result = found.run(SECOND, STAGE)
        asked = dg.evaluate_automation_conditions(found.definitions, found.instance).get_requested_partitions(KEY)
    assert failure(result)[0] == STAGE
    assert f"loop {NAME}, window {SECOND}: " in failure(result)[1]
    assert asked == set()


def test_the_sensor_that_fills_gaps_is_off_until_somebody_turns_it_on(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        sensor = found.definitions.resolve_sensor_def(f"{NAME}_fills_next_window_results")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert "calls models" in str(sensor.description)
    graph = found.definitions.resolve_asset_graph()
    assert sensor.asset_selection.resolve(graph) == {KEY}
    assert {key for key in graph.get_all_asset_keys() if graph.get(key).automation_condition} == {KEY}


def test_the_lineage_shows_that_it_reads_the_window_before(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        graph = found.definitions.resolve_asset_graph()
    node = graph.get(KEY)
    assert {key.path[-1] for key in node.parent_keys} == {*SPEC.upstream, *SPEC.previous}
    mapping = node.partition_mappings[dg.AssetKey([NAME, "validation_results"])]
    assert isinstance(mapping, dg.TimeWindowPartitionMapping)
    assert (mapping.start_offset, mapping.end_offset) == (-1, -1)


def test_the_picture_shows_every_result_that_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "assets" / NAME / STAGE
    folder.mkdir(parents=True)
    stored = [NextWindowResults(loop=NAME, window=week, cumulative_gain=0.1) for week in WEEKS[:3]]
    for each in stored[:2]:
        folder.joinpath(f"{each.window.key}.json").write_text(each.model_dump_json(), encoding="utf-8")
    folder.joinpath("2026-01-05.json").write_text("{", encoding="utf-8")
    picture = draw_gain(tmp_path, stored[2])
    drawn = Path(str(picture)).read_text(encoding="utf-8")
    assert [f"{window[5:]}</text>" in drawn for window in (FIRST, SECOND, THIRD)] == [True] * 3
    assert drawn.count('class="estimate"') == 3
    assert draw_gain(tmp_path, stored[1].model_copy(update={"falls_short": True})) == picture
    assert Path(str(picture)).read_text(encoding="utf-8").count('class="short"') == 1


def test_the_check_pays_once_for_what_the_window_itself_asks(second_week: SecondWeeks, tmp_path: Path) -> None:
    """A third window: the policy in force was replayed by the check; a second run pays for nothing."""
    with second_week(tmp_path) as (found, server):
        verdict(found)
        promote(found)
        check_next_window(found)
        paid = len(server.requests)
        before = found.file(STAGE, SECOND).read_bytes()
        assert found.run(SECOND, STAGE).success
    assert len(server.requests) == paid
    assert found.file(STAGE, SECOND).read_bytes() == before
    prompts = {json.dumps(body["messages"][0]) for body in server.requests if body["model"] == BASE_POLICY.model}
    assert {BETTER.system_prompt, BASE_POLICY.system_prompt} == {json.loads(prompt)["content"] for prompt in prompts}


def test_an_hourly_loop_s_windows_have_neighbours_too(tmp_path: Path) -> None:
    for length, step in (("hourly", timedelta(hours=1)), ("daily", timedelta(days=1)), ("weekly", timedelta(weeks=1))):
        names = LoopNames(loop_config(window=length), tmp_path)
        first, second = (names.window(key) for key in names.partitions.get_partition_keys()[:2])
        assert second.start - first.start == step
        assert names.following_window(first) == second
        assert names.previous_window(second) == first
        assert names.previous_window(first) is None
        last = names.window(names.partitions.get_partition_keys()[-1])
        assert names.following_window(last) is None


def test_a_promise_that_could_not_be_checked_does_not_count_as_kept(second_week: SecondWeeks, tmp_path: Path) -> None:
    down = True

    def answer(body: Body, n: int) -> Body | Reply:
        return refusal(500, "down") if down and body["model"] == BASE_POLICY.model else simulated(body, n)

    with second_week(tmp_path, answer) as (found, server):
        verdict(found)
        failed = check_next_window(found.with_llm(max_attempts=1))
        seen, claim = results_of(found), checks(failed)["promise_is_kept"]
        down, paid = False, len(server.requests)
        again = found.run(SECOND, STAGE)
    assert (seen.unscored_share, seen.cumulative_gain) == (1.0, 0.0)
    assert (claim.passed, claim.metadata["unscored_share"].value) == (False, 1.0)
    assert "could not be checked" in str(claim.description)
    assert "Replays or judges failed" in str(claim.description)
    assert len(server.requests) > paid
    assert results_of(found).unscored_share == 0
    assert checks(again)["promise_is_kept"].passed
