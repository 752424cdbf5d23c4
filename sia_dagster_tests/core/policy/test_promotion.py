"""What comes into force: only what the whole gate accepts when it is checked again, or what a person overrides."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.recheck import GateTerms, stored_rule
from sia_dagster.core.guard import GuardLimits
from sia_dagster.core.policy.promotion import PromotionRequest, PromotionStores, promote
from sia_dagster.core.policy.rollback import rollback, rolled_back_policies
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.gate import TrafficCost
from sia_dagster.core.records.judge_report import JudgeWatch, WatchRecord
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster_tests.worlds.verdicts import BETTER, EVALUATORS, KEPT, SAVED, as_good, record, report, stores
from simulation.loops import loop_config

START = datetime(2026, 9, 28, tzinfo=UTC)


WINDOW = TimeWindow(key="2026-09-28", start=START, end=START + timedelta(weeks=1))


NEXT = TimeWindow(key="2026-10-05", start=WINDOW.end, end=WINDOW.end + timedelta(weeks=1))


OLD = Actions(system_prompt="Be polite to {customer}.", model="small", variables=("customer",))


NEW = OLD.model_copy(update={"system_prompt": "Be polite to {customer}. Name the order."})


CHEAPER = OLD.model_copy(update={"model": "tiny"})


MONDAY = WINDOW.end + timedelta(hours=9)


Change = Callable[[ValidationReport], ValidationReport]


def ruling(kind: str = "approve", **fields: Any) -> PromotionRequest:
    return PromotionRequest.model_validate({"kind": kind, "at": MONDAY, "by": "Ada", **fields})


def accepted(**changes: Any) -> ValidationReport:
    return report(WINDOW, OLD, NEW).model_copy(update=changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A storage whose ledger has the look of the accepted window."""
    record(tmp_path, accepted())
    return tmp_path


@pytest.fixture
def there(root: Path) -> PromotionStores:
    return stores(root)


def decided(found: PromotionStores) -> list[tuple[str, str, str]]:
    return [(each.kind, each.by, each.note) for each in found.decisions.decisions()]


def test_an_approval_is_recorded_with_who_when_and_why(there: PromotionStores) -> None:
    done = promote(accepted(), ruling(note="read the samples", report="r.html"), there)
    assert done.promoted is not None
    assert (done.promoted.by, done.promoted.note, done.promoted.override) == ("Ada", "read the samples", False)
    (decision,) = there.decisions.decisions()
    assert done.decision == decision
    assert (decision.kind, decision.at, decision.candidate, decision.verdict) == (
        "approve",
        MONDAY,
        NEW.fingerprint,
        "accept",
    )


def test_an_approval_without_a_name_is_a_persons(there: PromotionStores) -> None:
    done = promote(accepted(), ruling(by=""), there)
    assert done.promoted is not None
    assert done.promoted.by == "a person"


def test_the_job_decides_nothing_in_a_persons_name(there: PromotionStores) -> None:
    done = promote(accepted(), ruling("auto", by=""), there)
    assert done.promoted is not None
    assert (done.promoted.by, done.decision, decided(there)) == ("auto", None, [])


def test_the_same_approval_again_changes_nothing_and_says_the_same(there: PromotionStores) -> None:
    first = promote(accepted(), ruling(), there)
    again = promote(accepted(), ruling(at=MONDAY + timedelta(days=1)), there)
    assert again == first
    assert (len(there.policies.versions()), len(decided(there))) == (1, 1)


def test_a_verdict_that_was_edited_to_accept_is_refused(tmp_path: Path) -> None:
    """The document's word is changed after a window that could not decide."""
    weak = BETTER.model_copy(update={"ci_low": -0.02, "p_value": 0.2})
    inconclusive = accepted(verdict="inconclusive", comparisons=(weak, KEPT))
    record(tmp_path, inconclusive)
    there = stores(tmp_path)
    done = promote(inconclusive.model_copy(update={"verdict": "accept"}), ruling(), there)
    assert done.promoted is None
    assert "its own numbers give inconclusive" in done.reason
    assert "the looks ledger, this window's holdout gave inconclusive at 2026-10-05T00:00:00" in done.reason
    assert (there.policies.versions(), decided(there)) == ((), [])


