"""A holdout is looked at once: the same look again is the same verdict, and any other look is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.holdout_reuse import (
    TOO_LATE,
    look_fingerprint,
    look_of,
    missing_scores,
    report_under_first_look,
    result_of,
    reuse_reason,
    was_tested,
    without_late_scores,
)
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import Carried, Look
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import HOLDOUT_REUSED, ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate

WINDOW = TimeWindow(key="2026-09-28", start=datetime(2026, 9, 28, tzinfo=UTC), end=datetime(2026, 10, 5, tzinfo=UTC))


OLD, NEW = Actions(system_prompt="Be polite.", model="app"), Actions(system_prompt="Be polite and brief.", model="app")


EVALUATORS = {"correctness": "f", "is_brief": "g"}


AT = WINDOW.end + timedelta(hours=3)


def loop(**validation: Any) -> LoopConfig:
    judge = {"name": "correctness", "kind": "llm_classify", "model": "m", "template": "{output}", "rails": "0..1"}
    brief = {"name": "is_brief", "kind": "code", "function": "package.checks:is_brief"}
    return LoopConfig.model_validate(
        {
            "name": "desk",
            "traces": {"source": "local", "path": "traces"},
            "start": "2026-09-28",
            "evaluators": [judge, {**brief, **validation.pop("brief", {})}],
            "policy": {"model": "optimizer"},
            "validation": {"primary": "correctness", **validation},
        }
    )


def update(**changes: Any) -> PolicyUpdate:
    entry = {"loop": "desk", "window": WINDOW, "baseline": OLD, "candidate": NEW, "changed": True}
    return PolicyUpdate.model_validate({**entry, **changes})


def row(number: int, new: float | None = 1.0) -> ValidationRow:
    def arm(score: float | None) -> ArmOutcome:
        return ArmOutcome(output="An answer.", evals=(EvalMetrics(name="correctness", score=score),))

    return ValidationRow(span_id=f"s{number}", conversation_id=f"c{number}", baseline=arm(0.0), candidate=arm(new))


def report(rows: int = 8, **changes: Any) -> ValidationReport:
    compared = EvaluatorComparison(
        evaluator="correctness",
        role="primary",
        n=rows,
        samples=rows,
        baseline_mean=0.0,
        candidate_mean=1.0,
        difference=1.0,
        ci_low=0.4,
        ci_high=1.0,
        p_value=0.004,
        alpha=0.0096,
    )
    entry = {
        "loop": "desk",
        "window": WINDOW,
        "verdict": "inconclusive",
        "reasons": ("correctness rose", "is_brief is not protected"),
        "baseline": OLD,
        "candidate": NEW,
        "conversations": rows,
        "comparisons": (compared,),
        "rows": tuple(row(number) for number in range(rows)),
        "carries_on": True,
        "samples_needed": 90,
    }
    return ValidationReport.model_validate({**entry, **changes})


def look(of: ValidationReport | None = None, **changes: Any) -> Look:
    facts = {"fingerprint": "e", "evaluators": EVALUATORS, "alpha": 0.0096, "at": AT}
    return look_of(of or report(), **{**facts, **changes})


def test_evidence_is_both_policies_the_evaluators_and_the_rules() -> None:
    known = look_fingerprint(loop(), update(), EVALUATORS)
    others = [
        look_fingerprint(loop(), update(candidate=OLD), EVALUATORS),
        look_fingerprint(loop(), update(baseline=NEW), EVALUATORS),
        look_fingerprint(loop(), update(baseline=None), EVALUATORS),
        look_fingerprint(loop(), update(), {**EVALUATORS, "correctness": "another"}),
        look_fingerprint(loop(min_effect=0.03), update(), EVALUATORS),
        look_fingerprint(loop(pool_windows=0), update(), EVALUATORS),
        look_fingerprint(loop(repeats=3), update(), EVALUATORS),
        look_fingerprint(loop(brief={"margin": 0.1}), update(), EVALUATORS),
        look_fingerprint(loop(brief={"safety": True}), update(), EVALUATORS),
    ]
    assert len({known, *others}) == len(others) + 1


def test_evidence_is_not_how_it_was_found_nor_what_changes_no_verdict() -> None:
    known = look_fingerprint(loop(), update(), EVALUATORS)
    carried = update(carried=Carried(window="w", times=2), reason="again")
    assert look_fingerprint(loop(), carried, dict(reversed(EVALUATORS.items()))) == known
    assert look_fingerprint(loop(noise_conversations=0, carry_windows=2), update(), EVALUATORS) == known


def test_a_setting_that_says_the_default_is_no_other_rule() -> None:
    assert look_fingerprint(loop(alpha=0.05, looks=5), update(), EVALUATORS) == look_fingerprint(
        loop(), update(), EVALUATORS
    )


def test_the_result_is_every_score_and_every_number() -> None:
    known = report()
    another = (*known.rows[:-1], row(7, 0.0))
    unscored = (*known.rows[:-1], row(7, None))
    p = (known.comparisons[0].model_copy(update={"p_value": 0.005}),)
    changed = [report(rows=7), report(rows=8, comparisons=p)]
    changed += [known.model_copy(update={"rows": rows}) for rows in (another, unscored)]
    assert len({result_of(each) for each in [known, *changed]}) == len(changed) + 1


def test_the_result_is_not_words_nor_what_it_cost() -> None:
    said = report(reasons=("otherwise",), samples_needed=None)
    told = tuple(
        each.model_copy(update={"candidate": each.candidate.model_copy(update={"output": "Said otherwise."})})
        for each in said.rows
    )
    assert result_of(said.model_copy(update={"rows": told})) == result_of(report())


@given(st.floats(-1, 1, allow_nan=False))
def test_the_last_bits_of_a_number_are_no_other_result(value: float) -> None:
    def with_gain(gain: float) -> ValidationReport:
        return report(comparisons=(report().comparisons[0].model_copy(update={"difference": gain}),))

    rounded = round(value, 9)
    assert result_of(with_gain(rounded)) == result_of(with_gain(rounded + 1e-13))


def test_a_look_says_what_was_found_of_what() -> None:
    carried = Carried(window="2026-09-21", times=1)
    found = look(report(carried=carried))
    assert (found.loop, found.window, found.at, found.alpha_spent) == ("desk", WINDOW, AT, 0.0096)
    assert (found.baseline, found.candidate, found.evaluators) == (OLD, NEW, EVALUATORS)
    assert (found.verdict, found.difference, found.p_value, found.conversations) == ("inconclusive", 1.0, 0.004, 8)
    assert (found.carries_on, found.carried) == (True, carried)


@pytest.mark.parametrize("changes", [{"candidate": None}, {"baseline": None}])
def test_without_policies_there_is_no_look(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="loop desk, window 2026-09-28: without a candidate"):
        look(report(**changes))


def test_a_look_without_a_comparison_has_no_numbers() -> None:
    found = look(report(comparisons=()))
    assert (found.difference, found.p_value) == (None, None)
    assert "difference" not in reuse_reason(look(), found)


def test_the_same_look_again_gives_the_same_report() -> None:
    again = report()
    assert report_under_first_look(again, look(again, at=AT + timedelta(days=400)), look()) is again


def test_scores_that_were_drawn_again_are_no_verdict() -> None:
    drawn = report(rows=7, verdict="accept", carries_on=False)
    found = report_under_first_look(drawn, look(drawn), look())
    assert found.verdict == "inconclusive"
    assert found.reasons[0].startswith(
        f"{HOLDOUT_REUSED}, at 2026-10-05T03:00+00:00, for the candidate {NEW.fingerprint}: inconclusive, "
        "difference +1.00, 8 conversations. It is the same candidate, but its scores differ"
    )
    assert found.reasons[1:] == drawn.reasons
    assert found.samples_needed is None
    assert found.carries_on, "what the first look left open goes on as it left it"
    assert found.is_holdout_reuse
    assert not drawn.is_holdout_reuse


def test_another_verdict_from_equal_numbers_is_none_either() -> None:
    decided = report(verdict="accept")
    assert report_under_first_look(decided, look(decided), look()).verdict == "inconclusive"


def test_what_is_different_is_named() -> None:
    first = look()
    third = Actions(system_prompt="Be terse.", model="app")
    cases = {
        "This is another candidate;": look(report(candidate=third), fingerprint="o"),
        "This is another policy in force;": look(report(baseline=third), fingerprint="o"),
        "This is other evaluators;": look(evaluators={}, fingerprint="o"),
        "This is another candidate and other evaluators;": look(
            report(candidate=third), evaluators={}, fingerprint="o"
        ),
        "This is other rules (`validation`, or those of another version);": look(fingerprint="o"),
    }
    for words, second in cases.items():
        told = reuse_reason(second, first)
        assert words in told
        assert told.startswith(HOLDOUT_REUSED)
        assert told.endswith("the next window decides anew")


def test_another_candidate_does_not_go_on_for_the_first() -> None:
    other = report(candidate=Actions(system_prompt="Be terse.", model="app"))
    found = report_under_first_look(other, look(other, fingerprint="o"), look())
    assert (found.verdict, found.carries_on) == ("inconclusive", False)


def test_only_what_could_have_been_accepted_was_tested() -> None:
    assert was_tested(report())
    assert was_tested(report(verdict="accept"))
    assert not was_tested(report(candidate=None))
    assert not was_tested(report(comparisons=()))
    assert not was_tested(report(void=True))


def test_what_was_missing_stays_missing_and_all_else_stays() -> None:
    known = report(rows=3)
    failed = row(1, None)
    was = known.model_copy(update={"rows": (known.rows[0], failed, known.rows[2])})
    missing = look(was).unscored
    assert [(each.span_id, each.repeat, each.arm, each.evaluator) for each in missing] == [
        ("s1", 0, "candidate", "correctness")
    ]
    now = without_late_scores(known.rows, missing)
    assert (now[0], now[2]) == (known.rows[0], known.rows[2])
    assert now[1].baseline == known.rows[1].baseline
    assert [said.error for said in now[1].candidate.evals] == [TOO_LATE]
    assert result_of(was.model_copy(update={"rows": now})) == result_of(was)
    again = failed.model_copy(
        update={"candidate": ArmOutcome(evals=(EvalMetrics(name="correctness", error="not now"),), output="x")}
    )
    ((said,),) = [each.candidate.evals for each in without_late_scores([again], missing)]
    assert said.error == "not now", "what fails again says so itself"


def test_an_answer_that_failed_has_no_score_of_any_evaluator() -> None:
    gone = row(0).model_copy(update={"candidate": ArmOutcome(error="refused")})
    missing = missing_scores([gone], ["correctness", "is_brief"])
    assert [(each.arm, each.evaluator) for each in missing] == [
        ("baseline", "is_brief"),
        ("candidate", "correctness"),
        ("candidate", "is_brief"),
    ]
    assert without_late_scores([gone], missing) == (gone,)
