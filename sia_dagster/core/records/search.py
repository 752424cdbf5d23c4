"""The outcome of a search: edits, candidates, and the one that goes on."""

from operator import not_
from typing import ClassVar, Literal

from pydantic import Field

from sia_dagster.core.records.comparison import EvaluatorComparison, Question, asks_for_gain, primary_of
from sia_dagster.core.records.document import Document
from sia_dagster.core.records.gate import Carried, SelectionGain
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value

CARRIED = "carried from "
"""How the name of a candidate begins that comes from an earlier window."""
CandidateStatus = Literal["chosen", "not_chosen", "stopped_by_guard", "unusable"]


class Edit(Value):
    """One change to the system prompt, and the samples that motivate it."""

    operation: Literal["add", "replace", "delete"]
    find: str = ""
    """Text of the current prompt, exactly once in it: what is replaced or deleted, or what `add` follows.
    Empty with `add`: at the end."""
    text: str = ""
    """The new text; empty with `delete`."""
    samples: tuple[str, ...] = ()
    """Span ids of the samples that motivate this edit."""
    why: str = ""
    cause: str = ""
    """What evaluators said of those samples, in their words; empty where the edit answers to no single cause."""
    probed: int = 0
    """Samples of the train split with that cause which were answered again with this edit among others."""
    mended: int = 0
    """Those of `probed` of which evaluators no longer said it."""


def _is_none(value: float | None) -> bool:
    return value is None


class RaceResult(Value):
    """Two policies compared on the selection split until the result is clear enough to choose: numbers alone.

    Differences are new minus old under the primary evaluator, as a share of its range.
    """

    decision: Literal["better", "worse", "unclear", "too_small", "as_good"]
    """`as_good`: it costs less, and no evaluator falls beyond its margin. `too_small`: the split has too few
    conversations to choose by, so nothing was compared."""
    groups: int = 0
    """Groups of conversations that were compared, each once."""
    mean: float = 0.0
    """The mean difference, shrunk towards 0."""
    error: float = 0.0
    """Its standard error, before shrinking."""
    objection: str = ""
    """Another evaluator that falls beyond its margin; empty where none does."""
    saved: float | None = Field(default=None, exclude_if=_is_none)
    """The share of a call's cost that is saved, where that is the question."""


class StrategyRun(Value):
    """What one strategy used in a window's search, and what it found."""

    strategy: str
    calls: dict[str, int] = Field(default_factory=dict)
    """Answers of models by purpose: `propose`, `probe`, `race`. Stored answers count like paid ones."""
    cost_usd: float | None = 0.0
    """Of these answers; None where a model's price is unknown."""
    gain: float | None = None
    """Of its best policy over the one that it began with, by the shrunk means of its races; a share of the primary
    evaluator's range. None where it found none, or none was compared."""
    ended: str = ""
    """Why it proposed nothing further, in a sentence."""

    @property
    def total(self) -> int:
        """All answers."""
        return sum(self.calls.values())


class Candidate(Value):
    """One policy that was tried, and its status."""

    name: str
    actions: Actions
    status: CandidateStatus
    reasons: tuple[str, ...] = ()
    thoughts: str = ""
    edits: tuple[Edit, ...] = ()
    concerns: tuple[GuardFinding, ...] = ()
    """What the contract guard found that a person must look at before it comes into force."""
    selection: tuple[EvaluatorComparison, ...] = ()
    strategy: str = ""
    question: Question = Field(default="better", exclude_if=asks_for_gain)
    """What its comparison, and its validation if it goes on, is to show."""
    race: RaceResult | None = None
    """Its last comparison on the selection split."""


class PolicyUpdate(Document):
    """The outcome of the search: a candidate that goes on to validation, or the baseline with the reason."""

    renamed_in_2: ClassVar[dict[str, str]] = {"actions": "candidate"}

    loop: str
    window: TimeWindow
    baseline: Actions | None
    candidate: Actions | None
    """The chosen candidate; equal to `baseline` where the policy stays."""
    changed: bool = False
    question: Question = Field(default="better", exclude_if=asks_for_gain)
    """What the validation is to show of the candidate."""
    thoughts: str = ""
    reason: str = ""
    """Why this candidate goes on, or why the policy stays."""
    edits: tuple[Edit, ...] = ()
    provenance: tuple[SentenceOrigin, ...] = Field(default=(), exclude_if=not_)
    """Of the sentences of `candidate` that the loop wrote, in this window or before."""
    concerns: tuple[GuardFinding, ...] = ()
    """Of the chosen candidate."""
    candidates: tuple[Candidate, ...] = ()
    carried: Carried | None = None
    """Where the candidate comes from an earlier window that could not decide it."""
    strategies: tuple[StrategyRun, ...] = ()
    """What each strategy used, in the order in which they ran."""
    answered: int = Field(default=0, exclude_if=not_)
    """Answers that the search replayed under the policy whose answers failed least."""
    unscored: int = Field(default=0, exclude_if=not_)
    """Those of `answered` without a score of the primary evaluator."""
    spend: Spend = Field(default_factory=Spend)

    @property
    def selected(self) -> SelectionGain | None:
        """What the selection split showed of the candidate; None where it chose none, or nothing was compared."""
        chosen = next((candidate for candidate in self.candidates if candidate.status == "chosen"), None)
        primary = primary_of(chosen.selection) if chosen else None
        if primary is None or primary.difference is None:
            return None
        gains = [run.gain for run in self.strategies if run.gain is not None]
        shrunk = round(sum(gains), 9) if gains else None
        return SelectionGain(observed=primary.difference / primary.scale, shrunk=shrunk, scale=primary.scale)