def test_numbers_that_were_edited_too_are_refused_by_the_ledger(tmp_path: Path) -> None:
    weak = BETTER.model_copy(update={"ci_low": -0.02, "p_value": 0.2})
    record(tmp_path, accepted(verdict="inconclusive", comparisons=(weak, KEPT)))
    done = promote(accepted(), ruling(), stores(tmp_path))
    assert done.promoted is None
    assert "its own numbers" not in done.reason
    assert "the stored numbers are not those that the looks ledger recorded" in done.reason


def test_what_is_as_good_for_less_money_is_promoted_with_its_saving(tmp_path: Path) -> None:
    found = as_good(WINDOW, OLD, CHEAPER)
    record(tmp_path, found)
    done = promote(found, ruling("auto", by=""), stores(tmp_path))
    assert done.promoted is not None
    assert (done.promoted.actions, done.promoted.saving) == (CHEAPER, SAVED)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": "better"}, "was used for another question"),
        ({"question": "better"}, "its own numbers give inconclusive"),
        ({"saving": SAVED.model_copy(update={"low": 0.65})}, "the stored numbers are not those"),
        ({"saving": None}, "its own numbers give inconclusive"),
    ],
)
def test_a_question_or_a_saving_that_was_edited_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    found = as_good(WINDOW, OLD, CHEAPER)
    record(tmp_path, found)
    done = promote(found.model_copy(update=changes), ruling(), stores(tmp_path))
    assert done.promoted is None
    assert reason in done.reason


def test_another_candidate_than_the_one_that_was_tested_is_refused(there: PromotionStores) -> None:
    other = accepted(candidate=OLD.model_copy(update={"system_prompt": "Be very polite to {customer}."}))
    done = promote(other, ruling(), there)
    assert done.promoted is None
    assert "was used for other policies" in done.reason


def test_a_verdict_from_before_there_was_a_ledger_is_asked_for_again(tmp_path: Path) -> None:
    """A document of an earlier version reads; none of its new fields are there, and no look was recorded."""
    new = {
        "interim_analyses",
        "pooled",
        "repeats",
        "slices",
        "noise",
        "watch",
        "error_budget",
        "carried",
        "carries_on",
        "cost",
    }
    kept = {name: value for name, value in accepted().model_dump(mode="json").items() if name not in new}
    for comparison in kept["comparisons"]:
        for name in ("alpha", "margin", "fallen"):
            del comparison[name]
    old = ValidationReport.model_validate(kept)
    done = promote(old, ruling(), stores(tmp_path))
    assert done.promoted is None
    assert done.reason.startswith("the looks ledger has no entry for this window")
    assert "materialise validation_results again" in done.reason


def loses(found: ValidationReport) -> ValidationReport:
    worse = BETTER.model_copy(update={"difference": -0.3, "ci_low": -0.5, "ci_high": -0.1})
    lost = SliceComparison(dimension="language", value="de", share=0.3, finding="loses", comparison=worse)
    return found.model_copy(update={"slices": (lost,)})


def drifts(found: ValidationReport) -> ValidationReport:
    judge = JudgeWatch(evaluator="correctness", fingerprint="f1", anchors=30, drifted=True, since=(WINDOW.key,))
    return found.model_copy(update={"watch": (judge,)})


def guardrail_falls(found: ValidationReport) -> ValidationReport:
    return found.model_copy(update={"comparisons": (BETTER, KEPT.model_copy(update={"ci_low": -0.2}))})


def safety_falls(found: ValidationReport) -> ValidationReport:
    vetoed = KEPT.model_copy(update={"role": "safety", "fallen": ("s1",)})
    return found.model_copy(update={"comparisons": (BETTER, vetoed)})


def level_was_stricter(found: ValidationReport) -> ValidationReport:
    (look,) = found.interim_analyses
    return found.model_copy(update={"interim_analyses": (look.model_copy(update={"alpha": 0.0003}),)})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (loses, "part of the traffic loses"),
        (drifts, "drifted"),
        (guardrail_falls, "is not ruled out"),
        (safety_falls, "safety evaluator"),
        (level_was_stricter, "not shown to be a gain"),
    ],
)
def test_each_rule_of_the_gate_is_asked_again(tmp_path: Path, change: Change, why: str) -> None:
    """The ledger agrees with the document, so that only the rule itself stands against it."""
    found = change(accepted())
    record(tmp_path, found)
    done = promote(found, ruling(), stores(tmp_path))
    assert done.promoted is None
    assert "its own numbers give" in done.reason
    assert why in done.reason


