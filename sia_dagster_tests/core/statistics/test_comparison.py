"""The paired comparison: its pairing, its test and its interval against independent calculations, and its plan."""

import hashlib
import itertools
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binomtest, permutation_test

from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.verdict import Decision, decide
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.statistics.compare import ComparisonRule, compare, paired_scores
from sia_dagster.core.statistics.group_sequential import look_levels
from sia_dagster.core.statistics.intervals import (
    MIN_CONVERSATIONS,
    conversations_needed,
    detectable_effect,
    plus_two,
    resamples_for,
    sign_flip_p,
    skew_corrected_interval,
    times_added,
)

CONSTANT = EvalConstant(name="q", kind="code", fingerprint="f")


RULE = ComparisonRule(seed="loop/2026-11-09")


scores = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=30
)


def arm(score: float | None) -> ArmOutcome:
    return ArmOutcome(output="x", evals=(EvalMetrics(name="q", score=score, error=None if score is not None else "e"),))


def row(conversation: str, span: str, old: float | None, new: float | None, repeat: int = 0) -> ValidationRow:
    return ValidationRow(
        span_id=span, conversation_id=conversation, repeat=repeat, baseline=arm(old), candidate=arm(new)
    )


def singles(pairs: list[tuple[float, float]]) -> list[ValidationRow]:
    """One conversation of one sample for each pair."""
    return [row(f"c{i}", f"s{i}", old, new) for i, (old, new) in enumerate(pairs)]


def compared(
    rows: list[ValidationRow], role: Any = "primary", constant: EvalConstant = CONSTANT
) -> EvaluatorComparison:
    return compare(rows, constant, role=role, rule=RULE)


def test_repeats_are_averaged_within_samples_and_samples_within_conversations() -> None:
    rows = [
        row("a", "a1", 0.0, 1.0, 0),
        row("a", "a1", 1.0, 1.0, 1),
        row("a", "a2", 0.0, 0.0, 0),
        row("b", "b1", 1.0, 0.0, 0),
    ]
    pairs, unscored = paired_scores(rows, CONSTANT)
    assert unscored == 0
    assert [(p.unit, p.baseline, p.candidate) for p in pairs] == [("a", 0.25, 0.5), ("b", 1.0, 0.0)]


def test_a_repeat_counts_only_where_both_policies_were_scored() -> None:
    rows = [
        row("a", "a1", 0.0, None, 0),
        row("a", "a1", 1.0, 1.0, 1),
        row("a", "a2", None, 1.0),
        row("b", "b1", None, None),
    ]
    pairs, unscored = paired_scores(rows, CONSTANT)
    assert [(p.unit, p.baseline, p.candidate) for p in pairs] == [("a", 1.0, 1.0)]
    assert unscored == 2


def test_unscored_samples_are_counted_by_policy() -> None:
    found = compared(
        [row("a", "a1", 0.0, None), row("b", "b1", None, 1.0), row("c", "c1", 0.0, None), row("d", "d1", 1, 1)]
    )
    assert (found.samples, found.n, found.unscored) == (4, 1, 3)
    assert (found.unscored_baseline, found.unscored_candidate) == (1, 2)


def decided(found: EvaluatorComparison, rule: ComparisonRule) -> Decision:
    return decide(CriteriaInput(comparisons=(found,), rule=rule, conversations=found.n, candidate_changed=True))


def test_a_policy_that_fails_in_most_repeats_is_not_as_good_as_the_repeats_that_came_through() -> None:
    rows = [row(f"c{n}", f"s{n}", 0, None if repeat else 1, repeat) for n in range(40) for repeat in range(3)]
    found = compared(rows)
    assert (found.unscored, found.unscored_baseline, found.unscored_candidate) == (0, 0, 27)
    decision = decided(found, RULE)
    assert decision.verdict == "inconclusive"
    assert "27 more of 40 samples have no score under the candidate" in decision.reasons[0]


def test_an_evaluator_that_never_answered_leaves_no_numbers() -> None:
    found = compare(singles([(0, 1)]), CONSTANT.model_copy(update={"name": "other"}), role="primary", rule=RULE)
    assert (found.n, found.unscored, found.difference, found.p_value) == (0, 1, None, None)


