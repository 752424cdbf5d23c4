"""The outcome of a search: edits, candidates, and the one that goes on."""

from typing import ClassVar, Literal

from pydantic import Field

from sia_dagster.core.records.comparison import EvaluatorComparison, Question, asks_for_gain
from sia_dagster.core.records.document import Document
from sia_dagster.core.records.gate import Carried
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions
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
    concerns: tuple[GuardFinding, ...] = ()
    """Of the chosen candidate."""
    candidates: tuple[Candidate, ...] = ()
    carried: Carried | None = None
    """Where the candidate comes from an earlier window that could not decide it."""
    spend: Spend = Field(default_factory=Spend)
