"""`judge_watch`: drift, agreement with people, and biases of the judges."""

import asyncio
from collections.abc import Sequence
from typing import Any

import dagster as dg

from sia_dagster.adapters.files.span_table import SampledSpans
from sia_dagster.core.records.eval_rows import evals_from_rows
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.records.sample import Sample
from sia_dagster.defs.claims import JUDGES_ARE_FAIR, JUDGES_ARE_STEADY
from sia_dagster.defs.metadata import outcome_metadata, present
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.wiring.loop_session import StageResult

SPEC = StageSpec(
    stage="judge_watch",
    description="Every judge of the loop on frozen outputs that it judged before, its agreement with people, and "
    "probes: the labels in another order, the answer made longer. Code evaluators are not watched.",
    claims=(JUDGES_ARE_STEADY, JUDGES_ARE_FAIR),
    io="documents",
    kinds=("json", "openai", "scipy"),
    resources=("model", "storage", "clock"),
    upstream=("traces", "eval_results"),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def judge_watch(
        context: dg.AssetExecutionContext, traces: SampledSpans, eval_results: Any
    ) -> dg.MaterializeResult[Any]:
        from sia_dagster.core.judge_watch import record_watch
        from sia_dagster.wiring.stages import watch_window

        with staged(names, context) as stage:
            samples = _judged(stage, traces, eval_results.to_dict("records"))
            log = stage.storage.gate_log(names.name)
            outcome = asyncio.run(watch_window(stage.session, samples, log))
            found = tuple(watched.judge for watched in outcome.value)
            report = JudgeReport(loop=names.name, window=stage.window, judges=found)
            record_watch(log, report, outcome.value, stage.clock.time(stage.window))
            return dg.MaterializeResult(
                value=report, metadata=_metadata(report, outcome), check_results=_claims(report)
            )

    return judge_watch


def _judged(stage: StageContext, traces: SampledSpans, eval_rows: list[dict[str, Any]]) -> tuple[Sample, ...]:
    """The window's samples with their evaluations. Raises EvaluatorError if those are not of today's evaluators."""
    from sia_dagster.core.evaluators import check_fingerprints
    from sia_dagster.core.openinference import samples_from_rows
    from sia_dagster.wiring.session import eval_constants

    constants = eval_constants(stage.names.loop, stage.names.folder)
    check_fingerprints(((row["evaluator"], row["fingerprint"]) for row in eval_rows), constants)
    evals = evals_from_rows(eval_rows)
    samples = samples_from_rows(traces.rows).samples
    return tuple(sample.model_copy(update={"evals": evals.get(sample.span_id, ())}) for sample in samples)


def _metadata(report: JudgeReport, outcome: StageResult[Any]) -> dict[str, Any]:
    from sia_dagster.reports.markdown.judges import changed_table, judges_table, probes_table

    numbers = {name: value for judge in report.judges for name, value in _numbers(judge).items()}
    return {
        "judges": dg.MetadataValue.md(judges_table(report)),
        **numbers,
        "anchors_judged_otherwise": dg.MetadataValue.md(changed_table(outcome.value)),
        "probes": dg.MetadataValue.md(probes_table(report)),
        "anchors_frozen": sum(len(watched.frozen) for watched in outcome.value),
        **outcome_metadata(outcome),
    }


def _numbers(judge: JudgeWatch) -> dict[str, float]:
    """Numbers that plot over the windows."""
    name = judge.evaluator
    values = {
        f"shift_{name}": judge.shift,
        f"disagreement_{name}": judge.disagreement,
        f"noise_{name}": judge.noise,
        f"kappa_{name}": judge.kappa,
        **{f"{probe.kind}_shift_{name}": probe.shift for probe in judge.probes},
    }
    rounded = {key: round(value, 6) for key, value in present(values).items()}
    return {**rounded, f"anchors_{name}": judge.anchors, f"windows_not_steady_{name}": len(judge.since)}


def _claims(report: JudgeReport) -> Sequence[dg.AssetCheckResult]:
    from sia_dagster.reports.markdown.judges import fair_sentence, steady_sentence

    steady = all(judge.is_conclusive and not judge.drifted for judge in report.judges)
    biased = any(probe.biased for judge in report.judges for probe in judge.probes)
    return [
        JUDGES_ARE_STEADY.holds(steady, steady_sentence(report)),
        JUDGES_ARE_FAIR.holds(not biased, fair_sentence(report)),
    ]