def test_equal_scores_in_another_order_are_a_tie() -> None:
    values = [0.1, 0.2, 0.3, 0.7]
    rows = [row(f"c{i}", f"s{i}{j}", values[j], values[3 - j]) for i, j in itertools.product(range(6), range(4))]
    found = compared(rows)
    assert (found.difference, found.p_value) == (0.0, 1.0)


@given(scores)
@settings(deadline=None, max_examples=40)
def test_swapping_the_policies_mirrors_the_comparison(pairs: list[tuple[float, float]]) -> None:
    found, mirrored = compared(singles(pairs)), compared(singles([(new, old) for old, new in pairs]))
    assert (found.baseline_mean, found.candidate_mean) == (mirrored.candidate_mean, mirrored.baseline_mean)
    if found.ci_low is not None and mirrored.ci_high is not None:
        assert found.ci_low == pytest.approx(-mirrored.ci_high)


@given(scores)
@settings(deadline=None, max_examples=40)
def test_numbers_agree_with_each_other(pairs: list[tuple[float, float]]) -> None:
    found = compared(singles(pairs))
    assert found.n == found.samples == len(pairs)
    assert (found.p_value is None) == (len(pairs) < MIN_CONVERSATIONS) == (found.ci_low is None)
    if found.difference is not None and found.candidate_mean is not None and found.baseline_mean is not None:
        assert found.difference == pytest.approx(found.candidate_mean - found.baseline_mean)
    if found.ci_low is not None and found.ci_high is not None and found.difference is not None:
        assert -1 <= found.ci_low <= found.difference <= found.ci_high <= 1
        assert found.ci_low < found.ci_high
    assert found.conversations_needed is None or found.conversations_needed >= MIN_CONVERSATIONS


@given(scores)
@settings(deadline=None, max_examples=20)
def test_the_same_rows_give_the_same_bytes(pairs: list[tuple[float, float]]) -> None:
    rows = singles(pairs)
    assert compared(rows).model_dump_json() == compared(rows).model_dump_json()


@pytest.mark.parametrize("n", [20, 40, 80, 160, 400])
@pytest.mark.parametrize("alpha", [0.05, 0.0096])
def test_without_a_difference_the_lower_end_is_that_of_the_binomial(n: int, alpha: float) -> None:
    """Losers that n conversations do not show may be as common as 1 - alpha^(1/n): Clopper and Pearson."""
    found = skew_corrected_interval(np.zeros(n), np.ones(n), alpha)
    exact = 1 - alpha ** (1 / n)
    assert float(found.low) == pytest.approx(-exact, rel=0.2 if n == 20 else 0.1)
    assert float(found.high) == pytest.approx(-float(found.low))


def test_the_end_of_hall_with_weights_by_hand() -> None:
    differences, weights, alpha = np.array([1.0, 0.0, 0.5, -0.2]), np.array([2.0, 1.0, 3.0, 2.0]), 0.05
    added = -math.log(alpha) / 8
    scaled, size = weights / 2, 4 + added
    mean = (1.0 + 0.75 - 0.2 - added) / size
    off = [u * (d - mean) for u, d in zip(scaled, differences, strict=True)]
    variance = (sum(x**2 for x in off) + added * (1 + mean) ** 2) / size
    third = (sum(x**3 for x in off) - added * (1 + mean) ** 3) / size
    skewness = third / variance**1.5 / math.sqrt(size)
    inside = 1 + skewness * (float(stdtrit(size - 1, 0.95)) - skewness / 6)
    steps = 3 / skewness * (math.copysign(abs(inside) ** (1 / 3), inside) - 1)
    found = skew_corrected_interval(differences, weights, alpha)
    assert float(found.low) == pytest.approx(mean - steps * math.sqrt(variance / (size - 1)))
    turned = skew_corrected_interval(-differences, weights, alpha)
    assert (float(turned.low), float(turned.high)) == (-float(found.high), -float(found.low))


@pytest.mark.parametrize("losers", range(8))
@pytest.mark.parametrize("n", [40, 160])
def test_losers_among_ties_have_about_the_end_of_the_binomial(n: int, losers: int) -> None:
    differences = np.array([-1.0] * losers + [0.0] * (n - losers))
    exact = binomtest(losers, n).proportion_ci(0.9, method="exact").high
    assert float(skew_corrected_interval(differences, np.ones(n), 0.05).low) == pytest.approx(-exact, rel=0.06)


