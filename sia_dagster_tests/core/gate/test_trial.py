"""What is tried, by which rules, and how one look at its rows is decided."""

from typing import Any

import pytest

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.error_budget import window_alpha
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Analysis, Trial, analyse
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.statistics.group_sequential import look_levels
from sia_dagster.core.statistics.intervals import conversations_needed
from sia_dagster_tests.worlds.search_world import BASELINE, CORRECTNESS, WINDOW, guarded_loop, sample, state_of
from simulation.loops import CORRECTNESS as JUDGE
from simulation.loops import loop_config

NEW = BASELINE.model_copy(update={"system_prompt": "Be better."})


UPDATE = PolicyUpdate(loop="desk", window=WINDOW, baseline=BASELINE, candidate=NEW, changed=True, reason="better")


BREVITY = EvalConstant(name="is_brief", kind="code", fingerprint="g")


def trial(conversations: int, **fields: Any) -> Trial:
    held = tuple(sample(number, "holdout") for number in range(conversations))
    return Trial.model_validate({"state": state_of(*held), "update": UPDATE} | fields)


def row(held: Sample, old: float | None, new: float | None, brief: float = 1.0) -> ValidationRow:
    def arm(score: float | None) -> ArmOutcome:
        said = (EvalMetrics(name="correctness", score=score), EvalMetrics(name="is_brief", score=brief))
        return ArmOutcome(output="x", evals=said)

    return ValidationRow(
        span_id=held.span_id, conversation_id=held.conversation_id, baseline=arm(old), candidate=arm(new)
    )


def looked(tried: Trial, gains: int, losses: int = 0, *, look: int, of: int, rules: ValidationRules) -> Analysis:
    """One look at the first `of` conversations, in the order of the looks: so many gain, so many lose."""
    changes = [(0.0, 1.0)] * gains + [(1.0, 0.0)] * losses + [(1.0, 1.0)] * (of - gains - losses)
    held = tried.holdout.samples[:of]
    rows = [row(each, *change) for each, change in zip(held, changes, strict=True)]
    return analyse(tried, rows, [CORRECTNESS, BREVITY], rules=rules, look=look)


RULES = ValidationRules(rule=ComparisonRule(guardrail_margin=0.4), looks=2)


def test_the_rules_are_those_of_the_configuration() -> None:
    rules = ValidationRules.of(guarded_loop(repeats=3, max_unscored_share=0.5, looks=1), workers=7, window=WINDOW)
    assert (rules.repeats, rules.workers, rules.looks, rules.rule.max_unscored_share) == (3, 7, 1, 0.5)
    assert (rules.max_conversations, rules.carry_windows, rules.noise_conversations) == (160, 4, 20)
    assert (rules.slices, rules.slice_conversations) == (("model", "language", "length", "tag", "tools"), 20)
    assert (rules.rule.margins, rules.rule.safety) == ({"is_brief": 0.1}, ("is_safe",))


def test_a_platform_score_cannot_be_trusted_with_a_veto() -> None:
    entry = guarded_loop().model_dump(mode="json")
    entry["evaluators"].append({"name": "csat", "kind": "platform", "safety": True})
    with pytest.raises(ValueError, match="'csat' is a platform score, which a replayed output cannot have"):
        LoopConfig.model_validate(entry)


def test_a_window_spends_its_part_of_the_budget_and_guardrails_are_tested_at_alpha() -> None:
    configured = guarded_loop()
    rules = ValidationRules.of(configured, workers=1, window=WINDOW)
    assert rules.rule.alpha == window_alpha(configured.validation, WINDOW) == pytest.approx(0.5 * 7 / 365.25)
    assert rules.rule.guardrail_alpha == 0.05
    month = TimeWindow(key="2026-09", start=WINDOW.start, end=WINDOW.start.replace(month=10))
    assert ValidationRules.of(configured, workers=1, window=month).rule.alpha > rules.rule.alpha


@pytest.mark.parametrize(("conversations", "repeats"), [(0, 3), (53, 3), (54, 1), (160, 1)])
def test_repeats_make_up_for_few_conversations_alone(conversations: int, repeats: int) -> None:
    assert ValidationRules(max_conversations=160).repeats_for(conversations) == repeats
    assert ValidationRules(repeats=2).repeats_for(conversations) == 2


