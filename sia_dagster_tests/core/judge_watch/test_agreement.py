"""Kappa is what the papers say, and people's words are read on the evaluator's own scale."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.judge_watch.agreement import Agreement, agreement
from sia_dagster.core.judge_watch.kappa import Kappa, label_kappa, number_kappa
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample

CORRECTNESS = EvalConstant(
    name="correctness", kind="llm_classify", fingerprint="f", rails={"correct": 1.0, "incorrect": 0.0}, primary=True
)


HELPFUL = EvalConstant(
    name="helpfulness",
    kind="llm_classify",
    fingerprint="f",
    rails={"helpful": 1.0, "partly_helpful": 0.5, "unhelpful": 0.0},
)


GRADE = EvalConstant(
    name="grade", kind="llm_classify", fingerprint="f", rails={str(n): float(n) for n in range(1, 6)}, low=1, high=5
)


IS_BRIEF = EvalConstant(name="is_brief", kind="code", fingerprint="f")


CSAT = EvalConstant(name="csat", kind="platform", fingerprint="f", low=1, high=5)


def counted(*cells: tuple[str, str, int]) -> tuple[list[str], list[str]]:
    """People's and the evaluator's labels of a contingency table, given as (people, evaluator, count)."""
    return [p for p, _, n in cells for _ in range(n)], [e for _, e, n in cells for _ in range(n)]


def metrics(constant: EvalConstant, said: Any) -> EvalMetrics:
    """A label, a number, or the fields of EvalMetrics."""
    fields = said if isinstance(said, dict) else {"label": said} if isinstance(said, str) else {"score": said}
    return EvalMetrics(name=constant.name, **fields)


def sample(number: int, constant: EvalConstant, people: Any, mine: Any) -> Sample:
    """An answer that people and the evaluator judged; None is silence."""
    return Sample(
        span_id=f"s{number:03}",
        trace_id="t",
        conversation_id=f"c{number}",
        start_time=datetime(2026, 9, 28, tzinfo=UTC),
        split="train",
        evals=() if mine is None else (metrics(constant, mine),),
        annotations=() if people is None else (metrics(constant, people),),
    )


def beside(constant: EvalConstant, *pairs: tuple[Any, Any]) -> Agreement:
    """What becomes of (people, evaluator) pairs under one evaluator."""
    (found,) = agreement([sample(n, constant, *pair) for n, pair in enumerate(pairs)], [constant])
    return found


def by_table(
    people: Sequence[int], evaluator: Sequence[int], weights: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Observed, expected, kappa and its standard error, over the cells of a contingency table as in the 1969 paper."""
    table = np.zeros_like(weights)
    np.add.at(table, (list(people), list(evaluator)), 1.0)
    shares = table / table.sum()
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float((weights * shares).sum()), float((weights * np.outer(rows, columns)).sum())
    means = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    cells = shares * (weights * (1 - expected) - means * (1 - observed)) ** 2
    variance = cells.sum() - (observed * expected - 2 * expected + observed) ** 2
    error = math.sqrt(max(float(variance), 0.0) / len(people)) / (1 - expected) ** 2
    return observed, expected, (observed - expected) / (1 - expected), error


def test_the_diagnoses_of_a_hundred_patients() -> None:
    """Fleiss, Statistical Methods for Rates and Proportions: psychotic, neurotic, organic; 0.89, 0.66, 0.68, 0.087."""
    found = label_kappa(
        *counted(
            ("psychotic", "psychotic", 75),
            ("psychotic", "neurotic", 1),
            ("psychotic", "organic", 4),
            ("neurotic", "psychotic", 5),
            ("neurotic", "neurotic", 4),
            ("neurotic", "organic", 1),
            ("organic", "organic", 10),
        )
    )
    assert (found.observed, found.expected) == pytest.approx((0.89, 0.66))
    assert found.kappa == pytest.approx(0.676, abs=0.0005)
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert (found.ci_high - found.ci_low) / 2 / 1.96 == pytest.approx(0.087, abs=0.001)
    assert found.reason == ""


