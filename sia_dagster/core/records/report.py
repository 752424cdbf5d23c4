"""The result of a validation, as frozen values."""

from operator import not_
from typing import ClassVar, Literal

from pydantic import Field

from sia_dagster.core.records.comparison import (
    EvaluatorComparison,
    Question,
    Saving,
    SliceComparison,
    asks_for_gain,
    primary_of,
)
from sia_dagster.core.records.document import Document
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.gate import (
    Carried,
    ErrorBudget,
    Grouping,
    InterimAnalysis,
    NoiseEstimate,
    PooledWindow,
    TrafficCost,
)
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.policy import Actions, SentenceOrigin
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import StrategyRun
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value

Verdict = Literal["accept", "reject", "inconclusive"]

HOLDOUT_REUSED = "this window's holdout was evaluated before"
"""The first words of the reason where a verdict was refused since the holdout was used for another one."""

_REUSED_IN_FORMAT_1 = "this window's holdout was looked at before"


class ArmOutcome(Value):
    """One policy's replayed answer to one sample, and its evaluations."""

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

    def share(self, constant: EvalConstant) -> float:
        """The evaluator's score as a share of its range; 0, the worst, where it gave none."""
        score = self.score(constant.name)
        return 0.0 if score is None else (score - constant.low) / constant.scale

    def does_not_apply(self, evaluator: str) -> bool:
        """Whether the evaluator does not apply to this answer."""
        return any(e.not_applicable for e in self.evals if e.name == evaluator)


class ValidationRow(Value):
    """One held-out sample under both policies."""

    span_id: str
    conversation_id: str
    group_id: str = Field(default="", exclude_if=not_)
    """The id of the conversation's group, where that is another; stored only there, so that rows of conversations that
    count by themselves keep the bytes that they had before there were groups."""
    repeat: int = 0
    request: str = ""
    """The last user message, for people."""
    window: str = ""
    """The key of the window that the sample is from, where it is pooled from an earlier one; else empty."""
    baseline: ArmOutcome
    candidate: ArmOutcome

    @property
    def unit(self) -> str:
        """What counts once: the group of conversations, else the conversation."""
        return self.group_id or self.conversation_id


class ValidationReport(Document):
    """The verdict on held-out samples, with its reasons and evidence."""

    renamed_in_2: ClassVar[dict[str, str]] = {"budget": "error_budget", "looks": "interim_analyses"}

    loop: str
    window: TimeWindow
    verdict: Verdict
    reasons: tuple[str, ...]
    baseline: Actions | None = None
    candidate: Actions | None = None
    concerns: tuple[GuardFinding, ...] = ()
    """What the contract guard found that a person must look at before the candidate comes into force."""
    provenance: tuple[SentenceOrigin, ...] = Field(default=(), exclude_if=not_)
    """Of the candidate's sentences that the loop wrote."""
    strategies: tuple[StrategyRun, ...] = Field(default=(), exclude_if=not_)
    """What each search strategy of the window used, and gained on selection."""
    question: Question = Field(default="better", exclude_if=asks_for_gain)
    """What was to be shown of the candidate."""
    saving: Saving | None = Field(default=None, exclude_if=not_)
    """What it costs less, where that was the question and both policies answered."""
    alpha: float = 0.05
    min_effect: float = 0.0
    guardrail_margin: float | None = None
    """The share of its range that a guardrail may have lost at most; None where it was not recorded."""
    conversations: int = 0
    """Held-out conversations: of this window, and those pooled from earlier ones."""
    grouping: Grouping | None = None
    """The groups that count once each; None in reports that were stored when each conversation counted by itself."""
    design_effect: float | None = None
    """Where something that most conversations share does not group them: how many times the variance of the mean
    difference would be as large if it did (Kish); None where that is not estimated."""
    samples_needed: int | None = None
    """Held-out conversations it would take to decide; None where it is decided or cannot be said."""
    void: bool = False
    """Whether the evidence could not decide at all, so that nothing was tested."""
    comparisons: tuple[EvaluatorComparison, ...] = ()
    interim_analyses: tuple[InterimAnalysis, ...] = ()
    """The first at half of the conversations, the last at all that were replayed."""
    pooled: tuple[PooledWindow, ...] = ()
    """The earlier windows that were read for more conversations, the newest first."""
    repeats: int = 1
    slices: tuple[SliceComparison, ...] = ()
    noise: tuple[NoiseEstimate, ...] = ()
    watch: tuple[JudgeWatch, ...] = ()
    error_budget: ErrorBudget | None = None
    """None in reports that were stored before there was a looks ledger."""
    carried: Carried | None = None
    carries_on: bool = False
    """Whether the candidate is undecided and tried again in the next window."""
    cost: TrafficCost | None = None
    rows: tuple[ValidationRow, ...] = ()
    spend: Spend = Field(default_factory=Spend)

    @property
    def primary(self) -> EvaluatorComparison | None:
        """The comparison that decides; None where nothing was compared."""
        return primary_of(self.comparisons)

    @property
    def is_holdout_reuse(self) -> bool:
        """Whether the verdict was refused since the window's holdout was used for another one."""
        return any(reason.startswith((HOLDOUT_REUSED, _REUSED_IN_FORMAT_1)) for reason in self.reasons)
