"""The cumulative gain over all windows of a loop, as an SVG figure."""

from collections.abc import Iterator, Sequence

from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.value import Value
from sia_dagster.reports.figures import svg
from sia_dagster.reports.wording import share

WIDTH, HEIGHT = 880.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 90.0, 850.0, 34.0, 240.0
MOST_LABELS = 13
"""At most this many windows are labelled below the figure, evenly spaced."""
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.muted{fill:#57606a}.grid{stroke:#d0d7de}.zero{stroke:#57606a}"
    ".whisker{stroke:#57606a;stroke-width:1.5}.course{fill:none;stroke:#0969da;stroke-width:2}.estimate{fill:#0969da}"
    ".short{fill:#cf222e}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.muted{fill:#9198a1}.grid{stroke:#30363d}"
    ".zero,.whisker{stroke:#8b949e}.course{stroke:#4493f8}.estimate{fill:#4493f8}"
    ".short{fill:#f85149}}"
)
"""The style of the figure, which is a file of its own."""


class GainPoint(Value):
    """The policy in force over the loop's first policy in one window, as shares of the primary evaluator's range."""

    window: str
    gain: float
    low: float | None = None
    high: float | None = None
    falls_short: bool = False
    """Whether the candidate of the window before fell short here."""


def gain_points(results: Sequence[NextWindowResults]) -> tuple[GainPoint, ...]:
    """The windows whose cumulative gain is known, by their start."""
    return tuple(
        GainPoint(
            window=each.window.key,
            gain=each.cumulative_gain,
            low=each.cumulative_low,
            high=each.cumulative_high,
            falls_short=each.falls_short,
        )
        for each in sorted(results, key=lambda each: each.window.start)
        if each.cumulative_gain is not None
    )


def gain_plot(points: Sequence[GainPoint]) -> str:
    """The cumulative gain over the windows with its intervals, as an SVG file of its own.

    A red dot is a window in which the candidate of the window before fell short. Without points the figure says so.
    """
    style = f"<style>{STYLE}</style>"
    if not points:
        nothing = "No candidate was checked on a next window yet."
        return svg.figure("gain", nothing, (WIDTH, 60), [style, svg.text(LEFT, 34, nothing, "muted")])
    ends = [value for p in points for value in (p.gain, p.low, p.high) if value is not None]
    scale = svg.axis(ends, BOTTOM, TOP)
    places = [LEFT + (index + 0.5) * (RIGHT - LEFT) / len(points) for index in range(len(points))]
    course = " ".join(f"{x:.1f},{scale.x(p.gain):.1f}" for x, p in zip(places, points, strict=True))
    dots = [_dot(x, point, scale) for x, point in zip(places, points, strict=True)]
    title = "Gain of the policy in force over the loop's first policy, by window: " + "; ".join(map(_in_words, points))
    heading = svg.text(
        LEFT,
        18,
        "policy in force over the loop's first policy, share of the primary's range; red: a candidate fell short",
        "muted",
    )
    line = f'<polyline points="{course}" class="course"/>'
    return svg.figure(
        "gain", title, (WIDTH, HEIGHT), [style, heading, *_frame(scale), *_labels(places, points), line, *dots]
    )


def _frame(scale: svg.Axis) -> list[str]:
    parts = []
    for tick in scale.ticks:
        y = scale.x(tick)
        parts.append(svg.line(LEFT, y, RIGHT, y, "grid" if tick else "zero"))
        parts.append(svg.text(LEFT - 10, y + 4, share(tick), "muted", "end"))
    return parts


def _labels(places: Sequence[float], points: Sequence[GainPoint]) -> list[str]:
    every = -(-len(points) // MOST_LABELS)
    named = list(zip(places, _short_names([point.window for point in points]), strict=True))[::every]
    return [
        svg.text(x, BOTTOM + 24 + 16 * row, line, "muted", "middle")
        for x, lines in named
        for row, line in enumerate(lines)
    ]


def _short_names(windows: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each key as lines that tell it from the others: month and day, the hour, and the year where there are several.

    A whole key would not fit beside its neighbours.
    """
    years = len({key[:4] for key in windows}) > 1
    for key in windows:
        yield tuple(line for line in (key[5:10], key[11:], key[:4] if years else "") if line)


def _dot(x: float, point: GainPoint, scale: svg.Axis) -> str:
    parts = []
    if point.low is not None and point.high is not None:
        parts.append(svg.line(x, scale.x(point.low), x, scale.x(point.high), "whisker"))
    parts.append(svg.circle(x, scale.x(point.gain), 5, "short" if point.falls_short else "estimate"))
    return svg.group(_in_words(point), parts)


def _in_words(point: GainPoint) -> str:
    short = ", and the candidate of the window before fell short" if point.falls_short else ""
    return f"{point.window} {share(point.gain)}{bounds(point.low, point.high)}{short}"


def bounds(low: float | None, high: float | None) -> str:
    """` [low, high]` as shares; empty where an end is missing."""
    return "" if low is None or high is None else f" [{share(low)}, {share(high)}]"
