"""Figures of the scores as SVG text: escaped, and readable without colour."""

import math
from collections.abc import Sequence

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import short_in_groups
from sia_dagster.reports.figures import svg
from sia_dagster.reports.wording import interval, number, share, signed, trimmed

WIDTH = 880.0
LEFT, RIGHT = 210.0, 670.0
"""Where the axis begins and ends; labels are left of it, numbers right of it."""
ROW, TOP = 46.0, 26.0


class ScoreLevels(Value):
    """Where one evaluator's scores are: mean of the logged outputs, and of both policies on the held-out samples."""

    evaluator: str
    low: float = 0.0
    high: float = 1.0
    logged: float | None = None
    old: float | None = None
    new: float | None = None
    scored: int = 0
    """Logged outputs with a score."""
    samples: int = 0
    """Logged outputs."""


def forest_plot(
    comparisons: Sequence[EvaluatorComparison], *, min_effect: float = 0.0, margin: float | None = None
) -> str:
    """New minus old with its interval, one row an evaluator, as a share of the evaluator's range.

    `min_effect` and `margin` are such shares: what the primary must gain, unless it has a margin, and what a guardrail
    without a margin of its own may lose (not drawn where None). Numbers at the right are in the evaluator's own units.
    Without comparisons the figure says so.
    """
    if not comparisons:
        return _empty("forest", "Nothing was compared in this window.")
    bounds = [_share(c, value) for c in comparisons for value in (c.difference, c.ci_low, c.ci_high)]
    marks = [min_effect, -margin if margin is not None else 0.0]
    scale = svg.axis([value for value in bounds if value is not None] + marks, LEFT, RIGHT)
    bottom = TOP + ROW * len(comparisons)
    rows = [_forest_row(c, TOP + ROW * i, scale, _mark(c, min_effect, margin)) for i, c in enumerate(comparisons)]
    label = "new policy minus old policy, as a share of the evaluator's range (right of zero is better)"
    zero = svg.line(scale.x(0), TOP - 8, scale.x(0), bottom, "zero")
    title = "Difference between the policies by evaluator: " + "; ".join(_in_words(c) for c in comparisons)
    parts = [*frame(scale, bottom, label, signs=True), zero, *rows]
    return svg.figure("forest", title, (WIDTH, bottom + 56), parts)


def scores_plot(levels: Sequence[ScoreLevels]) -> str:
    """Mean scores by evaluator from the worst (left) to the best score (right): logged, old policy, new policy."""
    if not levels:
        return _empty("levels", "No evaluator scored this window.")
    scale = svg.Axis(low=0.0, high=1.0, left=LEFT, right=RIGHT, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))
    bottom = TOP + ROW * len(levels)
    rows = [_level_row(level, TOP + ROW * index, scale) for index, level in enumerate(levels)]
    grid = frame(scale, bottom, "mean score, as a share of the evaluator's range", signs=False)
    title = "Mean scores: " + "; ".join(f"{level.evaluator} {_levels_text(level)}" for level in levels)
    return svg.figure("levels", title, (WIDTH, bottom + 56), [*grid, *rows])


def _forest_row(comparison: EvaluatorComparison, top: float, scale: svg.Axis, mark: float | None) -> str:
    y = top + ROW / 2
    counted = short_in_groups(*comparison.counted)
    role = f"{comparison.role}, {counted}" if comparison.n else comparison.role
    parts = row_label(comparison.evaluator, role, y)
    if mark is not None:
        parts.append(svg.line(scale.x(mark), top + 5, scale.x(mark), top + ROW - 5, "mark"))
    low, high = _share(comparison, comparison.ci_low), _share(comparison, comparison.ci_high)
    middle = _share(comparison, comparison.difference)
    if low is not None and high is not None:
        parts += whisker(scale, low, high, y)
    if middle is not None:
        parts.append(svg.circle(scale.x(middle), y, 6.5 if comparison.role == "primary" else 5, "estimate"))
    return svg.group(_in_words(comparison), parts + _forest_numbers(comparison, y))


