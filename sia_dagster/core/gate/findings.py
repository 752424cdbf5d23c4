"""What the criteria of the verdict look at, and what each of them finds."""

from collections.abc import Callable, Iterator
from typing import Literal

from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import ComparisonRule

FindingKind = Literal["void", "reject", "undecided", "holds", "note"]


class CriteriaInput(Value):
    """What the criteria look at."""

    comparisons: tuple[EvaluatorComparison, ...]
    rule: ComparisonRule
    conversations: int
    """Held-out conversations: the window's own, and those pooled from earlier ones."""
    candidate_changed: bool
    slices: tuple[SliceComparison, ...] = ()
    watch: tuple[JudgeWatch, ...] = ()

    @property
    def primary(self) -> EvaluatorComparison | None:
        """The comparison that decides; None where nothing was compared."""
        return next((c for c in self.comparisons if c.role == "primary"), None)

    @property
    def guardrails(self) -> tuple[EvaluatorComparison, ...]:
        """The comparisons that may not fall beyond their margin: safety evaluators are guardrails that also veto."""
        return tuple(c for c in self.comparisons if c.role != "primary")

    @property
    def drifted(self) -> tuple[JudgeWatch, ...]:
        """The judges whose scores do not compare with those of earlier windows."""
        return tuple(judge for judge in self.watch if judge.drifted)

    def margin(self, comparison: EvaluatorComparison) -> float:
        """What a guardrail may have lost, as a share of its range."""
        return self.rule.margin(comparison.evaluator) if comparison.margin is None else comparison.margin


class Finding(Value):
    """What one criterion found, in a sentence with its numbers."""

    kind: FindingKind
    """`void`: the evidence cannot decide at all, not even against. `note`: what an `accept` does not promise."""
    sentence: str
    needed: int | None = None
    """Held-out conversations it would take to find otherwise."""


Criterion = Callable[[CriteriaInput], Iterator[Finding]]
