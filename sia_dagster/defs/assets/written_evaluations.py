"""`written_evaluations`: the window's evaluations, back on their spans in the trace store."""

from typing import Any

import dagster as dg

from sia_dagster.adapters.files.span_table import SampledSpans
from sia_dagster.core.records.eval_rows import evals_from_rows
from sia_dagster.core.records.span_evaluations import WriteReport
from sia_dagster.defs.claims import EVALUATIONS_ARE_BACK
from sia_dagster.defs.metadata import table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageSpec, staged

SPEC = StageSpec(
    stage="written_evaluations",
    description="The `eval_results` written to the spans of the trace store: what it took, the spans it does not know, "
    "and those too old to be updated. Materialising it again changes nothing.",
    claims=(EVALUATIONS_ARE_BACK,),
    io="documents",
    kinds=("json",),
    resources=("traces", "clock"),
    upstream=("traces", "eval_results"),
)
MOST_SHOWN = 50
"""Rows of a table in the metadata; the asset itself holds all."""


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""
    spec = SPEC.model_copy(update={"kinds": (*SPEC.kinds, names.loop.traces.source)})

    @spec.asset(names)
    def written_evaluations(
        context: dg.AssetExecutionContext, traces: SampledSpans, eval_results: Any
    ) -> dg.MaterializeResult[Any]:
        from sia_dagster.core.evaluators import evaluations_to_write

        with staged(names, context) as stage:
            started = {row["span_id"]: row["start_time"] for row in traces.rows}
            evaluations = evaluations_to_write(evals_from_rows(eval_results.to_dict("records")), started)
            report = stage.traces.evaluations().write(evaluations, now=stage.clock.time(stage.window))
            claim = EVALUATIONS_ARE_BACK.holds(report.complete, report.summary)
            return dg.MaterializeResult(value=report, metadata=_metadata(report), check_results=[claim])

    return written_evaluations


def _metadata(report: WriteReport) -> dict[str, Any]:
    return {
        "evaluations_offered": report.offered,
        "evaluations_updated": report.updated,
        "evaluations_shortened": report.shortened,
        "spans_unmatched": len(report.unmatched),
        "spans_too_old": len(report.too_old),
        "evaluations_not_taken": len(report.not_taken),
        "not_taken": table(entry.model_dump() for entry in report.not_taken[:MOST_SHOWN]),
        "unmatched": table({"span": span_id} for span_id in report.unmatched[:MOST_SHOWN]),
        "faults": table({"what happened": fault} for fault in report.faults),
    }
