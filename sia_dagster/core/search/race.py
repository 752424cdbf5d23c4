"""The race of two policies on the selection split: as few answers as it takes to choose. It proves nothing.

Sequential sampling from two strata (groups of conversations that show the causes aimed at, and all others) with a
stratified mean that is shrunk towards 0 by a normal prior. Neyman allocation decides which stratum is asked next.
"""

import math
from dataclasses import dataclass, field
from typing import Final, Literal

PRIOR: Final = 0.2
"""Standard deviation of gains before anything is known, as a share of the evaluator's range."""
SURE_GAIN: Final = 1.64
"""Posterior mean over its standard deviation from which a policy counts as better."""
SURE_LOSS: Final = -1.0
"""The same from which it counts as worse: only time is lost by a wrong one."""
WORTH: Final = 0.005
"""A smaller gain is none worth a longer prompt, as a share of the evaluator's range."""
ENOUGH: Final = 10
"""Groups after which a gain below WORTH ends the race, and a likely gain is enough."""
LIKELY_GAIN: Final = 0.84
"""As SURE_GAIN, after ENOUGH groups: four of five such gains are real."""
EXPECTED_SHARE: Final = 0.5
"""Of the gain that train samples lead to expect: they chose the edits, and so overstate them."""
FEWEST: Final = (3, 5)
"""Groups of each stratum before anything is decided: with the causes, and without. Where one has fewer, the other
makes up for it."""
_GUESSED_SPREAD: Final = (0.45, 0.2)
"""Standard deviation of a difference in each stratum before any is known; it weighs as much as _GUESSES differences."""
_GUESSES: Final = 2.0

Stratum = Literal[0, 1]
"""0: groups of conversations that show the causes aimed at; 1: all others."""


@dataclass
class Race:
    """Differences (new minus old, as shares of the range) of two strata with `sizes` groups each."""

    sizes: tuple[int, int]
    found: tuple[dict[str, list[float]], dict[str, list[float]]] = field(default_factory=lambda: ({}, {}))
    """By stratum and group, one difference a repeat."""
    expected: float = 0.0
    """The gain that train samples lead to expect; half of it is the prior's mean."""
    asked: list[int] = field(default_factory=lambda: [0, 0])
    """Groups of each stratum that were given out by `next_stratum`."""

    def add(self, stratum: Stratum, group: str, difference: float) -> None:
        """One group's mean difference, or another repeat of it."""
        self.found[stratum].setdefault(group, []).append(difference)

    @property
    def groups(self) -> int:
        """Groups compared so far."""
        return sum(map(len, self.found))

    @property
    def all_asked(self) -> bool:
        """Whether no group is left."""
        return sum(self.asked) >= sum(self.sizes)

    @property
    def fewest(self) -> int:
        """Groups that are needed before anything is decided."""
        return min(sum(FEWEST), sum(self.sizes))

    @property
    def is_noisy(self) -> bool:
        """Whether scores differ where nothing was aimed at."""
        return any(any(repeats) for repeats in self.found[1].values())

    def next_stratum(self) -> Stratum:
        """Take the next group: from a stratum below FEWEST, else where it tells most. Not once all were asked."""
        left = [self.sizes[s] - self.asked[s] for s in (0, 1)]
        short = [bool(left[s]) and self.asked[s] < FEWEST[s] for s in (0, 1)]
        worth = [self._saved_by_one_more(s) if left[s] else -1.0 for s in (0, 1)]
        first = short[0] or (not short[1] and worth[0] >= worth[1])
        stratum: Stratum = 0 if first else 1
        self.asked[stratum] += 1
        return stratum

    def estimate(self) -> tuple[float, float]:
        """The stratified mean difference and its standard error; infinite where a stratum that exists has none."""
        mean = variance = 0.0
        for s in (0, 1):
            if not self.sizes[s]:
                continue
            values, share = self._values(s), self._share(s)
            if not values:
                return 0.0, math.inf
            mean += share * math.fsum(values) / len(values)
            variance += share**2 * self._variance(s) / len(values)
        return mean, math.sqrt(variance)

    def shrunk(self) -> tuple[float, float]:
        """The posterior mean under a normal prior with standard deviation PRIOR, and that mean over its own."""
        mean, error = self.estimate()
        if math.isinf(error):
            return 0.0, 0.0
        precision = 1 / PRIOR**2 + 1 / error**2
        middle = (EXPECTED_SHARE * self.expected / PRIOR**2 + mean / error**2) / precision
        return middle, middle * math.sqrt(precision)

    def shrunk_to_zero(self) -> float:
        """The mean under a prior without any expectation: what is reported, since the expectation may flatter."""
        mean, error = self.estimate()
        return 0.0 if math.isinf(error) else mean * PRIOR**2 / (PRIOR**2 + error**2)

    def decision(self) -> Literal["better", "worse", "unclear"]:
        """The choice by what is known so far."""
        if self.groups < self.fewest:
            return "unclear"
        gain, sureness = self.shrunk()
        if sureness > SURE_GAIN and gain >= WORTH:
            return "better"
        enough = self.groups >= min(ENOUGH, sum(self.sizes))
        if sureness < SURE_LOSS or (enough and gain < WORTH):
            return "worse"
        return "better" if enough and sureness > LIKELY_GAIN else "unclear"

    def _values(self, stratum: int) -> list[float]:
        return [math.fsum(repeats) / len(repeats) for repeats in self.found[stratum].values()]

    def _share(self, stratum: int) -> float:
        return self.sizes[stratum] / sum(self.sizes)

    def _variance(self, stratum: int) -> float:
        """Of one group's difference, with the guess as _GUESSES further observations."""
        values = self._values(stratum)
        mean = math.fsum(values) / len(values) if values else 0.0
        squares = math.fsum((value - mean) ** 2 for value in values)
        guess = _GUESSED_SPREAD[stratum] ** 2
        return (squares + _GUESSES * guess) / (max(len(values) - 1, 0) + _GUESSES)

    def _saved_by_one_more(self, stratum: int) -> float:
        """By how much one more group of the stratum lowers the variance of the mean."""
        n = self.asked[stratum]
        return self._share(stratum) ** 2 * self._variance(stratum) / (n * (n + 1)) if n else math.inf
