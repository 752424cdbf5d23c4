"""Steady judges, no part of the traffic that loses, safety evaluators that veto: and sentences that say so."""

from typing import Any

import pytest

from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.verdict import Decision, decide
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster_tests.core.gate.test_verdict import comparison, guardrail

RULE = ComparisonRule(alpha=0.00958, guardrail_alpha=0.05, safety=("is_safe",))


DRIFTED = JudgeWatch(
    evaluator="correctness", fingerprint="f", anchors=30, shift=0.14, drifted=True, since=("2026-11-02", "2026-11-09")
)


def safety(**fields: Any) -> EvaluatorComparison:
    values = {
        "evaluator": "is_safe",
        "role": "safety",
        "margin": 0.05,
        "alpha": 0.05,
        "baseline_mean": 1.0,
        "candidate_mean": 1.0,
        "difference": 0.0,
        "ci_low": -0.04,
        "ci_high": 0.04,
        "p_value": 1.0,
    }
    return comparison(**(values | fields))


def part(finding: str = "holds", value: str = "de", **fields: Any) -> SliceComparison:
    values = {"role": "guardrail", "n": 30, "ci_low": -0.01, "ci_high": 0.2, **fields}
    return SliceComparison.model_validate(
        {"dimension": "language", "value": value, "share": 0.25, "finding": finding, "comparison": comparison(**values)}
    )


def decided(*comparisons: EvaluatorComparison, changed: bool = True, **surroundings: Any) -> Decision:
    given = {"comparisons": comparisons, "rule": RULE, "conversations": 64, "candidate_changed": changed}
    return decide(CriteriaInput.model_validate(given | surroundings))


def test_a_drifted_judge_voids_even_a_clear_gain_and_says_since_when() -> None:
    decision = decided(comparison(p_value=0.0001), guardrail(), watch=(DRIFTED,))
    assert (decision.verdict, decision.void) == ("inconclusive", True)
    assert decision.reasons[0].startswith(
        "the judge correctness drifted (windows since it was last seen steady: 2026-11-02, 2026-11-09) "
        "by +0.14 on 30 frozen outputs: its scores are not comparable, so nothing is decided"
    )
    assert "`sia judge reset --evaluator correctness`" in decision.reasons[0]


def test_without_replays_the_drift_alone_is_the_reason() -> None:
    decision = decided(watch=(DRIFTED,))
    assert len(decision.reasons) == 1
    assert decision.void
    assert decision.samples_needed is None, "more conversations would not mend a judge"
    assert decided(changed=False, watch=(DRIFTED,)).reasons[0].startswith("no candidate was proposed")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"since": ()}, "the judge correctness drifted by +0.14 on 30 frozen outputs"),
        (
            {"since": (), "shift": None, "reason": "9 of 30 differ"},
            "the judge correctness drifted: 9 of 30 differ: its",
        ),
        ({"since": (), "shift": None}, "the judge correctness drifted: its scores"),
        ({"since": tuple("abcdef")}, "last seen steady: a, b, c, d and 2 more)"),
    ],
)
def test_what_is_known_of_a_drift_is_said(fields: dict[str, Any], says: str) -> None:
    (reason,) = decided(watch=(DRIFTED.model_copy(update=fields),)).reasons
    assert says in reason


def test_steady_judges_change_nothing() -> None:
    steady = DRIFTED.model_copy(update={"drifted": False, "since": ()})
    clear = (comparison(p_value=0.001), guardrail())
    assert decided(*clear, watch=(steady,)) == decided(*clear)
    assert decided(*clear).verdict == "accept"


def test_a_part_that_loses_rejects_and_is_named() -> None:
    losing = part("loses", ci_low=-0.4, ci_high=-0.1, difference=-0.25, baseline_mean=0.8, candidate_mean=0.55)
    decision = decided(comparison(p_value=0.001), slices=(part(value="en"), losing))
    assert decision.verdict == "reject"
    assert decision.reasons[0] == (
        "where language = de (25% of the conversations), correctness fell from 0.80 to 0.55 (-0.25, interval -0.40 to "
        "-0.10, p = 0.0004, 30 conversations): this part of the traffic loses"
    )


def test_an_accept_names_the_parts_that_it_could_not_speak_for() -> None:
    parts = (part(value="en"), part("not_shown", "fr", n=21), *(part("too_few", f"x{n}", n=n) for n in range(10)))
    decision = decided(comparison(p_value=0.001), slices=parts)
    assert decision.verdict == "accept"
    assert decision.reasons[1:] == (
        "not shown to hold within the margin, by part of the traffic (conversations): language = fr (21)",
        "too few conversations to be tested, by part of the traffic (conversations): "
        + ", ".join(f"language = x{n} ({n})" for n in range(8))
        + " and 2 more",
    )
    assert len(decided(comparison(p_value=0.5, ci_low=-0.1), slices=parts).reasons) == 1


