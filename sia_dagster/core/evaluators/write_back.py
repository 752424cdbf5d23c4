"""What goes back to the trace store: the window's own evaluations, and what the store said of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.span_evaluations import SpanEvaluation, WriteReport


def write_outcome(report: WriteReport) -> str:
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
