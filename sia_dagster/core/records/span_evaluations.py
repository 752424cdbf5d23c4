"""Evaluations as they are written back to their spans, and what the platform took."""

from datetime import datetime

from sia_dagster.core.records.evaluation import EvaluatorKind
from sia_dagster.core.records.value import Value


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
    def summary(self) -> str:
        """How many evaluations are in the trace store, and why others are not, in a sentence."""
        reason = self.not_taken[0].reason if self.not_taken else ""
        unknown = next(iter(self.unmatched), "")
        faults = {
            f"{len(self.too_old)} spans are too old to be updated": self.too_old,
            f"{len(self.unmatched)} spans are unknown to the store, the first {unknown}": self.unmatched,
            f"{len(self.not_taken)} were not taken, the first since {reason}": self.not_taken,
            " ".join(self.faults): self.faults,
        }
        why = "; ".join(sentence for sentence, rows in faults.items() if rows)
        return f"{self.updated} of {self.offered} evaluations are in the trace store{f'; {why}' if why else ''}."

    @property
    def complete(self) -> bool:
        """Whether every evaluation that the store can still take was taken."""
        return not (self.unmatched or self.not_taken or self.faults)
