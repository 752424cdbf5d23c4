"""Drift of a judge: what three words on each frozen output show; how seldom noise is taken for it."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from sia_dagster.core.judge_watch.drift import (
    DRIFT_ALPHA,
    AnchorDraws,
    Drift,
    Shift,
    drift_of,
    mean_shift,
    odd_one_out_p,
)
from sia_dagster.core.records.evaluation import EvalConstant

TOLERANCE = 0.1


def drift(words: Sequence[tuple[float, float, float]], scale: float = 1.0) -> Drift:
    found = drift_of([AnchorDraws(*word) for word in words], scale, TOLERANCE)
    assert found
    return found


def anchors(changed: int, of: int = 30, *, was: float = 0.0, now: float = 1.0) -> list[tuple[float, float, float]]:
    """Judged twice alike; `changed` of them are now judged otherwise."""
    return [(was, was, now if n < changed else was) for n in range(of)]


def test_a_judge_that_says_the_same_is_steady() -> None:
    found = drift([(1, 1, 1)] * 15 + [(0, 0, 0)] * 15)
    assert (found.shift.mean, found.disagreement, found.noise, found.odd_p) == (0, 0, 0, 1)
    assert found.shift.low < 0 < found.shift.high
    assert not found.drifted


def test_a_judge_that_became_lenient_drifted() -> None:
    found = drift(anchors(10))
    assert found.shift.mean == pytest.approx(1 / 3)
    assert found.shift.low > 0
    assert found.disagreement == pytest.approx(1 / 3)
    assert found.drifted


def test_a_judge_that_became_strict_drifted() -> None:
    assert drift(anchors(10, was=1.0, now=0.0)).shift.high < 0
    assert drift(anchors(10, was=1.0, now=0.0)).drifted


def test_five_of_thirty_are_drift_and_four_are_not() -> None:
    assert [drift(anchors(changed)).drifted for changed in (4, 5)] == [False, True]


def test_changes_in_both_directions_are_drift_though_the_mean_stays() -> None:
    found = drift([(0, 0, 1)] * 5 + [(1, 1, 0)] * 5 + [(1, 1, 1)] * 10 + [(0, 0, 0)] * 10)
    assert found.shift.mean == 0
    assert found.drifted


def test_what_is_sure_but_within_the_tolerance_is_no_drift() -> None:
    found = drift(anchors(36, of=400))
    assert found.shift.low > 0
    assert found.odd_p < DRIFT_ALPHA
    assert not found.drifted


def test_a_judge_as_noisy_as_it_was_is_steady() -> None:
    words = [(0, 1, 1), (1, 0, 0), (0, 0, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1)] * 2 + [(1, 1, 1)] * 18
    found = drift([(float(a), float(b), float(c)) for a, b, c in words])
    assert found.noise > 0.2
    assert found.disagreement - found.noise < TOLERANCE
    assert not found.drifted


def test_half_a_point_on_a_scale_of_five_is_drift_and_a_tenth_is_not() -> None:
    assert drift([(3.0, 3.0, 3.5)] * 30, scale=4.0).shift.low > 0
    assert drift([(3.0, 3.0, 3.5)] * 30, scale=4.0).drifted
    shaken = [(3.0, 3.1, 3.2), (3.1, 3.2, 3.0), (3.2, 3.0, 3.1)] * 10
    assert not drift(shaken, scale=4.0).drifted


def test_below_five_anchors_nothing_can_be_said() -> None:
    assert drift_of([AnchorDraws(0, 0, 1)] * 4, 1.0, TOLERANCE) is None
    assert mean_shift([1.0] * 4, 1.0, 0.05) is None
    assert mean_shift([], 1.0, 0.05) is None


@given(st.integers(1, 40), st.data())
def test_the_odd_ones_p_is_the_exact_binomial_one(differing: int, data: st.DataObject) -> None:
    odd = data.draw(st.integers(0, differing))
    expected = binomtest(odd, differing, 1 / 3, alternative="greater").pvalue
    assert odd_one_out_p(odd, differing) == pytest.approx(expected)


def test_nothing_odd_is_no_evidence() -> None:
    assert odd_one_out_p(0, 0) == 1
    assert odd_one_out_p(0, 9) == 1


def orders(words: list[tuple[float, float, float]]) -> Iterator[list[tuple[float, float, float]]]:
    """All ways in which each anchor's three words could have come."""
    return (list(order) for order in itertools.product(*[[(a, b, c), (b, c, a), (c, a, b)] for a, b, c in words]))