@pytest.mark.parametrize(("fingerprint", "counts"), [("f1", True), ("of an earlier template", False)])
def test_a_judge_that_drifted_blocks_also_where_the_report_does_not_say_so(
    root: Path, fingerprint: str, counts: bool
) -> None:
    judge = JudgeWatch(evaluator="correctness", fingerprint=fingerprint, anchors=30, drifted=True)
    log = GateFiles(root, "desk")
    log.record_watch(WatchRecord(loop="desk", window=WINDOW, at=WINDOW.end, judge=judge))
    log.record_watch(WatchRecord(loop="desk", window=NEXT, at=NEXT.end, judge=judge))
    done = promote(accepted(), ruling(), stores(root))
    assert (done.promoted is None) == counts
    assert ("the judge correctness had drifted in this window" in done.reason) == counts


def test_a_drift_in_another_window_does_not_count(root: Path) -> None:
    judge = JudgeWatch(evaluator="correctness", fingerprint=EVALUATORS["correctness"], anchors=30, drifted=True)
    GateFiles(root, "desk").record_watch(WatchRecord(loop="desk", window=NEXT, at=NEXT.end, judge=judge))
    assert promote(accepted(), ruling(), stores(root)).promoted is not None


BROKEN = {
    "template variables": NEW.model_copy(update={"system_prompt": "Be polite. Name the order."}),
    "tools": NEW.model_copy(update={"tools": ({"type": "function"},)}),
    "output format": NEW.model_copy(update={"parameters": {"response_format": {}}}),
    "length": NEW.model_copy(update={"system_prompt": "Be polite to {customer}. " + "Name the order. " * 2000}),
}


@pytest.mark.parametrize("kind", ["approve", "override"])
@pytest.mark.parametrize("rule", BROKEN)
def test_nobody_puts_a_broken_contract_in_force(tmp_path: Path, rule: str, kind: str) -> None:
    found = accepted(candidate=BROKEN[rule])
    record(tmp_path, found)
    done = promote(found, ruling(kind, note="I want it"), stores(tmp_path))
    assert done.promoted is None
    assert f"the candidate breaks the contract of the policy in force: {rule}" in done.reason


def test_without_a_policy_to_compare_with_the_ledger_speaks_alone(there: PromotionStores) -> None:
    assert "was used for other policies" in promote(accepted(baseline=None), ruling(), there).reason


def test_a_passage_that_was_protected_since_counts(tmp_path: Path) -> None:
    found = accepted(candidate=NEW.model_copy(update={"system_prompt": "Be kind to {customer}. Name the order."}))
    record(tmp_path, found)
    terms = GateTerms(limits=GuardLimits(protected=("Be polite",)))
    assert "protected" in promote(found, ruling(), stores(tmp_path, terms=terms)).reason


LONGER = NEW.model_copy(update={"system_prompt": NEW.system_prompt + " Give the reason." * 20})


COST = TrafficCost(
    calls_a_week=10_000,
    baseline_prompt_tokens=20,
    candidate_prompt_tokens=120,
    baseline_completion_tokens=5,
    candidate_completion_tokens=5,
)


@pytest.mark.parametrize(
    ("most", "price", "why"),
    [
        (1.0, 2e-6, "USD a week, and policy.max_extra_usd_a_week allows 1.00"),
        (1.0, None, "cannot be checked without the price of 'small': name it in llm.prices"),
        (5.0, 2e-6, ""),
        (None, None, ""),
    ],
)
@pytest.mark.parametrize("kind", ["approve", "override"])
def test_what_a_longer_prompt_may_cost_is_asked_again(
    tmp_path: Path, most: float | None, price: float | None, why: str, kind: str
) -> None:
    """The bound or the price may have been written down since the search kept to them."""
    found = accepted(candidate=LONGER, cost=COST)
    record(tmp_path, found)
    terms = GateTerms(limits=GuardLimits(max_extra_usd_a_week=most, usd_per_prompt_token=price))
    done = promote(found, ruling(kind, note="I want it"), stores(tmp_path, terms=terms))
    assert (done.promoted is None) == bool(why)
    assert why in done.reason


