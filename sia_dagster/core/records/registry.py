"""The policy registry: versions, people's decisions, publications and promotions."""

from datetime import datetime
from operator import not_
from typing import Final, Literal

from pydantic import Field

from sia_dagster.core.records.comparison import EvaluatorComparison, Saving
from sia_dagster.core.records.document import Document
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.report import Verdict
from sia_dagster.core.records.sample import TimeWindow

BEFORE_ANY_PROMOTION: Final = 0
"""The version number that stands for the policy before the first promotion, as the traces showed it."""


class PolicyVersion(Document):
    """One entry of the registry: append-only, so the highest version is the one in force."""

    version: int
    """Counts from 1."""
    loop: str
    kind: Literal["promote", "rollback"]
    actions: Actions
    at: datetime
    """When it came into force, aware."""
    parent: int | None = None
    """The version that was in force before."""
    replaced: Actions | None = None
    """With a loop's first entry: the policy before any promotion, as read from the traces."""
    restores: int | None = None
    """With `rollback`: the version whose policy this is again; None = the policy before any promotion."""
    window: TimeWindow | None = None
    """The window whose verdict promoted it."""
    evidence: tuple[EvaluatorComparison, ...] = ()
    saving: Saving | None = Field(default=None, exclude_if=not_)
    """What its verdict showed to be saved; None where the question was a gain."""
    provenance: tuple[SentenceOrigin, ...] = Field(default=(), exclude_if=not_)
    """Of the sentences of its prompt that the loop wrote."""
    report: str | None = None
    """The place of the window's report."""
    concerns: tuple[GuardFinding, ...] = ()
    """What the contract guard found that the person who put it in force was to look at."""
    by: str = ""
    """Who or what did it: `auto`, or a person's name."""
    note: str = ""
    """That person's reason."""
    override: bool = False
    """Whether it was put in force past a gate that did not accept it."""


class PolicyDecision(Document):
    """A person's decision on a window's candidate; kept beside the registry, append-only."""

    number: int
    """Counts from 1."""
    loop: str
    window: TimeWindow
    kind: Literal["approve", "reject", "override"]
    """`override`: put in force although the gate did not accept it."""
    candidate: str
    """The candidate's fingerprint."""
    verdict: Verdict
    """The gate's verdict."""
    at: datetime
    by: str
    note: str = ""


class Publication(Document):
    """The publication of a policy on a platform."""

    target: str
    """`arize_prompt_hub` or `phoenix_prompts`."""
    policy_version: int
    """The registry's version that the label was set to."""
    prompt: str
    version_id: str
    """The platform's id of the prompt version."""
    label: str = "production"
    reason: str = ""
    """The action, in a sentence."""


class Promotion(Document):
    """The effect of a window on the policy in force."""

    loop: str
    window: TimeWindow
    promoted: PolicyVersion | None = None
    reason: str
    """Why it is in force, or why nothing was promoted."""
    decision: PolicyDecision | None = None
    """The last decision of a person on this window's candidate; None where there is none."""
