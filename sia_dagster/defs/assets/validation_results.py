"""`validation_results`: the verdict on held-out samples, and the window's report."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from sia_dagster.adapters.storage import StoragePath, write_atomically
from sia_dagster.core.models import StateActions
from sia_dagster.core.results import EvaluatorComparison, PolicyUpdate, ValidationReport
from sia_dagster.defs.claims import CANDIDATE_IS_BETTER, REPLAYS_ARE_SCORED
from sia_dagster.defs.metadata import outcome_metadata, present
from sia_dagster.defs.names import LoopNames
from sia_dagster.defs.stage import StageContext, StageSpec, staged
from sia_dagster.wiring.ports import window_ledger
from sia_dagster.wiring.stages import Outcome, validate_window

SPEC = StageSpec(
    stage="validation_results",
    description="Old and new policy replayed on the held-out samples, all evaluators on both, the paired "
    "differences by conversation with their test and interval, and the verdict with its reasons.",
    claims=(
        REPLAYS_ARE_SCORED,
        CANDIDATE_IS_BETTER,
    ),
    io="documents",
    kinds=(
        "json",
        "openai",
        "scipy",
    ),
    resources=(
        "model",
        "storage",
    ),
    upstream=(
        "baseline_state_actions",
        "updated_policy",
    ),
)


def build(names: LoopNames) -> dg.AssetsDefinition:
    """The asset for one loop."""

    @SPEC.asset(names)
    def validation_results(
        context: dg.AssetExecutionContext, baseline_state_actions: StateActions, updated_policy: PolicyUpdate
    ) -> dg.MaterializeResult[Any]:
        with staged(names, context) as stage:
            outcome = asyncio.run(validate_window(stage.session, baseline_state_actions, updated_policy))
            report = _write_report(stage, baseline_state_actions, updated_policy, outcome.value)
            return dg.MaterializeResult(
                value=outcome.value,
                metadata=_metadata(outcome, report, updated_policy),
                check_results=_claims(outcome.value, names.loop.validation.max_unscored_share),
            )

    return validation_results


def _write_report(
    stage: StageContext, state: StateActions, update: PolicyUpdate, report: ValidationReport
) -> StoragePath:
    from sia_dagster.reports.html import render_report

    path = stage.storage.path("reports", stage.names.name, f"{stage.window.key}.html")
    spend = window_ledger(stage.session.chat, stage.names.name, stage.window)
    write_atomically(path, render_report(state, update, report, spend=spend).encode())
    return path


def _link(path: StoragePath) -> dg.MetadataValue:
    return dg.MetadataValue.path(str(path)) if isinstance(path, Path) else dg.MetadataValue.url(str(path))


def _numbers(report: ValidationReport) -> dict[str, float]:
    """What plots: every evaluator's comparison."""
    return {
        f"{comparison.evaluator}/{name}": value
        for comparison in report.comparisons
        for name, value in _comparison_numbers(comparison).items()
    }


def _comparison_numbers(comparison: EvaluatorComparison) -> dict[str, float]:
    values = {
        "baseline": comparison.baseline_mean,
        "candidate": comparison.candidate_mean,
        "difference": comparison.difference,
        "ci_low": comparison.ci_low,
        "ci_high": comparison.ci_high,
        "p_value": comparison.p_value,
    }
    return {name: round(value, 6) for name, value in present(values).items()}


def _metadata(outcome: Outcome[ValidationReport], path: StoragePath, update: PolicyUpdate) -> dict[str, Any]:
    from sia_dagster.reports.markdown import comparison_table, prompt_diff_markdown, samples_table

    report = outcome.value
    primary = report.primary.evaluator if report.primary else ""
    old, new = (actions.system_prompt if actions else "" for actions in (update.baseline, update.actions))
    return {
        "verdict": report.verdict,
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in report.reasons)),
        "report": _link(path),
        "comparison": dg.MetadataValue.md(comparison_table(report)),
        "baseline_policy": report.baseline.fingerprint if report.baseline else "",
        "conversations": report.conversations,
        **present({"conversations_needed": report.samples_needed}),
        **_numbers(report),
        **outcome_metadata(outcome),
        "prompt_diff": dg.MetadataValue.md(prompt_diff_markdown(old, new)),
        "worst_samples": dg.MetadataValue.md(samples_table(report.rows, primary, which="worst")),
        "most_improved_samples": dg.MetadataValue.md(samples_table(report.rows, primary, which="most_improved")),
    }


def _claims(report: ValidationReport, allowed: float) -> Sequence[dg.AssetCheckResult]:
    unscored = sum(comparison.unscored for comparison in report.comparisons)
    compared = sum(comparison.samples for comparison in report.comparisons)
    share = unscored / compared if compared else 0.0
    return [
        REPLAYS_ARE_SCORED.holds(
            share <= allowed,
            f"{unscored} of {compared} comparisons have no score on one side (allowed: {allowed:.0%}).",
        ),
        CANDIDATE_IS_BETTER.holds(
            report.verdict == "accept",
            f"{report.verdict}: {'; '.join(report.reasons)}",
            **(_comparison_numbers(report.primary) if report.primary else {}),
        ),
    ]
