"""What the search and the validation found, as frozen values."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from sia_dagster.core.comparison_results import EvaluatorComparison as EvaluatorComparison
from sia_dagster.core.comparison_results import SliceComparison as SliceComparison
from sia_dagster.core.evidence import (
    BudgetState,
    Carried,
    LookTaken,
    NoiseEstimate,
    PooledWindow,
    TrafficCost,
)
from sia_dagster.core.models import Actions, EvalMetrics, Spend, TimeWindow, Value
from sia_dagster.core.watch_results import JudgeWatch

Verdict = Literal["accept", "reject", "inconclusive"]
CandidateStatus = Literal["chosen", "not_chosen", "stopped_by_guard", "unusable"]


class Edit(Value):
    """One change to the system prompt, and the samples that call for it."""

    operation: Literal["add", "replace", "delete"]
    find: str = ""
    """Text of the current prompt, exactly once in it: what is replaced or deleted, or what `add` follows.
    Empty with `add`: at the end."""
    text: str = ""
    """The new text; empty with `delete`."""
    samples: tuple[str, ...] = ()
    """Span ids of the samples that call for this edit."""
    why: str = ""


class Candidate(Value):
    """One policy that was tried, and how far it came."""

    name: str
    actions: Actions
    status: CandidateStatus
    reasons: tuple[str, ...] = ()
    thoughts: str = ""
    edits: tuple[Edit, ...] = ()
    selection: tuple[EvaluatorComparison, ...] = ()


class PolicyUpdate(Value):
    """The outcome of the search: a policy that goes on to validation, or the old one with the reason."""

    loop: str
    window: TimeWindow
    baseline: Actions | None
    actions: Actions | None
    """The chosen candidate; equal to `baseline` where the policy stays."""
    changed: bool = False
    thoughts: str = ""
    reason: str = ""
    """Why this candidate goes on, or why the policy stays."""
    edits: tuple[Edit, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    carried: Carried | None = None
    """Where the candidate comes from an earlier window that could not decide it."""
    spend: Spend = Field(default_factory=Spend)


class ArmOutcome(Value):
    """One policy's replayed answer to one sample and what evaluators said of it."""

    output: str | None = None
    error: str | None = None
    evals: tuple[EvalMetrics, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    """Of the answer, without its judges; None where the price is unknown."""

    def score(self, evaluator: str) -> float | None:
        """The evaluator's score; None where it gave none."""
        return next((e.score for e in self.evals if e.name == evaluator), None)


class ValidationRow(Value):
    """One held-out sample under both policies."""

    span_id: str
    conversation_id: str
    repeat: int = 0
    request: str = ""
    """The last user message, for people."""
    window: str = ""
    """The key of the window that the sample is from, where it is pooled from an earlier one; else empty."""
    baseline: ArmOutcome
    candidate: ArmOutcome


class ValidationReport(Value):
    """The verdict on held-out samples, with its reasons and everything they rest on."""

    loop: str
    window: TimeWindow
    verdict: Verdict
    reasons: tuple[str, ...]
    baseline: Actions | None = None
    candidate: Actions | None = None
    alpha: float = 0.05
    min_effect: float = 0.0
    guardrail_margin: float | None = None
    """The share of its range that a guardrail may have lost at most; None where it was not recorded."""
    conversations: int = 0
    """Held-out conversations: of this window, and those pooled from earlier ones."""
    samples_needed: int | None = None
    """Held-out conversations it would take to decide; None where it is decided or cannot be said."""
    comparisons: tuple[EvaluatorComparison, ...] = ()
    looks: tuple[LookTaken, ...] = ()
    """The first at half of the conversations, the last at all that were replayed."""
    pooled: tuple[PooledWindow, ...] = ()
    """The earlier windows that were looked at for more conversations, the newest first."""
    repeats: int = 1
    slices: tuple[SliceComparison, ...] = ()
    noise: tuple[NoiseEstimate, ...] = ()
    watch: tuple[JudgeWatch, ...] = ()
    budget: BudgetState | None = None
    """None in reports that were stored before there was a ledger."""
    carried: Carried | None = None
    carries_on: bool = False
    """Whether the candidate is undecided and tried again in the next window."""
    cost: TrafficCost | None = None
    rows: tuple[ValidationRow, ...] = ()
    spend: Spend = Field(default_factory=Spend)

    @property
    def primary(self) -> EvaluatorComparison | None:
        """The comparison that decides; None where nothing was compared."""
        return next((c for c in self.comparisons if c.role == "primary"), None)


class PolicyVersion(Value):
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
    """With a loop's first entry: the policy before any promotion, as the traces showed it."""
    restores: int | None = None
    """With `rollback`: the version whose policy this is again; None = the policy before any promotion."""
    window: TimeWindow | None = None
    """The window whose evidence promoted it."""
    evidence: tuple[EvaluatorComparison, ...] = ()
    report: str | None = None
    """Where the window's report is."""
    by: str = ""
    """Who or what did it: `auto`, or a person's name."""
    note: str = ""
    """Why, in that person's words."""
    override: bool = False
    """Whether it was put in force past a gate that did not accept it."""


class PolicyDecision(Value):
    """What a person decided about a window's candidate; kept beside the registry, append-only."""

    number: int
    """Counts from 1."""
    loop: str
    window: TimeWindow
    kind: Literal["approve", "reject", "override"]
    """`override`: put in force although the gate did not accept it."""
    candidate: str
    """The candidate's fingerprint."""
    verdict: Verdict
    """What the gate had said."""
    at: datetime
    by: str
    note: str = ""


class Publication(Value):
    """Where a policy stands on a platform."""

    target: str
    """`arize_prompt_hub` or `phoenix_prompts`."""
    policy_version: int
    """The registry's version that the label was left on."""
    prompt: str
    version_id: str
    """The platform's id of the prompt version."""
    label: str = "production"
    reason: str = ""
    """What was done, in a sentence."""


class Promotion(Value):
    """What a window did to the policy in force."""

    loop: str
    window: TimeWindow
    promoted: PolicyVersion | None = None
    reason: str
    """Why it is in force, or why nothing was promoted."""
    decision: PolicyDecision | None = None
    """What a person said last about this window's candidate; None where nobody did."""