def test_fifty_applications_for_a_grant() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: seen 0.7, by chance 0.5, kappa 0.4."""
    found = label_kappa(*counted(("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)))
    assert (found.observed, found.expected) == pytest.approx((0.7, 0.5))
    assert found.kappa == pytest.approx(0.4)


def test_near_numbers_count_for_their_nearness() -> None:
    """By hand: nearness 1, 1/2, 1, 1/2; by chance (3/4 + 1/2 + 1/2 + 3/8) / 4 with people 0, 0, 1/2, 1."""
    found = number_kappa([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 0.5, 0.5])
    assert found.observed == pytest.approx((1 + 0.5 + 1 + 0.5) / 4)
    at_zero, at_half, at_one = (1 + 3 * 0.5) / 4, (0.5 + 3 * 1) / 4, (0 + 3 * 0.5) / 4
    assert found.expected == pytest.approx((2 * at_zero + at_half + at_one) / 4)
    assert found.kappa == pytest.approx((0.75 - 0.625) / (1 - 0.625))


ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60).filter(
    lambda pairs: all(len(set(side)) > 1 for side in zip(*pairs, strict=True))
)


def assert_same(found: Kappa, table: tuple[float, float, float, float]) -> None:
    """The numbers of the table, and its interval wherever one is given."""
    observed, expected, kappa, error = table
    assert (found.observed, found.expected) == pytest.approx((observed, expected))
    assert found.kappa == pytest.approx(kappa, abs=1e-9)
    assert -1 - 1e-9 <= (found.kappa or 0.0) <= 1 + 1e-9
    if found.ci_low is None:
        assert found.ci_high is None
        assert "no width" in found.reason
        assert error == pytest.approx(0, abs=1e-3)
    else:
        assert found.reason == ""
        assert found.ci_low == pytest.approx(max(kappa - 1.959964 * error, -1), abs=1e-6)
        assert found.ci_high == pytest.approx(min(kappa + 1.959964 * error, 1), abs=1e-6)


@given(ANSWERS)
def test_kappa_of_labels_is_that_of_the_contingency_table(pairs: list[tuple[int, int]]) -> None:
    people, evaluator = [p for p, _ in pairs], [e for _, e in pairs]
    found = label_kappa([f"label {p}" for p in people], [f"label {e}" for e in evaluator])
    assert_same(found, by_table(people, evaluator, np.eye(5)))


@given(ANSWERS)
def test_kappa_of_numbers_is_that_of_the_linearly_weighted_table(pairs: list[tuple[int, int]]) -> None:
    people, evaluator = [p for p, _ in pairs], [e for _, e in pairs]
    grades = np.arange(5) / 4
    found = number_kappa([p / 4 for p in people], [e / 4 for e in evaluator])
    assert_same(found, by_table(people, evaluator, 1 - abs(grades[:, None] - grades[None, :])))


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), max_size=30))
def test_on_two_answers_both_kappas_are_one(pairs: list[tuple[float, float]]) -> None:
    people, evaluator = [p for p, _ in pairs], [e for _, e in pairs]
    weighted, plain = number_kappa(people, evaluator), label_kappa(list(map(str, people)), list(map(str, evaluator)))
    assert weighted.reason == plain.reason
    for name in ("observed", "expected", "kappa", "ci_low", "ci_high"):
        assert getattr(weighted, name) == pytest.approx(getattr(plain, name), abs=1e-9)


SCORES = st.floats(0, 1)


@given(st.lists(st.tuples(SCORES, SCORES), max_size=40))
def test_what_is_undefined_is_none_with_a_sentence_and_never_nan(pairs: list[tuple[float, float]]) -> None:
    found = number_kappa([p for p, _ in pairs], [e for _, e in pairs])
    numbers = (found.observed, found.expected, found.kappa, found.ci_low, found.ci_high)
    assert all(value is None or math.isfinite(value) for value in numbers)
    assert bool(found.reason) == (found.ci_low is None) == (found.ci_high is None)
    if found.ci_low is not None and found.ci_high is not None and found.kappa is not None:
        assert -1 <= found.ci_low <= found.kappa + 1e-9
        assert found.kappa - 1e-9 <= found.ci_high <= 1


@pytest.mark.parametrize(
    ("people", "evaluator", "says"),
    [
        ([], [], "at least two answers"),
        ([1.0], [1.0], "at least two answers"),
        ([1.0, 1.0], [0.0, 1.0], "people judged all 2 answers the same"),
        ([0.0, 1.0, 0.0], [0.5, 0.5, 0.5], "the evaluator judged all 3 answers the same"),
        ([1.0, 1.0], [1.0, 1.0], "people and the evaluator judged all 2 answers the same"),
        ([0.0, 1e-12], [1e-12, 0.0], "too close together"),
    ],
)
def test_where_chance_cannot_be_told_there_is_no_kappa(people: list[float], evaluator: list[float], says: str) -> None:
    found = number_kappa(people, evaluator)
    assert (found.kappa, found.ci_low, found.ci_high) == (None, None, None)
    assert says in found.reason
    assert (found.observed is None) == (not people)


def test_full_agreement_has_a_kappa_and_no_interval() -> None:
    found = label_kappa(["a", "b", "b"], ["a", "b", "b"])
    assert found.kappa == 1
    assert (found.ci_low, found.ci_high) == (None, None)
    assert found.reason == "the 3 answers all agree or differ by the same amount, which leaves the interval no width"


def test_labels_are_compared_without_case_blanks_and_underscores() -> None:
    found = beside(
        HELPFUL,
        (" Partly Helpful ", "partly_helpful"),
        ("HELPFUL", "helpful"),
        ("unhelpful", "helpful"),
        ("un helpful", "unhelpful"),
    )
    assert (found.evaluator, found.method) == ("helpfulness", "unweighted")
    assert (found.annotated, found.n, found.same, found.observed) == (4, 4, 3, 0.75)
    assert [(d.span_id, d.people.label, d.evaluator.label) for d in found.disagreements] == [
        ("s002", "unhelpful", "helpful")
    ]


def test_a_score_without_a_label_stands_for_the_rail_with_that_score() -> None:
    found = beside(HELPFUL, (1.0, "helpful"), (0.5, "unhelpful"), ({"label": "so so", "score": 0.0}, "unhelpful"))
    assert (found.method, found.n, found.same) == ("unweighted", 3, 2)


def test_a_label_goes_before_a_score() -> None:
    found = beside(CORRECTNESS, ({"label": "correct", "score": 0.0}, {"label": "correct", "score": 1.0}))
    assert found.same == 1


def test_a_score_that_two_rails_have_names_neither() -> None:
    rails = {"right": 1.0, "wrong": 0.0, "refused": 0.0}
    judge = EvalConstant(name="truth", kind="llm_classify", fingerprint="f", rails=rails)
    told = {"label": "refused", "score": 0.0}
    found = beside(judge, (1.0, {"label": "right", "score": 1.0}), (0.0, told), (0.0, {"label": "wrong", "score": 0.0}))
    assert (found.method, found.n, found.same) == ("linear", 3, 3)
    found = beside(judge, ("right", {"label": "right", "score": 1.0}), ("refused", told), ("wrong", told))
    assert (found.method, found.n, found.same) == ("unweighted", 3, 2)


def test_scores_between_the_rails_are_compared_as_numbers() -> None:
    graded = [{"label": label, "score": score} for label, score in HELPFUL.rails.items()]
    found = beside(HELPFUL, (0.9, graded[0]), (0.3, graded[1]), ("unhelpful", graded[2]), (None, graded[2]))
    assert (found.method, found.annotated, found.n, found.same) == ("linear", 3, 3, 1)
    assert [d.span_id for d in found.disagreements] == ["s001", "s000"]
    assert [d.distance for d in found.disagreements] == pytest.approx([0.2, 0.1])


def test_rails_that_are_numbers_are_a_scale() -> None:
    said = [("4", "5"), (2, "2"), ({"label": "3"}, "1"), ("5", "5")]
    found = beside(GRADE, *[(people, {"label": mine, "score": float(mine)}) for people, mine in said])
    assert (found.method, found.n, found.same) == ("linear", 4, 2)
    assert found.observed == pytest.approx(1 - (0.25 + 0.5) / 4)
    assert [d.span_id for d in found.disagreements] == ["s002", "s000"]


@pytest.mark.parametrize("people", [{"label": "great"}, 7.0, {"label": "nan"}, {"explanation": "Hm."}, -math.inf])
def test_what_is_off_the_scale_is_counted_and_left_out(people: Any) -> None:
    found = beside(GRADE, (people, {"label": "4", "score": 4.0}), ("2", {"label": "2", "score": 2.0}))
    assert (found.annotated, found.n, found.kappa) == (2, 1, None)
    assert found.reason == "kappa needs at least two answers that both judged"


def test_an_evaluator_that_gave_no_score_is_beside_nobody() -> None:
    failed = {"label": "correct", "error": "timed out"}
    found = beside(CORRECTNESS, ("correct", failed), ("correct", None), ("correct", "correct"))
    assert (found.annotated, found.n, found.same) == (3, 1, 1)


def test_a_function_that_says_true_or_false_has_both_as_its_labels() -> None:
    yes = {"label": "true", "score": 1.0}
    found = beside(IS_BRIEF, ("True", yes), ("false", yes), (0.0, yes))
    assert (found.method, found.n, found.same, found.kappa) == ("unweighted", 3, 1, None)
    assert found.reason == "the evaluator judged all 3 answers the same"


def test_a_function_of_numbers_is_compared_as_numbers() -> None:
    found = beside(IS_BRIEF, (1.0, 0.75), (0.1 + 0.2, 0.3), ("0.5", 0.5))
    assert (found.method, found.n, found.same) == ("linear", 3, 2)


def test_a_label_with_several_scores_is_read_by_its_own() -> None:
    said = [{"label": "words", "score": score} for score in (0.2, 0.8, 0.4)]
    found = beside(IS_BRIEF, (0.2, said[0]), (0.6, said[1]), ("words", said[2]))
    assert (found.method, found.n) == ("linear", 2)


def test_a_range_without_width_compares_no_numbers() -> None:
    flat = EvalConstant(name="flat", kind="code", fingerprint="f", low=1, high=1)
    assert beside(flat, (1.0, 1.0), (1.0, 1.0)).n == 0


def test_evaluators_stand_in_their_order_and_only_those_that_people_annotated() -> None:
    samples = [
        sample(1, CORRECTNESS, "correct", "correct"),
        sample(2, HELPFUL, None, "helpful"),
        sample(3, CSAT, 4.0, 4.0),
        sample(4, GRADE, "3", "3"),
        sample(5, EvalConstant(name="other", kind="code", fingerprint="f"), "x", None),
    ]
    found = agreement(samples, [GRADE, CSAT, HELPFUL, CORRECTNESS])
    assert [one.evaluator for one in found] == ["grade", "correctness"]
    assert agreement([], [GRADE]) == agreement(samples, []) == ()


@given(st.permutations(range(6)))
def test_the_order_of_the_samples_changes_nothing(order: list[int]) -> None:
    said = [
        ("correct", "correct"),
        ("incorrect", "correct"),
        ("correct", "incorrect"),
        ("x", "correct"),
        (1, "correct"),
    ]
    samples = [sample(n, CORRECTNESS, *pair) for n, pair in enumerate([*said, (0, "incorrect")])]
    found = agreement([samples[n] for n in order], [CORRECTNESS])
    assert [one.model_dump_json() for one in found] == [
        one.model_dump_json() for one in agreement(samples, [CORRECTNESS])
    ]
