"""The second question: as good for less money. It has to cost less, and nothing may fall beyond its margin."""

from typing import Any

import pytest

from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.holdout_reuse import look_fingerprint, result_of
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Analysis, analyse
from sia_dagster.core.gate.verdict import Decision, decide
from sia_dagster.core.records.comparison import EvaluatorComparison, Saving, SliceComparison
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.report import ValidationReport, ValidationRow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.search.carried import carried_candidate, carry_on
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster_tests.core.gate.test_trial import BREVITY, UPDATE, row, trial
from sia_dagster_tests.core.search.test_carried import FOUR, look
from sia_dagster_tests.worlds.search_world import BASELINE, BETTER, CORRECTNESS, WINDOW, guarded_loop, state

RULE = ComparisonRule(question="not_worse", alpha=0.0096)
CHEAPER = BASELINE.model_copy(update={"model": "small"})
TRIED = UPDATE.model_copy(update={"candidate": CHEAPER, "question": "not_worse"})


def level(**fields: Any) -> EvaluatorComparison:
    """The primary evaluator, which kept its level unless `fields` say otherwise."""
    values = {
        "evaluator": "correctness",
        "role": "primary",
        "n": 120,
        "samples": 120,
        "baseline_mean": 0.81,
        "candidate_mean": 0.80,
        "difference": -0.01,
        "ci_low": -0.04,
        "ci_high": 0.02,
        "p_value": 0.7,
        "conversations_needed": 90,
        "margin": 0.05,
    }
    return EvaluatorComparison.model_validate(values | fields)


def saving(**fields: Any) -> Saving:
    values = {"unit": "usd", "n": 120, "conversations": 120, "baseline": 0.0009, "candidate": 0.0003, "alpha": 0.0096}
    return Saving.model_validate(values | {"share": 2 / 3, "low": 0.6, "high": 0.72} | fields)


def decided(
    *comparisons: EvaluatorComparison, saved: Saving | None = None, slices: tuple[SliceComparison, ...] = ()
) -> Decision:
    return decide(
        CriteriaInput(
            comparisons=comparisons or (level(),),
            rule=RULE,
            conversations=120,
            candidate_changed=True,
            slices=slices,
            saving=saving() if saved is None else saved,
        )
    )


def part(finding: str, **fields: Any) -> SliceComparison:
    values = {"dimension": "language", "value": "de", "share": 0.4, "finding": finding, "comparison": level()}
    return SliceComparison.model_validate(values | fields)


def test_as_good_for_less_money_is_an_accept_that_says_so_first() -> None:
    brief = level(evaluator="is_brief", role="guardrail")
    decision = decided(level(), brief)
    assert decision.verdict == "accept"
    assert decision.reasons[:3] == (
        "as good for 33% of the money (28% to 40%)",
        "1,000 calls cost 0.9 -> 0.3 USD (saves +67%, interval +60% to +72%, 120 conversations)",
        "correctness fell from 0.81 to 0.80 (-0.01, interval -0.04 to +0.02, p = 0.7, 120 conversations): "
        "no fall beyond its margin of 0.05",
    )


@pytest.mark.parametrize(
    ("fields", "verdict", "reason"),
    [
        ({"ci_low": -0.051}, "inconclusive", "a fall beyond its margin of 0.05 is not ruled out"),
        ({"ci_low": -0.2, "ci_high": -0.06}, "reject", "it falls by more than its margin of 0.05"),
        ({"ci_low": None, "ci_high": None}, "inconclusive", "too few to exclude a fall"),
        ({"traffic_difference": -0.06}, "inconclusive", "fell by -0.06 where each conversation counts"),
    ],
)
def test_the_primary_evaluator_has_to_keep_its_level(fields: dict[str, Any], verdict: str, reason: str) -> None:
    decision = decided(level(**fields))
    assert decision.verdict == verdict
    assert reason in decision.reasons[0]
    assert "as good" not in "".join(decision.reasons)


@pytest.mark.parametrize(
    ("fields", "verdict", "reason"),
    [
        ({"low": -0.01}, "inconclusive", "not shown to cost less"),
        ({"share": -0.2, "low": -0.3, "high": -0.1}, "reject", "the candidate costs more"),
        ({"low": None, "high": None}, "inconclusive", "too few to compare costs"),
        ({"share": None, "low": None, "high": None}, "inconclusive", "the calls of the policy in force cost nothing"),
    ],
)
def test_what_is_as_good_has_to_cost_less(fields: dict[str, Any], verdict: str, reason: str) -> None:
    decision = decided(saved=saving(**fields))
    assert decision.verdict == verdict
    assert reason in decision.reasons[0]


def test_without_a_count_of_tokens_nothing_is_shown_to_cost_less() -> None:
    given = CriteriaInput(comparisons=(level(),), rule=RULE, conversations=120, candidate_changed=True)
    decision = decide(given)
    assert decision.verdict == "inconclusive"
    assert "no call that both policies answered has a count of its tokens" in decision.reasons[0]


