"""Opik's and Braintrust's spans keep their evaluations, and only those of a model's kind are calls."""

from sia_dagster_tests.worlds.form_calls import read_records, recorded


def test_opiks_scores_are_evaluations_and_a_persons_are_annotations() -> None:
    scores = [
        {"name": "is right", "value": 0.5, "reason": "It is cloudy.", "source": "sdk"},
        {"name": "tone", "value": 1, "source": "ui"},
    ]
    (sample,) = read_records([recorded("opik")[0] | {"feedback_scores": scores, "thread_id": "chat-7"}]).samples
    assert [(e.name, e.score, e.explanation) for e in sample.evals] == [("is right", 0.5, "It is cloudy.")]
    assert [(e.name, e.score) for e in sample.annotations] == [("tone", 1)]
    assert sample.conversation_id == "chat-7"


def test_braintrusts_scores_are_evaluations() -> None:
    row = recorded("braintrust")[0]
    more = {"scores": {"is-right": 0.5, "tone": None}, "metadata": row["metadata"] | {"session_id": "chat-7"}}
    (sample,) = read_records([row | more]).samples
    assert [(e.name, e.score) for e in sample.evals] == [("is_right", 0.5)]
    assert sample.conversation_id == "chat-7"


def test_spans_of_other_kinds_are_no_calls() -> None:
    task = recorded("braintrust")[0] | {"span_attributes": {"type": "task", "name": "turn"}}
    general = recorded("opik")[0] | {"type": "general"}
    assert read_records([task, general]).samples == ()
