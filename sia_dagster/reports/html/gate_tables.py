"""The report's evidence section: looks, windows, noise, parts of the traffic, judges, error budget."""

from collections.abc import Sequence
from typing import NamedTuple

from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.gate import ErrorBudget, InterimAnalysis, Look, NoiseEstimate
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.text import count, number_in_groups
from sia_dagster.reports.figures import gate_plots as gate_figures
from sia_dagster.reports.markdown.judges import found_sentence
from sia_dagster.reports.wording import NOTHING, interval, number, p_value, share, signed

OUTCOMES = {
    "accept": "accepted",
    "reject": "rejected",
    "futile": "stopped for futility",
    "go_on": "continued",
    "undecided": "undecided",
}
"""The outcome of a look."""
EARLY = "; the rest was not replayed"
FINDINGS = {
    "loses": "loses",
    "holds": "does not lose",
    "not_shown": "not shown either way",
    "too_few": "too few to test",
}


class GateTables(NamedTuple):
    """The section's tables, and its figures as our own SVG."""

    looks: tuple[tuple[str, ...], ...]
    noise_figure: str
    noise: tuple[tuple[str, ...], ...]
    noise_sentence: str
    slices: tuple[tuple[str, ...], ...]
    judges: tuple[tuple[str, ...], ...]
    judged: tuple[str, ...]
    """The finding for each judge, a sentence each."""
    budget_figure: str
    budget_sentence: str


def gate_tables(report: ValidationReport, looks: Sequence[Look]) -> GateTables:
    """All parts of the section; a part without data is empty."""
    primary, budget = report.primary, report.error_budget
    shown = primary is not None and primary.difference is not None and bool(report.noise)
    return GateTables(
        looks=tuple(_looks(report)),
        noise_figure=gate_figures.noise_plot(primary, report.noise) if primary and shown else "",
        noise=tuple(_noise(estimate, report) for estimate in report.noise),
        noise_sentence=noise_sentence(primary, report.noise) if primary and shown else "",
        slices=tuple(_slice(part) for part in report.slices),
        judges=tuple(_judge(watch) for watch in report.watch),
        judged=tuple(found_sentence(watch) for watch in report.watch),
        budget_figure=gate_figures.budget_plot(budget, report.window, looks) if budget else "",
        budget_sentence=budget_sentence(budget) if budget else "",
    )


def noise_sentence(primary: EvaluatorComparison, noise: Sequence[NoiseEstimate]) -> str:
    """The half widths of the gain's interval and of each kind of noise, for comparison."""
    parts = []
    if (width := _half(primary.ci_low, primary.ci_high)) is not None:
        parts.append(f"the gain is known to within ±{number(width, primary.scale)}")
    for estimate in noise:
        half = _half(estimate.ci_low, estimate.ci_high)
        if estimate.evaluator == primary.evaluator and half is not None:
            parts.append(
                f"the same {gate_figures.NOISE[estimate.kind]}, means agree to within ±{number(half, primary.scale)}"
            )
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def budget_sentence(budget: ErrorBudget) -> str:
    """The part of the year's error budget that the window spent, and what is left."""
    spent = f"This window's verdict spent {budget.spent:.2g}" if budget.spent else "This window spent nothing"
    return (
        f"{spent} of the {budget.false_promotions_a_year:g} false promotions a year that the loop may expect, and "
        f"{budget.left:.2g} is left. A loop that tests in every window ends its year near 0, and each window frees "
        "what was spent a year before it."
    )


def _looks(report: ValidationReport) -> list[tuple[str, ...]]:
    return [
        (
            f"{position}",
            number_in_groups(*look.counted) + _answers(report, look),
            f"{look.alpha:.4f}",
            p_value(look.p_value),
            share(look.conditional_power),
            OUTCOMES[look.outcome] + (EARLY if position == 1 and _is_early(report) else ""),
        )
        for position, look in enumerate(report.interim_analyses, start=1)
    ]


def _answers(report: ValidationReport, look: InterimAnalysis) -> str:
    """The answers to each sample, at the look that has more than the first."""
    return f", {look.repeats} answers each" if look.repeats > report.interim_analyses[0].repeats else ""


def _is_early(report: ValidationReport) -> bool:
    return len(report.interim_analyses) == 1 and report.interim_analyses[0].conversations < report.conversations


def _noise(estimate: NoiseEstimate, report: ValidationReport) -> tuple[str, ...]:
    scale = next((c.scale for c in report.comparisons if c.evaluator == estimate.evaluator), 1.0)
    return (
        estimate.evaluator,
        f"same {gate_figures.NOISE[estimate.kind]}",
        number_in_groups(*estimate.counted),
        signed(estimate.mean_difference, scale),
        interval(estimate.ci_low, estimate.ci_high, scale),
        number(estimate.spread, scale),
        share(estimate.changed_share),
    )


def _slice(part: SliceComparison) -> tuple[str, ...]:
    c = part.comparison
    return (
        part.dimension,
        part.value,
        number_in_groups(*c.counted),
        share(part.share),
        number(c.baseline_mean, c.scale),
        number(c.candidate_mean, c.scale),
        signed(c.difference, c.scale),
        interval(c.ci_low, c.ci_high, c.scale),
        FINDINGS[part.finding],
    )


def _judge(watch: JudgeWatch) -> tuple[str, ...]:
    anchored = f"{watch.anchors:,} of window {watch.anchored_in}" if watch.anchors and watch.anchored_in else "none"
    bounds = interval(watch.ci_low, watch.ci_high)
    probes = ", ".join(
        f"{probe.kind} {signed(probe.shift)}{' (biased)' if probe.biased else ''}" for probe in watch.probes
    )
    return (
        watch.evaluator,
        _state(watch),
        anchored,
        f"{signed(watch.shift)} {bounds}".strip(),
        f"{share(watch.disagreement)} / {share(watch.noise)}",
        number(watch.kappa),
        probes or NOTHING,
    )


def _state(watch: JudgeWatch) -> str:
    if watch.drifted:
        return f"drifted, {count(len(watch.since), 'window')}"
    if not watch.anchors:
        return "not watched"
    return "could not be watched" if watch.shift is None else "steady"


def _half(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else (high - low) / 2
