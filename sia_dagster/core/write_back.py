"""What goes back to the trace store: the window's own evaluations, and what the store said of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.models import EvalMetrics, EvaluatorKind, Value


class SpanEvaluation(Value):
    """One evaluator's verdict on one span."""

    span_id: str
    evaluator: str
    kind: EvaluatorKind
    started: datetime
    """When the span started: stores refuse to update old ones."""
    label: str | None = None
    score: float | None = None
    explanation: str | None = None


class NotTaken(Value):
    """An evaluation that was not sent, or that the store refused."""

    span_id: str
    evaluator: str
    reason: str


class WriteReport(Value):
    """Every evaluation that was offered, accounted for: counts are of evaluations unless they say spans."""

    offered: int = 0
    updated: int = 0
    """Taken by the store, whether new or the same as before."""
    shortened: int = 0
    """Taken with a label or an explanation cut to what the store holds."""
    unmatched: tuple[str, ...] = ()
    """Span ids that the store does not know, sorted."""
    too_old: tuple[str, ...] = ()
    """Span ids that the store does not update any more, sorted."""
    not_taken: tuple[NotTaken, ...] = ()
    """By span id, then evaluator."""
    faults: tuple[str, ...] = ()
    """What went wrong on the way, one sentence each; empty where every batch arrived."""

    @property
    def complete(self) -> bool:
        """Whether every evaluation that the store can still take was taken."""
        return not (self.unmatched or self.not_taken or self.faults)


def outcome(report: WriteReport) -> str:
    """What became of the evaluations, in a sentence: how many are there, and why others are not."""
    reason = report.not_taken[0].reason if report.not_taken else ""
    unknown = next(iter(report.unmatched), "")
    facts = {
        f"{len(report.too_old)} spans are too old to be updated": report.too_old,
        f"{len(report.unmatched)} spans are unknown to the store, the first {unknown}": report.unmatched,
        f"{len(report.not_taken)} were not taken, the first since {reason}": report.not_taken,
        " ".join(report.faults): report.faults,
    }
    told = "; ".join(sentence for sentence, rows in facts.items() if rows)
    return f"{report.updated} of {report.offered} evaluations are in the trace store{f'; {told}' if told else ''}."


def evaluations_to_write(
    evals: Mapping[str, Sequence[EvalMetrics]], started: Mapping[str, datetime]
) -> tuple[SpanEvaluation, ...]:
    """What the loop's own evaluators said of the window's spans, by span id, then evaluator.

    What has neither score nor label says nothing of the output, and what the platform recorded itself is not sent
    back: both are left out. Both arguments are by span id. Raises WriteBackError for spans that `started` lacks.
    """
    if strange := sorted(evals.keys() - started.keys()):
        raise WriteBackError(
            f"{len(strange)} evaluated spans are no longer among the window's sampled calls, the first {strange[0]}: "
            "the traces were read again since; materialise `eval_results` again"
        )
    return tuple(
        SpanEvaluation(
            span_id=span_id,
            evaluator=said.name,
            kind=said.source,
            started=started[span_id],
            label=said.label,
            score=said.score,
            explanation=said.explanation,
        )
        for span_id in sorted(evals)
        for said in sorted(evals[span_id], key=lambda metrics: metrics.name)
        if said.source != "platform" and (said.label is not None or said.score is not None)
    )
