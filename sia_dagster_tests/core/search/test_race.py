"""The race of two policies asks for as few groups as it takes, each once, and says what their differences say."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sia_dagster.core.search import race
from sia_dagster.core.search.race import ENOUGH, PRIOR, WORTH, Race, Stratum

SIZES = st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(lambda sizes: sum(sizes) >= 1)
DIFFERENCES = st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 3))
VALUES = st.tuples(*[st.lists(st.lists(DIFFERENCES, min_size=1, max_size=3), max_size=20)] * 2)
BOTH: tuple[Stratum, Stratum] = (0, 1)


def raced(values: Sequence[Sequence[Sequence[float]]], spare: int = 0, expected: float = 0.0) -> Race:
    """A race of which these groups were asked, by stratum and repeat, and as many more are left."""
    sizes = (len(values[0]) + spare, len(values[1]) + spare)
    found = Race(sizes, expected=expected)
    for stratum in BOTH:
        for number, repeats in enumerate(values[stratum]):
            for value in repeats:
                found.add(stratum, f"{stratum}/{number}", value)
    return found


@given(sizes=SIZES, data=st.data())
def test_no_group_is_asked_twice_and_all_are_asked_in_the_end(sizes: tuple[int, int], data: st.DataObject) -> None:
    found, asked = Race(sizes), [0, 0]
    while not found.all_asked:
        stratum = found.next_stratum()
        asked[stratum] += 1
        assert asked[stratum] <= sizes[stratum]
        found.add(stratum, f"{stratum}/{asked[stratum]}", data.draw(DIFFERENCES))
    assert tuple(asked) == sizes
    assert found.groups == sum(sizes)


@given(sizes=SIZES, data=st.data())
def test_nothing_is_decided_before_the_fewest_groups_of_both_strata(
    sizes: tuple[int, int], data: st.DataObject
) -> None:
    found = Race(sizes)
    for number in range(found.fewest):
        assert found.decision() == "unclear"
        found.add(found.next_stratum(), str(number), data.draw(DIFFERENCES))
    # What exists is asked, up to its own fewest, before anything is decided.
    assert [len(of) >= min(least, size) for of, least, size in zip(found.found, race.FEWEST, sizes, strict=True)] == [
        True,
        True,
    ]


@given(values=VALUES, spare=st.integers(0, 3))
def test_the_mean_and_its_error_are_those_of_a_stratified_sample(
    values: tuple[list[list[float]], list[list[float]]], spare: int
) -> None:
    assume(values[0] and values[1])
    found = raced(values, spare)
    mean = variance = 0.0
    for stratum in BOTH:
        groups = np.array([np.mean(repeats) for repeats in values[stratum]])
        share = found.sizes[stratum] / sum(found.sizes)
        guess, weight = race._GUESSED_SPREAD[stratum] ** 2, race._GUESSES
        spread = (((groups - groups.mean()) ** 2).sum() + weight * guess) / (len(groups) - 1 + weight)
        mean += share * groups.mean()
        variance += share**2 * spread / len(groups)
    assert found.estimate() == pytest.approx((mean, math.sqrt(variance)))


@given(values=VALUES, expected=st.floats(0, 1))
def test_the_posterior_mean_is_that_of_a_normal_prior(
    values: tuple[list[list[float]], list[list[float]]], expected: float
) -> None:
    assume(values[0] and values[1])
    found = raced(values, expected=expected)
    mean, error = found.estimate()
    prior = race.EXPECTED_SHARE * expected
    posterior = (prior * error**2 + mean * PRIOR**2) / (PRIOR**2 + error**2)
    deviation = math.sqrt(PRIOR**2 * error**2 / (PRIOR**2 + error**2))
    assert found.shrunk() == pytest.approx((posterior, posterior / deviation))


@given(values=VALUES, data=st.data())
def test_the_order_of_groups_and_repeats_does_not_matter(
    values: tuple[list[list[float]], list[list[float]]], data: st.DataObject
) -> None:
    shuffled = [[data.draw(st.permutations(repeats)) for repeats in data.draw(st.permutations(of))] for of in values]
    first, second = raced(values, 1), raced(shuffled, 1)
    assert first.estimate() == pytest.approx(second.estimate())


@given(values=VALUES)
def test_the_opposite_differences_have_the_opposite_mean(values: tuple[list[list[float]], list[list[float]]]) -> None:
    opposite = [[[-value for value in repeats] for repeats in of] for of in values]
    (mean, error), (other, same) = raced(values).estimate(), raced(opposite).estimate()
    assert (mean, error) == pytest.approx((-other, same))


@pytest.mark.parametrize("stratum", BOTH)
def test_a_stratum_of_which_nothing_is_known_leaves_the_mean_open(stratum: Stratum) -> None:
    values: list[list[list[float]]] = [[], []]
    values[1 - stratum] = [[1.0]] * 9
    found = raced(values, 1)
    assert found.estimate() == (0.0, math.inf)
    assert found.shrunk() == (0.0, 0.0)


@pytest.mark.parametrize(
    ("with_causes", "others", "spare", "decision"),
    [
        (1.0, 0.0, 10, "better"),
        (0.0, 0.0, 10, "unclear"),
        (0.0, -1.0, 10, "worse"),
        (-1.0, 0.0, 10, "worse"),
        (0.0, 0.0, 0, "worse"),
    ],
)
def test_a_clear_result_is_decided_at_the_fewest_and_an_unclear_one_is_not(
    with_causes: float, others: float, spare: int, decision: str
) -> None:
    assert raced([[[with_causes]] * 3, [[others]] * 5], spare).decision() == decision


@given(values=VALUES, spare=st.integers(0, 3), expected=st.floats(0, 1))
def test_a_policy_is_better_only_with_a_gain_that_is_worth_it(
    values: tuple[list[list[float]], list[list[float]]], spare: int, expected: float
) -> None:
    assume(any(values))
    found = raced(values, spare, expected)
    gain, sureness = found.shrunk()
    decision = found.decision()
    if decision == "better":
        assert gain >= WORTH
        assert sureness > race.LIKELY_GAIN
    if decision == "worse":
        assert gain < WORTH
    if found.groups >= max(ENOUGH, found.fewest) and gain < WORTH:
        assert decision == "worse"


def test_where_nothing_was_aimed_at_and_scores_differ_there_is_noise() -> None:
    assert not raced([[[1.0]] * 3, [[0.0]] * 5]).is_noisy
    assert raced([[[0.0]] * 3, [[0.0]] * 4 + [[0.0, 0.5]]]).is_noisy


def test_repeats_count_as_one_group() -> None:
    found = raced([[[1.0, 0.0]] * 3, [[0.5]] * 5])
    assert found.groups == 8
    assert found.estimate()[0] == fmean([0.5] * 8)
