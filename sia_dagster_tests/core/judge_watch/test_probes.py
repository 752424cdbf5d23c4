"""Which outputs a judge is watched on, and when a probe calls it biased."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.judge_watch.probes import Purpose, position_probe, scored_outputs, twice_as_long, verbosity_probe
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster_tests.worlds.evaluation_samples import sample

CONSTANT = EvalConstant(name="correctness", kind="llm_classify", fingerprint="f")


PURPOSES: tuple[Purpose, ...] = ("anchors", "probes")


GRADES = CONSTANT.model_copy(update={"low": 1.0, "high": 5.0})


def scored(*scores: float | None) -> list[Sample]:
    """One sample a score, `s0` and so on."""
    return [
        sample(f"output {n}", span_id=f"s{n}", evals=(EvalMetrics(name="correctness", score=score),))
        for n, score in enumerate(scores)
    ]


def said(*scores: float | None) -> list[EvalMetrics]:
    return [EvalMetrics(name="correctness", score=score) for score in scores]


def ids(samples: tuple[Sample, ...]) -> list[str]:
    return [each.span_id for each in samples]


def test_anchors_hold_what_failed_as_well_as_what_passed() -> None:
    chosen = scored_outputs(scored(*[1.0] * 95, *[0.0] * 5), "correctness", 20, "anchors")
    assert Counter(each.score("correctness") for each in chosen) == {0.0: 5, 1.0: 15}


def test_anchors_take_every_score_in_turn() -> None:
    chosen = scored_outputs(scored(*[0.0, 0.5, 1.0] * 10), "correctness", 7, "anchors")
    assert [each.score("correctness") for each in chosen] == [0.0, 0.5, 1.0, 0.0, 0.5, 1.0, 0.0]


def test_probes_are_as_the_traffic_is() -> None:
    chosen = scored_outputs(scored(*[1.0] * 180, *[0.0] * 20), "correctness", 100, "probes")
    assert 4 <= Counter(each.score("correctness") for each in chosen)[0.0] <= 16


def test_an_output_without_a_score_is_neither() -> None:
    samples = [*scored(None, 1.0, None), sample("never judged", span_id="s9")]
    for purpose in PURPOSES:
        assert ids(scored_outputs(samples, "correctness", 9, purpose)) == ["s1"]
    assert scored_outputs(samples, "politeness", 9, "anchors") == ()


@given(st.permutations(range(12)), st.integers(0, 12), st.sampled_from(PURPOSES))
def test_the_choice_does_not_go_by_the_order_of_the_samples(order: list[int], most: int, purpose: Purpose) -> None:
    samples = scored(*[1.0, 0.0, 1.0] * 4)
    chosen = ids(scored_outputs(samples, "correctness", most, purpose))
    assert ids(scored_outputs([samples[n] for n in order], "correctness", most, purpose)) == chosen
    assert len(chosen) == most


def test_anchors_and_probes_are_not_the_same_outputs() -> None:
    samples = scored(*[1.0] * 100)
    anchors, probes = (ids(scored_outputs(samples, "correctness", 20, each)) for each in PURPOSES)
    assert len(set(anchors) & set(probes)) < 15


def test_twice_as_long_says_the_same() -> None:
    longer = twice_as_long(sample("Yes."))
    assert longer.output == "Yes.\n\nYes."
    assert longer.model_copy(update={"output": "Yes."}) == sample("Yes.")


@pytest.mark.parametrize("now", [1.0, 0.0])
def test_a_judge_that_goes_by_the_labels_order_is_biased_either_way(now: float) -> None:
    samples = scored(*[1 - now] * 20)
    found = position_probe(samples, said(*[now] * 10, *[1 - now] * 10), CONSTANT, 0.1)
    assert (found.kind, found.n, found.biased) == ("position", 20, True)
    assert found.shift == pytest.approx(now - 0.5)


def test_only_a_rise_is_a_bias_for_length() -> None:
    rises = verbosity_probe(scored(*[0.0] * 20), said(*[1.0] * 10, *[0.0] * 10), CONSTANT, 0.1)
    falls = verbosity_probe(scored(*[1.0] * 20), said(*[0.0] * 10, *[1.0] * 10), CONSTANT, 0.1)
    assert (rises.kind, rises.biased, falls.biased) == ("verbosity", True, False)
    assert rises.ci_low is not None
    assert rises.ci_low > 0
    assert falls.shift == -0.5


def test_five_of_twenty_are_a_bias_and_three_are_not() -> None:
    found = [
        position_probe(scored(*[0.0] * 20), said(*[1.0] * n, *[0.0] * (20 - n)), CONSTANT, 0.1).biased for n in (3, 5)
    ]
    assert found == [False, True]


def test_a_shift_within_the_tolerance_is_no_bias() -> None:
    samples, answers = scored(*[3.0] * 40), said(*[3.3] * 40)
    found = verbosity_probe(samples, answers, GRADES, 0.1)
    assert found.shift == pytest.approx(0.3)
    assert found.ci_low is not None
    assert found.ci_low > 0
    assert not found.biased
    assert verbosity_probe(samples, answers, GRADES, 0.05).biased


def test_answers_without_a_score_are_left_out() -> None:
    found = position_probe(scored(*[1.0] * 6), said(1.0, None, 1.0, 1.0, 1.0, 1.0), CONSTANT, 0.1)
    assert (found.n, found.shift, found.biased) == (5, 0.0, False)


def test_too_few_answers_show_no_shift() -> None:
    found = position_probe(scored(*[1.0] * 6), said(1.0, None, None, 1.0, 1.0, 1.0), CONSTANT, 0.1)
    assert (found.n, found.shift, found.ci_low, found.biased) == (4, None, None, False)
