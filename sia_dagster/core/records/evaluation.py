"""Evaluation: an evaluator's result for one output, and the evaluator's constants."""

from typing import Literal

from pydantic import Field

from sia_dagster.core.records.value import Value

EvaluatorKind = Literal["llm_classify", "code", "platform"]


class EvalMetrics(Value):
    """One evaluator's result for one output. Without a score there is an `error`, or it is `not_applicable`."""

    name: str
    label: str | None = None
    score: float | None = None
    """Higher is better; within the evaluator's range (`EvalConstant.low` .. `high`)."""
    explanation: str | None = None
    error: str | None = None
    fingerprint: str = ""
    source: EvaluatorKind = "code"
    attempts: int = 0
    """Model calls made for this answer, retries included; 0 where no model was asked."""
    cost_usd: float | None = None
    """None where the model's price is unknown or no model was asked."""
    not_applicable: bool = False
    """Whether the evaluator does not apply to this output: neither a score nor a failure."""


class EvalConstant(Value):
    """The constants of an evaluator while policies change: what it measures and on which scale."""

    name: str
    kind: EvaluatorKind
    fingerprint: str
    """Of template, rails, model and code: scores are comparable only under one fingerprint."""
    criteria: str = ""
    """The judge's template, the function's docstring, or the source of the platform's score."""
    rails: dict[str, float] = Field(default_factory=dict)
    low: float = 0.0
    high: float = 1.0
    primary: bool = False

    @property
    def scale(self) -> float:
        """The width of the evaluator's range; 1 for a range without width."""
        return self.high - self.low if self.high > self.low else 1.0
