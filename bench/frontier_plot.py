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
SIZES = {"n = 40": "few", "n = 80": "many"}
STYLE = """
  .page { fill: #ffffff } .grid { stroke: #d9dce1 } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .few { fill: #6e7781; stroke: #6e7781 } .many { fill: #0f6b3f; stroke: #0f6b3f }
  text.few, text.many { stroke: none } polyline { fill: none !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .grid { stroke: #30363d } text { fill: #e6edf3 }
    .few { fill: #9da7b1; stroke: #9da7b1 } .many { fill: #4ac26b; stroke: #4ac26b }
  }
"""


def place(false: float, found: float) -> tuple[float, float]:
    """Pixels of a number of false promotions a year and a share of loops."""
    x = LEFT + false / MOST_FALSE * (RIGHT - LEFT)
    return x, BOTTOM - (found - LEAST_FOUND) / (1 - LEAST_FOUND) * (BOTTOM - TOP)


def picture(frontier: Mapping[str, Any]) -> str:
    """An SVG of one line for each number of held-out conversations a week, a labelled dot for each budget."""
    parts = [_grid(share / 10) for share in range(4, 11)]
    for size, style in SIZES.items():
        points = [
            (name.split(",")[0], *place(cell["false_a_year"][0], cell["within_a_month"]["share"]))
            for name, cell in frontier.items()
            if name.endswith(size)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for _, x, y in points)
        parts.append(f'<polyline points="{path}" class="{style}"/>')
        for budget, x, y in points:
            chosen = float(budget) == RULES.false_promotions_a_year
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if chosen else 4}" class="{style}"/>')
            parts.append(f'<text x="{x + 8:.1f}" y="{y + 14:.1f}" class="{style}">{budget}</text>')
        _, x, y = points[0]
        parts.append(f'<text x="{x + 10:.1f}" y="{y - 6:.1f}" class="{style}">{size}</text>')
    for false in (0.0, 0.1, 0.2, 0.3, 0.4):
        x, _ = place(false, 1.0)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{false:g}</text>')
    middle = (LEFT + RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{BOTTOM + 40}" text-anchor="middle">false promotions a year (measured)</text>')
    parts.append(f'<text x="{LEFT - 50}" y="{TOP - 12}">loops with +0.08 in force within four weeks</text>')
    title = "Budget of false promotions against how soon a gain is in force"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img"><title>{title}</title><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" class="page"/>{"".join(parts)}</svg>\n'
    )


def _grid(share: float) -> str:
    _, y = place(0.0, share)
    line = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" class="grid"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'


def main() -> None:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    PICTURE.write_text(picture(json.loads(results.read_text())["frontier"]))
    print(f"written to {PICTURE}")


if __name__ == "__main__":
    main()
