"""A verdict in the Dagster UI: numbers that plot, the summary, and the checks."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.claims import CANDIDATE_IS_BETTER, ERROR_BUDGET_IS_LEFT, NO_SLICE_LOSES, REPLAYS_ARE_SCORED
from sia_dagster.defs.metadata import link, outcome_metadata, present
from sia_dagster.reports.wording import escape
from sia_dagster.wiring.loop_session import StageResult


def _numbers(report: ValidationReport) -> dict[str, float]:
    """Plottable numbers of every evaluator's comparison."""
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


def _gate_numbers(report: ValidationReport) -> dict[str, Any]:
    """Plottable numbers of the gate: interim analyses, pooling, error budget, judge noise and cost."""
    numbers: dict[str, Any] = {
        "looks": len(report.interim_analyses),
        **({"repeats": report.repeats} if report.interim_analyses else {}),
        "conversations_pooled": sum(window.used for window in report.pooled),
        "carries_on": report.carries_on,
    }
    if report.error_budget:
        numbers |= {"alpha_spent": report.error_budget.spent, "error_budget_left": report.error_budget.left}
    for noise in report.noise:
        numbers |= present({f"{noise.evaluator}/{noise.kind}_noise": noise.spread})
    if report.saving:
        numbers |= present({"saved_share": report.saving.share})
    if report.cost:
        week = {"usd_a_week": report.cost.baseline_usd, "candidate_usd_a_week": report.cost.candidate_usd}
        numbers |= present(week)
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in numbers.items()}


def verdict_metadata(
    outcome: StageResult[ValidationReport], state: StateActions, update: PolicyUpdate, path: StoragePath
) -> dict[str, Any]:
    """The verdict in words first, then the numbers that plot; the report is at `path`."""
    from sia_dagster.reports.markdown.tables import comparison_table, prompt_diff_markdown, samples_table
    from sia_dagster.reports.summary import summary_markdown

    report = outcome.value
    primary = report.primary.evaluator if report.primary else ""
    old, new = (actions.system_prompt if actions else "" for actions in (update.baseline, update.candidate))
    return {
        "verdict": report.verdict,
        "summary": dg.MetadataValue.md(summary_markdown(state, update, report)),
        "reasons": dg.MetadataValue.md("\n".join(f"- {escape(reason)}" for reason in report.reasons)),
        **({"saves": saves} if (saves := _saves(report)) else {}),
        "report": link(path),
        "comparison": dg.MetadataValue.md(comparison_table(report)),
        **({"a_person_must_look": concerns_markdown(report.concerns)} if report.concerns else {}),
        "baseline_policy": report.baseline.fingerprint if report.baseline else "",
        "conversations": report.conversations,
        **present({"conversations_needed": report.samples_needed}),
        **_numbers(report),
        **_gate_numbers(report),
        **outcome_metadata(outcome),
        "prompt_diff": dg.MetadataValue.md(prompt_diff_markdown(old, new)),
        "worst_samples": dg.MetadataValue.md(samples_table(report.rows, primary, which="worst")),
        "most_improved_samples": dg.MetadataValue.md(samples_table(report.rows, primary, which="most_improved")),
    }


def selection_metadata(update: PolicyUpdate, report: ValidationReport, looks: Sequence[Look]) -> dict[str, Any]:
    """The gain on selection, which chose the candidate, beside the gain on the holdout; both plot by window."""
    from sia_dagster.reports.markdown.search import gains_markdown
    from sia_dagster.reports.search_figures import gain_pairs

    now = next((pair for pair in gain_pairs(update, report, ()) if pair.window == report.window.key), None)
    numbers = {
        "selection_gain_shrunk": now.shrunk if now else None,
        "selection_gain_observed": now.observed if now else None,
        "holdout_gain": now.holdout if now else None,
    }
    gains = dg.MetadataValue.md(gains_markdown(update, report, looks))
    return {**{name: round(value, 6) for name, value in present(numbers).items()}, "gain_on_selection": gains}


def _saves(report: ValidationReport) -> str:
    """What an accepted candidate was shown to save; empty where that was not the question."""
    return report.saving.in_words if report.saving and report.verdict == "accept" else ""


def concerns_markdown(concerns: Sequence[GuardFinding]) -> dg.MarkdownMetadataValue:
    """What the contract guard found that a person must look at, one line each."""
    return dg.MetadataValue.md("\n".join(f"- {escape(finding.reason)}" for finding in concerns))


def verdict_claims(report: ValidationReport, allowed: float) -> Sequence[dg.AssetCheckResult]:
    """The stage's checks; `allowed` is the share of comparisons that may lack a score."""
    unscored = sum(comparison.unscored for comparison in report.comparisons)
    compared = sum(comparison.samples for comparison in report.comparisons)
    share = unscored / compared if compared else 0.0
    return [
        REPLAYS_ARE_SCORED.holds(
            share <= allowed,
            f"{unscored} of {compared} comparisons have no score on one side (allowed: {allowed:.0%}).",
        ),
        _no_slice_loses(report),
        _budget_is_left(report),
        CANDIDATE_IS_BETTER.holds(
            report.verdict == "accept",
            f"{report.verdict}: {'; '.join(report.reasons)}",
            **(_comparison_numbers(report.primary) if report.primary else {}),
        ),
    ]


def _no_slice_loses(report: ValidationReport) -> dg.AssetCheckResult:
    losing = [f"{part.dimension} {part.value}" for part in report.slices if part.finding == "loses"]
    tested = sum(part.finding != "too_few" for part in report.slices)
    finding = f"The candidate loses in: {', '.join(losing)}." if losing else f"None of {tested} parts is shown to lose."
    few = len(report.slices) - tested
    left = f" {few} more {'has' if few == 1 else 'have'} too few conversations to be tested." if few else ""
    return NO_SLICE_LOSES.holds(not losing, finding + left, slices_tested=tested, slices_losing=len(losing))


def _budget_is_left(report: ValidationReport) -> dg.AssetCheckResult:
    budget = report.error_budget
    if budget is None:
        return ERROR_BUDGET_IS_LEFT.holds(True, "Nothing was tested, so no error budget was spent.")
    paid = bool(report.interim_analyses) or budget.left >= budget.alpha
    remaining = f"{budget.left:.4f} of {budget.false_promotions_a_year:g} expected false promotions a year are left"
    spent = f"; this window's verdict spent {budget.spent:.4f}" if budget.spent else "; this window spent nothing"
    holds = paid and not report.is_holdout_reuse
    sentence = remaining + spent + ("." if holds else f". {report.reasons[0]}")
    numbers = {"error_budget_left": round(budget.left, 6), "alpha": round(budget.alpha, 6)}
    return ERROR_BUDGET_IS_LEFT.holds(holds, sentence, **numbers)
