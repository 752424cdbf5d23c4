"""`traces`: the window's LLM spans."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from sia_dagster.adapters.files.drafts import sweep
from sia_dagster.adapters.files.span_table import SpanFile, read_sampled, stage_spans
from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.trace_store import span_query
from sia_dagster.core.records.funnel import Funnel, FunnelCount
from sia_dagster.core.text import count
from sia_dagster.defs.claims import CALLS_CAN_BE_REPLAYED, WINDOW_HAS_TRACES
from sia_dagster.defs.metadata import column_schema, estimate_metadata, table
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.reports.funnel_table import funnel_rows
from sia_dagster.reports.wording import escape, trimmed

if TYPE_CHECKING:
    from sia_dagster.core.openinference import MappedSpans
    from sia_dagster.core.records.sample import Sample

MOST_MODELS: Final = 20
"""How many models the metadata names."""
LONGEST_NAME: Final = 80
SPEC = StageSpec(
    stage="traces",
    description="The window's LLM spans, one row a call, normalised. Only the calls that `sample_limit` chose by "
    "a hash of their id carry their text; all are counted. Materialised alone it costs nothing, and its metadata "
    "estimates the rest of the window: calls, tokens and USD.",
    claims=(WINDOW_HAS_TRACES, CALLS_CAN_BE_REPLAYED),
    io="tables",
    kinds=("parquet", "duckdb"),
    resources=("traces", "storage", "model"),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def traces(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from sia_dagster.core.openinference import samples_from_rows
        from sia_dagster.core.traffic import with_samples

        with staged(names, context) as stage:
            # The resource's condition: the Launchpad may change it.
            query = span_query(names.loop, stage.window).model_copy(update={"where": stage.traces.config().where})
            if swept := sweep(stage.storage.path(), names.name, datetime.now(UTC)):
                context.log.info(f"{count(len(swept), 'draft')} of killed runs removed, the first: {swept[0]}")
            funnel = FunnelCount()
            spans = stage_spans(stage.traces.connect().spans(query, funnel), funnel)
            mapped = samples_from_rows(read_sampled(spans.path).rows)
            left = with_samples(funnel.result(), mapped)
            expected = _estimate(stage, mapped.samples)
            context.log.info(f"the window's model calls: {expected['estimate']}")
            return dg.MaterializeResult(
                value=spans,
                metadata={**_metadata(spans, left), **_notes(left, mapped), **expected},
                check_results=[_has_traces(spans), _can_be_replayed(left)],
            )

    return traces


def _estimate(stage: StageContext, samples: "Sequence[Sample]") -> dict[str, Any]:
    """The estimate of the rest of the window, or why there is none; it never stops the stage."""
    from sia_dagster.adapters.engine.money.list_prices import prices_source
    from sia_dagster.core.cost import estimate_sentence
    from sia_dagster.wiring.prices import estimate_window

    llm, names = stage.model.settings().llm, stage.names
    try:
        in_force = stage.storage.policies(names.name).in_force(before=stage.window.end)
        policy = in_force.actions if in_force else None
        expected = estimate_window(names.loop, samples, llm=llm, folder=names.folder, policy=policy)
    except SiaError as error:
        return {"estimate": f"no estimate: {error}"}
    return {"estimate": estimate_sentence(expected, llm, prices_source=prices_source()), **estimate_metadata(expected)}


def _has_traces(spans: SpanFile) -> dg.AssetCheckResult:
    if spans.sampled:
        return WINDOW_HAS_TRACES.holds(True, f"{spans.rows} calls, {spans.sampled} of them evaluated.")
    if not spans.rows:
        return WINDOW_HAS_TRACES.holds(
            False, "The window holds no call of the application. Was there traffic, and does `traces.where` fit it?"
        )
    return WINDOW_HAS_TRACES.holds(False, f"None of the window's {spans.rows} calls has an output: {spans.by_status}.")


def _can_be_replayed(funnel: Funnel) -> dg.AssetCheckResult:
    told = f"{funnel.replayable} of {funnel.sampled} sampled calls can be replayed."
    if funnel.sampled and not funnel.replayable:
        reasons = "; ".join(
            f"{row.records:,} {row.step} ({row.why})" for row in funnel_rows(funnel)[-3:] if row.is_loss
        )
        return CALLS_CAN_BE_REPLAYED.holds(False, f"{told} {reasons}. Nothing is judged, since nothing could be tried.")
    return CALLS_CAN_BE_REPLAYED.holds(True, told)


def _notes(funnel: Funnel, mapped: "MappedSpans") -> dict[str, Any]:
    """What is implausible in the window's samples, and what was mended in them."""
    from sia_dagster.core.traffic import plausibility

    sentences = (*(note.sentence for note in plausibility(mapped.samples)), *funnel.notes)
    return (
        {"notes": dg.MetadataValue.md("\n".join(f"- {escape(sentence)}" for sentence in sentences))}
        if sentences
        else {}
    )


def _models(calls: Mapping[str, int]) -> list[dict[str, Any]]:
    """The models with the most calls, and one row for all others: traces may name any number of models."""
    ordered = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    rows: list[dict[str, Any]] = [{"model": trimmed(n, LONGEST_NAME), "calls": c} for n, c in ordered[:MOST_MODELS]]
    rest = ordered[MOST_MODELS:]
    return rows + ([{"model": f"{len(rest):,} more", "calls": sum(count for _, count in rest)}] if rest else [])


def _metadata(spans: SpanFile, funnel: Funnel) -> dict[str, Any]:
    from sia_dagster.core.openinference.schema import SPAN_COLUMNS, SPAN_SCHEMA

    return {
        "dagster/row_count": spans.rows,
        "calls": spans.rows,
        "calls_sampled": spans.sampled,
        "error_share": round(spans.by_status.get("ERROR", 0) / spans.rows, 6) if spans.rows else 0.0,
        "application_tokens": spans.prompt_tokens + spans.completion_tokens,
        "records": funnel.records,
        "records_unreadable": sum(loss.records for loss in funnel.losses if loss.step == "record"),
        "funnel": table(row._asdict() for row in funnel_rows(funnel)),
        "models": table(_models(spans.by_model)),
        **column_schema(SPAN_COLUMNS, {field.name: str(field.type) for field in SPAN_SCHEMA}),
    }