def test_a_part_of_the_traffic_that_loses_is_named() -> None:
    lost = part("loses", comparison=level(difference=-0.2, candidate_mean=0.61, ci_low=-0.3, ci_high=-0.1))
    decision = decided(slices=(lost,))
    assert decision.verdict == "reject"
    assert decision.reasons[0].startswith("where language = de (40% of the conversations), correctness fell")
    open_ = decided(slices=(part("not_shown", must_hold=True),))
    assert (open_.verdict, "where language = de" in open_.reasons[0]) == ("inconclusive", True)
    fell = decided(slices=(part("not_shown", comparison=level(difference=-0.06, ci_low=-0.2, ci_high=0.1)),))
    assert fell.verdict == "inconclusive"
    assert "a fall beyond its margin of 0.05 in this part of the traffic is seen, though not shown" in fell.reasons[0]
    small = decided(slices=(part("not_shown"),))
    assert small.verdict == "accept"
    assert "not shown to hold within the margin, by part of the traffic" in small.reasons[-1]


def cost(row: ValidationRow, old: float, new: float) -> ValidationRow:
    arms = {"baseline": row.baseline, "candidate": row.candidate}
    priced = {
        name: arm.model_copy(update={"prompt_tokens": 100, "cost_usd": usd})
        for (name, arm), usd in zip(arms.items(), (old, new), strict=True)
    }
    return row.model_copy(update=priced)


def looked(size: int, lost: int = 0, *, look: int = 0, price: float = 0.001, **update: Any) -> Analysis:
    """A look at so many conversations, of which the first ones lost."""
    tried = trial(size, update=TRIED.model_copy(update=update))
    changes = [(1.0, 0.0)] * lost + [(1.0, 1.0)] * (size - lost)
    rows = [cost(row(each, *change), 0.003, price) for each, change in zip(tried.holdout.samples, changes, strict=True)]
    rules = ValidationRules(rule=ComparisonRule(alpha=0.0096), looks=2)
    return analyse(tried, rows, [CORRECTNESS, BREVITY], rules=rules, look=look)


def test_the_question_of_the_search_decides_which_verdict_is_taken() -> None:
    found = looked(120, look=1)
    assert (found.taken.outcome, found.reasons[0]) == ("accept", "as good for 33% of the money (32% to 35%)")
    assert (found.comparisons[0].margin, found.comparisons[0].alpha) == (0.05, found.taken.alpha)
    assert looked(120, look=1, question="better").taken.outcome == "undecided"
    assert looked(120, look=1, question="better").saving is None


def test_a_look_that_is_far_beyond_the_margin_rejects_and_one_that_may_hold_goes_on() -> None:
    assert looked(120, 60).taken.outcome == "reject"
    going = looked(120, 1)
    assert going.taken.outcome == "go_on"
    assert 0.1 < (going.taken.conditional_power or 0) < 1
    assert looked(120, 12).taken.outcome == "futile"
    assert looked(120, 120).taken.p_value == 1.0


def test_the_question_is_part_of_a_look_and_the_saving_of_its_result() -> None:
    config = guarded_loop()
    one, other = (
        look_fingerprint(config, TRIED.model_copy(update={"question": each}), {}) for each in ("better", "not_worse")
    )
    assert one != other
    values = {"loop": "desk", "window": WINDOW, "verdict": "accept", "reasons": (), "question": "not_worse"}
    report = ValidationReport.model_validate(values | {"saving": saving(), "comparisons": (level(),)})
    edited = report.model_copy(update={"saving": saving(low=0.7)})
    assert result_of(report) != result_of(edited)


def test_a_carried_candidate_keeps_its_question() -> None:
    left = look(candidate=CHEAPER, question="not_worse")
    undecided = carried_candidate([left], state(), FOUR)
    assert undecided is not None
    assert carry_on(state(), undecided, SearchRules()).question == "not_worse"
    better = carried_candidate([look()], state(), FOUR)
    assert better is not None
    assert carry_on(state(), better, SearchRules()).question == "better"


def test_documents_of_the_first_question_have_the_bytes_that_they_had() -> None:
    update = PolicyUpdate(loop="desk", window=WINDOW, baseline=BASELINE, candidate=BETTER, changed=True)
    report = ValidationReport(loop="desk", window=WINDOW, verdict="reject", reasons=())
    for document in (update, look(), report, part("holds")):
        assert not {"question", "saving", "must_hold"} & document.model_dump(mode="json").keys()
    asked = update.model_copy(update={"question": "not_worse"})
    assert PolicyUpdate.model_validate_json(asked.model_dump_json()) == asked
    assert Look.model_validate_json(look(question="not_worse").model_dump_json()).question == "not_worse"
