"""The verdict under the gate's log: paid for, taken once, and the same whenever the window is run."""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.errors import GateLogError
from sia_dagster.core.gate.admission import Gate
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.gate.holdout_reuse import TOO_LATE
from sia_dagster.core.records.gate import HeldOut, Look
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.wiring.loop_session import LoopSession, StageResult
from sia_dagster.wiring.stages import gated_validation
from sia_dagster_tests.wiring.test_stages import session
from simulation.loops import NAME, WEEKS, Desk, desk
from simulation.servers import ScriptedServer, refusal

WEEK = timedelta(weeks=1)


class Court:
    """One window of the desk up to its candidate, and its log."""

    def __init__(self, found: Desk, server: ScriptedServer) -> None:
        self.desk, self.server = found, server
        self.state = found.document("baseline_state_actions", StateActions)
        self.update = found.document("updated_policy", PolicyUpdate)
        assert self.update.changed
        self.log = GateFiles(found.folder / ".sia", NAME)
        self.read = 0

    def held_out(self) -> HeldOut:
        self.read += 1
        return HeldOut(samples=self.state.of("holdout"))

    def outcome(
        self,
        update: PolicyUpdate | None = None,
        *,
        at: datetime = WEEKS[0].end,
        watch: JudgeReport | None = None,
        here: LoopSession | None = None,
        state: StateActions | None = None,
    ) -> StageResult[ValidationReport]:
        gate = Gate(log=self.log, at=at, held_out=self.held_out, watch=watch)
        work = gated_validation(here or session(self.desk), state or self.state, update or self.update, gate)
        return asyncio.run(work)

    def report(self, update: PolicyUpdate | None = None, **options: Any) -> ValidationReport:
        return self.outcome(update, **options).value

    def other(self, prompt: str = "\nBe brief.") -> PolicyUpdate:
        """The same window with another candidate."""
        old = self.update.baseline or Actions()
        return self.update.model_copy(
            update={"candidate": old.model_copy(update={"system_prompt": f"{old.system_prompt}{prompt}"})}
        )

    @property
    def alpha(self) -> float:
        return window_alpha(self.desk.loop.validation, WEEKS[0])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a window whose candidate waits for the gate."""
    with desk(tmp_path_factory.mktemp("searched")) as (found, _):
        found.write()
        assert found.run(WEEKS[0].key, "traces", "eval_results", "baseline_state_actions", "updated_policy").success
        return found.folder


@pytest.fixture
def court(tmp_path: Path, searched: Path) -> Iterator[Court]:
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
    with desk(tmp_path) as (found, server):
        yield Court(found, server)


def past_look(court: Court, ago: int, alpha: float) -> Look:
    start = WEEKS[0].start - ago * WEEK
    window = TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + WEEK)
    return Look(
        loop=NAME,
        window=window,
        at=window.end,
        fingerprint="e",
        result="r",
        alpha_spent=alpha,
        verdict="inconclusive",
        baseline=court.update.baseline or Actions(),
        candidate=court.other("\nEarlier.").candidate or Actions(),
    )


def test_a_verdict_is_the_windows_look_and_is_paid_for(court: Court) -> None:
    report = court.report()
    look = court.log.look(WEEKS[0].key)
    assert look is not None
    assert (look.verdict, look.alpha_spent, look.at) == (report.verdict, court.alpha, WEEKS[0].end)
    assert look.candidate == report.candidate
    assert look.conversations == report.conversations > 0
    assert report.error_budget is not None
    assert (report.error_budget.alpha, report.error_budget.spent) == (court.alpha, court.alpha)
    assert report.error_budget.left == pytest.approx(0.5 - court.alpha)
    assert court.read == 1


def test_the_window_run_again_is_the_same_verdict_for_nothing(court: Court) -> None:
    first = court.report()
    court.server.requests.clear()
    again = court.outcome(at=WEEKS[0].end + 50 * WEEK)
    assert not court.server.requests
    unpaid = first.model_copy(update={"spend": again.value.spend})
    assert again.value.model_dump_json() == unpaid.model_dump_json()
    assert (again.value.spend.calls, again.value.spend.paid_calls) == (first.spend.calls, 0)


def test_another_candidate_in_the_same_window_is_not_even_replayed(court: Court) -> None:
    first = court.report()
    court.server.requests.clear()
    outcome = court.outcome(court.other())
    report = outcome.value
    assert not court.server.requests
    assert court.read == 1, "earlier windows are read only for replays"
    assert outcome.spend == {}
    assert report.verdict == "inconclusive"
    assert report.is_holdout_reuse
    assert "This is another candidate;" in report.reasons[0]
    assert report.candidate == court.other().candidate
    assert report.error_budget == first.error_budget
    standing = court.log.look(WEEKS[0].key)
    assert standing is not None
    assert standing.verdict == first.verdict


def test_answers_that_were_drawn_again_are_no_verdict(court: Court) -> None:
    first = court.report()
    here = session(court.desk)
    (court.desk.folder / "session.sqlite").unlink()
    answer = court.server.answer

    def worse(body: Any, n: int) -> Any:
        reply = answer(body, n)
        if body["model"] == "simulated-judge":
            return answer({**body, "messages": [{"role": "user", "content": "Is it right?"}]}, n)
        return reply

    court.server.answer = worse
    report = court.report(here=here)
    assert report.verdict == "inconclusive"
    assert report.is_holdout_reuse
    assert "its scores differ" in report.reasons[0]
    assert report.error_budget == first.error_budget


def test_what_had_failed_when_the_holdout_was_looked_at_is_not_looked_at_later(court: Court) -> None:
    """An endpoint's bad minute is no reason to decide a second time, nor to take back what was decided."""
    answer, failing = court.server.answer, court.state.of("holdout")[0]
    asked = failing.messages[-1].content or ""

    def unwell(body: Any, n: int) -> Any:
        ours = body["model"] != "simulated-judge" and body["messages"][-1]["content"] == asked
        return refusal(400, "not now") if ours else answer(body, n)

    court.server.answer = unwell
    first = court.report()
    court.server.answer = answer
    again = court.report()
    assert first.primary is not None
    assert first.primary.unscored > 0
    assert not again.is_holdout_reuse
    assert (again.verdict, again.comparisons, again.interim_analyses) == (
        first.verdict,
        first.comparisons,
        first.interim_analyses,
    )
    late = [arm for row in again.rows if row.span_id == failing.span_id for arm in (row.baseline, row.candidate)]
    assert all(arm.output and arm.score("correctness") is None for arm in late)
    assert {said.error for arm in late for said in arm.evals} == {TOO_LATE}


