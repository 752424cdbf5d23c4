"""The application's models: the one in use, and three that are cheaper."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from sia_dagster.core.config.llm import Price
from simulation.search_worlds.task import Aspect, Reading, Task

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
        self._scores: dict[tuple[str, str], tuple[float, float]] = {}

    def score(self, model: str, reading: Reading) -> float:
        """Of a model's answers under a policy that reads like this."""
        return self._sums(model, reading)[0]

    def aspects(self, model: str, request: str, reading: Reading) -> tuple[Aspect, ...]:
        """What may be right in a model's answer, with the model's chances."""
        aspects = self.task.aspects(request, reading)
        factor = self._factor(model, request, reading)
        if factor == 1.0 or not aspects:
            return aspects
        # Where all aspects must be right, one that fails is enough; where each counts, all get worse.
        every = self.task.score((0.5, 1.0)) > 0.5
        return tuple(
            aspect._replace(chance=aspect.chance * factor) if every or place == 0 else aspect
            for place, aspect in enumerate(aspects)
        )

    def _factor(self, model: str, request: str, reading: Reading) -> float:
        """By what the expected score of an answer that may be wrong is multiplied."""
        if model == NARROW:
            return 1 - _THIRD if self.task.tag(request) == self.task.weak_tag else 1.0
        if model == LEAN:
            movable = self._sums(APPLICATION, reading)[1]
            return max(0.0, 1 - self.margin / movable) if movable else 0.0
        return 1.0

    def _sums(self, model: str, reading: Reading) -> tuple[float, float]:
        """The mean score, and the part of it that comes from answers that may be wrong."""
        key = (model, reading.key)
        if key not in self._scores:
            every = [self.aspects(model, request, reading) for request in population(self.task)]
            scores = [self.task.score([aspect.chance for aspect in aspects]) for aspects in every]
            movable = (score for score, aspects in zip(scores, every, strict=True) if aspects)
            self._scores[key] = (sum(scores) / len(scores), sum(movable) / len(scores))
        return self._scores[key]


@cache
def population(task: Task) -> tuple[str, ...]:
    """The requests that stand for all."""
    return tuple(task.request(f"{task.name}/population/{place}") for place in range(POPULATION))
