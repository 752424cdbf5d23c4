"""The few SVG elements the figures are made of, with every text escaped, and an axis with round numbers."""

import html
import math
from collections.abc import Sequence

from sia_dagster.core.records.value import Value
from sia_dagster.reports.wording import visible


class Axis(Value):
    """A linear axis from values to pixels, with its ticks."""

    low: float
    high: float
    left: float
    right: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """The pixel of `value`; values beyond the axis lie on its edge."""
        inside = min(max(value, self.low), self.high)
        return self.left + (inside - self.low) / (self.high - self.low) * (self.right - self.left)


def axis(values: Sequence[float], left: float, right: float) -> Axis:
    """An axis that holds 0 and all finite `values`, with room on both sides, its ends and ticks on round numbers.

    It spans no less than 0.02, so that shares which hardly differ do not look far apart.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    room = max((high - low) * 0.05, 0.01)
    step = _round_step((high - low + 2 * room) / 6)
    first, last = math.floor((low - room) / step), math.ceil((high + room) / step)
    ticks = tuple(round(index * step, 10) for index in range(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], left=left, right=right, ticks=ticks)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A line; `style` is a class of the report's style sheet."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def circle(x: float, y: float, radius: float, style: str) -> str:
    """A dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="{style}"/>'


def polyline(points: Sequence[tuple[float, float]], style: str) -> str:
    """A line through all points."""
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{style}"/>'


def diamond(x: float, y: float, radius: float, style: str) -> str:
    """A square that stands on its corner."""
    points = ((x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y))
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" class="{style}"/>'


def text(x: float, y: float, content: str, style: str = "", anchor: str = "start") -> str:
    """A text; `anchor` is `start`, `middle` or `end`."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escaped(content)}</text>'


def group(label: str, elements: Sequence[str]) -> str:
    """Elements that belong together; `label` is read aloud and shown on hover."""
    return f"<g><title>{escaped(label)}</title>{''.join(elements)}</g>"


def figure(name: str, title: str, size: tuple[float, float], elements: Sequence[str]) -> str:
    """A whole picture of `size` pixels that scales with its place; `name` is a word for its ids."""
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-labelledby="{name}-title" class="{name}">'
        f'<title id="{name}-title">{escaped(title)}</title>{"".join(elements)}</svg>'
    )


def escaped(content: str) -> str:
    """Untrusted text as text of an element or an attribute."""
    return html.escape(visible(content))


def _round_step(raw: float) -> float:
    """The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
