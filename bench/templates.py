"""Template recovery on windows with known truth: shares recovered exactly, refused and wrong, and the CPU it takes.

Run: `make bench-templates` (five to ten minutes). Windows of 1 to 3 calls with versions, conditional sentences and
values of all kinds; a template is wrong if it took spans of two calls or versions, does not give its spans back, or a
fresh fill misfits. An independent generator judges kinds of windows one by one, with seeds on which no rule was tuned.
"""

import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from sia_dagster.core.template_recovery import recover
from simulation.template_judge import CELLS, VERDICTS, conditional, judged, make, plain, together
from simulation.template_world import World, judge, make_call, make_world, next_version

WINDOWS = ((200, 90), (50, 40), (25, 40))
"""Spans a window, and windows."""
JUDGED = ((1000, 1), (200, 20), (50, 20), (20, 20))
"""Spans a window, and windows of each kind."""
SPEED = {"200": 200, "5000": 5_000}
RESULTS = Path(__file__).parent / "results" / "templates.json"


def make_window(seed: int, spans: int) -> World:
    rng = np.random.default_rng([seed, spans])
    calls = []
    for number in range(1 + seed % 3):
        slots, length = int(rng.integers(1, 7)), int(rng.integers(20, 800))
        call = make_call(rng, number, slots=slots, length=length, optional=int(rng.random() < 0.3))
        calls += [call, next_version(rng, call)] if rng.random() < 0.3 else [call]
    return make_world(rng, calls, spans)


def quality(spans: int, windows: int) -> dict[str, float]:
    found: Counter[str] = Counter()
    templates = 0
    for seed in range(windows):
        world = make_window(seed, spans)
        found += judge(world, recover(world.prompts, world.times), np.random.default_rng(seed))
        templates += len({(call.number, call.version) for call in world.calls})
    total = spans * windows
    kinds = ("exact", "same words", "finer", "coarser", "refused", "wrong")
    shares = {kind: round(found[kind] / total, 4) for kind in kinds}
    return {"spans": total, "templates": templates, **shares, "misfit variants": found["misfit variants"]}


def cpu_seconds(spans: int) -> dict[str, float]:
    rng = np.random.default_rng(3)
    world = make_world(rng, [make_call(rng, 0, slots=5, length=284)], spans)
    started = time.process_time()
    recovery = recover(world.prompts, world.times)
    used = time.process_time() - started
    words = sum(len(prompt.split()) for prompt in world.prompts) / spans
    fitted = sum(found.prompts for found in recovery.templates)
    return {"cpu_seconds": round(used, 2), "words_a_prompt": round(words), "fitted": fitted}


def independent(spans: int, windows: int) -> dict[str, dict[str, float]]:
    """Shares by kind of window; rules were tuned on seeds below 100, these are others."""
    table: dict[str, dict[str, float]] = {}
    for cell in CELLS:
        found = sum((judged(make(cell, 1001 + n, spans)) for n in range(windows)), Counter[str]())
        table[cell] = {str(verdict): round(found[verdict] / spans / windows, 4) for verdict in VERDICTS}
        print(
            f"{spans:5} {cell:34}", *(f"{verdict} {share:6.1%}" for verdict, share in table[cell].items()), flush=True
        )
    return table


def mixed_cpu_seconds(spans: int) -> dict[str, float]:
    """Three calls, of which one has conditional texts."""
    rng = np.random.default_rng(5)
    window = together(rng, [plain(rng, 0), plain(rng, 1), conditional(rng)._replace(number=2)], spans)
    started = time.process_time()
    recovery = recover([span.prompt for span in window.spans], window.times)
    return {"cpu_seconds": round(time.process_time() - started, 2), "templates": len(recovery.templates)}


def main() -> None:
    result: dict[str, object] = {}
    for spans, windows in JUDGED:
        result[f"independent generator, windows of {spans}"] = independent(spans, windows)
    result["speed of 5000 mixed"] = found_mixed = mixed_cpu_seconds(5_000)
    print(f"5,000 prompts of three calls: {found_mixed}", flush=True)
    for spans, windows in WINDOWS:
        result[f"windows of {spans}"] = found = quality(spans, windows)
        print(f"{windows} windows of {spans} spans: {found}", flush=True)
    for label, spans in SPEED.items():
        result[f"speed of {label}"] = speed = cpu_seconds(spans)
        print(f"{spans:,} prompts: {speed}", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
