"""`eval_results`: the evaluators' scores of the application's logged outputs."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from sia_dagster.adapters.files.span_table import SampledSpans
from sia_dagster.core.records.eval_rows import EVAL_RESULT_COLUMNS
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.defs.claims import SPANS_ARE_READABLE, UNSCORED_SHARE_IS_LOW
from sia_dagster.defs.metadata import column_schema, outcome_metadata, score_metadata
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageSpec, staged
from sia_dagster.defs.table_types import EVAL_RESULT_TYPES, EVAL_RESULTS_TYPE, eval_results_frame
from sia_dagster.wiring.loop_session import StageResult

if TYPE_CHECKING:
    from sia_dagster.core.openinference import MappedSpans
    from sia_dagster.wiring.stages import Evals


SPEC = StageSpec(
    stage="eval_results",
    description="One row for each sampled call and evaluator: label, score, explanation, or the error of that row.",
    claims=(SPANS_ARE_READABLE, UNSCORED_SHARE_IS_LOW),
    io="tables",
    kinds=("pandas", "openai"),
    resources=("model",),
    upstream=("traces",),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names, EVAL_RESULTS_TYPE)
    def eval_results(context: dg.AssetExecutionContext, traces: SampledSpans) -> dg.MaterializeResult[Any]:
        from sia_dagster.core.openinference import samples_from_rows
        from sia_dagster.wiring.stages import evaluate_window

        with staged(names, context) as stage:
            mapped = samples_from_rows(traces.rows)
            outcome = asyncio.run(evaluate_window(stage.session, mapped.samples))
            return dg.MaterializeResult(
                value=eval_results_frame(outcome.value),
                metadata=_metadata(outcome, mapped, names),
                check_results=_claims(outcome.value, mapped, names.loop.validation.max_unscored_share),
            )

    return eval_results


def _flat(evals: "Evals") -> list[EvalMetrics]:
    return [metrics for of_span in evals.values() for metrics in of_span]


def _metadata(outcome: "StageResult[Evals]", mapped: "MappedSpans", names: LoopNames) -> dict[str, Any]:
    from sia_dagster.reports.markdown.tables import logged_samples_table, skipped_markdown

    judged = [s.model_copy(update={"evals": outcome.value.get(s.span_id, ())}) for s in mapped.samples]
    rows = _flat(outcome.value)
    return {
        "dagster/row_count": len(rows),
        "samples": len(mapped.samples),
        "spans_skipped": len(mapped.skipped),
        "unscored": sum(row.score is None and not row.not_applicable for row in rows),
        **_not_applicable(rows),
        **score_metadata(rows),
        **outcome_metadata(outcome),
        "worst_samples": dg.MetadataValue.md(logged_samples_table(judged, names.loop.validation.primary)),
        **_agreement(judged, names),
        **column_schema(EVAL_RESULT_COLUMNS, EVAL_RESULT_TYPES),
        "skipped": dg.MetadataValue.md(skipped_markdown(mapped.skipped)),
    }


def _not_applicable(rows: Sequence[EvalMetrics]) -> dict[str, int]:
    """`not_applicable/<evaluator>`: the samples to which an evaluator does not apply, where there are any."""
    return {f"not_applicable/{name}": n for name, n in Counter(r.name for r in rows if r.not_applicable).items()}


def _agreement(judged: Sequence[Sample], names: LoopNames) -> dict[str, Any]:
    """Agreement of evaluators with people: kappa and counts as plottable numbers; empty without annotations."""
    from sia_dagster.core.judge_watch import agreement
    from sia_dagster.reports.human_agreement import agreement_markdown
    from sia_dagster.wiring.session import eval_constants

    found = agreement(judged, eval_constants(names.loop, names.folder))
    if not found:
        return {}
    return {
        **{f"annotated_{one.evaluator}": one.annotated for one in found},
        **{f"kappa_{one.evaluator}": round(one.kappa, 6) for one in found if one.kappa is not None},
        "judge_and_people": dg.MetadataValue.md(agreement_markdown(found)),
    }


def _claims(evals: "Evals", mapped: "MappedSpans", allowed: float) -> Sequence[dg.AssetCheckResult]:
    from sia_dagster.core.evaluators import worst_unscored_share

    worst, share = worst_unscored_share(evals)
    asked = [(s, row) for s in evals for row in evals[s] if row.name == worst and not row.not_applicable]
    unscored = [(span_id, row.error) for span_id, row in asked if row.score is None]
    first = f" The first, of span {unscored[0][0]}: {unscored[0][1]}" if unscored else ""
    spans = len(mapped.samples) + len(mapped.skipped)
    skipped = f" The first: {mapped.skipped[0]}" if mapped.skipped else ""
    return [
        SPANS_ARE_READABLE.holds(
            len(mapped.skipped) <= 0.1 * spans, f"{len(mapped.skipped)} of {spans} chosen spans were skipped.{skipped}"
        ),
        UNSCORED_SHARE_IS_LOW.holds(
            share <= allowed,
            f"{worst or 'evaluators'}: {len(unscored)} of {len(asked)} rows have no score (allowed: {allowed:.0%})."
            + first,
            unscored_share=round(share, 6),
        ),
    ]
