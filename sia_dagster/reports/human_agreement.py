"""How far evaluators agree with people's annotations, in sentences."""

from collections.abc import Sequence

from sia_dagster.core.judge_watch import Agreement, Disagreement, agreement
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count
from sia_dagster.reports.wording import escape, number, share

SHOWN = 5
"""Disagreements shown for each evaluator."""


class DisputedAnswer(Value):
    """A logged answer that people and the evaluator score differently."""

    sample: Sample
    disagreement: Disagreement


class HumanAgreement(Value):
    """One evaluator as the report shows it."""

    found: Agreement
    reading: str
    left_out: str
    """The annotations that could not be compared; empty where all could."""
    interval: str
    disputed: tuple[DisputedAnswer, ...]


def human_agreements(state: StateActions) -> tuple[HumanAgreement, ...]:
    """Every evaluator with annotated answers, with its largest disagreements."""
    by_id = {sample.span_id: sample for sample in state.samples}
    return tuple(
        HumanAgreement(
            found=found,
            reading=reading(found),
            left_out=_left_out(found),
            interval=_interval(found),
            disputed=tuple(
                DisputedAnswer(sample=by_id[d.span_id], disagreement=d) for d in found.disagreements[:SHOWN]
            ),
        )
        for found in agreement(state.samples, state.eval_constants)
    )


def reading(found: Agreement) -> str:
    """`correctness and people agree on 83 % of 42 answers, kappa 0.61 [0.40, 0.82].`, or why there is no kappa."""
    both = f"{found.evaluator} and people"
    if not found.n:
        return f"{both} have no answer in common that can be compared."
    linear = found.method == "linear"
    agree = "give the same score to" if linear else "agree on"
    seen = f"{both} {agree} {share(found.same / found.n)} of {count(found.n, 'answer')}"
    if found.kappa is None:
        return f"{seen}; there is no kappa: {found.reason}."
    kappa = f"{'linearly weighted ' if linear else ''}kappa {number(found.kappa)}"
    without = f" without an interval: {found.reason}" if found.reason else f" {_interval(found)}"
    return f"{seen}, {kappa}{without}."


def agreement_markdown(found: Sequence[Agreement]) -> str:
    """One line for each evaluator; a sentence where people annotated nothing."""
    if not found:
        return "People annotated no answer under an evaluator's name."
    return "\n".join(f"- {escape(' '.join(filter(None, (reading(one), _left_out(one)))))}" for one in found)


def _left_out(found: Agreement) -> str:
    missing = found.annotated - found.n
    if not missing:
        return ""
    return (
        f"{count(missing, 'annotation')} could not be compared: outside the evaluator's labels and range, or of "
        "an answer without its score."
    )


def _interval(found: Agreement) -> str:
    """The bounds without a sign: they are not differences."""
    return "" if found.ci_low is None else f"[{number(found.ci_low)}, {number(found.ci_high)}]"