def test_where_the_budget_is_spent_nothing_is_replayed(court: Court) -> None:
    for ago in range(1, 5):
        court.log.record_look(past_look(court, ago, alpha=0.125))
    outcome = court.outcome()
    report = outcome.value
    assert not court.server.requests
    assert (court.read, outcome.spend) == (0, {})
    assert report.verdict == "inconclusive"
    assert report.reasons[0].startswith("the error budget of the year is spent")
    assert report.error_budget is not None
    assert (report.error_budget.spent, report.error_budget.left, report.error_budget.alpha) == (0, 0, court.alpha)
    assert court.log.look(WEEKS[0].key) is None


def test_what_other_windows_spent_later_is_not_known_here(court: Court) -> None:
    for ago in range(1, 5):
        court.log.record_look(past_look(court, ago, alpha=0.125).model_copy(update={"at": WEEKS[0].end}))
    assert court.report().error_budget == court.report().error_budget
    assert court.log.look(WEEKS[0].key) is not None


def test_without_a_candidate_nothing_is_read_or_spent(court: Court) -> None:
    stays = court.update.model_copy(update={"changed": False, "candidate": court.update.baseline, "reason": "none"})
    report = court.report(stays)
    assert report.verdict == "inconclusive"
    assert report.error_budget is not None
    assert (report.error_budget.spent, report.error_budget.left) == (0, 0.5)
    assert not court.server.requests
    assert (court.read, court.log.look(WEEKS[0].key)) == (0, None)


