"""The demo's eight weeks through the real job: what they are there to show, they show."""

from pathlib import Path

import dagster as dg
import pytest

from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.customers import INJECTED_LINE
from sia_dagster.demo.run import DemoError, run_demo
from sia_dagster.demo.simulation_rules import ELEMENTS, level_of
from sia_dagster.demo.traffic import WEEKS, week_windows
from sia_dagster.policy_in_force import load_policy
from sia_dagster_tests.worlds.demo_run import DemoRun

NAME = "message_desk"


class Demo(DemoRun):
    """The demo's run, and its stored documents."""

    def state(self, window: str) -> StateActions:
        return StateActions.model_validate_json(self._document("baseline_state_actions", window))

    def update(self, window: str) -> PolicyUpdate:
        return PolicyUpdate.model_validate_json(self._document("updated_policy", window))

    def report(self, window: str) -> ValidationReport:
        return ValidationReport.model_validate_json(self._document("validation_results", window))

    def _document(self, stage: str, window: str) -> bytes:
        return (self.folder / ".sia" / "assets" / NAME / stage / f"{window}.json").read_bytes()


@pytest.fixture(scope="module")
def demo(demo_run: DemoRun) -> Demo:
    return Demo(*demo_run)


def test_every_week_is_told_before_it_runs_and_has_an_outcome(demo: Demo) -> None:
    assert [week.window for week in demo.weeks] == [window.key for window in week_windows()]
    assert demo.started == [f"{window.key}: {plan.what}" for window, plan in zip(week_windows(), WEEKS, strict=True)]
    assert all(Path(week.report).is_file() for week in demo.weeks)
    assert all(week.decided and week.verdict for week in demo.weeks)


def test_the_first_week_finds_a_better_policy(demo: Demo) -> None:
    window = demo.weeks[0].window
    state, update, report = demo.state(window), demo.update(window), demo.report(window)
    assert (state.actions, state.policy_share) == (BASE_POLICY, 1.0)
    assert len(state.of("holdout")) >= 45
    assert report.verdict == "accept", report.reasons
    assert update.candidate
    assert any(level_of(update.candidate.system_prompt, element) == "asked" for element in ELEMENTS)
    assert 300 <= update.spend.calls + report.spend.calls <= 600
    assert report.spend.cost_usd


def test_an_accepted_week_makes_the_following_traffic_better(demo: Demo) -> None:
    accepted = [number for number, week in enumerate(demo.weeks[:-1]) if week.verdict == "accept"]
    assert accepted
    first = accepted[0]
    before, after = demo.weeks[first].production_score, demo.weeks[first + 1].production_score
    assert before is not None
    assert after is not None
    assert after > before + 0.1
    last = [week.production_score for week in demo.weeks if week.production_score is not None][-1]
    assert last > before + 0.2


def test_only_accepted_weeks_are_promoted_each_on_the_one_before(demo: Demo) -> None:
    versions = PolicyFiles(demo.folder / ".sia", NAME).versions()
    assert [version.window.key for version in versions if version.window] == [
        week.window for week in demo.weeks if week.verdict == "accept" and week.decided != "a person must look"
    ]
    assert [week.version for week in demo.weeks if week.version] == [version.version for version in versions]
    assert [version.parent for version in versions] == [None, *(version.version for version in versions[:-1])]
    assert load_policy(NAME, str(demo.folder / ".sia")) == versions[-1].actions


def test_each_week_starts_from_the_policy_that_was_in_force(demo: Demo) -> None:
    in_force: int | None = None
    for week, plan in zip(demo.weeks, WEEKS, strict=True):
        state = demo.state(week.window)
        assert state.policy_version == in_force
        assert state.policy_share == (1.0 if plan.conversations else None)
        in_force = week.version or in_force


def test_the_first_week_finds_nearly_the_best_and_a_small_week_has_nothing_to_learn_from(demo: Demo) -> None:
    first, small = (
        demo.weeks[0],
        next(week for week, plan in zip(demo.weeks, WEEKS, strict=True) if plan.conversations == 12),
    )
    assert (first.verdict, first.decided) == ("accept", "promoted as v1")
    (primary, *_) = demo.report(first.window).comparisons
    assert primary.candidate_mean is not None
    assert primary.candidate_mean > 0.8
    assert (small.verdict, small.decided) == ("inconclusive", "nothing to learn from")


def test_the_note_in_the_traffic_is_stopped_by_the_guard(demo: Demo) -> None:
    (number,) = [number for number, plan in enumerate(WEEKS) if plan.injected]
    week, update = demo.weeks[number], demo.update(demo.weeks[number].window)
    assert demo.state(week.window).policy_version is not None
    assert "guard stopped" in week.decided
    stopped = [c for c in update.candidates if c.status == "stopped_by_guard"]
    assert stopped
    assert all(INJECTED_LINE in candidate.actions.system_prompt for candidate in stopped)
    assert any("URL" in reason for candidate in stopped for reason in candidate.reasons)
    assert update.candidate
    assert INJECTED_LINE not in update.candidate.system_prompt
    versions = PolicyFiles(demo.folder / ".sia", NAME).versions()
    assert all(INJECTED_LINE not in version.actions.system_prompt for version in versions)


def test_the_week_without_traffic_costs_nothing_and_keeps_the_policy(demo: Demo) -> None:
    (number,) = [number for number, plan in enumerate(WEEKS) if plan.conversations == 0]
    week = demo.weeks[number]
    assert (week.calls, week.cost_usd, week.production_score, week.version) == (0, 0.0, None, None)
    assert week.verdict == "inconclusive"
    state = demo.state(week.window)
    assert state.actions
    assert state.policy_version == max(w.version for w in demo.weeks[:number] if w.version)


def test_costs_are_within_each_week_s_budget(demo: Demo) -> None:
    assert all(week.cost_usd < 1.0 for week in demo.weeks)
    assert all(week.cost_usd > 0 for week, plan in zip(demo.weeks, WEEKS, strict=True) if plan.conversations)


def test_a_week_that_fails_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".sia").mkdir()
    (tmp_path / ".sia" / "assets").write_text("a file where a folder belongs")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(DemoError, match=week_windows()[0].key) as caught:
        next(run_demo(tmp_path, instance))
    assert str(tmp_path / ".sia" / "assets") in str(caught.value)
