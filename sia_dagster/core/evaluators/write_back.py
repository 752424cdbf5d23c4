"""The window's own evaluations in the form in which they go back to the trace store."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.span_evaluations import SpanEvaluation


def evaluations_to_write(
    evals: Mapping[str, Sequence[EvalMetrics]], started: Mapping[str, datetime]
) -> tuple[SpanEvaluation, ...]:
    """The loop's own evaluations of the window's spans, by span id, then evaluator.

    Rows with neither score nor label, and what the platform recorded itself, are left out. Both arguments are by span
    id. Raises WriteBackError for spans that `started` lacks.
    """
    if strange := sorted(evals.keys() - started.keys()):
        raise WriteBackError(
            f"{len(strange)} evaluated spans are no longer among the window's sampled calls, the first {strange[0]}: "
            "the traces were read again since; materialise `eval_results` again"
        )
    return tuple(
        SpanEvaluation(
            span_id=span_id,
            evaluator=metrics.name,
            kind=metrics.source,
            started=started[span_id],
            label=metrics.label,
            score=metrics.score,
            explanation=metrics.explanation,
        )
        for span_id in sorted(evals)
        for metrics in sorted(evals[span_id], key=lambda each: each.name)
        if metrics.source != "platform" and (metrics.label is not None or metrics.score is not None)
    )
