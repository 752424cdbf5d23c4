"""A part of the traffic that loses is found and named, one that does not is not accused."""

from typing import Any

import numpy as np
import pytest

from sia_dagster.core.config.validation import SliceDimension
from sia_dagster.core.records.comparison import SliceComparison
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.statistics.compare import ComparisonRule
from sia_dagster.core.statistics.slices import MOST_VALUES, OTHERS, compare_slices
from sia_dagster_tests.worlds.evaluation_samples import sample

CONSTANT = EvalConstant(name="q", kind="code", fingerprint="f", primary=True)


RULE = ComparisonRule(alpha=0.001, seed="desk/2026-11-09/holdout")


Case = tuple[Sample, float, float]


def case(number: int, old: float, new: float, conversation: str = "", **fields: Any) -> Case:
    given = sample(span_id=f"s{number:04}", conversation_id=conversation or f"c{number}", split="holdout", **fields)
    return given, old, new


def group(count: int, old: float, new: float, start: int = 0, **fields: Any) -> list[Case]:
    return [case(start + number, old, new, **fields) for number in range(count)]


def arm(score: float) -> ArmOutcome:
    return ArmOutcome(output="x", evals=(EvalMetrics(name="q", score=score),))


def slices(
    cases: list[Case], *dimensions: SliceDimension, minimum: int = 20, rule: ComparisonRule = RULE
) -> tuple[SliceComparison, ...]:
    rows = [
        ValidationRow(span_id=s.span_id, conversation_id=s.conversation_id, baseline=arm(old), candidate=arm(new))
        for s, old, new in cases
    ]
    samples = {s.span_id: s for s, _, _ in cases}
    return compare_slices(rows, samples, CONSTANT, rule=rule, dimensions=dimensions, minimum=minimum)


def found(parts: tuple[SliceComparison, ...]) -> dict[str, str]:
    return {f"{part.dimension}={part.value}": part.finding for part in parts}


def test_a_part_that_loses_is_found_though_the_whole_gains() -> None:
    cases = [*group(80, 0.0, 1.0, tags=("sales",)), *group(25, 1.0, 0.0, start=80, tags=("billing",))]
    gaining, losing = slices(cases, "tag")
    assert (gaining.value, gaining.finding, gaining.comparison.difference) == ("sales", "holds", 1.0)
    assert (losing.value, losing.finding, losing.comparison.difference) == ("billing", "loses", -1.0)
    assert losing.share == pytest.approx(25 / 105)
    assert losing.comparison.ci_high is not None
    assert losing.comparison.ci_high < 0


def test_a_part_that_may_have_lost_is_not_shown_and_a_small_one_is_too_few() -> None:
    mixed = [case(n, 1.0, float(n % 13 != 0), tags=("mixed",)) for n in range(25)]
    few = group(19, 1.0, 0.0, start=25, tags=("few",))
    assert found(slices([*mixed, *few], "tag")) == {"tag=mixed": "not_shown", "tag=few": "too_few"}


def test_unscored_samples_do_not_make_a_part_large_enough() -> None:
    cases = [*group(30, 0.0, 1.0, tags=("a",)), *group(30, 1.0, 1.0, start=30, tags=("b",))]
    rows = [
        ValidationRow(
            span_id=s.span_id,
            conversation_id=s.conversation_id,
            baseline=arm(old),
            candidate=arm(new) if n % 2 else ArmOutcome(error="lost"),
        )
        for n, (s, old, new) in enumerate(cases)
    ]
    samples = {s.span_id: s for s, _, _ in cases}
    parts = compare_slices(rows, samples, CONSTANT, rule=RULE, dimensions=["tag"], minimum=20)
    assert found(parts) == {"tag=a": "too_few", "tag=b": "too_few"}
    assert [part.comparison.n for part in parts] == [15, 15]
    assert [part.share for part in parts] == [0.5, 0.5]