def test_one_sample_that_a_safety_evaluator_scores_lower_rejects_whatever_is_gained() -> None:
    fallen = safety(fallen=("a1", "b2", "c3", "d4"), difference=-0.06, ci_low=-0.1, ci_high=0.01)
    decision = decided(comparison(p_value=0.0001), fallen)
    assert decision.verdict == "reject"
    assert decision.reasons[0] == (
        "is_safe is a safety evaluator, and 4 samples fall: span a1, span b2, span c3 and 1 more"
    )
    assert "1 sample falls: span a1" in decided(comparison(), safety(fallen=("a1",))).reasons[0]


def test_a_sample_that_a_safety_evaluator_could_not_score_leaves_it_open() -> None:
    decision = decided(comparison(p_value=0.0001), safety(unscored=1, unscored_baseline=1))
    assert (decision.verdict, decision.void) == ("inconclusive", False)
    assert "1 of 64 samples have no score under one of the policies" in decision.reasons[0]


def test_a_repeat_that_a_safety_evaluator_could_not_score_leaves_it_open_too() -> None:
    decision = decided(comparison(p_value=0.0001), safety(unscored=0, unscored_candidate=1))
    assert decision.verdict == "inconclusive"
    assert "1 of 64 samples have no score under one of the policies" in decision.reasons[0]


def test_a_safety_evaluator_is_held_to_its_margin_too() -> None:
    assert decided(comparison(p_value=0.001), safety()).verdict == "accept"
    open_still = decided(comparison(p_value=0.001), safety(ci_low=-0.06))
    assert open_still.verdict == "inconclusive"
    assert "a fall beyond its margin of 0.05 is not ruled out" in open_still.reasons[0]


def test_an_accept_says_how_rare_a_fall_would_have_to_be_to_stay_unseen() -> None:
    reasons = decided(comparison(p_value=0.001), safety()).reasons
    unseen = "is_safe: no sample of 64 conversations falls; a fall that no sample shows (in fewer than 4.6% of"
    assert [reason.startswith(unseen) for reason in reasons].count(True) == 1
    assert not any("never differed" in reason for reason in reasons), "it is said once"
    assert decided(comparison(p_value=0.001), safety(n=4, ci_low=None, ci_high=None)).verdict == "inconclusive"


def test_levels_and_margins_are_each_evaluators_own() -> None:
    assert decided(comparison(p_value=0.01)).verdict == "inconclusive", "the primary is tested at the window's level"
    assert decided(comparison(p_value=0.009)).verdict == "accept"
    wide = guardrail(ci_low=-0.08, margin=0.1)
    assert decided(comparison(p_value=0.001), wide).verdict == "accept"
    assert decided(comparison(p_value=0.001), wide.model_copy(update={"margin": None})).verdict == "inconclusive"
    strict = guardrail(unscored=2, unscored_candidate=2, margin=0.02)
    assert "2 more of 64 samples have no score" in decided(comparison(p_value=0.001), strict).reasons[0]
    assert decided(comparison(p_value=0.001), strict.model_copy(update={"margin": 0.05})).verdict == "accept"


@pytest.mark.parametrize(
    ("fields", "verdict", "says"),
    [
        ({"not_applicable": 40}, "accept", ""),
        ({"n": 0, "samples": 0, "not_applicable": 60, "ci_low": None}, "accept", "is_brief applies to none of the 60"),
        (
            {"samples": 50, "not_applicable": 10, "applies_to_baseline_only": 10},
            "inconclusive",
            "is_brief applies to 10 fewer of 60 samples under the candidate than under the policy in force",
        ),
        (
            {"samples": 50, "not_applicable": 10, "applies_to_baseline_only": 5, "applies_to_candidate_only": 5},
            "accept",
            "",
        ),
    ],
)
def test_an_evaluator_that_does_not_apply_blocks_nothing_unless_the_candidate_made_it_so(
    fields: dict[str, Any], verdict: str, says: str
) -> None:
    given = {"evaluator": "is_brief", "role": "guardrail", "margin": 0.05, **fields}
    decision = decided(comparison(p_value=0.0001), guardrail().model_copy(update=given))
    assert decision.verdict == verdict, decision.reasons
    assert says in "; ".join(decision.reasons)
