"""The picture of `docs/calibration.md`: false promotions a year against the share of loops that have a gain in a month.

python -m bench.frontier_plot [results, default bench/results/gate.json]
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.gate import RESULTS
from bench.gate_cells import RULES

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "frontier.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 340, 70, 620, 30, 280
MOST_FALSE, LEAST_FOUND = 0.4, 0.4
COLOURS = {"n = 40": "#8a8f98", "n = 80": "#0f6b3f"}


def place(false: float, found: float) -> tuple[float, float]:
    """Pixels of a number of false promotions a year and a share of loops."""
    x = LEFT + false / MOST_FALSE * (RIGHT - LEFT)
    return x, BOTTOM - (found - LEAST_FOUND) / (1 - LEAST_FOUND) * (BOTTOM - TOP)


def picture(frontier: Mapping[str, Any]) -> str:
    """An SVG of one line for each number of held-out conversations a week, a labelled dot for each budget."""
    parts = [_grid(share / 10) for share in range(4, 11)]
    for size, colour in COLOURS.items():
        points = [
            (name.split(",")[0], *place(cell["false_a_year"][0], cell["within_a_month"]["share"]))
            for name, cell in frontier.items()
            if name.endswith(size)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for budget, x, y in points:
            chosen = float(budget) == RULES.false_promotions_a_year
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if chosen else 4}" fill="{colour}"/>')
            parts.append(f'<text x="{x + 8:.1f}" y="{y + 14:.1f}" fill="{colour}">{budget}</text>')
        _, x, y = points[0]
        parts.append(f'<text x="{x + 10:.1f}" y="{y - 6:.1f}" fill="{colour}" font-weight="bold">{size}</text>')
    for false in (0.0, 0.1, 0.2, 0.3, 0.4):
        x, _ = place(false, 1.0)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{false:g}</text>')
    middle = (LEFT + RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{BOTTOM + 40}" text-anchor="middle">false promotions a year (measured)</text>')
    parts.append(f'<text x="{LEFT - 50}" y="{TOP - 12}">loops with +0.08 in force within four weeks</text>')
    title = "Budget of false promotions against how soon a gain is in force"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13"><title>{title}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _grid(share: float) -> str:
    _, y = place(0.0, share)
    line = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="#d9dce1"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'


def main() -> None:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    PICTURE.write_text(picture(json.loads(results.read_text())["frontier"]))
    print(f"written to {PICTURE}")


if __name__ == "__main__":
    main()