def test_heavy_losers_lower_the_end_more_than_light_ones() -> None:
    differences, weights = np.array([-1.0, *[0.02] * 99]), np.array([4.0, *[1.0] * 99])
    heavy, light = (float(skew_corrected_interval(differences, w, 0.05).low) for w in (weights, np.ones(100)))
    assert heavy < 3 * light


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=60), st.sampled_from([0.05, 0.0096, 0.0006, 1e-8]))
def test_the_ends_enclose_the_middle_and_a_finer_level_is_wider(given_: list[float], alpha: float) -> None:
    differences = np.array(given_)
    found, finer = (skew_corrected_interval(differences, np.ones(len(given_)), level) for level in (alpha, alpha / 4))
    assert -1 <= found.low <= found.middle + 1e-12
    assert found.middle - 1e-12 <= found.high <= 1
    assert finer.low <= found.low + 1e-9
    assert found.variance > 0


def test_plus_two_equals_agresti_and_min_for_one_sample_a_conversation() -> None:
    # Wald+2 with half a pair added to each cell of the two-by-two table: b and c are the discordant counts.
    b, c, ties = 4, 11, 25
    n = b + c + ties
    differences = np.array([-1.0] * b + [1.0] * c + [0.0] * ties)
    found = plus_two(differences, np.ones(n), 0.05)
    middle = (c - b) / (n + 2)
    variance = (b + c + 1) / (n + 2) - middle**2
    assert float(found.middle) == pytest.approx(middle)
    assert float(found.variance) == pytest.approx(variance)
    half = 1.6828780 * math.sqrt(variance / (n + 1))  # t(.95, 41)
    assert float(found.low) == pytest.approx(middle - half, abs=1e-6)
    assert float(found.high) == pytest.approx(middle + half, abs=1e-6)


def test_plus_two_with_weights_by_hand() -> None:
    found = plus_two(np.array([1.0, 0.0, 0.5]), np.array([2.0, 1.0, 3.0]), 0.05)
    # u = 1, .5, 1.5; N = 5; R = (1 + .75) / 5 = .35
    around = 1 * 0.65**2 + 0.25 * 0.35**2 + 2.25 * 0.15**2
    added = 0.65**2 / 2 + 1.35**2 / 2 + 0.35**2
    assert float(found.middle) == pytest.approx(0.35)
    assert float(found.variance) == pytest.approx((around + added) / 5)


def test_more_is_added_at_finer_levels() -> None:
    """In proportion to z squared; at 0.05 and above the three conversations are added once."""
    assert [times_added(level) for level in (0.2, 0.05)] == [1.0, 1.0]
    assert times_added(0.01) == pytest.approx((2.326348 / 1.644854) ** 2, rel=1e-5)
    differences, weights = np.array([0.2] * 30), np.ones(30)
    times, size = times_added(0.01), 30 + 2 * times_added(0.01)
    middle = 30 * 0.2 / size
    spread = 30 * (0.2 - middle) ** 2 + times * ((1 - middle) ** 2 / 2 + (1 + middle) ** 2 / 2 + middle**2)
    half = stdtrit(size - 1, 0.99) * np.sqrt(spread / size / (size - 1))
    assert float(plus_two(differences, weights, 0.01).low) == pytest.approx(middle - half)


def test_skew_corrected_interval_takes_many_windows_at_once() -> None:
    generator = np.random.default_rng(1)
    differences, weights = generator.uniform(-1, 1, (3, 9)), generator.uniform(1, 2, (3, 9))
    together = skew_corrected_interval(differences, weights, 0.05)
    for index in range(3):
        assert float(together.low[index]) == pytest.approx(
            float(skew_corrected_interval(differences[index], weights[index], 0.05).low)
        )


@given(st.integers(5, 200))
def test_ties_never_give_zero_width(n: int) -> None:
    found = skew_corrected_interval(np.zeros(n), np.ones(n), 0.05)
    assert float(found.low) < 0 < float(found.high)


@pytest.mark.parametrize("gains", [[1.0] * 5, [0.5, -0.25, 1.0, 0.75, 0.1, -0.9], [0.0, 0.0, 1.0, -1.0, 1.0]])
def test_small_windows_are_tested_exactly(gains: list[float]) -> None:
    flips = [
        sum(s * g for s, g in zip(signs, gains, strict=True)) for signs in itertools.product((1, -1), repeat=len(gains))
    ]
    exact = sum(total >= sum(gains) - 1e-12 for total in flips) / len(flips)
    assert sign_flip_p(np.array(gains), "any") == pytest.approx(exact)


