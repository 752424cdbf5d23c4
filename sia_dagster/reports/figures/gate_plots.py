"""Figures of the evidence section: the gain beside the noise, and the remaining error budget."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final, NamedTuple

from sia_dagster.core.gate import spent_in_year
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.gate import YEAR, ErrorBudget, Look, NoiseEstimate
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.text import count, short_in_groups
from sia_dagster.reports.figures import svg
from sia_dagster.reports.figures.scores import LEFT, RIGHT, ROW, TOP, WIDTH, frame, row_label, whisker
from sia_dagster.reports.wording import interval, signed

NOISE: Final = {"generation": "policy replayed twice", "judge": "answers judged twice"}
"""The repeated step, by kind of noise."""
HEIGHT: Final = 190.0


class _Bar(NamedTuple):
    name: str
    small: str
    middle: float | None
    low: float | None
    high: float | None
    numbers: str
    """The numbers in the evaluator's own units."""


def noise_plot(primary: EvaluatorComparison, noise: Sequence[NoiseEstimate]) -> str:
    """The primary evaluator's gain and the two kinds of noise on one axis, as shares of its range.

    Noise of other evaluators is not drawn, nor is a kind that was not measured.
    """
    kinds = {estimate.kind: estimate for estimate in noise if estimate.evaluator == primary.evaluator}
    bars = [_gain(primary), *(_noise(kinds[kind], primary.scale) for kind in NOISE if kind in kinds)]
    ends = [value for bar in bars for value in (bar.middle, bar.low, bar.high) if value is not None]
    scale = svg.axis(ends, LEFT, RIGHT)
    bottom = TOP + ROW * len(bars)
    label = "difference of the means, as a share of the evaluator's range"
    zero = svg.line(scale.x(0), TOP - 8, scale.x(0), bottom, "zero")
    rows = [_row(bar, TOP + ROW * index + ROW / 2, scale) for index, bar in enumerate(bars)]
    title = f"{primary.evaluator}: " + "; ".join(f"{bar.name} {bar.numbers}" for bar in bars)
    return svg.figure("noise", title, (WIDTH, bottom + 56), [*frame(scale, bottom, label, signs=True), zero, *rows])


def budget_plot(budget: ErrorBudget, window: TimeWindow, looks: Sequence[Look]) -> str:
    """The remaining error budget over the year that ends with `window`; each dot is a verdict on a holdout.

    `looks` are those up to the window, with or without its own; the last point is `budget.left`.
    """
    points = _left_by_time(budget, window, looks)
    start, end = window.end - YEAR, window.end
    places = [(_x(at, start, end), _y(left, budget)) for at, left, _ in points]
    dots = [
        svg.circle(x, y, 5.5 if accepted else 3, "estimate" if accepted else "logged")
        for (x, y), (_, _, accepted) in zip(places, points, strict=True)
    ]
    whole = budget.false_promotions_a_year
    first = places[0]
    line = [(LEFT, first[1]) if len(places) > 1 else (LEFT, TOP), *_steps(places)]
    parts = [*_budget_frame(whole, start, end), svg.polyline(line, "course"), *dots]
    parts.append(svg.text(RIGHT + 20, places[-1][1] + 5, f"{budget.left:.2g} left", "strong"))
    title = f"{budget.left:.2g} of {whole:g} false promotions a year are left after {count(len(points), 'look')}"
    return svg.figure("budget", title, (WIDTH, HEIGHT), parts)


def _gain(primary: EvaluatorComparison) -> _Bar:
    ends = (primary.difference, primary.ci_low, primary.ci_high)
    return _bar("the gain", primary.counted, ends, primary.scale)


def _noise(estimate: NoiseEstimate, scale: float) -> _Bar:
    ends = (estimate.mean_difference, estimate.ci_low, estimate.ci_high)
    return _bar(NOISE[estimate.kind], estimate.counted, ends, scale)


def _bar(
    name: str, counted: tuple[int, int], ends: tuple[float | None, float | None, float | None], scale: float
) -> _Bar:
    """`counted` are conversations and groups; `ends` are middle, low and high, in the evaluator's own units."""
    middle, low, high = (None if value is None else value / (scale or 1.0) for value in ends)
    numbers = f"{signed(ends[0], scale)} {interval(ends[1], ends[2], scale)}".strip()
    return _Bar(name, short_in_groups(*counted), middle, low, high, numbers)


def _row(bar: _Bar, y: float, scale: svg.Axis) -> str:
    parts = row_label(bar.name, bar.small, y)
    if bar.low is not None and bar.high is not None:
        parts += whisker(scale, bar.low, bar.high, y)
    if bar.middle is not None:
        parts.append(svg.circle(scale.x(bar.middle), y, 5.5, "estimate"))
    return svg.group(f"{bar.name}: {bar.numbers}", [*parts, svg.text(RIGHT + 20, y + 5, bar.numbers, "strong")])


def _left_by_time(budget: ErrorBudget, window: TimeWindow, looks: Sequence[Look]) -> list[tuple[datetime, float, bool]]:
    """For each look the time, the remaining budget, and whether it accepted; by the end of the windows."""
    whole = budget.false_promotions_a_year
    past = sorted((k for k in looks if k.window.end <= window.end), key=lambda look: look.window.end)
    own = next((k for k in past if k.window.key == window.key), None)
    found = [
        (k.window.end, max(0.0, whole - spent_in_year(past[: n + 1], k.window.end)), k.verdict == "accept")
        for n, k in enumerate(past)
        if window.end - YEAR < k.window.end and k is not own
    ]
    return [*found, (window.end, budget.left, own is not None and own.verdict == "accept")]


def _steps(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Steps: the remaining budget is constant until the next look spends its part."""
    found = list(places[:1])
    for (_, before), (x, y) in pairwise(places):
        found += [(x, before), (x, y)]
    return found


def _budget_frame(whole: float, start: datetime, end: datetime) -> list[str]:
    parts = []
    for part in (0.0, whole / 2, whole):
        y = TOP + (HEIGHT - TOP - 40) * (1 - part / whole)
        parts += [svg.line(LEFT, y, RIGHT, y, "grid"), svg.text(LEFT - 20, y + 4, f"{part:g}", "muted", "end")]
    for place, at, anchor in ((LEFT, start, "start"), ((LEFT + RIGHT) / 2, start + YEAR / 2, "middle")):
        parts.append(svg.text(place, HEIGHT - 18, f"{at:%Y-%m-%d}", "muted", anchor))
    return [*parts, svg.text(RIGHT, HEIGHT - 18, f"{end:%Y-%m-%d}", "muted", "end")]


def _x(at: datetime, start: datetime, end: datetime) -> float:
    return LEFT + (RIGHT - LEFT) * ((at - start) / (end - start))


def _y(left: float, budget: ErrorBudget) -> float:
    return TOP + (HEIGHT - TOP - 40) * (1 - min(1.0, left / budget.false_promotions_a_year))
