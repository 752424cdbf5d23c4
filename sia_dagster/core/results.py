"""What the search and the validation found, as frozen values."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from sia_dagster.core.models import Actions, EvalMetrics, Spend, TimeWindow, Value

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


class EvaluatorComparison(Value):
    """Both policies under one evaluator, paired by conversation, in the evaluator's own units."""

    evaluator: str
    role: Literal["primary", "guardrail"] = "guardrail"
    n: int = 0
    """Conversations that were scored under both policies."""
    samples: int = 0
    unscored: int = 0
    """Samples that could not be compared, since one of the two outputs has no score."""
    unscored_baseline: int = 0
    """Samples that have no score under the policy in force."""
    unscored_candidate: int = 0
    """Samples that have no score under the candidate."""
    baseline_mean: float | None = None
    candidate_mean: float | None = None
    difference: float | None = None
    """`candidate_mean - baseline_mean`: the weighted mean of the paired differences, as it was seen. The interval's
    middle lies a little nearer to 0, since the plus-two rule adds three conversations that say "no difference"."""
    ci_low: float | None = None
    """One-sided lower bound at level alpha, as `ci_high` is the upper: together they cover 1 - 2 alpha."""
    ci_high: float | None = None
    p_value: float | None = None
    """One-sided, of the sign-flip permutation test."""
    minimum_detectable_effect: float | None = None
    """The smallest gain that this many conversations would have shown with 80 % power; None where they could have
    shown no gain within the evaluator's range."""
    conversations_needed: int | None = None
    """How many conversations it would take to show the gain that was seen, shrunk (or `min_effect`); of a guardrail:
    to show that nothing was lost beyond its margin. None beyond a million."""
    scale: float = 1.0
    """The evaluator's range: differences divided by it lie in -1..1, where the test is made."""


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
    spend: Spend = Field(default_factory=Spend)


class ArmOutcome(Value):
    """One policy's replayed answer to one sample and what evaluators said of it."""

    output: str | None = None
    error: str | None = None
    evals: tuple[EvalMetrics, ...] = ()

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
    """Held-out conversations of this window."""
    samples_needed: int | None = None
    """Held-out conversations it would take to decide; None where it is decided or cannot be said."""
    comparisons: tuple[EvaluatorComparison, ...] = ()
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