def test_what_was_not_counted_is_not_priced_again(tmp_path: Path) -> None:
    found = accepted(candidate=LONGER)
    record(tmp_path, found)
    terms = GateTerms(limits=GuardLimits(max_extra_usd_a_week=0.0, usd_per_prompt_token=1.0))
    assert promote(found, ruling(), stores(tmp_path, terms=terms)).promoted is not None


def test_the_terms_are_those_of_the_loop() -> None:
    loop: LoopConfig = loop_config(policy={"model": "m", "max_extra_usd_a_week": 2.5})
    terms = GateTerms.of(loop, usd_per_prompt_token=1e-6)
    assert (terms.limits.max_extra_usd_a_week, terms.limits.usd_per_prompt_token) == (2.5, 1e-6)
    assert terms.limits.max_prompt_tokens == loop.policy.max_prompt_tokens
    assert terms.max_unscored_share == loop.validation.max_unscored_share


def test_the_stored_levels_are_those_of_the_last_look() -> None:
    rule = stored_rule(accepted(comparisons=(BETTER, KEPT.model_copy(update={"role": "safety"}))), GateTerms())
    assert (rule.alpha, rule.guardrail_alpha, rule.margins, rule.safety) == (
        0.0095,
        0.05,
        {"is_brief": 0.05},
        ("is_brief",),
    )
    assert stored_rule(accepted(interim_analyses=()), GateTerms()).alpha == 0.0096


def test_an_override_puts_what_the_gate_did_not_accept_in_force_and_says_who_and_why(tmp_path: Path) -> None:
    found = accepted(verdict="inconclusive")
    there = stores(tmp_path)
    done = promote(found, ruling("override", note="the shop opens tomorrow"), there)
    assert done.promoted is not None
    assert (done.promoted.override, done.promoted.by, done.promoted.note) == (True, "Ada", "the shop opens tomorrow")
    assert done.reason == "Ada put version 1 in force past the gate of window 2026-09-28: the shop opens tomorrow"
    assert decided(there) == [("override", "Ada", "the shop opens tomorrow")]
    assert there.decisions.decisions()[0].verdict == "inconclusive"
    assert promote(found, ruling("override", note="again"), there) == done


@pytest.mark.parametrize("missing", [{"by": " "}, {"note": ""}, {"note": "  "}])
def test_an_override_takes_a_name_and_a_note(tmp_path: Path, missing: dict[str, str]) -> None:
    there = stores(tmp_path)
    done = promote(accepted(verdict="reject"), ruling("override", **{"note": "why", **missing}), there)
    assert done.promoted is None
    assert done.reason.startswith("an override is recorded: give your name and a note")
    assert "the verdict is reject" in done.reason
    assert decided(there) == []


def test_an_override_that_nothing_stands_against_is_an_approval(there: PromotionStores) -> None:
    done = promote(accepted(), ruling("override", note="to be sure"), there)
    assert done.promoted is not None
    assert not done.promoted.override
    assert decided(there) == [("approve", "Ada", "to be sure")]


def test_a_policy_that_is_gone_is_not_improved_on_by_an_override(root: Path) -> None:
    there = stores(root)
    assert promote(accepted(), ruling(), there).promoted
    later = report(NEXT, OLD, OLD.model_copy(update={"model": "large"}), verdict="inconclusive")
    done = promote(later, ruling("override", at=NEXT.end, note="I want it"), there)
    assert done.promoted is None
    assert "compared the candidate with another policy than version 1" in done.reason


def test_what_a_person_rejected_comes_into_force_neither_by_the_job_nor_unsigned(there: PromotionStores) -> None:
    rejected = promote(accepted(), ruling("reject", by="Bo", note="too curt"), there)
    assert rejected.promoted is None
    assert rejected.reason == "Bo rejected the candidate of window 2026-09-28 at 2026-10-05T09:00:00+00:00: too curt"
    for unsigned in (ruling("auto", by=""), ruling(note=""), ruling(by="", note="sorry")):
        done = promote(accepted(), unsigned, there)
        assert done.promoted is None
        assert "Bo rejected the candidate" in done.reason
        assert "give your name and a note" in done.reason
        assert done.decision is not None
        assert done.decision.kind == "reject"
    assert promote(accepted(), ruling(note="Bo agrees by now"), there).promoted is not None
    assert [kind for kind, _, _ in decided(there)] == ["reject", "approve"]


