"""What the benchmark of the search measures of one run: true scores against calls, and the prompt in the end."""

import re
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from sia_dagster.core.guard import check_contract
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from simulation.search_worlds import World

TRAIN: Final = 45
SELECTION: Final = 30
SHARE: Final = 0.9
"""Of the gain of the best policy: what counts as reached."""
_COPIED_WORDS: Final = 8
_DETAIL: Final = re.compile(r"\b\d{6}\b|\b[A-Z][a-z]+ [A-Z][a-z]+\b")


class Step(NamedTuple):
    """A policy that would go on to validation, and what it has cost until then."""

    calls: int
    """Answers of the application, the judge and the proposing model that were paid for."""
    actions: Actions
    logged: int = 0
    """Answers and judgements of logged samples that were used: free where they are there anyway."""


Strategy = Callable[[World, int, int], Coroutine[Any, Any, Sequence[Step]]]
"""`(world, seed, most calls)` to the policies adopted one after the other; the data are those of `data`."""


def data(world: World, seed: int, *, window: int = 0, actions: Actions | None = None) -> tuple[Sample, ...]:
    """The train and selection samples of a window, as logged under `actions`, by default the baseline."""
    return world.samples(seed, train=TRAIN, selection=SELECTION, holdout=0, window=window, actions=actions)


def measured(world: World, seed: int, steps: Sequence[Step]) -> dict[str, Any]:
    """The measures of one run. Calls are None where the share of the best gain was not reached."""
    low, high = world.true_score(world.baseline), world.true_score(world.best)
    gains = [(world.true_score(step.actions) - low) / (high - low) for step in steps]
    first = next((step for step, gain in zip(steps, gains, strict=True) if gain >= SHARE), None)
    last = steps[-1]
    return {
        "calls": first.calls if first else None,
        "charged": first.calls + first.logged if first else None,
        "gain": round(gains[-1], 4),
        "worst_step": round(min((b - a for a, b in pairwise(gains)), default=0.0), 4),
        "curve": [(step.calls, round(gain, 4)) for step, gain in zip(steps, gains, strict=True)],
        "adopted": len(steps) - 1,
        **_prompt(last.actions, world.baseline, data(world, seed)),
    }


def _prompt(found: Actions, baseline: Actions, samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "variable": all(f"{{{name}}}" in found.system_prompt for name in baseline.variables),
        "copied": copies(found, baseline, samples),
        "stopped": bool(stops(check_contract(found, baseline, samples))),
        "words": len(found.system_prompt.split()),
        "examples": len(found.examples),
        "prompt": found.system_prompt,
    }


def copies(found: Actions, baseline: Actions, samples: Sequence[Sample]) -> bool:
    """Whether the prompt holds a number, a name or eight words in a row of a request that the baseline does not."""
    requests = "\n".join(sample.request for sample in samples)
    new = set(_details(found.system_prompt)) - set(_details(baseline.system_prompt))
    return bool(new & set(_details(requests)))


def _details(text: str) -> list[str]:
    words = text.split()
    runs = [" ".join(words[place : place + _COPIED_WORDS]) for place in range(len(words) - _COPIED_WORDS + 1)]
    return _DETAIL.findall(text) + runs
