"""What each element of the strategy `edits` is worth: it is taken out, and the same searches are run again.

    python -m bench.search_elements [--worlds rules,slices] [--seeds 6] [--noise]

And `--null`: the search begins with the best policy, so that nothing better is to be found: what goes on all the
same, and after how many answers it ends.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from bench.search_desk import searched
from bench.search_runs import SHARE, measured
from sia_dagster.core.search import race, racing, search_work
from sia_dagster.core.search.edits import prompt, strategy
from simulation.search_worlds import WORLDS, World

RESULTS: Final = Path(__file__).parent / "results" / "search_elements.json"
FIRST_SEED: Final = 2000
CAP: Final = 600
Patches = Mapping[tuple[Any, str], Any]


async def _nothing(*_: Any, **__: Any) -> Any:
    return ()


def _once(found: Callable[..., Any]) -> Callable[..., Any]:
    async def worthwhile(self: Any) -> Any:
        return [] if self.best is not None else await found(self)

    return worthwhile


def _untold(**given: Any) -> prompt.Evidence:
    return prompt.Evidence(**(given | {"tried": ()}))


def _cut_always(**given: Any) -> prompt.Evidence:
    return prompt.Evidence(**(given | {"whole": False}))


_SEARCH: Final = strategy._Search
ELEMENTS: Final[Mapping[str, Patches]] = {
    "all": {},
    "further rounds": {(_SEARCH, "_worthwhile"): _once(_SEARCH._worthwhile)},
    "naming of causes": {(strategy, "name_faults"): _nothing},
    "evidence cut to causes": {(prompt, "_cut"): lambda metric, _: metric},
    "whole explanations after a round in vain": {(strategy, "Evidence"): _cut_always},
    "what was tried is told": {(strategy, "Evidence"): _untold},
    "tracing of harm": {(strategy, "culprits"): _nothing},
    "edits without effect dropped": {(strategy, "without_effect"): _nothing},
    "a look at further train samples": {(_SEARCH, "_look_again"): _nothing},
    "stored scores of the baseline": {(search_work, "is_logged_under"): lambda *_: False},
    "strata": {(racing, "_shows"): lambda *_: False},
    "expectation from train": {(race, "EXPECTED_SHARE"): 0.0},
    "early end of races": {(race, "ENOUGH"): 10**6, (race, "SURE_GAIN"): 1e6, (race, "SURE_LOSS"): -1e6},
    "repeats under noise": {(racing, "REPEATS"): 1},
}
"""By element, what is put in its place."""


@contextmanager
def without(patches: Patches) -> Iterator[None]:
    """The strategy without an element."""
    with ExitStack() as restored:
        for (owner, name), value in patches.items():
            restored.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def elements(worlds: list[str], seeds: range, *, noise: bool) -> list[dict[str, Any]]:
    """Calls to SHARE of the best gain, how often it was reached, and the mean gain: by element taken out and world."""
    rows = []
    for name in worlds:
        world = World(WORLDS[name].task, noise=noise)
        for element, patches in ELEMENTS.items():
            with without(patches):
                steps = [asyncio.run(searched(world, seed, CAP, strategies=("edits",))) for seed in seeds]
            found = [measured(world, seed, each) for seed, each in zip(seeds, steps, strict=True)]
            reached = [each["calls"] for each in found if each["calls"] is not None]
            row = {
                "world": name,
                "without": element,
                "calls": median(reached) if reached else None,
                "reached": f"{len(reached)}/{len(found)}",
                "gain": round(mean(each["gain"] for each in found), 3),
                "total": median(each[-1].calls for each in steps),
            }
            print("{world:8} without {without:42} {calls!s:>7} {reached:>6} {gain:>7} {total:>7}".format(**row))
            rows.append(row)
    return rows


def null(worlds: list[str], seeds: range, *, noise: bool) -> list[dict[str, Any]]:
    """Searches that begin with the best policy."""
    rows = []
    for name in worlds:
        world = World(WORLDS[name].task, noise=noise)
        run = partial(searched, world, cap=CAP, strategies=("edits",), start=world.best)
        steps = [asyncio.run(run(seed)) for seed in seeds]
        adopted = [each for each in steps if each[-1].actions != world.best]
        losses = [world.true_score(each[-1].actions) - world.true_score(world.best) for each in adopted]
        row = {
            "world": name,
            "went on": f"{len(adopted)}/{len(steps)}",
            "mean change": round(mean(losses), 4) if losses else 0.0,
            "calls": median(each[-1].calls for each in steps),
            "most": max(each[-1].calls for each in steps),
        }
        print(row)
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="What each element of the search is worth.")
    parser.add_argument("--worlds", default="rules,slices")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--null", action="store_true", help="begin with the best policy")
    asked = parser.parse_args()
    print(f"calls to {SHARE:.0%} of the best gain, reached, mean gain, calls in all")
    worlds, seeds = asked.worlds.split(","), range(FIRST_SEED, FIRST_SEED + asked.seeds)
    rows = (null if asked.null else elements)(worlds, seeds, noise=asked.noise)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