def test_a_rejected_candidate_comes_into_force_by_no_other_window(root: Path) -> None:
    """One that is carried on is the same candidate, whichever window accepts it."""
    there = stores(root)
    promote(accepted(), ruling("reject", note="too curt"), there)
    other = report(NEXT, OLD, NEW)
    record(root, other)
    refused = promote(other, ruling("auto", by="", at=NEXT.end), there)
    assert refused.promoted is None
    assert "Ada rejected the candidate of window 2026-09-28" in refused.reason
    assert promote(other, ruling(at=NEXT.end, note="it reads well by now"), there).promoted is not None


def test_a_rejection_of_one_candidate_says_nothing_of_another(root: Path) -> None:
    there = stores(root)
    promote(accepted(), ruling("reject"), there)
    other = report(NEXT, OLD, NEW.model_copy(update={"system_prompt": f"{NEW.system_prompt} Be brief."}))
    record(root, other)
    assert promote(other, ruling("auto", by="", at=NEXT.end), there).promoted is not None


@pytest.fixture
def rolled_back(root: Path) -> PromotionStores:
    """The first window's candidate came into force by itself, and Bo rolled it back; the next window finds it again."""
    there = stores(root)
    assert promote(accepted(), ruling("auto", by=""), there).promoted
    rollback(there.policies, at=NEXT.start + timedelta(days=1), by="Bo", note="complaints doubled")
    record(root, report(NEXT, OLD, NEW))
    return there


def test_what_a_person_rolled_back_comes_into_force_neither_by_the_job_nor_unsigned(
    rolled_back: PromotionStores,
) -> None:
    again = report(NEXT, OLD, NEW)
    for unsigned in (ruling("auto", by="", at=NEXT.end), ruling(at=NEXT.end), ruling(by="", note="sorry", at=NEXT.end)):
        done = promote(again, unsigned, rolled_back)
        assert done.promoted is None
        assert "Bo rolled this policy back at 2026-10-06T00:00:00+00:00: complaints doubled" in done.reason
        assert "give your name and a note" in done.reason
    done = promote(again, ruling(note="the complaints were about the parcels", at=NEXT.end), rolled_back)
    assert done.promoted is not None
    assert (done.promoted.version, done.promoted.override) == (3, False)


@pytest.mark.parametrize(
    "change",
    [
        {"system_prompt": f"\n{NEW.system_prompt.replace(' ', '  ')}\n"},
        {"parameters": {**NEW.parameters, "temperature": 0.99}},
    ],
)
def test_a_rolled_back_policy_does_not_return_in_another_spelling(
    root: Path, rolled_back: PromotionStores, change: dict[str, object]
) -> None:
    later = TimeWindow(key="2026-10-12", start=NEXT.end, end=NEXT.end + timedelta(weeks=1))
    other = report(later, OLD, NEW.model_copy(update=change))
    record(root, other)
    done = promote(other, ruling("auto", by="", at=later.end), rolled_back)
    assert done.promoted is None
    assert "Bo rolled this policy back" in done.reason


def test_a_rollback_of_one_policy_says_nothing_of_another(root: Path, rolled_back: PromotionStores) -> None:
    later = TimeWindow(key="2026-10-12", start=NEXT.end, end=NEXT.end + timedelta(weeks=1))
    other = report(later, OLD, NEW.model_copy(update={"system_prompt": f"{NEW.system_prompt} Be brief."}))
    record(root, other)
    assert promote(other, ruling("auto", by="", at=later.end), rolled_back).promoted is not None