@pytest.mark.parametrize("alike", [0, 24])
def test_over_all_orders_of_a_steady_judges_words_the_odd_test_keeps_its_level(alike: int) -> None:
    rest = [(1.0, 1.0, 1.0)] * alike
    found = [drift([*order, *rest]).odd_p < DRIFT_ALPHA for order in orders([(0.0, 0.0, 1.0)] * 6)]
    assert 0 < sum(found) / len(found) <= DRIFT_ALPHA


def test_over_all_orders_disagreement_and_noise_are_the_same_on_average() -> None:
    found = [drift(order) for order in orders([(0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 1, 1), (0, 0, 0), (0, 1, 0)])]
    assert len({each.disagreement for each in found}) > 1
    assert np.mean([each.disagreement for each in found]) == pytest.approx(np.mean([each.noise for each in found]))


SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


WORDS = st.lists(st.tuples(SCORES, SCORES, SCORES), min_size=5, max_size=40)


@given(WORDS)
def test_a_judge_seen_in_a_mirror_drifts_the_other_way(words: list[tuple[float, float, float]]) -> None:
    found, mirrored = drift(words), drift([(1 - a, 1 - b, 1 - c) for a, b, c in words])
    assert found.drifted == mirrored.drifted
    assert found.shift.mean == pytest.approx(-mirrored.shift.mean)
    assert found.shift.low == pytest.approx(-mirrored.shift.high)
    assert (found.disagreement, found.noise, found.odd_p) == (mirrored.disagreement, mirrored.noise, mirrored.odd_p)


@given(WORDS, st.sampled_from([0.5, 4.0, 10.0]))
def test_the_scale_changes_units_and_no_finding(words: list[tuple[float, float, float]], scale: float) -> None:
    found, scaled = drift(words), drift([(a * scale, b * scale, c * scale) for a, b, c in words], scale)
    assert scaled.shift.mean == pytest.approx(found.shift.mean * scale)
    assert scaled.shift.high == pytest.approx(found.shift.high * scale)
    assert scaled.drifted == found.drifted


def test_a_shift_is_beyond_a_tolerance_only_with_its_interval_on_one_side() -> None:
    assert Shift(0.2, 0.01, 0.4).beyond(0.1)
    assert Shift(-0.2, -0.4, -0.01).beyond(0.1)
    assert not Shift(0.2, -0.01, 0.4).beyond(0.1)
    assert not Shift(0.2, 0.1, 0.3).beyond(0.2)


def test_a_scale_without_width_counts_as_one() -> None:
    constant = EvalConstant(name="c", kind="llm_classify", fingerprint="f", low=1.0, high=5.0)
    assert constant.scale == 4
    assert constant.model_copy(update={"high": 1.0}).scale == 1


def alarms(flips: float, lenient: float = 0.0, *, loops: int, weeks: int) -> list[int]:
    """Weeks with an alarm of each simulated loop: 15 good and 15 bad outputs, every word flipped with `flips`.

    From the first week on, the judge lets the share `lenient` of the bad ones pass.
    """
    found = []
    truth = np.repeat([0.0, 1.0], 15)
    for loop in range(loops):
        draw = np.random.default_rng([loop, int(1000 * flips), int(1000 * lenient)])
        said = np.where(draw.random((2 + weeks, 30)) < flips, 1 - truth, truth)
        passing = draw.random(30) < lenient
        said[2:, :] = np.where(passing & (truth == 0), 1.0, said[2:, :])
        first, second = (words.tolist() for words in said[:2])
        weekly = [drift(list(zip(first, second, now.tolist(), strict=True))) for now in said[2:]]
        found.append(sum(week.drifted for week in weekly))
    return found


@pytest.mark.parametrize("flips", [0.0, 0.02, 0.05, 0.1])
def test_noise_is_seldom_taken_for_drift(flips: float, record_property: Callable[[str, object], None]) -> None:
    counted = alarms(flips, loops=30, weeks=52)
    record_property("false drift alarms a year", round(float(np.mean(counted)), 2))
    assert np.mean(counted) <= 52 * DRIFT_ALPHA


@pytest.mark.parametrize(("lenient", "seen"), [(0.5, 0.8), (0.8, 0.99)])
def test_a_judge_that_lets_bad_outputs_pass_is_found_out(
    lenient: float, seen: float, record_property: Callable[[str, object], None]
) -> None:
    counted = alarms(0.02, lenient, loops=200, weeks=1)
    record_property("drift seen in its first week", float(np.mean(counted)))
    assert np.mean(counted) >= seen