def _forest_numbers(comparison: EvaluatorComparison, y: float) -> list[str]:
    if comparison.difference is None:
        return [svg.text(RIGHT + 20, y + 5, "not compared", "muted")]
    bounds = interval(comparison.ci_low, comparison.ci_high, comparison.scale)
    figure = svg.text(RIGHT + 20, y - 2, signed(comparison.difference, comparison.scale), "strong")
    return [figure, svg.text(RIGHT + 20, y + 15, bounds or "too few conversations to test", "muted")]


def _level_row(level: ScoreLevels, top: float, scale: svg.Axis) -> str:
    y = top + ROW / 2
    logged, old, new = (_level(level, value) for value in (level.logged, level.old, level.new))
    parts = row_label(level.evaluator, f"{level.scored} of {level.samples} scored", y)
    parts.append(svg.line(LEFT, y, RIGHT, y, "rail"))
    if old is not None and new is not None:
        parts.append(svg.line(scale.x(old), y, scale.x(new), y, "whisker"))
    if logged is not None:
        parts.append(svg.diamond(scale.x(logged), y, 7, "logged"))
    if old is not None:
        parts.append(svg.circle(scale.x(old), y, 5.5, "old"))
    if new is not None:
        parts.append(svg.circle(scale.x(new), y, 5.5, "estimate"))
    parts.append(svg.text(RIGHT + 20, y + 5, _levels_numbers(level), "strong"))
    return svg.group(f"{level.evaluator}: {_levels_text(level)}", parts)


def row_label(name: str, small: str, y: float) -> list[str]:
    """The label left of a row: its name, and a line in small print."""
    return [
        svg.text(LEFT - 20, y - 2, trimmed(name, 26), "strong", "end"),
        svg.text(LEFT - 20, y + 15, small, "muted", "end"),
    ]


def whisker(scale: svg.Axis, low: float, high: float, y: float) -> list[str]:
    """An interval with its two ends."""
    ends = [svg.line(scale.x(end), y - 6, scale.x(end), y + 6, "whisker") for end in (low, high)]
    return [svg.line(scale.x(low), y, scale.x(high), y, "whisker"), *ends]


def frame(scale: svg.Axis, bottom: float, label: str, *, signs: bool) -> list[str]:
    """The grid with its shares, and the axis label."""
    parts = []
    for tick in scale.ticks:
        tick_text = ("+" if signs and tick > 0 else "") + share(tick)
        parts.append(svg.line(scale.x(tick), TOP - 8, scale.x(tick), bottom, "grid"))
        parts.append(svg.text(scale.x(tick), bottom + 18, tick_text, "muted", "middle"))
    return [*parts, svg.text((LEFT + RIGHT) / 2, bottom + 42, label, "muted", "middle")]


def _mark(comparison: EvaluatorComparison, min_effect: float, margin: float | None) -> float | None:
    if comparison.role == "primary" and comparison.margin is None:
        return min_effect or None
    allowed = comparison.margin if comparison.margin is not None else margin
    return None if allowed is None or comparison.role == "safety" else -allowed


def _share(comparison: EvaluatorComparison, value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value / (comparison.scale or 1.0)


def _level(level: ScoreLevels, value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or level.high <= level.low:
        return None
    return (value - level.low) / (level.high - level.low)


def _in_words(comparison: EvaluatorComparison) -> str:
    if comparison.difference is None:
        return f"{comparison.evaluator}: not compared"
    bounds = interval(comparison.ci_low, comparison.ci_high, comparison.scale)
    difference = f"{comparison.evaluator}: {signed(comparison.difference, comparison.scale)}"
    return f"{difference}, interval {bounds}" if bounds else f"{difference}, no interval"


def _levels_numbers(level: ScoreLevels) -> str:
    scale = level.high - level.low
    if level.old is None or level.new is None:
        return number(level.logged, scale)
    return f"{number(level.old, scale)} → {number(level.new, scale)}"


def _levels_text(level: ScoreLevels) -> str:
    scale = level.high - level.low
    means = (("logged", level.logged), ("old policy", level.old), ("new policy", level.new))
    return ", ".join(f"{name} {number(value, scale)}" for name, value in means if value is not None) or "no score"


def _empty(name: str, sentence: str) -> str:
    return svg.figure(name, sentence, (WIDTH, 48), [svg.text(WIDTH / 2, 28, sentence, "muted", "middle")])
