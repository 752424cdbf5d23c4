"""Roles with several implementations: evaluator, notifier."""

from collections.abc import Mapping
from typing import Any, Protocol

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample


class Evaluator(Protocol):
    """Scores one output."""

    @property
    def constant(self) -> EvalConstant:
        """What it measures, and its fingerprint."""

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """Score `sample.output`. A failure of this row is a value with `error` and no score.

        Raises only errors that must stop the stage (EndpointRefused, SpendCapReached).
        """


class Notifier(Protocol):
    """Notifies people that something waits for their decision."""

    def notify(self, title: str, facts: Mapping[str, Any]) -> None:
        """Deliver, or raise SiaError with what to check."""
