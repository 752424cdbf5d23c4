"""The validation replays the held-out split under both policies and takes the verdict there."""

import hashlib
import itertools
from pathlib import Path

import pytest

from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster_tests.worlds.search_world import (
    BASELINE,
    BETTER,
    OTHER,
    PROMPT,
    WINDOW,
    Shop,
    asked,
    evaluators,
    in_shop,
    sample,
    state,
    state_of,
)
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

STAYS = PolicyUpdate(
    loop="desk", window=WINDOW, baseline=BASELINE, candidate=BASELINE, reason="the policy stays: no idea"
)


def changed(actions: Actions) -> PolicyUpdate:
    return PolicyUpdate(loop="desk", window=WINDOW, baseline=BASELINE, candidate=actions, changed=True, reason="better")


def run(
    server: ScriptedServer, folder: Path, before: StateActions, update: PolicyUpdate, repeats: int = 1, workers: int = 4
) -> ValidationReport:
    async def work(chat: ChatModel) -> ValidationReport:
        rules = ValidationRules(repeats=repeats, noise_conversations=0, workers=workers)
        trial = Trial(state=before, update=update)
        return await validate(trial, chat=chat, evaluators=evaluators(chat), rules=rules)

    return in_shop(server, folder, work)


def test_a_shown_gain_is_reported_with_all_that_it_rests_on(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=12), changed(BETTER))
    assert report.primary is not None
    assert (report.primary.evaluator, report.primary.n) == ("correctness", 12)
    assert (report.primary.baseline_mean, report.primary.candidate_mean) == (0.0, 1.0)
    assert report.primary.p_value is not None
    assert report.primary.p_value <= report.alpha
    assert [c.evaluator for c in report.comparisons] == ["correctness", "is_brief"]
    assert (report.baseline, report.candidate, report.conversations) == (BASELINE, BETTER, 12)
    assert [row.span_id for row in report.rows] == [f"holdout-{number:02}" for number in range(12)]
    assert "correctness rose from 0.00 to 1.00" in " ".join(report.reasons)


def test_enough_conversations_accept_a_gain(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=120), changed(BETTER))
    assert (report.verdict, report.samples_needed) == ("accept", None)


def test_a_shown_loss_is_rejected(tmp_path: Path) -> None:
    def answer(system: str, _: str) -> Body:
        return completion("Your order number is 7." if system == PROMPT else "Hello.")

    with ScriptedServer(Shop(answer=answer)) as server:
        report = run(server, tmp_path, state(holdout=12), changed(OTHER))
    assert report.verdict == "reject"


def test_chance_alone_shows_nothing_where_all_conversations_ask_the_same(tmp_path: Path) -> None:
    asking = [sample(number, "holdout", request="Where is my parcel?") for number in range(12)]

    def toss(_: str, __: str) -> Body:
        heads = hashlib.sha256(f"toss {next(tosses)}".encode()).digest()[0] % 2
        return completion("Your order number is 7." if heads else "Hello.")

    tosses, shown = itertools.count(), 0
    with ScriptedServer(Shop(answer=toss)) as server:
        for week in range(20):
            window = WINDOW.model_copy(update={"key": f"week {week}"})
            before = state_of(*asking).model_copy(update={"window": window})
            report = run(server, tmp_path, before, changed(OTHER), workers=1)
            assert report.primary is not None
            assert report.primary.ci_low is not None
            assert report.primary.ci_high is not None
            shown += not report.primary.ci_low <= 0 <= report.primary.ci_high
    assert shown <= 4, "at a level of 5 % for each end, at most two of 20 windows are expected"


def test_only_the_holdout_is_replayed(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        run(server, tmp_path, state(), changed(BETTER))
    assert "holdout parcel" in str(server.requests)
    assert "train parcel" not in str(server.requests)
    assert "selection parcel" not in str(server.requests)


def test_repeats_are_rows_of_one_conversation(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=5), changed(BETTER), repeats=2)
    assert [(row.span_id, row.repeat) for row in report.rows][:2] == [("holdout-00", 0), ("holdout-00", 1)]
    assert report.primary is not None
    assert (report.primary.n, report.primary.samples, len(report.rows)) == (5, 5, 10)


def test_the_same_window_gives_the_same_bytes(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        first, second = (run(server, tmp_path, state(), changed(BETTER)) for _ in range(2))
    assert first.model_dump_json() == second.model_dump_json()


@pytest.mark.parametrize("holdout", [0, 2, 12])
def test_without_a_new_policy_nothing_is_called_and_the_plan_is_said(tmp_path: Path, holdout: int) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=holdout), STAYS)
    assert not server.requests
    assert report.verdict == "inconclusive"
    assert report.reasons[0] == STAYS.reason
    assert len(report.reasons) > 1
    assert (report.candidate, report.rows, report.conversations) == (None, (), holdout)
    assert report.samples_needed is not None
    assert report.samples_needed > holdout


def test_no_policy_at_all_is_inconclusive(tmp_path: Path) -> None:
    nothing = STAYS.model_copy(update={"baseline": None, "candidate": None})
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(0, 0, 0).model_copy(update={"actions": None}), nothing)
    assert (report.verdict, report.baseline, report.candidate) == ("inconclusive", None, None)


def test_a_new_policy_without_held_out_samples_calls_nothing(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=0), changed(BETTER))
    assert not server.requests
    assert (report.verdict, report.candidate) == ("inconclusive", BETTER)
    assert report.samples_needed is not None


def test_too_few_conversations_to_decide_are_replayed_for_people_to_read(tmp_path: Path) -> None:
    with ScriptedServer(Shop()) as server:
        report = run(server, tmp_path, state(holdout=2), changed(BETTER))
    assert len(report.rows) == 2
    assert report.verdict == "inconclusive"
    assert report.samples_needed is not None
    assert report.primary is not None
    assert report.primary.p_value is None


def test_failed_rows_are_counted_and_shown(tmp_path: Path) -> None:
    def answer(_: str, user: str) -> Body | Reply:
        return refusal(500, "out of order") if user.endswith("parcel 3?") else completion("Your order number is 7.")

    with ScriptedServer(Shop(answer=answer)) as server:
        report = run(server, tmp_path, state(), changed(BETTER))
    assert report.primary is not None
    assert report.primary.unscored == 1
    assert [row.span_id for row in report.rows if row.candidate.error] == ["holdout-03"]
    assert len(asked(server, "judge")) == 11
