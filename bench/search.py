"""`make bench-search`: what searches reach on simulated tasks whose best policy is known, and for how many calls.

For each task, strategy and seed: calls until the policy that would go on has 90 % of the best gain in the true score,
with logged answers and their judgements free and charged, and the prompt in the end. A call is an answer of the
application, the judge or the proposing model. The gepa library (extra `gepa`) is used plainly on the same data.

    python -m bench.search [--worlds rules,labels] [--strategies today,gepa] [--seeds 12] [--cap 1000] [--noise]
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from bench.search_desk import of
from bench.search_gepa import gepa, gepa_parallel
from bench.search_runs import Strategy, measured
from simulation.search_worlds import WORLDS, World

RESULTS = Path(__file__).parent / "results" / "search.json"
STRATEGIES: Final[Mapping[str, Strategy]] = {
    "edits": of("edits"),
    "three windows": of("edits", windows=3),
    "rewrite": of("rewrite"),
    "few_shot": of("few_shot"),
    "edits, few_shot": of("edits", "few_shot"),
    "gepa": gepa,
    "gepa_parallel": gepa_parallel,
}
FIRST_SEED: Final = 1000
"""Nothing was tuned on the seeds from here on."""
WORKERS: Final = 2
HEADINGS: Final = ("calls to 90 %", "charged", "reached", "gain", "variable", "copied", "guard", "words")


class Run(NamedTuple):
    """One run of the benchmark."""

    world: str
    strategy: str
    seed: int
    cap: int
    noise: bool


def run(given: Run) -> dict[str, Any]:
    """One run's measures."""
    world = World(WORLDS[given.world].task, noise=given.noise)
    began = time.process_time()
    steps = asyncio.run(STRATEGIES[given.strategy](world, given.seed, given.cap))
    return {**given._asdict(), "cpu_seconds": time.process_time() - began, **measured(world, given.seed, steps)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over seeds; calls over the seeds that reached it, None where fewer than half did."""
    reached = [row for row in rows if row["calls"] is not None]
    most = 2 * len(reached) >= len(rows)
    return {
        "calls to 90 %": median(row["calls"] for row in reached) if most else None,
        "charged": median(row["charged"] for row in reached) if most else None,
        "reached": f"{len(reached)}/{len(rows)}",
        "gain": median(row["gain"] for row in rows),
        "variable": f"{sum(row['variable'] for row in rows)}/{len(rows)}",
        "copied": f"{sum(row['copied'] for row in rows)}/{len(rows)}",
        "guard": f"{sum(row['stopped'] for row in rows)}/{len(rows)}",
        "words": median(row["words"] for row in rows),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line a task and strategy."""
    yield f"{'task':10}{'strategy':15}" + "".join(f"{heading:>15}" for heading in HEADINGS)
    for world, strategy in product(WORLDS, STRATEGIES):
        own = [row for row in rows if (row["world"], row["strategy"]) == (world, strategy)]
        if own:
            shown = summary(own)
            yield f"{world:10}{strategy:15}" + "".join(f"{_shown(shown[heading]):>15}" for heading in HEADINGS)


def _shown(value: Any) -> str:
    if value is None:
        return "not reached"
    return (
        f"{value:.2f}"
        if isinstance(value, float) and value < 10
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Searches on simulated tasks.")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--cap", type=int, default=1000, help="calls of a run")
    parser.add_argument("--noise", action="store_true", help="new draws for each call, and a judge that errs in 8 %%")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    strategies = asked.strategies.split(",")
    if find_spec("gepa") is None:
        strategies = [name for name in strategies if not name.startswith("gepa")]
        print("The gepa library is not installed, so its strategies are left out.")
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    runs = [
        Run(world, strategy, seed, asked.cap, asked.noise)
        for world, strategy, seed in product(asked.worlds.split(","), strategies, seeds)
    ]
    began = time.perf_counter()
    with ProcessPoolExecutor(max_workers=WORKERS) as pool:
        rows = list(pool.map(run, runs))
    print("\n".join(table(rows)))
    print(
        "Medians over seeds. charged: with logged answers and judgements; gain: of the last policy, as a share of the "
        f"best's; guard: last prompts that the contract guard stops. {time.perf_counter() - began:.0f} s"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"noise": asked.noise, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