def test_a_rollback_over_several_versions_takes_all_of_them_back_until_one_is_in_force_again() -> None:
    known = {"loop": "desk", "kind": "promote"}
    policies = [OLD.model_copy(update={"system_prompt": name}) for name in ("A", "B", "C")]
    versions = [
        PolicyVersion.model_validate({**known, "version": n, "actions": actions, "at": START + timedelta(days=n)})
        for n, actions in enumerate([*policies, policies[0], policies[1]], start=1)
    ]
    back = versions[3].model_copy(update={"kind": "rollback", "restores": 1})
    assert rolled_back_policies(versions[:3]) == {}
    assert rolled_back_policies([*versions[:3], back]) == {each.fingerprint: back for each in policies[1:]}
    assert rolled_back_policies([*versions[:3], back, versions[4]]) == {policies[2].fingerprint: back}


def test_a_window_that_put_two_candidates_in_force_knows_both(tmp_path: Path) -> None:
    """The first past the gate, and the second past it too, after the first was rolled back."""
    there, other = stores(tmp_path), NEW.model_copy(update={"system_prompt": f"{NEW.system_prompt} Be brief."})
    signed = {"note": "it is urgent"}
    first = promote(accepted(verdict="inconclusive"), ruling("override", **signed), there)
    rollback(there.policies, at=MONDAY, by="Bo")
    second = promote(accepted(verdict="inconclusive", candidate=other), ruling("override", **signed), there)
    again = promote(accepted(verdict="inconclusive", candidate=other), ruling("override", **signed), there)
    assert first.promoted is not None
    assert second.promoted is not None
    assert again.promoted == second.promoted


def test_rejecting_what_is_in_force_tells_how_to_go_back(there: PromotionStores) -> None:
    promote(accepted(), ruling(), there)
    done = promote(accepted(), ruling("reject", by=""), there)
    assert done.promoted is None
    assert done.reason.startswith("a person rejected the candidate")
    assert "version 1, which it had become before" in done.reason
    assert "`sia policy rollback --loop desk`" in done.reason


@pytest.mark.parametrize("kind", ["auto", "approve", "reject", "override"])
def test_a_window_without_a_candidate_has_nothing_to_decide(there: PromotionStores, kind: str) -> None:
    nothing = report(WINDOW, OLD, None, verdict="inconclusive")
    done = promote(nothing, ruling(kind, note="why"), there)
    assert (done.promoted, done.decision, decided(there)) == (None, None, [])
    assert "the window has no candidate" in done.reason


def test_a_verdict_that_is_not_accept_is_told_with_its_reason(there: PromotionStores) -> None:
    assert (
        "the verdict is reject, so the policy in force stays: so it is"
        in promote(accepted(verdict="reject"), ruling(), there).reason
    )
    assert promote(accepted(verdict="reject", reasons=()), ruling(), there).reason.endswith("stays")


@given(
    verdict=st.sampled_from(["accept", "reject", "inconclusive"]),
    low=st.floats(-0.5, 0.5),
    p_value=st.floats(0, 1),
    kind=st.sampled_from(["auto", "approve"]),
)
def test_nothing_comes_into_force_without_two_keys(
    tmp_path_factory: pytest.TempPathFactory, verdict: str, low: float, p_value: float, kind: str
) -> None:
    """Whatever a document says, and though the ledger says the same: p and the interval must both hold."""
    root = tmp_path_factory.mktemp("gate")
    seen: EvaluatorComparison = BETTER.model_copy(update={"ci_low": low, "p_value": p_value})
    found = accepted(verdict=verdict, comparisons=(seen, KEPT))
    record(root, found)
    done = promote(found, ruling(kind), stores(root))
    assert (done.promoted is not None) == (verdict == "accept" and low > 0 and p_value <= 0.0095)


def test_a_version_keeps_where_its_sentences_are_from_and_a_rollback_to_it_too(there: PromotionStores) -> None:
    origin = SentenceOrigin(text="Name the order.", window=WINDOW.key, cause="no order", gain=0.1)
    first = promote(accepted(provenance=(origin,)), ruling(), there).promoted
    assert first is not None
    assert first.provenance == (origin,)
    assert rollback(there.policies, 0, at=MONDAY, by="Ada").provenance == (), "before any promotion there was none"
    assert rollback(there.policies, 1, at=MONDAY, by="Ada").provenance == (origin,)


def test_a_version_without_such_sentences_keeps_the_bytes_that_it_had(there: PromotionStores) -> None:
    entry = promote(accepted(), ruling(), there).promoted
    assert entry is not None
    assert "provenance" not in entry.model_dump()
