"""Causes: what an evaluator's words say is wrong, whatever the language, the wording and the length."""

import json
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.search.causes import (
    Cause,
    Complaints,
    clauses_about,
    names,
    same_cause,
    shortfall,
    without_causes,
)
from sia_dagster.core.search.clauses import Lexicon
from sia_dagster_tests.places import CORPORA

CORRECTNESS = EvalConstant(name="correctness", kind="llm_classify", fingerprint="f", primary=True)
STARS = EvalConstant(name="stars", kind="llm_classify", fingerprint="s", low=1, high=5, primary=True)
SCRIPTS = json.loads((CORPORA / "explanations.json").read_text(encoding="utf-8"))
"""By language: two wordings of one cause, about an order by its number, and one of another cause."""
FAULTS = (
    "the order number is missing",
    "The tone is harsh",
    'it says "late" where it should say "soon"',
    "no date is given",
    "\u56de\u7b54\u6ca1\u6709\u8bf4\u660e\u8ba2\u5355\u53f7",
    "\u0e19\u0e49\u0e33\u0e40\u0e2a\u0e35\u0e22\u0e07\u0e2b\u0e22\u0e32\u0e1a\u0e04\u0e32\u0e22",
    "`refund_policy` is not quoted, and 17 of 20 words are too long",
)
EXPLANATIONS = st.lists(st.sampled_from(FAULTS) | st.text(max_size=12), max_size=4).map(". ".join)
SCORES = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])
METRICS = st.lists(st.tuples(EXPLANATIONS, SCORES), min_size=1, max_size=12)


def said(*pairs: tuple[str | None, float | None]) -> dict[str, EvalMetrics]:
    return {
        f"s{number:02}": EvalMetrics(
            name="correctness", label=None if score is None else str(score), score=score, explanation=text
        )
        for number, (text, score) in enumerate(pairs)
    }


def failing(*texts: str | None) -> dict[str, EvalMetrics]:
    return said(*((text, 0.0) for text in texts))


def causes_of(metrics: Mapping[str, EvalMetrics], constant: EvalConstant = CORRECTNESS) -> tuple[Cause, ...]:
    return Complaints.of(metrics, constant).causes(metrics)


def spans(causes: Sequence[Cause]) -> list[tuple[str, ...]]:
    return [cause.samples for cause in causes]


@pytest.mark.parametrize(
    ("score", "constant", "expected"),
    [
        (5.0, STARS, 0.0),
        (4.0, STARS, 0.25),
        (1.0, STARS, 1.0),
        (0.8, CORRECTNESS, 0.2),
        (None, STARS, None),
        (1.0, EvalConstant(name="flat", kind="code", fingerprint="x", low=1, high=1), 0.0),
    ],
)
def test_a_shortfall_is_a_share_of_the_range(
    score: float | None, constant: EvalConstant, expected: float | None
) -> None:
    found = shortfall(EvalMetrics(name=constant.name, score=score), constant)
    assert found == (None if expected is None else pytest.approx(expected))


@given(pairs=METRICS, data=st.data())
def test_the_order_of_samples_does_not_matter(pairs: list[tuple[str, float | None]], data: st.DataObject) -> None:
    metrics = said(*pairs)
    shuffled = dict(data.draw(st.permutations(list(metrics.items()))))
    assert causes_of(shuffled) == causes_of(metrics)


@given(
    texts=st.lists(EXPLANATIONS, min_size=1, max_size=12),
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.75]), min_size=12, max_size=12),
)
def test_the_worth_of_all_causes_is_what_is_missing(texts: list[str], scores: list[float]) -> None:
    """No sample is perfect, so every one has a cause: its clauses, or its label where nothing was explained."""
    metrics = said(*zip(texts, scores, strict=False))
    missing = sum(1 - score for score in scores[: len(texts)]) / len(texts)
    assert sum(cause.worth for cause in causes_of(metrics)) == pytest.approx(missing)


@given(pairs=METRICS)
def test_a_sample_names_the_causes_that_it_is_a_sample_of(pairs: list[tuple[str, float | None]]) -> None:
    """Else a probe would take a cause for mended of which the evaluator says the same as before."""
    metrics = said(*pairs)
    causes = causes_of(metrics)
    for cause in causes:
        assert all(names(metrics[span], cause) for span in cause.samples)
        assert cause.worth >= 0
        assert len(set(cause.samples)) == len(cause.samples)
    assert not any(same_cause(one, other) for one in causes for other in causes if one is not other)


@given(pairs=METRICS)
def test_mended_causes_are_not_named_and_the_score_rises_by_their_part(pairs: list[tuple[str, float | None]]) -> None:
    metrics = said(*pairs)
    causes = causes_of(metrics)
    for metric in metrics.values():
        if metric.score is None:
            continue
        for cause in causes:
            after = without_causes(metric, [cause], CORRECTNESS)
            assert after.score is not None
            assert metric.score <= after.score <= 1
            assert (after.score > metric.score) == (metric.score < 1 and names(metric, cause))
        if all(names(metric, cause) for cause in causes) and causes:
            assert without_causes(metric, causes, CORRECTNESS).score is not None


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_explanations_of_one_fault_are_one_cause_in_every_script(script: str) -> None:
    late, _, harsh = SCRIPTS[script]
    again = re.sub(r"\d+", "4711", late)
    assert again != late
    assert spans(causes_of(failing(late, again, harsh))) == [("s00", "s01"), ("s02",)]


