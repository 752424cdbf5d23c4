"""Both policies under one evaluator, as frozen values."""

from collections.abc import Iterable
from operator import not_
from typing import Literal

from pydantic import Field

from sia_dagster.core.records.value import Value

Question = Literal["better", "not_worse"]
"""What a candidate is to be shown: a gain of the primary evaluator; or a saving, with no evaluator worse by more than
its margin."""


def asks_for_gain(question: Question) -> bool:
    """Whether it is the question that there was first: it is not stored, so that documents keep the bytes they had."""
    return question == "better"


class EvaluatorComparison(Value):
    """Both policies under one evaluator, paired by conversation, in the evaluator's own units."""

    evaluator: str
    role: Literal["primary", "guardrail", "safety"] = "guardrail"
    n: int = 0
    """Groups of conversations that were scored under both policies: each counts once."""
    conversations: int | None = None
    """The conversations of these groups; None in reports that were stored when each counted by itself."""
    samples: int = 0
    """Without those that are `not_applicable`."""
    unscored: int = 0
    """Samples that could not be compared, since one of the two outputs has no score."""
    unscored_baseline: int = 0
    """Samples that have no score under the policy in force; one without in some of its repeats counts as that part."""
    unscored_candidate: int = 0
    """The same under the candidate."""
    not_applicable: int = 0
    """Samples that are left out, since the evaluator does not apply to the answer under one of the policies or both."""
    applies_to_baseline_only: int = 0
    """Samples to which it applies under the policy in force, and not under the candidate."""
    applies_to_candidate_only: int = 0
    """The other way round."""
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    difference: float | None = None
    """`candidate_mean - baseline_mean`: the weighted mean of the paired differences, as observed. The interval's
    middle lies a little nearer to 0, since it stands for conversations that no window has seen, too."""
    traffic_difference: float | None = None
    """The mean difference where each conversation counts, not each group; None in reports stored before there were
    groups."""
    ci_low: float | None = None
    """One-sided lower bound at level alpha, as `ci_high` is the upper: together they cover 1 - 2 alpha."""
    ci_high: float | None = None
    p_value: float | None = None
    """One-sided, of the sign-flip permutation test."""
    minimum_detectable_effect: float | None = None
    """The smallest gain that this many groups would have shown with 80 % power; None where they could have
    shown no gain within the evaluator's range."""
    conversations_needed: int | None = None
    """How many conversations, in groups as these are, it would take to show the observed gain, shrunk (or
    `min_effect`); of a guardrail: to show that nothing was lost beyond its margin. None beyond a million groups."""
    alpha: float | None = None
    """The one-sided level of the test and of each end of the interval; None where nothing was tested."""
    margin: float | None = None
    """Of a guardrail, and under the question `not_worse` of the primary evaluator: the share of its range that it may
    have lost at most."""
    fallen: tuple[str, ...] = ()
    """Of a safety evaluator: the span ids of the samples that it scored lower under the candidate."""
    scale: float = 1.0
    """The evaluator's range: differences divided by it lie in -1..1, where the test is made."""
    high: float | None = None
    """The range's upper end: nothing scores better. None in reports that were stored before it was kept."""

    @property
    def counted(self) -> tuple[int, int]:
        """The conversations that were scored under both policies, and the groups of them that count."""
        return (self.n if self.conversations is None else self.conversations), self.n

    @property
    def unscored_share(self) -> float:
        """Of the samples, those that could not be compared."""
        return self.unscored / self.samples if self.samples else 0.0

    @property
    def applies_nowhere(self) -> bool:
        """Whether every sample is left out, so that there is nothing that could gain or fall."""
        return not self.samples and self.not_applicable > 0

    @property
    def most_gain(self) -> float | None:
        """What could be gained at most, from the baseline's mean to the upper end; None where that is not known."""
        return None if self.high is None or self.baseline_mean is None else self.high - self.baseline_mean

    @property
    def is_too_small(self) -> bool:
        """Whether so few conversations would show even the largest possible gain with less than 80 % power.

        Where no gain is asked for, none is too small.
        """
        smallest, most = self.minimum_detectable_effect, self.most_gain
        tested = self.role == "primary" and self.alpha is not None and self.margin is None
        return tested and (smallest is None or (most is not None and smallest > most))


def primary_of(comparisons: Iterable[EvaluatorComparison]) -> EvaluatorComparison | None:
    """The comparison under the primary evaluator, which decides; None where there is none."""
    return next((c for c in comparisons if c.role == "primary"), None)


class Saving(Value):
    """What the replayed calls cost under both policies, paired by group of conversations; without the judges."""

    unit: Literal["usd", "tokens"]
    """`tokens`, read and written, where the price of a call is unknown."""
    n: int
    """Groups of conversations that both policies answered."""
    conversations: int
    baseline: float
    """Mean of a call, in `unit`."""
    candidate: float
    share: float | None = None
    """Of the baseline's cost, what is saved; below 0 where the candidate costs more. None where nothing costs."""
    low: float | None = None
    """One-sided lower bound of `share` at level alpha, as `high` is the upper. None below five groups."""
    high: float | None = None
    alpha: float
    """The one-sided level of each end."""

    @property
    def counted(self) -> tuple[int, int]:
        """The conversations that both policies answered, and the groups of them that count."""
        return self.conversations, self.n

    @property
    def is_shown(self) -> bool:
        """Whether the candidate is shown to cost less."""
        return self.low is not None and self.low > 0

    @property
    def in_words(self) -> str:
        """`as good for 33 % of the money (28 % to 39 %)`: what an accepted candidate costs, of what it did before."""
        if self.share is None or self.low is None or self.high is None:
            return ""
        what = {"usd": "money", "tokens": "tokens"}[self.unit]
        return f"as good for {1 - self.share:.0%} of the {what} ({1 - self.high:.0%} to {1 - self.low:.0%})"


class SliceComparison(Value):
    """Both policies under the primary evaluator on one part of the traffic."""

    dimension: str
    """`model`, `language`, `length`, `tag` or `tools`."""
    value: str
    """`de`, `long`, `used` ..."""
    share: float
    """Of the held-out conversations, 0..1."""
    finding: Literal["loses", "holds", "not_shown", "too_few"]
    """`holds`: no fall beyond the guardrails' margin; `too_few`: below `validation.slice_conversations`."""
    must_hold: bool = Field(default=False, exclude_if=not_)
    """Under the question `not_worse`: whether it is so large that a candidate that is as good would be shown to hold in
    it with 80 % power."""
    comparison: EvaluatorComparison
