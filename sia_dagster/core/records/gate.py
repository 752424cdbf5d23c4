"""The records of a verdict besides the comparison: looks, pooling, noise, error budget and cost."""

from datetime import UTC, datetime, timedelta
from operator import not_
from typing import ClassVar, Final, Literal

from pydantic import Field

from sia_dagster.core.records.comparison import Question, asks_for_gain
from sia_dagster.core.records.document import Document
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.value import Value


class InterimAnalysis(Value):
    """One analysis of the held-out conversations that were replayed by then."""

    conversations: int
    groups: int | None = None
    """Of these conversations; None in looks that were stored when each conversation counted by itself."""
    repeats: int = 1
    """Replays of each sample under each policy."""
    alpha: float
    """The one-sided nominal level of this look for the primary evaluator (Lan and DeMets)."""
    p_value: float | None = None
    """Of a gain of the primary evaluator; under the question `not_worse`, of a fall beyond its margin."""
    conditional_power: float | None = None
    """The chance that all conversations would accept if the trend so far goes on; None at the last look."""
    outcome: Literal["accept", "reject", "futile", "go_on", "undecided"]

    @property
    def counted(self) -> tuple[int, int]:
        """Its conversations, and their groups."""
        return _counted(self)


class PooledWindow(Value):
    """An earlier window whose held-out conversations were considered."""

    window: str
    conversations: int
    """That could be replayed under this policy and are not in a later window."""
    used: int
    """Of them, in the comparison."""
    drift: float | None = None
    """Total variation distance between its mix of traffic and this window's, 0..1."""
    reason: str = ""
    """Why none of it, or not all, is used."""


class Grouping(Value):
    """The groups of conversations that count once each: those of one user, and those that ask the same."""

    conversations: int = 0
    """Without those whose samples are all left out."""
    groups: int = 0
    group_of: dict[str, str] = Field(default_factory=dict)
    """By conversation id, the id of its group; missing is the conversation's own."""
    left_out: int = 0
    """Conversations that repeat another user's request, where requests would chain most into one group."""
    stands_for: dict[str, int] = Field(default_factory=dict)
    """By conversation id, how many left-out conversations ask what it asks."""
    note: str = ""
    """What was not followed in forming the groups, and why; empty where all was."""
    resembling: dict[str, str] = Field(default_factory=dict)
    """As `group_of`, if what most conversations share grouped them, too; empty where nothing is shared by most."""

    def unit(self, conversation_id: str) -> str:
        """The id of the conversation's group."""
        return self.group_of.get(conversation_id, conversation_id)


class HeldOut(Value):
    """The held-out samples of a comparison, in the order in which looks take them."""

    samples: tuple[Sample, ...] = ()
    """The groups of the window's own first, then those of the newest earlier window; each with all its samples."""
    grouping: Grouping = Grouping()
    windows: dict[str, str] = Field(default_factory=dict)
    """By span id, the key of the earlier window that it is from; the window's own are missing."""
    strata: dict[str, str] = Field(default_factory=dict)
    """By conversation id, its stratum of the traffic; where nothing is pooled it is empty."""
    target: dict[str, int] = Field(default_factory=dict)
    """The conversations of this window's own traffic by stratum: the mix that pooled conversations are weighted to."""
    pooled: tuple[PooledWindow, ...] = ()

    def unit(self, sample: Sample) -> str:
        """The id of the sample's group."""
        return self.grouping.unit(sample.conversation_id)


class NoiseEstimate(Value):
    """How much scores vary under one policy, over the same held-out conversations."""

    kind: Literal["generation", "judge"]
    """`generation`: the policy in force answered twice, and each answer was judged. `judge`: the same answers were
    judged twice."""
    evaluator: str
    conversations: int
    groups: int | None = None
    """Of these conversations: each counts once; None in reports that were stored when each conversation did."""
    mean_difference: float | None = None
    """In the evaluator's own units, as are the ends."""
    ci_low: float | None = None
    ci_high: float | None = None
    spread: float | None = None
    """Standard deviation of one group's difference."""
    changed_share: float | None = None
    """Of the samples, those whose score differs."""

    @property
    def counted(self) -> tuple[int, int]:
        """Its conversations, and their groups."""
        return _counted(self)