def test_what_all_samples_have_is_no_part() -> None:
    assert slices(group(40, 0.0, 1.0, tags=("all",)), "tag", "model", "tools", "length", "language") == ()
    assert slices([], "tag") == ()


def test_only_those_samples_of_a_conversation_count_that_are_of_the_kind() -> None:
    """Every conversation begins with a sale, which gains, and ends with a bill, which loses."""
    cases = [
        case(2 * n + bill, 1.0 - (not bill), 1.0 - bill, f"c{n}", tags=("billing" if bill else "sales",))
        for n in range(30)
        for bill in (0, 1)
    ]
    assert found(slices(cases, "tag")) == {"tag=billing": "loses", "tag=sales": "holds"}
    assert {part.share for part in slices(cases, "tag")} == {1.0}
    assert {part.comparison.samples for part in slices(cases, "tag")} == {30}


def test_parts_come_in_the_order_asked_for_the_largest_first() -> None:
    cases = [
        *group(30, 0.0, 1.0, tags=("b", "c")),
        *group(30, 0.0, 1.0, start=30, tags=("a",), model="other"),
        *group(5, 0.0, 1.0, start=60, tags=("d",)),
    ]
    names = list(found(slices(cases, "tag", "model")))
    assert names == ["tag=a", "tag=b", "tag=c", "tag=d", "model=application", "model=other"]
    assert slices(cases, "tag", "model") == slices(cases, "tag", "model")


def test_of_many_tags_the_rare_ones_are_one_part() -> None:
    common = [c for n in range(MOST_VALUES) for c in group(6, 0.0, 1.0, start=100 * n, tags=(f"t{n:02}",))]
    rare = [c for n in range(40) for c in group(1, 1.0, 0.0, start=5000 + n, tags=(f"request {n}",))]
    parts = slices([*common, *rare], "tag", minimum=6)
    assert len(parts) == MOST_VALUES + 1
    assert (parts[-1].value, parts[-1].finding, parts[-1].comparison.n) == (OTHERS, "loses", 40)


def test_the_more_parts_are_tested_the_more_it_takes_to_accuse_one() -> None:
    suspect = [case(n, 1.0, float(n % 10 != 0), tags=("suspect",)) for n in range(60)]
    others = [c for n in range(10) for c in group(20, 1.0, 1.0, start=1000 * (n + 1), tags=(f"t{n}",))]
    alone, _ = slices([*suspect, *others[:20]], "tag")
    assert (alone.finding, alone.comparison.alpha) == ("loses", 0.025)
    among_many = slices([*suspect, *others], "tag")[0]
    assert (among_many.value, among_many.finding) == ("suspect", "not_shown")
    assert among_many.comparison.alpha == 0.05, "the interval is that of one test"


def test_parts_are_held_to_the_guardrails_level_and_margin() -> None:
    cases = [
        *[case(n, 1.0, float(n % 30 != 0), tags=("a",)) for n in range(60)],
        *group(30, 0.0, 1.0, start=60, tags=("b",)),
    ]
    assert slices(cases, "tag")[0].finding == "not_shown"
    wide = RULE.model_copy(update={"guardrail_margin": 0.2})
    assert slices(cases, "tag", rule=wide)[0].finding == "holds"
    assert slices(cases, "tag", rule=wide)[0].comparison.margin == 0.2


def test_where_nothing_changes_a_part_is_seldom_accused() -> None:
    """Of 100 windows with six parts, at most alpha accuse any: with 5 expected, 11 or more have a chance of 1 %."""
    generator = np.random.default_rng(20261109)
    accused = 0
    for _ in range(100):
        draws = generator.random((120, 2)) < 0.75
        cases = [case(n, float(old), float(new), tags=(f"t{n % 6}",)) for n, (old, new) in enumerate(draws)]
        accused += any(part.finding == "loses" for part in slices(cases, "tag"))
    assert accused < 11