def test_the_windows_own_conversations_come_in_an_order_that_no_clock_gives() -> None:
    held = [sample(n, "holdout") for n in range(40)]
    tried = Trial(state=state_of(*held), update=UPDATE)
    backwards = Trial(state=state_of(*reversed(held)), update=UPDATE)
    assert tried.groups == backwards.groups
    assert sorted(tried.groups) == sorted(s.conversation_id for s in held)
    assert tried.groups[:20] != tuple(s.conversation_id for s in held[:20])


def test_a_pooled_holdout_is_taken_in_its_own_order_and_replayed_as_its_windows_were() -> None:
    own, earlier = sample(0, "holdout"), sample(1, "holdout")
    held = HeldOut(samples=(own, earlier), windows={earlier.span_id: "2026-09-21"})
    tried = Trial(state=state_of(own), update=UPDATE, held_out=held)
    assert tried.groups == (own.conversation_id, earlier.conversation_id)
    plan = tried.plan(ValidationRules())
    assert plan.draw(own, 0) == f"holdout/{WINDOW.key}/{own.span_id}/0"
    assert plan.draw(earlier, 0) == f"holdout/2026-09-21/{earlier.span_id}/0"
    assert plan.repeats == 3


DRIFTED = JudgeWatch(evaluator="correctness", fingerprint="f", drifted=True, reason="it moved")


def test_the_primary_evaluator_does_not_veto_as_well() -> None:
    with pytest.raises(ValueError, match="cannot be both the primary evaluator and a safety one"):
        loop_config(evaluators=[{**JUDGE, "safety": True}])


def test_nothing_is_tried_without_a_candidate_a_window_or_a_steady_judge() -> None:
    stays = UPDATE.model_copy(update={"changed": False, "candidate": BASELINE, "reason": "no idea"})
    refused = state_of(sample(0, "holdout")).model_copy(update={"refusal": "too little is left"})
    assert trial(1).policies == (BASELINE, NEW)
    assert trial(1).untried_reason == ""
    assert (trial(1, update=stays).policies, trial(1, update=stays).untried_reason) == (None, "no idea")
    assert (trial(1, state=refused).policies, trial(1, state=refused).untried_reason) == (None, "too little is left")
    assert trial(1, state=refused, update=stays).untried_reason == "no idea"
    assert trial(1, watch=(DRIFTED,)).policies is None
    assert trial(1, watch=(DRIFTED.model_copy(update={"drifted": False}),)).policies is not None
    assert trial(1, update=UPDATE.model_copy(update={"baseline": None})).policies is None
    assert trial(1, update=UPDATE.model_copy(update={"candidate": None})).policies is None


def test_a_drifted_judge_leaves_nothing_to_decide() -> None:
    found = analyse(trial(6, watch=(DRIFTED,)), (), [CORRECTNESS], rules=RULES)
    assert (found.decision.verdict, found.decision.void, found.comparisons) == ("inconclusive", True, ())
    assert "correctness" in found.reasons[0]


@pytest.mark.parametrize("looks", [1, 2])
def test_what_it_would_take_is_planned_with_all_conversations_at_the_whole_level(looks: int) -> None:
    stays = UPDATE.model_copy(update={"changed": False, "candidate": BASELINE, "reason": "no idea"})
    rules = RULES.model_copy(update={"looks": looks})
    found = analyse(trial(60, update=stays), (), [CORRECTNESS], rules=rules)
    assert "held-out conversations in the window: 60;" in found.reasons[0]
    assert found.decision.samples_needed == conversations_needed(0.02, 0.05)
    assert found.taken.alpha == 0.05


def test_a_landslide_is_decided_at_the_first_look_at_the_first_looks_levels() -> None:
    found = looked(trial(80), gains=40, look=0, of=40, rules=RULES)
    level = look_levels(0.05, 2)[0]
    assert (found.taken.outcome, found.taken.conversations, found.taken.alpha) == ("accept", 40, level)
    assert [c.alpha for c in found.comparisons] == [level, level]
    assert found.taken.conditional_power is None
    assert found.taken.p_value == found.comparisons[0].p_value


def test_a_loss_is_rejected_at_the_first_look() -> None:
    assert looked(trial(80), gains=0, losses=40, look=0, of=40, rules=RULES).taken.outcome == "reject"


def test_a_trend_goes_on_and_says_its_chance() -> None:
    found = looked(trial(80), gains=5, look=0, of=40, rules=RULES)
    assert found.taken.outcome == "go_on"
    assert found.taken.conditional_power is not None
    assert 0.5 < found.taken.conditional_power < 1
    assert found.reasons == found.decision.reasons


