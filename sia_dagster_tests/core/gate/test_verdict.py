"""Three verdicts, each with the evidence that leads to it and reasons that a person can read."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.gate.criteria import CriteriaInput, Finding
from sia_dagster.core.gate.verdict import CRITERIA, Decision, decide, fold
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.statistics.compare import ComparisonRule, compare

RULE = ComparisonRule()


def comparison(**fields: Any) -> EvaluatorComparison:
    """A clear gain of the primary evaluator, unless `fields` say otherwise."""
    values = {
        "evaluator": "correctness",
        "role": "primary",
        "n": 64,
        "samples": 64,
        "baseline_mean": 0.52,
        "candidate_mean": 0.81,
        "difference": 0.29,
        "ci_low": 0.17,
        "ci_high": 0.4,
        "p_value": 0.0004,
        "minimum_detectable_effect": 0.12,
        "conversations_needed": 20,
    }
    return EvaluatorComparison.model_validate(values | fields)


def guardrail(**fields: Any) -> EvaluatorComparison:
    values = {
        "evaluator": "is_brief",
        "role": "guardrail",
        "baseline_mean": 0.97,
        "candidate_mean": 0.98,
        "difference": 0.01,
        "ci_low": -0.03,
        "ci_high": 0.05,
        "p_value": 0.4,
        "conversations_needed": 66,
    }
    return comparison(**(values | fields))


def decided(*comparisons: EvaluatorComparison, conversations: int = 64, changed: bool = True) -> Decision:
    given = CriteriaInput(comparisons=comparisons, rule=RULE, conversations=conversations, candidate_changed=changed)
    return decide(given)


def evidence() -> CriteriaInput:
    return CriteriaInput(comparisons=(comparison(),), rule=RULE, conversations=64, candidate_changed=True)


def test_a_gain_under_both_keys_with_guardrails_held_is_accepted() -> None:
    decision = decided(comparison(), guardrail())
    assert decision.verdict == "accept"
    assert decision.samples_needed is None
    assert decision.reasons == (
        "correctness rose from 0.52 to 0.81 (+0.29, interval +0.17 to +0.40, p = 0.0004, 64 conversations)",
        "is_brief rose from 0.97 to 0.98 (+0.01, interval -0.03 to +0.05, p = 0.4, 64 conversations): "
        "no fall beyond its margin of 0.05",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"p_value": 0.051},
        {"ci_low": 0.0},
        {"ci_low": -0.01},
        {"difference": 0.019, "ci_low": 0.001},
        {"difference": 0.03, "ci_low": 0.001, "scale": 4.0},
    ],
)
def test_one_key_alone_or_a_gain_too_small_is_inconclusive(fields: dict[str, Any]) -> None:
    decision = decided(comparison(**fields), guardrail())
    assert decision.verdict == "inconclusive"
    assert "not shown to be a gain" in decision.reasons[0]
    assert "the smallest gain this window could have shown is 0.12" in decision.reasons[0]
    assert decision.samples_needed == 65, "as many as there were have just failed to decide"


def test_an_open_comparison_says_how_many_conversations_it_would_take() -> None:
    decision = decided(comparison(p_value=0.2, ci_low=-0.05, conversations_needed=1240))
    assert decision.samples_needed == 1240
    assert "it would take about 1,240 held-out conversations to decide" in decision.reasons[0]


def test_a_window_that_sees_less_than_can_be_gained_says_so() -> None:
    fields: dict[str, Any] = {"p_value": 0.2, "ci_low": -0.05, "alpha": 0.0095, "high": 1.0, "baseline_mean": 0.7}
    small = decided(comparison(**fields, minimum_detectable_effect=0.34))
    assert (
        "this window is too small to show a gain: only a gain of 0.34 would be detected with 80 % power, and no more "
        "than 0.30 can be gained; it would take about 65 held-out conversations to decide"
    ) in small.reasons[0]
    assert "smallest gain this window could have shown is 0.12" in decided(comparison(**fields)).reasons[0]
    never = decided(comparison(**fields, minimum_detectable_effect=None))
    least = "even a gain of the evaluator's full range would be detected with less than 80 % power"
    assert f"{least}, and no more than 0.30 can be gained" in never.reasons[0]
    older = decided(comparison(**fields | {"high": None}, minimum_detectable_effect=None))
    assert f"{least}; it would take" in older.reasons[0]


def test_more_than_can_be_gained_is_said_to_be_asked_for() -> None:
    near_top: dict[str, Any] = {"p_value": 0.2, "ci_low": -0.05, "high": 1.0, "baseline_mean": 0.99}
    decision = decided(comparison(**near_top))
    assert "no more than 0.01 can be gained, and 0.02 is required (`validation.min_effect`)" in decision.reasons[0]
    ties = decided(comparison(**near_top | {"difference": 0.0, "p_value": 1.0}))
    assert "0.02 is required" in ties.reasons[0]
    assert "is required" not in decided(comparison(**near_top | {"baseline_mean": 0.98})).reasons[0]


def test_what_no_number_of_conversations_decides_has_no_plan() -> None:
    decision = decided(comparison(p_value=0.2, ci_low=-0.05, conversations_needed=None, minimum_detectable_effect=None))
    assert decision.samples_needed is None
    assert decision.reasons[0].endswith("not shown to be a gain")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"difference": -0.2, "ci_low": -0.3, "ci_high": -0.1, "p_value": 0.99}, "the candidate is worse"),
        ({"difference": 0.0, "ci_low": -0.02, "ci_high": 0.015, "p_value": 0.5}, "cannot gain the required 0.02"),
        ({"difference": 0.1, "ci_low": 0.01, "ci_high": 0.19, "scale": 10.0}, "cannot gain the required 0.20"),
    ],
)
def test_a_candidate_shown_not_to_gain_is_rejected(fields: dict[str, Any], why: str) -> None:
    decision = decided(comparison(**fields), guardrail())
    assert decision.verdict == "reject"
    assert why in decision.reasons[0]
    assert decision.samples_needed is None


def test_a_guardrail_shown_to_fall_rejects_however_large_the_gain() -> None:
    fallen = guardrail(difference=-0.2, ci_low=-0.3, ci_high=-0.1, candidate_mean=0.77)
    decision = decided(comparison(), fallen)
    assert decision.verdict == "reject"
    assert "is_brief fell from 0.97 to 0.77 (-0.20" in decision.reasons[0]
    assert "falls by more than its margin of 0.05" in decision.reasons[0]
    assert "correctness rose" in decision.reasons[1]


def test_a_guardrail_that_may_have_fallen_is_inconclusive_though_its_mean_rose() -> None:
    decision = decided(comparison(), guardrail(ci_low=-0.06))
    assert decision.verdict == "inconclusive"
    assert "a fall beyond its margin of 0.05 is not ruled out" in decision.reasons[0]
    assert "66 held-out conversations" in decision.reasons[0]
    assert decision.samples_needed == 66
    assert decided(comparison(), guardrail(ci_low=-0.06, conversations_needed=None)).samples_needed is None


def test_a_margin_is_a_share_of_the_guardrails_own_range() -> None:
    assert decided(comparison(), guardrail(ci_low=-0.15, scale=4.0)).verdict == "accept"
    assert decided(comparison(), guardrail(ci_low=-0.15, scale=1.0)).verdict == "inconclusive"


def test_a_guardrail_with_too_few_scores_protects_nothing() -> None:
    unseen = guardrail(n=3, ci_low=None, ci_high=None, p_value=None, minimum_detectable_effect=None)
    decision = decided(comparison(), unseen)
    assert decision.verdict == "inconclusive"
    assert "too few to exclude a fall" in decision.reasons[0]


def test_below_five_conversations_nothing_is_decided() -> None:
    few = comparison(
        n=4, samples=4, ci_low=None, ci_high=None, p_value=None, minimum_detectable_effect=None, conversations_needed=70
    )
    decision = decided(few, conversations=4)
    assert decision.verdict == "inconclusive"
    assert decision.samples_needed == 70
    assert "4 of 4 held-out conversations were scored under both policies; below 5" in decision.reasons[0]


def test_a_window_of_four_samples_without_a_candidate_says_how_many_it_would_take() -> None:
    decision = decided(conversations=4, changed=False)
    assert decision.verdict == "inconclusive"
    assert decision.samples_needed == 3905
    assert decision.reasons[0].startswith("no candidate was proposed for validation: the policy stays")
    assert "held-out conversations in the window: 4" in decision.reasons[0]


def test_a_large_window_without_a_candidate_lacks_no_samples() -> None:
    decision = decided(conversations=5000, changed=False)
    assert decision == Decision(
        verdict="inconclusive", reasons=("no candidate was proposed for validation: the policy stays",), void=True
    )


def test_a_candidate_that_was_never_compared_changes_nothing() -> None:
    assert decided(conversations=0).reasons[0].startswith("nothing was compared: the policy stays")
    assert decided(guardrail()).verdict == "inconclusive"


def test_many_unscored_samples_void_even_a_clear_result() -> None:
    for evidence in (comparison(unscored=13), comparison(unscored=13, ci_low=-0.3, ci_high=-0.1, difference=-0.2)):
        decision = decided(evidence)
        assert decision.verdict == "inconclusive"
        assert "13 of 64 samples have no score under one of the policies (at most 20% may)" in decision.reasons[0]
        assert decision.samples_needed is None
    assert decided(comparison(unscored=12)).verdict == "accept"


def test_losses_do_not_hide_among_the_candidates_unscored_samples() -> None:
    decision = decided(comparison(unscored=6, unscored_baseline=1, unscored_candidate=5))
    assert decision.verdict == "inconclusive"
    assert "4 more of 64 samples have no score under the candidate" in decision.reasons[0]
    assert decided(comparison(unscored=8, unscored_baseline=4, unscored_candidate=4)).verdict == "accept"


def test_all_ties_are_inconclusive_however_many() -> None:
    ties = comparison(n=5000, difference=0.0, p_value=1.0, ci_low=-0.001, ci_high=0.001, candidate_mean=0.52)
    decision = decided(ties)
    assert decision.verdict == "inconclusive"
    assert "correctness was the same under both policies in all 5,000 conversations" in decision.reasons[0]


def test_an_accept_says_what_no_sample_could_show_and_only_where_it_applies() -> None:
    never = guardrail(difference=0.0, p_value=1.0, baseline_mean=1.0, candidate_mean=1.0, ci_low=-0.02, ci_high=0.02)
    unseen = decided(comparison(), never).reasons
    assert "is_brief stayed at 1.00" in unseen[1]
    assert unseen[2].startswith("is_brief never differed in 64 conversations; a rare collapse that no sample shows")
    assert "(in fewer than 4.6% of conversations) is not excluded" in unseen[2]
    assert len(decided(comparison(ci_low=-0.1), never).reasons) == 2
    assert len(decided(comparison(), guardrail()).reasons) == 2


def test_nothing_found_is_never_an_accept() -> None:
    assert fold([]) == Decision(verdict="inconclusive", reasons=(), void=True)
    assert decide(evidence(), ()).verdict == "inconclusive"


findings = st.lists(
    st.builds(
        Finding,
        kind=st.sampled_from(["void", "reject", "undecided", "holds", "note"]),
        sentence=st.text(min_size=1, max_size=5),
        needed=st.none() | st.integers(5, 1000),
    )
)


@given(findings)
def test_one_doubt_is_enough_to_hold_an_accept_back(found: list[Finding]) -> None:
    decision, kinds = fold(found), {f.kind for f in found}
    assert (decision.verdict == "accept") == ("holds" in kinds and kinds <= {"holds", "note"})
    assert (decision.verdict == "reject") == ("reject" in kinds and "void" not in kinds)
    assert decision.void == (decision.verdict == "inconclusive" and ("void" in kinds or kinds <= {"note"}))
    assert decision.samples_needed is None or decision.verdict == "inconclusive"
    assert sorted(decision.reasons) == sorted(
        f.sentence for f in found if f.kind != "note" or decision.verdict == "accept"
    )


def test_a_further_criterion_is_a_further_function() -> None:
    def never(evidence: Any) -> Any:
        yield Finding(kind="undecided", sentence=f"the judge drifted over {evidence.conversations} conversations")

    decision = decide(evidence(), (*CRITERIA, never))
    assert decision.verdict == "inconclusive"
    assert decision.reasons[0] == "the judge drifted over 64 conversations"


def test_from_rows_to_a_verdict() -> None:
    def arm(score: float) -> ArmOutcome:
        return ArmOutcome(output="x", evals=(EvalMetrics(name="q", score=score),))

    def rows(old_rate: float, new_rate: float, n: int) -> list[ValidationRow]:
        draws = np.random.default_rng(7).random((n, 2))
        return [
            ValidationRow(
                span_id=f"s{i}",
                conversation_id=f"c{i}",
                baseline=arm(float(old < old_rate)),
                candidate=arm(float(new < new_rate)),
            )
            for i, (old, new) in enumerate(draws)
        ]

    def verdict(old_rate: float, new_rate: float, n: int) -> str:
        constant = EvalConstant(name="q", kind="code", fingerprint="f", primary=True)
        found = compare(rows(old_rate, new_rate, n), constant, role="primary", rule=RULE)
        return decided(found, conversations=n).verdict

    assert verdict(0.4, 0.75, 60) == "accept"
    assert verdict(0.75, 0.4, 60) == "reject"
    assert verdict(0.5, 0.55, 60) == "inconclusive"
    assert verdict(0.1, 0.9, 4) == "inconclusive"
