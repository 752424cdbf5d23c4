"""The application's models: the one in use, and three that are cheaper."""

from collections.abc import Mapping
from functools import cache
from statistics import fmean
from typing import Final

from sia_dagster.core.config.llm import Price
from simulation.search_worlds.task import Reading, Task

APPLICATION: Final = "application"
SMALL: Final = "application-small"
"""As good, for a third of the price."""
NARROW: Final = "application-narrow"
"""As good but for one slice, where every third answer goes wrong."""
LEAN: Final = "application-lean"
"""Worse by exactly the margin."""
JUDGE: Final = "judge"
PROPOSER: Final = "proposer"
MARGIN: Final = 0.05
"""By default: `validation.guardrail_margin`."""
PRICES: Final[Mapping[str, Price]] = {
    APPLICATION: Price(input=1.5, output=6.0),
    SMALL: Price(input=0.5, output=2.0),
    NARROW: Price(input=0.5, output=2.0),
    LEAN: Price(input=0.5, output=2.0),
    JUDGE: Price(input=0.75, output=3.0),
    PROPOSER: Price(input=5.0, output=20.0),
}
POPULATION: Final = 2000
"""Requests over which the true score is the mean."""
_THIRD: Final = 1 / 3


class Truth:
    """The expected score of policies over the population of requests: computed by chances, not drawn."""

    def __init__(self, task: Task, margin: float = MARGIN) -> None:
        self.task, self.margin = task, margin
        self._scores: dict[tuple[str, str], float] = {}
        self._floors: dict[str, float] = {}

    def score(self, model: str, reading: Reading) -> float:
        """Of a model's answers under a policy that reads like this."""
        key = (model, reading.key)
        if key not in self._scores:
            scores = [self._expected(model, request, reading) for request in population(self.task)]
            self._scores[key] = fmean(scores)
        return self._scores[key]

    def spoiled(self, model: str, request: str, reading: Reading) -> float:
        """The share of a model's answers to a request in which everything is wrong that may be."""
        if model == NARROW:
            return _THIRD if self.task.tag(request) == self.task.weak_tag else 0.0
        return self._lean(reading) if model == LEAN else 0.0

    def _expected(self, model: str, request: str, reading: Reading) -> float:
        aspects, share = self.task.aspects(request, reading), self.spoiled(model, request, reading)
        score = self.task.score([aspect.chance for aspect in aspects])
        return (1 - share) * score + share * self.task.score([0.0] * len(aspects)) if share else score

    def _lean(self, reading: Reading) -> float:
        """So many spoiled answers lose the margin."""
        if reading.key not in self._floors:
            worst = (self.task.score([0.0] * len(self.task.aspects(r, reading))) for r in population(self.task))
            self._floors[reading.key] = fmean(worst)
        return min(1.0, self.margin / (self.score(APPLICATION, reading) - self._floors[reading.key]))


@cache
def population(task: Task) -> tuple[str, ...]:
    """The requests that stand for all."""
    return tuple(task.request(f"{task.name}/population/{place}") for place in range(POPULATION))
