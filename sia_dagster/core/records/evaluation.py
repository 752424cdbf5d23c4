"""Evaluation: what an evaluator says of one output, and what stays the same about it."""

from typing import Literal

from pydantic import Field

from sia_dagster.core.records.value import Value

EvaluatorKind = Literal["llm_classify", "code", "platform"]


class EvalMetrics(Value):
    """What one evaluator said of one output. Without a score there is an `error`, never a guess."""

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


class EvalConstant(Value):
    """What stays the same about an evaluator while policies change: what it measures and on which scale."""

    name: str
    kind: EvaluatorKind
    fingerprint: str
    """Of template, rails, model and code: two scores compare only under one fingerprint."""
    criteria: str = ""
    """The judge's template, the function's docstring, or where the platform's score comes from."""
    rails: dict[str, float] = Field(default_factory=dict)
    low: float = 0.0
    high: float = 1.0
    primary: bool = False
