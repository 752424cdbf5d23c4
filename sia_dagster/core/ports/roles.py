"""Roles with several implementations: evaluator, policy updater, notifier."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.records.state import StateActions


class Evaluator(Protocol):
    """Scores one output."""

    @property
    def constant(self) -> EvalConstant:
        """What it measures, and its fingerprint."""

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        """Score `sample.output`. A failure of this row is a value with `error` and no score.

        Raises only errors that must stop the stage (EndpointRefused, SpendCapReached).
        """


class PolicyUpdater(Protocol):
    """Proposes policies by the failures on the train split."""

    async def propose(self, state: StateActions) -> Sequence[Candidate]:
        """Candidates in order of preference; `status` is `not_chosen` or `unusable`, never `chosen`.

        Sees `state.of("train")` only. Raises EndpointRefused or SpendCapReached.
        """


class Notifier(Protocol):
    """Notifies people that something waits for their decision."""

    def notify(self, title: str, facts: Mapping[str, Any]) -> None:
        """Deliver, or raise SiaError with what to check."""