YEAR: Final = timedelta(days=365.25)
"""The time over which an error budget is spent."""


class ErrorBudget(Value):
    """The error budget of a loop after this window."""

    false_promotions_a_year: float
    """What a year may spend: an expected number, no family-wise guarantee."""
    alpha: float
    """What this window's verdict may spend."""
    spent: float
    """What it spent, once for all its runs; 0 where nothing could be tested."""
    left: float
    """Of the year that ends with this window, after it."""


class Carried(Value):
    """An undecided candidate that is tried again."""

    window: str
    """The key of the window that found it."""
    times: int
    """In how many windows it was tried before this one."""


class TrafficCost(Value):
    """What the calls of a week cost under both policies, at the window's traffic and the replays' mean usage."""

    calls_a_week: float
    baseline_prompt_tokens: float
    """Mean of a call; so are the three below."""
    candidate_prompt_tokens: float
    baseline_completion_tokens: float
    candidate_completion_tokens: float
    baseline_usd: float | None = None
    """A week; None where a price is unknown."""
    candidate_usd: float | None = None


Arm = Literal["baseline", "candidate"]


class MissingScore(Value):
    """A replayed answer that an evaluator gave no score, or that failed itself."""

    span_id: str
    repeat: int
    arm: Arm
    evaluator: str


class SelectionGain(Value):
    """What the selection split showed of the candidate that it chose, over the policy in force.

    Shares of the primary evaluator's range. The choice makes them larger than they are (the winner's curse).
    """

    observed: float | None = None
    """The mean paired difference."""
    shrunk: float | None = None
    """The sum of the shrunk means of the races that led to it."""
    scale: float = 1.0
    """The evaluator's range, for differences in its own units."""


WHENEVER = datetime.max.replace(tzinfo=UTC)
"""A cut-off later than any record: for a window's own, which are read whenever they were written."""


class Look(Document):
    """The verdict that a window's holdout was used for: an entry of the looks ledger. One per window, for ever."""

    renamed_in_2: ClassVar[dict[str, str]] = {"evidence": "fingerprint"}

    loop: str
    window: TimeWindow
    at: datetime
    """When it was taken; windows that ended before do not see it."""
    fingerprint: str
    """Of both policies, the evaluators' and the rules; another fingerprint is another look."""
    result: str
    """Fingerprint of the resulting numbers: other numbers are another draw."""
    alpha_spent: float
    verdict: Literal["accept", "reject", "inconclusive"]
    baseline: Actions
    candidate: Actions
    question: Question = Field(default="better", exclude_if=asks_for_gain)
    evaluators: dict[str, str] = Field(default_factory=dict)
    """Fingerprints by name."""
    difference: float | None = None
    p_value: float | None = None
    conversations: int = 0
    groups: int | None = None
    """Of these conversations; None in looks that were recorded when each conversation counted by itself."""
    unscored: tuple[MissingScore, ...] = ()
    """Missing scores: they stay missing when the window is run again, since later scores were not evaluated."""
    concerns: tuple[GuardFinding, ...] = ()
    """What the contract guard found that a person must look at before the candidate comes into force."""
    provenance: tuple[SentenceOrigin, ...] = Field(default=(), exclude_if=not_)
    """Of the candidate's sentences, for a window that tries it again."""
    selected: SelectionGain | None = Field(default=None, exclude_if=not_)
    """What chose the candidate in this window; None where it was carried, or nothing was compared."""
    carries_on: bool = False
    """Whether the next window tries the candidate again."""
    carried: Carried | None = None

    @property
    def counted(self) -> tuple[int, int]:
        """Its conversations, and their groups."""
        return _counted(self)


def _counted(record: InterimAnalysis | NoiseEstimate | Look) -> tuple[int, int]:
    """Both counts; where groups were not stored, each conversation counted by itself."""
    return record.conversations, record.conversations if record.groups is None else record.groups