def test_no_trend_is_given_up_and_the_report_says_so_first() -> None:
    found = looked(trial(80), gains=2, losses=2, look=0, of=40, rules=RULES)
    assert (found.taken.outcome, found.decision.verdict) == ("futile", "inconclusive")
    assert found.reasons[0].startswith("given up after 40 held-out conversations")
    assert found.reasons[1:] == found.decision.reasons


def test_a_weak_trend_is_not_given_up_since_later_windows_may_show_it() -> None:
    weekly = RULES.model_copy(update={"rule": RULES.rule.model_copy(update={"alpha": 0.0096})})
    found = looked(trial(80), gains=4, losses=2, look=0, of=40, rules=weekly)
    assert found.taken.conditional_power is not None
    assert found.taken.conditional_power < 0.05, "at the week's level it is nearly hopeless"
    assert found.taken.outcome == "go_on"
    assert looked(trial(80), gains=2, losses=2, look=0, of=40, rules=weekly).taken.outcome == "futile"


def test_the_last_look_ends_undecided_at_the_last_looks_level() -> None:
    found = looked(trial(80), gains=4, look=1, of=80, rules=RULES)
    assert (found.taken.outcome, found.taken.conditional_power) == ("undecided", None)
    assert found.taken.alpha == found.comparisons[0].alpha == look_levels(0.05, 2)[1]


def test_one_look_is_never_futile() -> None:
    found = looked(trial(20), gains=2, losses=2, look=0, of=20, rules=RULES)
    assert (found.taken.outcome, found.taken.alpha) == ("undecided", 0.05)


def test_a_first_look_whose_rows_have_no_scores_goes_on() -> None:
    tried = trial(80)
    rows = [row(held, None, None) for held in tried.holdout.samples[:40]]
    found = analyse(tried, rows, [CORRECTNESS, BREVITY], rules=RULES, look=0)
    assert (found.taken.outcome, found.taken.p_value, found.decision.void) == ("go_on", None, True)


def test_without_a_primary_evaluator_there_is_nothing_to_look_at() -> None:
    tried = trial(80)
    rows = [row(held, 0.0, 1.0) for held in tried.holdout.samples[:40]]
    found = analyse(tried, rows, [BREVITY], rules=RULES, look=0)
    assert (found.taken.outcome, found.slices, found.decision.void) == ("go_on", (), True)


def test_weights_that_were_fixed_before_reach_the_comparison() -> None:
    held = tuple(sample(n, "holdout") for n in range(6))
    strata = {s.conversation_id: "rare here" if n == 0 else "usual" for n, s in enumerate(held)}
    pooled = HeldOut(
        samples=held, windows={held[5].span_id: "before"}, strata=strata, target={"rare here": 60, "usual": 100}
    )
    found = looked(Trial(state=state_of(*held), update=UPDATE, held_out=pooled), gains=1, look=0, of=6, rules=RULES)
    merged = {"rare here": 0.375 / (1 / 6), "usual": 0.625 / (5 / 6)}
    expected = merged["rare here"] / (merged["rare here"] + 5 * merged["usual"])
    assert found.comparisons[0].difference == pytest.approx(expected)


def test_a_first_look_is_weighted_as_its_own_half_and_not_as_all() -> None:
    held = tuple(sample(n, "holdout") for n in range(40))
    strata = {s.conversation_id: "a" if n < 10 else "b" for n, s in enumerate(held)}
    pooled = HeldOut(samples=held, windows={held[5].span_id: "before"}, strata=strata, target={"a": 50, "b": 50})
    tried = Trial(state=state_of(*held), update=UPDATE, held_out=pooled)
    half = looked(tried, gains=10, look=0, of=20, rules=RULES).comparisons[0]
    assert half.difference == pytest.approx(0.5), "half of the half is of the stratum that gains: as in the target"
    assert looked(tried, gains=10, look=1, of=40, rules=RULES).comparisons[0].difference == pytest.approx(0.5)


def test_parts_of_the_traffic_are_compared_under_the_primary_evaluator() -> None:
    held = tuple(sample(n, "holdout").model_copy(update={"model": "big" if n < 30 else "small"}) for n in range(60))
    tried = Trial(state=state_of(*held), update=UPDATE, held_out=HeldOut(samples=held))
    rules = RULES.model_copy(update={"slices": ("model",), "slice_conversations": 20, "looks": 1})
    found = looked(tried, gains=30, losses=30, look=0, of=60, rules=rules)
    assert [(part.value, part.finding) for part in found.slices] == [("big", "holds"), ("small", "loses")]
    assert found.decision.verdict == "reject"
    assert all(part.comparison.evaluator == "correctness" for part in found.slices)
