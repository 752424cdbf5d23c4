"""The next-window check: the candidate of the window before on the traffic that came after its verdict."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.gate.validate import validate
from sia_dagster.core.next_window.next_window_check import (
    NextWindowCheck,
    NextWindowRules,
    check_next_window,
    shortfalls,
)
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.gate import InterimAnalysis
from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster_tests.worlds.search_world import (
    ASK_FOR_ORDER,
    BASELINE,
    BETTER,
    PROMPT,
    WINDOW,
    Shop,
    asked,
    evaluators,
    in_shop,
    said,
    state,
)
from simulation.loops import loop_config
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

BEFORE = TimeWindow(key="2026-09-21", start=WINDOW.start - timedelta(weeks=1), end=WINDOW.start)


CHATTY = BASELINE.model_copy(update={"system_prompt": f"{PROMPT}\n{ASK_FOR_ORDER}\nBe chatty."})


FIRST = BASELINE.model_copy(update={"system_prompt": "You answer."})


RULES = NextWindowRules(workers=4)


Answer = Callable[[str, str], Body | Reply]


def primary(**fields: Any) -> EvaluatorComparison:
    known = {"difference": 0.5, "ci_low": 0.3, "ci_high": 0.7, "p_value": 0.001, "n": 40, "samples": 40}
    return EvaluatorComparison.model_validate({"evaluator": "correctness", "role": "primary", **known, **fields})


def verdict(word: str = "accept", candidate: Actions | None = BETTER, **fields: Any) -> ValidationReport:
    known = {"reasons": (), "baseline": BASELINE, "comparisons": (primary(),)}
    given = {"loop": "desk", "window": BEFORE, "verdict": word, "candidate": candidate, **known, **fields}
    return ValidationReport.model_validate(given)


def promoted(number: int = 1, actions: Actions = BETTER, **fields: Any) -> PolicyVersion:
    known = {"kind": "promote", "window": BEFORE, "at": BEFORE.end, "replaced": BASELINE if number == 1 else None}
    parent = {"parent": number - 1 or None}
    return PolicyVersion.model_validate(
        {"version": number, "loop": "desk", "actions": actions, **known, **parent, **fields}
    )


def check(previous: ValidationReport | None, *versions: PolicyVersion, **changes: Any) -> NextWindowCheck:
    """Of a window in which the policy in force is the newest of the registry, else the baseline."""
    drifted = changes.pop("drifted", ())
    now = {"actions": versions[-1].actions} if versions else {}
    examined = changes.pop("state", state(holdout=12)).model_copy(update={**now, **changes})
    return NextWindowCheck(state=examined, previous=previous, versions=versions, drifted=drifted)


def hold(
    folder: Path, asked_of: NextWindowCheck, answer: Answer | None = None, rules: NextWindowRules = RULES
) -> tuple[NextWindowResults, ScriptedServer]:
    async def work(chat: ChatModel) -> NextWindowResults:
        return await check_next_window(asked_of, chat=chat, evaluators=evaluators(chat), rules=rules)

    with ScriptedServer(Shop(answer=answer)) as server:
        return in_shop(server, folder, work), server


def upside_down(system: str, _: str) -> Body:
    """Who is asked to name the order does not."""
    return completion("Hello." if ASK_FOR_ORDER in system else "Your order number is 7.")


def alike(_: str, __: str) -> Body:
    return completion("Your order number is 7.")


def test_a_policy_that_keeps_its_promise_is_examined_without_complaint(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(), promoted()))
    (correct, brief) = found.comparisons
    assert (correct.evaluator, correct.primary, correct.n, correct.difference) == ("correctness", True, 12, 1.0)
    assert (brief.evaluator, brief.primary) == ("is_brief", False)
    assert (found.window, found.found_in, found.verdict) == (WINDOW, BEFORE, "accept")
    assert (found.promised, found.promoted_version, found.conversations) == (0.3, 1, 12)
    assert (found.falls_short, found.rollback_to) == (False, None)
    assert found.reason.startswith(
        "Version 1, promoted by window 2026-09-21, is not shown to fall short, where at least +0.3 was promised "
        "(correctness +1 ["
    )


def test_a_promoted_policy_that_is_worse_is_proposed_to_be_rolled_back(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(), promoted()), upside_down)
    assert found.falls_short
    assert found.rollback_to == 0
    assert "correctness is worse than under the policy that it replaces (correctness -1 [" in found.reason
    command = "`sia policy rollback --loop desk --to 0`"
    assert found.reason.endswith(f"Put the policy before any promotion in force again: {command}.")


def test_a_gain_below_what_was_promised_falls_short(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(), promoted(1, BASELINE, window=None), promoted(2)), alike)
    assert found.falls_short
    assert (found.promoted_version, found.rollback_to) == (2, 1)
    assert "correctness gains less than was promised" in found.reason
    assert "Put version 1 in force again" in found.reason


def test_what_was_as_good_promised_to_be_no_worse(tmp_path: Path) -> None:
    asked_for = verdict(question="not_worse", comparisons=(primary(margin=0.05),))
    found, _ = hold(tmp_path, check(asked_for, promoted()), alike)
    assert (found.falls_short, found.promised) == (False, None)
    assert "is still not shown to be worse by more than a margin (correctness +0 [" in found.reason
    worse, _ = hold(tmp_path, check(asked_for, promoted()), upside_down)
    assert worse.falls_short
    assert "correctness falls by more than its margin of 0.05" in worse.reason
    assert worse.rollback_to == 0


def test_a_fall_within_the_margin_keeps_that_promise() -> None:
    fell = primary(difference=-0.02, ci_low=-0.03, ci_high=-0.01)
    assert shortfalls((fell,), None, ComparisonRule()) != ()
    assert shortfalls((fell,), None, ComparisonRule(question="not_worse")) == ()


def test_a_guardrail_that_falls_beyond_its_margin_falls_short(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(candidate=CHATTY), promoted(actions=CHATTY)))
    assert found.falls_short
    assert "is_brief falls by more than its margin of 0.05" in found.reason


def test_a_safety_evaluator_may_not_score_one_sample_lower(tmp_path: Path) -> None:
    def answer(system: str, user: str) -> Body:
        chatter = " And so on" * 10 if ASK_FOR_ORDER in system and "parcel 3?" in user else ""
        return completion(f"Your order number is {7 if ASK_FOR_ORDER in system else 'unknown'}.{chatter}")

    rules = NextWindowRules(rule=ComparisonRule(safety=("is_brief",)), workers=4)
    found, _ = hold(tmp_path, check(verdict(comparisons=(primary(ci_low=0.01),)), promoted()), answer, rules)
    assert "is_brief, which may not fall, scored 1 sample lower" in found.reason
    assert found.falls_short


@pytest.mark.parametrize(
    ("found", "versions", "told"),
    [
        (verdict(), (promoted(), promoted(2, FIRST, window=WINDOW)), "Another version came into force since"),
        (verdict(), (), "accepted and not in force, falls short: "),
        (verdict(), (), "do not approve it on the evidence of its own window"),
        (verdict("inconclusive"), (), "still undecided, falls short: "),
    ],
    ids=["replaced", "waiting", "not to be approved", "undecided"],
)
def test_no_rollback_is_proposed_of_what_is_not_in_force(
    tmp_path: Path, found: ValidationReport, versions: tuple[PolicyVersion, ...], told: str
) -> None:
    result, _ = hold(tmp_path, check(found, *versions), upside_down)
    assert (result.falls_short, result.rollback_to) == (True, None)
    assert told in result.reason


def test_too_few_conversations_show_nothing(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(), promoted(), state=state(holdout=4)), upside_down)
    assert (found.falls_short, found.conversations) == (False, 4)
    assert found.reason == (
        "Version 1, promoted by window 2026-09-21, could not be checked: 4 conversations were scored under both "
        "policies, and fewer than 5 show nothing."
    )


def test_too_many_unscored_samples_show_nothing(tmp_path: Path) -> None:
    def answer(system: str, user: str) -> Body | Reply:
        lost = ASK_FOR_ORDER in system and any(f"parcel {number}?" in user for number in range(4))
        return refusal(400, "no") if lost else upside_down(system, user)

    found, _ = hold(tmp_path, check(verdict(), promoted()), answer)
    assert (found.falls_short, found.unscored_share) == (False, 4 / 12)
    assert "could not be checked: 4 of 12 samples have no score of correctness" in found.reason
    assert "materialise next_window_results of this window again" in found.reason


def test_without_any_replayable_evaluator_s_score_the_words_still_stand(tmp_path: Path) -> None:
    found, _ = hold(tmp_path, check(verdict(), promoted()), lambda _, __: refusal(400, "no"))
    assert "could not be checked: 12 of 12 samples have no score" in found.reason
    assert found.unscored_share == 1
    assert (found.comparisons[0].difference, found.cumulative_gain) == (None, None)


UNTESTED = primary(ci_low=None, ci_high=None, p_value=None)


FUTILE = (InterimAnalysis(conversations=20, alpha=0.005, outcome="futile"),)


@pytest.mark.parametrize(
    ("asked_of", "told"),
    [
        (check(None), "there is no window before this one"),
        (check(verdict("inconclusive", None)), "window 2026-09-21 found no candidate"),
        (check(verdict("reject")), "window 2026-09-21 rejected its candidate"),
        (check(verdict("inconclusive", comparisons=())), "window 2026-09-21 could not test its candidate"),
        (check(verdict("inconclusive", comparisons=(UNTESTED,))), "window 2026-09-21 could not test its candidate"),
        (check(verdict("inconclusive", looks=FUTILE)), "window 2026-09-21 gave up its candidate as futile"),
        (check(verdict(), refusal="half of it cannot be replayed"), "half of it cannot be replayed"),
        (check(verdict(), state=state(holdout=0)), "the window has no held-out samples"),
        (
            check(verdict(), promoted(), drifted=("correctness", "tone")),
            "the judge drifted (correctness, tone), so its scores are not comparable with those of the verdict",
        ),
    ],
    ids=["first", "none", "rejected", "void", "untested", "futile", "refusal", "empty", "drift"],
)
def test_what_cannot_be_examined_costs_nothing_and_says_why(
    tmp_path: Path, asked_of: NextWindowCheck, told: str
) -> None:
    found, server = hold(tmp_path, asked_of)
    assert found.reason == f"No candidate was checked: {told}."
    assert (found.comparisons, found.falls_short, found.promised, server.requests) == ((), False, None, [])


def test_what_a_person_put_in_force_is_examined_whatever_its_verdict(tmp_path: Path) -> None:
    override = verdict("reject", comparisons=(UNTESTED,))
    found, _ = hold(tmp_path, check(override, promoted(override=True)), upside_down)
    assert (found.verdict, found.promised) == ("reject", None)
    assert (found.falls_short, found.rollback_to) == (True, 0)


def test_a_look_that_went_on_is_no_reason_to_leave_the_candidate_out(tmp_path: Path) -> None:
    looks = (FUTILE[0].model_copy(update={"outcome": "undecided"}),)
    found, _ = hold(tmp_path, check(verdict("inconclusive", interim_analyses=looks)))
    assert [each.evaluator for each in found.comparisons] == ["correctness", "is_brief"]


@pytest.mark.parametrize("low", [-0.12, 0.3])
def test_an_undecided_candidate_promised_nothing(tmp_path: Path, low: float) -> None:
    found, _ = hold(tmp_path, check(verdict("inconclusive", comparisons=(primary(ci_low=low),))))
    assert (found.promised, found.falls_short) == (None, False)
    assert "promised" not in found.reason


def test_an_override_without_a_gain_that_was_shown_promised_none(tmp_path: Path) -> None:
    override = verdict("inconclusive", comparisons=(primary(ci_low=-0.12),))
    found, _ = hold(tmp_path, check(override, promoted(override=True)))
    assert (found.promised, found.comparisons != ()) == (None, True)


def row_judged(fingerprint: str) -> ValidationRow:
    metrics = said("correct").model_copy(update={"fingerprint": fingerprint})
    arm = ArmOutcome(output="7", evals=(metrics,))
    return ValidationRow(span_id="s", conversation_id="c", baseline=arm, candidate=arm)


@pytest.mark.parametrize(
    ("report", "promise"),
    [
        (verdict(rows=(row_judged("f"),)), 0.3),
        (verdict(rows=(row_judged("changed"),)), None),
        (verdict(comparisons=(primary(evaluator="tone"),)), None),
    ],
    ids=["the same judge", "a changed judge", "another evaluator"],
)
def test_a_promise_counts_under_the_evaluator_that_it_was_made_under(
    tmp_path: Path, report: ValidationReport, promise: float | None
) -> None:
    found, _ = hold(tmp_path, check(report, promoted()), alike)
    assert found.promised == promise
    assert found.falls_short == (promise is not None)


def test_before_any_promotion_nothing_was_gained(tmp_path: Path) -> None:
    found, server = hold(tmp_path, check(verdict("reject")))
    assert (found.cumulative_gain, found.cumulative_low, found.cumulative_high) == (0.0, None, None)
    assert not server.requests


def test_the_cumulative_gain_is_of_the_policy_in_force_over_the_first(tmp_path: Path) -> None:
    versions = (promoted(1, CHATTY, replaced=FIRST, window=None), promoted(2))
    found, server = hold(tmp_path, check(verdict("reject", CHATTY), *versions))
    assert not found.comparisons
    assert found.cumulative_gain == 1.0
    assert found.cumulative_low is not None
    assert 0 < found.cumulative_low < 1.0 == found.cumulative_high
    assert {body["messages"][0]["content"] for body in asked(server, "app")} == {
        FIRST.system_prompt,
        BETTER.system_prompt,
    }


def test_four_conversations_are_no_point_of_the_cumulative_gain(tmp_path: Path) -> None:
    versions = (promoted(1, CHATTY, replaced=FIRST, window=None), promoted(2))
    found, _ = hold(tmp_path, check(verdict("reject", CHATTY), *versions, state=state(holdout=4)))
    assert (found.cumulative_gain, found.cumulative_low, found.cumulative_high) == (None, None, None)


@pytest.mark.parametrize(
    ("versions", "gain"),
    [((promoted(replaced=None),), None), ((promoted(), promoted(2, BASELINE, kind="rollback", window=None)), 0.0)],
    ids=["first unknown", "rolled back"],
)
def test_without_two_policies_the_cumulative_gain_takes_no_replay(
    tmp_path: Path, versions: tuple[PolicyVersion, ...], gain: float | None
) -> None:
    found, server = hold(tmp_path, check(verdict("reject", CHATTY), *versions))
    assert found.cumulative_gain == gain
    assert not server.requests


def test_every_policy_is_replayed_once(tmp_path: Path) -> None:
    """The candidate is in force, and what it replaced was the first: four roles, two policies."""
    found, server = hold(tmp_path, check(verdict(), promoted()))
    assert len(asked(server, "app")) == 2 * 12
    assert found.cumulative_gain == found.comparisons[0].difference


def test_what_the_window_s_own_validation_asked_is_not_paid_for_again(tmp_path: Path) -> None:
    asked_of = check(verdict(), promoted())
    update = PolicyUpdate(
        loop="desk", window=WINDOW, baseline=BETTER, candidate=CHATTY, changed=True, reason="it may be better"
    )

    async def work(chat: ChatModel) -> tuple[int, int]:
        judges = evaluators(chat)
        trial = Trial(state=asked_of.state, update=update)
        await validate(trial, chat=chat, evaluators=judges, rules=ValidationRules(repeats=1, looks=1))
        paid = len(server.requests)
        await check_next_window(asked_of, chat=chat, evaluators=judges, rules=RULES)
        return paid, len(server.requests)

    with ScriptedServer(Shop()) as server:
        paid, all_ = in_shop(server, tmp_path, work)
        new = server.requests[paid:]
    assert all_ > paid
    assert {body["messages"][0]["content"] for body in new if body["model"] == "app"} == {PROMPT}


def test_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (hold(tmp_path, check(verdict(), promoted()))[0].model_dump_json() for _ in range(2))
    assert one == two


def test_a_loop_s_rules_are_those_of_its_verdict_at_the_whole_alpha() -> None:
    validation = {"primary": "correctness", "alpha": 0.1, "guardrail_margin": 0.2}
    rules = NextWindowRules.of(loop_config(validation={**validation, "repeats": 2}), workers=7)
    assert (rules.rule.alpha, rules.rule.guardrail_alpha, rules.rule.guardrail_margin) == (0.1, 0.1, 0.2)
    assert (rules.repeats, rules.workers) == (2, 7)
    assert NextWindowRules.of(loop_config(validation=validation), workers=7).repeats == 1


@given(high=st.floats(-1, 1), promised=st.none() | st.floats(-1, 1), unscored=st.integers(0, 40))
def test_a_shortfall_always_rests_on_an_interval(high: float, promised: float | None, unscored: int) -> None:
    """Whatever the numbers: an interval that holds what was promised, and 0, says nothing against the policy."""
    comparison = primary(ci_low=-1.0, ci_high=high, unscored=unscored)
    faults = shortfalls([comparison], promised, ComparisonRule())
    shown = high < 0 or (promised is not None and high < promised)
    assert bool(faults) == (shown and unscored <= 8)
    assert not shortfalls([primary(ci_high=None, unscored=unscored)], promised, ComparisonRule())