def test_an_explanation_names_several_faults_and_its_loss_is_shared_out() -> None:
    metrics = failing(
        "The order number is missing. The tone is harsh.",
        "The order number is missing.",
        "The tone is harsh, and no date is given.",
    )
    found = {cause.text.strip(".").casefold(): (cause.samples, round(cause.worth, 3)) for cause in causes_of(metrics)}
    assert found["the order number is missing"] == (("s00", "s01"), 0.5)
    assert found["the tone is harsh"] == (("s00", "s02"), 0.333)
    assert found["no date is given"] == (("s02",), 0.167)


def test_quotes_and_numbers_of_a_sample_are_folded_and_those_of_many_are_not() -> None:
    own = failing('It repeats "dear Ada Byron" 17 times.', 'It repeats "my name is Bo" 3 times.')
    assert spans(causes_of(own)) == [("s00", "s01")]
    fields = failing(*['The field "due_date" is wrong.'] * 3, *['The field "amount" is wrong.'] * 2)
    assert spans(causes_of(fields)) == [("s00", "s01", "s02"), ("s03", "s04")]


def test_what_well_judged_samples_have_about_as_often_is_no_cause() -> None:
    metrics = said(*[("It is polite. No date is given.", 0.0)] * 3, *[("It is polite.", 1.0)] * 3)
    assert [cause.text.strip(".") for cause in causes_of(metrics)] == ["No date is given"]


def test_without_explanations_each_label_is_a_cause() -> None:
    metrics = said((None, 0.0), ("", 0.5), ("...", 0.5), ("", 1.0), (None, None))
    found = causes_of(metrics)
    assert [cause.text for cause in found] == ["", ""]
    assert sorted(spans(found)) == [("s00",), ("s01", "s02")]
    assert not same_cause(*found)


@pytest.mark.parametrize("scores", [[1.0, 1.0], [None, None]])
def test_where_nothing_is_missing_or_scored_there_is_no_cause(scores: list[float | None]) -> None:
    assert causes_of(said(*(("The tone is harsh.", score) for score in scores))) == ()


def test_one_sample_has_its_causes() -> None:
    assert [cause.worth for cause in causes_of(failing("The tone is harsh. No date is given."))] == [0.5, 0.5]


def test_a_cause_that_an_explanation_does_not_name_leaves_it_whole() -> None:
    (harsh,) = causes_of(failing("The tone is harsh."))
    other = EvalMetrics(name="correctness", score=0.0, explanation="No date is given. The order is missing.")
    assert not names(other, harsh)
    assert clauses_about(other, [harsh]) == other.explanation
    assert without_causes(other, [harsh], CORRECTNESS) == other
    assert not names(other.model_copy(update={"name": "tone", "explanation": "The tone is harsh."}), harsh)


LONG = {
    "words": "It is late. " * 9_000,
    "apostrophes": "'" * 100_000,
    "quotes": '"a ' * 33_000,
    "one word": "a" * 100_000,
    "parentheses": "(a" * 50_000,
    "chinese": "\u56de\u7b54\u6ca1\u6709\u8ba2\u5355\u53f7\u3002" * 12_000,
    "commas": "a, " * 33_000,
    "marks": "a\u0301" * 50_000,
    "folds": "\x005\x00" * 20_000,
    "words of its own": " ".join(f"w{number}" for number in range(14_000)),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_explanations_of_100_kb_are_soon_read(text: str) -> None:
    # The suite's time limit is the assertion.
    metrics = failing(*(f"{text} {number}" for number in range(40)))
    for cause in causes_of(metrics):
        assert len(cause.text) < 1000
        assert all(names(metrics[span], cause) for span in cause.samples)


def test_thousands_of_clauses_are_soon_told_apart() -> None:
    """A free-text judge that says something else of each sample; each pair of clauses would take minutes."""
    letters = "abcdefghijklmnop"
    words = [f"{a}{b}{c}{d}" for a in letters for b in letters for c in letters[:5] for d in letters[:4]]
    metrics = failing(*(". ".join(f"the {word} is seen" for word in words[n::200]) for n in range(200)))
    assert len(causes_of(metrics)) > 3000


@given(texts=st.lists(EXPLANATIONS, min_size=1, max_size=12))
def test_clauses_are_joined_to_the_first_that_says_the_same(texts: list[str]) -> None:
    metrics, complaints = failing(*texts), Complaints.of(failing(*texts), CORRECTNESS)
    lexicon, leaders = Lexicon.of(texts), dict[frozenset[str], list[str]]()
    for span, metric in metrics.items():
        for clause in lexicon.clauses(metric.explanation or "", metric.label):
            known = next((stems for stems in leaders if lexicon.same(stems, clause.stems)), clause.stems)
            leaders.setdefault(known, []).append(span)
    found = {each.clause.stems: each.samples for each in complaints.statements(metrics)}
    assert found == {stems: tuple(dict.fromkeys(of)) for stems, of in leaders.items()}
