"""What the report and the UI say of judge and people: plain words, the numbers, and where they differ."""

from typing import Any

import pytest

from sia_dagster.core.judge_watch.agreement import Agreement, agreement
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.reports.html.page import render_report
from sia_dagster.reports.human_agreement import agreement_markdown, human_agreements, reading
from sia_dagster_tests.worlds import report_cases as cases

ATTACK = "</details><script>alert(1)</script> [a](http://example.com)"


def annotated(sample: Sample, name: str = "correctness", **evaluation: Any) -> Sample:
    """The sample with what people said of it."""
    return sample.model_copy(update={"annotations": (EvalMetrics(name=name, source="platform", **evaluation),)})


def state(*samples: Sample) -> StateActions:
    return cases.state().model_copy(update={"samples": samples})


def html(window: StateActions) -> str:
    text = render_report(window, cases.update(), cases.report())
    return text[text.index('id="people"') : text.index('id="window"')]


def beside(**fields: Any) -> Agreement:
    given: dict[str, Any] = {"evaluator": "correctness", "method": "unweighted", "annotated": 42, "n": 42, "same": 35}
    return Agreement(**{**given, **fields})


# Sample n is scored correct where 3 divides n. People call 3, 6, 9 and 1 correct and 2, 4, 5 and 7 incorrect.
LABELLED = tuple(
    annotated(cases.sample(n), label="Correct" if n in {1, 3, 6, 9} else "incorrect", explanation=f"Note {n}.")
    for n in (1, 2, 3, 4, 5, 6, 7, 9)
)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            beside(kappa=0.61, ci_low=0.4, ci_high=0.82),
            "correctness and people agree on 83 % of 42 answers, kappa 0.61 [0.40, 0.82].",
        ),
        (
            beside(method="linear", kappa=-0.1, ci_low=-0.25, ci_high=0.05),
            "correctness and people give the same score to 83 % of 42 answers, "
            "linearly weighted kappa \u22120.10 [\u22120.25, 0.05].",
        ),
        (
            beside(n=1, same=1, reason="kappa takes at least two answers that both judged"),
            "correctness and people agree on 100 % of 1 answer; there is no kappa: "
            "kappa takes at least two answers that both judged.",
        ),
        (
            beside(same=42, kappa=1.0, reason="the 42 answers agree or differ all alike"),
            "correctness and people agree on 100 % of 42 answers, kappa 1.00 without an interval: "
            "the 42 answers agree or differ all alike.",
        ),
        (beside(n=0, same=0), "correctness and people have no answer in common that can be compared."),
    ],
)
def test_the_reading_is_a_plain_sentence(found: Agreement, words: str) -> None:
    assert reading(found) == words


def test_the_report_tells_how_judge_and_people_agree() -> None:
    window = state(*LABELLED, cases.sample(8))
    (found,) = agreement(window.samples, window.eval_constants)
    assert (found.annotated, found.n, found.same) == (8, 8, 7)
    section = html(window)
    assert found.kappa == pytest.approx((7 / 8 - 0.5) / 0.5)
    assert '<td class="n">8</td><td class="n">8</td><td class="n">7</td><td class="n"><b>0.75</b></td>' in section
    assert reading(found) in section
    assert "Where correctness and people differ" in section


def test_a_disagreement_stands_with_what_both_said() -> None:
    section = html(state(*LABELLED))
    differing = section[section.index("<details") :]
    assert f"{1:016x}" in differing
    assert "my order 4001 has not arrived" in differing
    assert "Note 1." in differing
    assert "The answer does not name the order number." in differing
    assert "Note 2." not in differing


def test_at_most_five_disagreements_are_shown_and_all_are_counted() -> None:
    samples = [annotated(cases.sample(n), label="correct") for n in range(1, 13)]
    (shown,) = human_agreements(state(*samples))
    assert [case.disagreement.span_id for case in shown.disputed] == [f"{n:016x}" for n in (1, 2, 4, 5, 7)]
    assert "5 of 8" in html(state(*samples))


def test_what_could_not_be_compared_is_said() -> None:
    samples = (*LABELLED, annotated(cases.sample(10), label="no idea"))
    (shown,) = human_agreements(state(*samples))
    assert shown.left_out.startswith("1 annotation could not be compared")
    assert shown.left_out in html(state(*samples)).replace("&#39;", "'")


def test_the_farthest_apart_come_first() -> None:
    def graded(number: int, people: float, judge: float) -> Sample:
        evaluation = EvalMetrics(name="tone", score=judge, source="llm_classify")
        return annotated(cases.sample(number), "tone", score=people).model_copy(update={"evals": (evaluation,)})

    (shown,) = human_agreements(state(graded(1, 2.0, 3.0), graded(2, 1.0, 5.0), graded(3, 4.0, 4.0)))
    assert (shown.found.method, shown.found.same) == ("linear", 1)
    assert [case.sample.span_id for case in shown.disputed] == [f"{2:016x}", f"{1:016x}"]
    assert "linearly weighted kappa" in shown.reading


def test_without_annotations_the_report_has_no_such_part() -> None:
    text = render_report(cases.state(), cases.update(), cases.report())
    assert "Agreement with people" not in text
    assert "#people" not in text
    assert human_agreements(cases.state()) == ()
    assert agreement_markdown(()) == "People annotated no answer under an evaluator's name."


def test_what_people_wrote_stays_text() -> None:
    attacked = annotated(cases.sample(12, request=ATTACK, output=ATTACK), label=ATTACK, score=0.0, explanation=ATTACK)
    section = html(state(attacked, *LABELLED[:3]))
    assert "<script" not in section
    assert section.count("&lt;script&gt;") >= 4
    assert section.count("</details>") == section.count("<details")


def test_a_line_an_evaluator_in_the_ui() -> None:
    window = state(*LABELLED, annotated(cases.sample(10), label="no idea"))
    lines = agreement_markdown(agreement(window.samples, window.eval_constants)).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("- correctness and people agree on 88 % of 8 answers, kappa 0\\.75 \\[")
    assert "1 annotation could not be compared" in lines[0]