@pytest.mark.parametrize("size", [2, 9, 13, 14, 40, 160])
@pytest.mark.parametrize("graded", [False, True])
def test_the_sign_flips_are_those_of_scipy(size: int, *, graded: bool) -> None:
    source = np.random.default_rng(size)
    gains = source.normal(0.1, 0.4, size) if graded else source.choice([-1.0, 0.0, 0.0, 1.0], size)
    expected = permutation_test(
        (gains,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        batch=1_000_000 // size,
        alternative="greater",
        rng=np.random.default_rng(int.from_bytes(hashlib.sha256(b"any").digest()[:8], "big")),
    )
    assert sign_flip_p(gains, "any") == expected.pvalue


def test_large_windows_are_tested_by_seeded_flips() -> None:
    gains = np.random.default_rng(3).normal(0.1, 0.5, 60)
    assert sign_flip_p(gains, "a") == sign_flip_p(gains, "a")
    assert sign_flip_p(gains, "a") == pytest.approx(sign_flip_p(gains, "b"), abs=0.02)
    assert sign_flip_p(np.ones(60), "a") == pytest.approx(1 / 10_000)
    assert sign_flip_p(np.zeros(60), "a") == 1


def test_the_windows_seed_reaches_the_test() -> None:
    pairs = [(0.5, 0.5 + gain) for gain in np.random.default_rng(4).uniform(-0.4, 0.45, 40)]
    p_values = {
        compare(singles(pairs), CONSTANT, role="primary", rule=ComparisonRule(seed=f"loop/{week}")).p_value
        for week in range(5)
    }
    assert len(p_values) > 1


def test_a_long_conversation_counts_as_one() -> None:
    rows = [row("long", f"s{i}", 0.0, 1.0) for i in range(5)] + [row("short", "t", 0.0, 0.0)]
    assert compared(rows).difference == pytest.approx(1 / 2)


def test_a_large_group_counts_once_and_its_conversations_are_told() -> None:
    rows = [row(f"c{n}", f"s{n}", 0.5, 0.2).model_copy(update={"group_id": "ada"}) for n in range(60)]
    rows += [row(f"d{n}", f"t{n}", 0.5, 0.62) for n in range(40)]
    found = compared(rows)
    assert (found.n, found.conversations) == (41, 100)
    assert found.difference == pytest.approx((-0.3 + 40 * 0.12) / 41)
    assert found.traffic_difference == pytest.approx((60 * -0.3 + 40 * 0.12) / 100)
    decision = decided(found, RULE)
    assert decision.verdict == "inconclusive", "most of the traffic is answered worse"
    assert "but fell by -0.13 where each conversation counts" in decision.reasons[0]


def test_another_scale_gives_the_same_test_in_its_own_units() -> None:
    pairs = [(0.0, 1.0), (0.0, 0.5), (0.5, 0.5), (1.0, 0.5), (0.0, 1.0), (0.25, 1.0), (0.0, 0.0)]
    small = compared(singles(pairs))
    wide = compared(
        singles([(1 + 4 * old, 1 + 4 * new) for old, new in pairs]),
        constant=CONSTANT.model_copy(update={"low": 1.0, "high": 5.0}),
    )
    assert wide.p_value == small.p_value
    assert wide.conversations_needed == small.conversations_needed
    assert wide.scale == 4
    for name in ("difference", "ci_low", "ci_high", "minimum_detectable_effect"):
        assert getattr(wide, name) == pytest.approx(4 * getattr(small, name))
    assert wide.baseline_mean == pytest.approx(1 + 4 * (small.baseline_mean or 0))


def test_an_evaluator_without_a_range_does_not_divide_by_zero() -> None:
    found = compared(singles([(1.0, 1.0)] * 6), constant=CONSTANT.model_copy(update={"low": 1.0, "high": 1.0}))
    assert (found.scale, found.difference) == (1.0, 0.0)


def test_the_smallest_detectable_effect_follows_its_formula() -> None:
    # Of many conversations little is added: (t(.95) + t(.8)) s / sqrt(n).
    assert detectable_effect(100_000, 0.5, 0.05) == pytest.approx(
        (1.6449 + 0.8416) * 0.5 / math.sqrt(100_000), rel=0.01
    )
    # Of twenty: half of the windows of exactly the smallest mean that is shown are not; t(.8, 19) = 0.8610.
    smallest = float(detectable_effect(20, 0.5, 0.05)) - 0.8610 * 0.5 / math.sqrt(20)
    halves = np.where(np.arange(20) < 10, smallest - 0.5, smallest + 0.5)
    for moved, shown in ((0.001, True), (-0.001, False)):
        assert (skew_corrected_interval(halves + moved, np.ones(20), 0.05).low > 0) == shown


@given(st.floats(0.01, 1), st.floats(0.05, 1), st.floats(0.01, 0.2))
@settings(deadline=None)
def test_the_plan_is_the_smallest_that_suffices(effect: float, spread: float, alpha: float) -> None:
    needed = conversations_needed(effect, alpha, spread)
    assert needed is not None

    def distance(n: int) -> float:
        return float(detectable_effect(n, spread, alpha))

    assert distance(needed) <= effect * (1 + 1e-12)
    assert needed == MIN_CONVERSATIONS or distance(needed - 1) > effect * (1 - 1e-12)


@pytest.mark.parametrize(("effect", "spread"), [(0.05, 0.16), (0.1, 0.3), (0.1, 0.5)])
def test_the_planned_conversations_show_the_effect_in_four_of_five_windows(effect: float, spread: float) -> None:
    n = conversations_needed(effect, 0.05, spread)
    assert n is not None
    gains = np.clip(np.random.default_rng(3).normal(effect, spread, (4000, n)), -1, 1)
    assert (skew_corrected_interval(gains, np.ones(n), 0.05).low > 0).mean() == pytest.approx(0.8, abs=0.03)
    assert float(detectable_effect(n, spread, 0.05)) == pytest.approx(effect, rel=0.02)


def test_no_plan_reaches_no_effect() -> None:
    assert conversations_needed(0.0, 0.05, 0.5) is None
    assert conversations_needed(0.0005, 0.05, 1.0) is None


def test_a_guardrails_plan_is_about_its_margin_not_about_what_was_seen() -> None:
    pairs = [(1.0, 1.0)] * 30 + [(1.0, 0.0)] * 3 + [(0.0, 1.0)]
    fell, rose = compared(singles(pairs), "guardrail"), compared(singles([(b, a) for a, b in pairs]), "guardrail")
    assert fell.role == "guardrail"
    assert fell.conversations_needed == rose.conversations_needed
    primary = compared(singles([(b, a) for a, b in pairs]))
    assert primary.conversations_needed != rose.conversations_needed


@pytest.mark.parametrize("count", [0, 1])
def test_without_two_conversations_the_plan_takes_the_worst_spread(count: int) -> None:
    found = compared(singles([(0.0, 1.0)] * count))
    assert found.conversations_needed == conversations_needed(0.02, 0.05) == 3905
    assert found.difference == (1.0 if count else None)


def test_four_conversations_have_means_and_a_plan_but_no_test() -> None:
    found = compared(singles([(0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)]))
    assert (found.baseline_mean, found.candidate_mean, found.difference) == (0.25, 0.75, 0.5)
    assert (found.p_value, found.ci_low, found.ci_high, found.minimum_detectable_effect) == (None,) * 4
    assert found.conversations_needed is not None
    assert found.conversations_needed > 4


def test_a_window_that_could_have_shown_no_gain_within_the_range_says_so() -> None:
    found = compared(singles([(0.0, 1.0), (1.0, 0.0)] * 3))
    assert found.p_value is not None
    assert found.minimum_detectable_effect is None
    assert found.is_too_small


def test_more_than_can_be_gained_is_told_from_what_can() -> None:
    few, many = (compared(singles([(1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0)] * n)) for n in (3, 20))
    assert (few.high, few.most_gain, many.most_gain) == (1.0, 0.4, 0.4)
    assert few.minimum_detectable_effect is not None
    assert few.minimum_detectable_effect > 0.4
    assert [few.is_too_small, many.is_too_small] == [True, False]
    rest = compared(singles([(1.0, 1.0)] * 8), role="guardrail")
    assert not rest.is_too_small, "nothing is to be gained by a guardrail"


def test_ties_do_not_make_a_window_look_sharp() -> None:
    sharp = compared(singles([(1.0, 1.0)] * 40))
    one_apart = compared(singles([(1.0, 1.0)] * 39 + [(1.0, 0.0)]))
    assert sharp.minimum_detectable_effect is not None
    assert one_apart.minimum_detectable_effect is not None
    assert 0.05 < sharp.minimum_detectable_effect < one_apart.minimum_detectable_effect


SAFE = ComparisonRule(alpha=0.01, guardrail_alpha=0.05, guardrail_margin=0.05, margins={"q": 0.1}, safety=("q",))


@given(scores)
@settings(deadline=None, max_examples=20)
def test_factors_of_one_change_nothing(pairs: list[tuple[float, float]]) -> None:
    rows = singles(pairs)
    factors = {row.conversation_id: 1.0 for row in rows}
    assert compare(rows, CONSTANT, role="primary", rule=RULE, weights=factors) == compared(rows)


def test_a_factor_multiplies_what_a_conversation_weighs() -> None:
    rows = [row("long", "s1", 0.0, 1.0), row("long", "s2", 0.0, 1.0), row("short", "t", 1.0, 1.0)]
    found = compare(rows, CONSTANT, role="primary", rule=RULE, weights={"short": 3.2})
    assert found.difference == pytest.approx(1 / (1 + 3.2))


def test_factors_count_in_the_test_and_in_the_interval() -> None:
    pairs = [(0.0, 1.0)] * 6 + [(1.0, 0.0)] * 4 + [(1.0, 1.0)] * 10
    rows = singles(pairs)
    up = {f"c{n}": 2.0 for n in range(6)}
    plain, weighted = compared(rows), compare(rows, CONSTANT, role="primary", rule=RULE, weights=up)
    assert (weighted.p_value or 1) < (plain.p_value or 0)
    assert (weighted.ci_low or 0) > (plain.ci_low or 0)


def test_equal_factors_of_any_size_change_no_number() -> None:
    pairs = [(0.0, 1.0)] * 6 + [(1.0, 0.0)] * 4
    alike = {f"c{n}": 7.0 for n in range(10)}
    found = compare(singles(pairs), CONSTANT, role="primary", rule=RULE, weights=alike)
    assert found.ci_low == pytest.approx(compared(singles(pairs)).ci_low)
    assert found.p_value == compared(singles(pairs)).p_value


def test_each_evaluator_is_tested_at_its_roles_level_and_says_it() -> None:
    rows = singles([(0.0, 1.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.5), (0.5, 1.0)])
    primary, guardrail = (compare(rows, CONSTANT, role=role, rule=SAFE) for role in ("primary", "guardrail"))
    assert (primary.alpha, guardrail.alpha) == (0.01, 0.05)
    assert (primary.ci_low or 0) < (guardrail.ci_low or 0)
    assert (primary.margin, guardrail.margin) == (None, 0.1)
    assert compare(rows[:4], CONSTANT, role="primary", rule=SAFE).alpha is None, "nothing was tested"


def test_the_rule_knows_what_an_evaluator_is_and_may_lose() -> None:
    assert SAFE.role(CONSTANT) == "safety"
    assert SAFE.role(CONSTANT.model_copy(update={"primary": True})) == "primary"
    assert SAFE.role(CONSTANT.model_copy(update={"name": "other"})) == "guardrail"
    assert (SAFE.margin("q"), SAFE.margin("other")) == (0.1, 0.05)
    assert (SAFE.target("guardrail", "q"), SAFE.target("primary", "q")) == (0.1, SAFE.min_effect)


def test_a_guardrails_own_margin_is_what_is_planned_for() -> None:
    pairs = [(1.0, 1.0)] * 30 + [(1.0, 0.0)] * 3
    own, common = (
        compare(singles(pairs), CONSTANT, role="guardrail", rule=rule)
        for rule in (SAFE, SAFE.model_copy(update={"margins": {}}))
    )
    assert own.conversations_needed is not None
    assert common.conversations_needed is not None
    assert own.conversations_needed < common.conversations_needed


def test_a_safety_evaluator_names_every_sample_that_fell() -> None:
    rows = [
        row("a", "fell", 1.0, 0.5),
        row("b", "rose", 0.0, 1.0),
        row("c", "tied", 1.0, 1.0),
        row("d", "unscored", 1.0, None),
        row("e", "repeated", 1.0, 0.0, 0),
        row("e", "repeated", 0.0, 1.0, 1),
        row("f", "worse", 1.0, 0.0, 0),
        row("f", "worse", 1.0, 1.0, 1),
    ]
    assert compare(rows, CONSTANT, role="safety", rule=SAFE).fallen == ("fell", "worse")
    assert compare(rows, CONSTANT, role="guardrail", rule=SAFE).fallen == ()


def test_a_strict_level_is_tested_with_finer_flips() -> None:
    gains = np.ones(60)
    assert sign_flip_p(gains, "a", resamples_for(0.0003)) == pytest.approx(1 / 100_000)
    assert sign_flip_p(gains, "a", resamples_for(0.0095)) == pytest.approx(1 / 10_000)
    strict = compare(singles([(0.0, 1.0)] * 60), CONSTANT, role="primary", rule=RULE.model_copy(update={"alpha": 3e-4}))
    assert strict.p_value == pytest.approx(1 / 100_000)


def test_the_first_look_of_a_daily_loop_can_accept() -> None:
    """Its level is six in a million: a p of a hundred thousand flips could never be below it."""
    level = look_levels(0.5 / 365.25, 2)[0]
    assert level < 1 / 100_000
    rule = ComparisonRule(alpha=level)
    clear = compare(singles([(0.0, 1.0)] * 50), CONSTANT, role="primary", rule=rule)
    assert clear.p_value is not None
    assert clear.p_value <= level
    assert decided(clear, rule).verdict == "accept"


def test_importing_the_module_loads_no_numerics() -> None:
    code = "import sys, sia_dagster.core.gate.validate; print([m for m in ('numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("alpha", [0.05, 0.00958])
@pytest.mark.parametrize(("share", "loss"), [(0.04, 0.96), (0.02, 1.0), (0.1, 1.0), (0.1, 0.5)])
@pytest.mark.parametrize("n", [40, 160])
def test_rare_catastrophes_keep_the_level(n: int, share: float, loss: float, alpha: float) -> None:
    """A few conversations lose nearly all, the others gain what makes up for it: nothing is better."""
    generator = np.random.default_rng(7)
    lost = generator.random((4000, n)) < share
    gains = np.where(lost, -loss, share * loss / (1 - share)) + 0.02 * generator.standard_normal(lost.shape)
    shown = int((skew_corrected_interval(np.clip(gains, -1, 1), np.ones(lost.shape), alpha).low > 0).sum())
    assert binomtest(shown, 4000, alpha, alternative="greater").pvalue > 0.01


AWAY = ArmOutcome(output="x", evals=(EvalMetrics(name="q", not_applicable=True),))
SCORED, LOST = arm(1.0), arm(None)


@pytest.mark.parametrize(
    ("old", "new", "samples", "unscored", "left_out", "one_side"),
    [
        (SCORED, SCORED, 6, 0, 0, (0, 0)),
        (AWAY, AWAY, 5, 0, 1, (0, 0)),
        (SCORED, AWAY, 5, 0, 1, (1, 0)),
        (AWAY, SCORED, 5, 0, 1, (0, 1)),
        (LOST, AWAY, 6, 1, 0, (0, 0)),
        (AWAY, LOST, 6, 1, 0, (0, 1)),
    ],
)
def test_what_an_evaluator_does_not_apply_to_is_left_out_and_counted(
    old: ArmOutcome, new: ArmOutcome, samples: int, unscored: int, left_out: int, one_side: tuple[int, int]
) -> None:
    rows = singles([(0.5, 1.0)] * 5)
    odd = ValidationRow(span_id="odd", conversation_id="odd", baseline=old, candidate=new)
    found = compare([*rows, odd], CONSTANT, role="guardrail", rule=RULE)
    assert (found.samples, found.unscored, found.not_applicable) == (samples, unscored, left_out)
    assert (found.applies_to_baseline_only, found.applies_to_candidate_only) == one_side
    if left_out:
        alone = compare(rows, CONSTANT, role="guardrail", rule=RULE)
        counts = {"not_applicable": 0, "applies_to_baseline_only": 0, "applies_to_candidate_only": 0}
        assert found.model_copy(update=counts) == alone


def test_a_sample_keeps_the_repeats_to_which_the_evaluator_applies() -> None:
    again = ValidationRow(span_id="s", conversation_id="c", repeat=1, baseline=AWAY, candidate=AWAY)
    found = compare([row("c", "s", 0.0, 1.0), again], CONSTANT, role="guardrail", rule=RULE)
    assert (found.n, found.samples, found.not_applicable, found.unscored_baseline) == (1, 1, 0, 0)