def test_a_window_that_is_refused_has_no_look(court: Court) -> None:
    refusing = court.state.model_copy(update={"refusal": "most samples cannot be asked again"})
    report = court.report(state=refusing)
    assert report.reasons[0] == "most samples cannot be asked again"
    assert (court.read, court.log.look(WEEKS[0].key)) == (0, None)


def test_a_drifted_judge_leaves_nothing_to_look_at(court: Court) -> None:
    judges = (JudgeWatch(evaluator="correctness", fingerprint="f", drifted=True, since=(WEEKS[0].key,)),)
    report = court.report(watch=JudgeReport(loop=NAME, window=WEEKS[0], judges=judges))
    assert report.verdict == "inconclusive"
    assert report.watch == judges
    assert not court.server.requests
    assert (court.read, court.log.look(WEEKS[0].key)) == (0, None)


def test_what_the_judges_said_stands_in_every_report(court: Court) -> None:
    judges = (JudgeWatch(evaluator="correctness", fingerprint="f", anchors=30),)
    watch = JudgeReport(loop=NAME, window=WEEKS[0], judges=judges)
    assert court.report(watch=watch).watch == judges
    assert court.report(court.other(), watch=watch).watch == judges


def test_void_evidence_is_no_look_and_spends_nothing(court: Court) -> None:
    few = court.state.of("holdout")[:2]
    court.held_out = lambda: HeldOut(samples=few)  # type: ignore[method-assign]
    report = court.report()
    assert report.verdict == "inconclusive"
    assert court.log.look(WEEKS[0].key) is None
    assert report.error_budget is not None
    assert (report.error_budget.spent, report.error_budget.left) == (0, 0.5)


def test_a_damaged_look_stops_the_window_before_it_pays(court: Court) -> None:
    court.report()
    path = court.desk.folder / ".sia" / "gate" / NAME / "looks" / f"{WEEKS[0].key}.json"
    path.write_text("{", encoding="utf-8")
    court.server.requests.clear()
    with pytest.raises(GateLogError, match="restore it from a backup"):
        court.report()
    assert not court.server.requests


@pytest.mark.parametrize("later", [timedelta(), 50 * WEEK])
def test_windows_that_are_cut_otherwise_have_no_second_look_at_the_same_calls(court: Court, later: timedelta) -> None:
    """A week that begins three days earlier, decided before this one was: then most of this one's calls were its."""
    shifted = past_look(court, 0, alpha=0.01)
    start = WEEKS[0].start - timedelta(days=3)
    window = TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + WEEK)
    court.log.record_look(shifted.model_copy(update={"window": window, "at": window.end + later}))
    outcome = court.outcome()
    assert not court.server.requests
    assert (court.read, outcome.spend) == (0, {})
    assert outcome.value.is_holdout_reuse
    cut = f"as part of window {window.key}, when `start`, `window` or `timezone` were different"
    assert cut in outcome.value.reasons[0]
    assert court.log.look(WEEKS[0].key) is None


def test_a_window_that_shares_less_than_half_is_decided(court: Court) -> None:
    start = WEEKS[0].start - timedelta(days=4)
    window = TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + WEEK)
    court.log.record_look(past_look(court, 1, alpha=0.01).model_copy(update={"window": window}))
    assert not court.report().is_holdout_reuse
    assert court.log.look(WEEKS[0].key) is not None


def test_days_that_were_decided_one_by_one_are_no_week_to_decide(court: Court) -> None:
    for day in range(4):
        start = WEEKS[0].start + timedelta(days=day + 1)
        window = TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(days=1))
        court.log.record_look(past_look(court, 0, alpha=0.001).model_copy(update={"window": window}))
    assert court.report().is_holdout_reuse
