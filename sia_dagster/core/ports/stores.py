"""The roles the loop depends on. Adapters play them; core knows no vendor."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.judge_report import Anchors, WatchRecord
from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion


class PolicyStore(Protocol):
    """The append-only registry of one loop's policies."""

    def versions(self) -> Sequence[PolicyVersion]:
        """All entries, oldest first."""

    def in_force(self, before: datetime | None = None) -> PolicyVersion | None:
        """The latest entry with `at < before` (of all, without `before`); None where there is none."""

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        """Store `entry` under the next version number and return it as stored.

        `entry.parent` is what its author saw in force. A promotion of one policy by one window is written once, and a
        rollback if it is not the newest entry. Raises PromotionRefused if another version, or a newer one, is in force.
        """


class DecisionStore(Protocol):
    """What people decided about candidates, beside the registry; append-only."""

    def decisions(self, before: datetime | None = None) -> Sequence[PolicyDecision]:
        """All with `at < before` (all, without `before`), oldest first. Raises PolicyError."""

    def append(self, decision: PolicyDecision) -> PolicyDecision:
        """Store it under the next number and return it as stored. Raises PolicyError."""


class GateLog(Protocol):
    """What the gate remembers between windows. Of every record the first stands; all reads name a cut-off.

    A window reads with `before` its own end: what was recorded later, by whatever window, does not exist for it. So
    windows give the same bytes in any order, and a repeated one does, too. All raise GateLogError.
    """

    def looks(self, before: datetime) -> Sequence[Look]:
        """The looks recorded before that, by the end of their windows."""

    def look(self, window: str) -> Look | None:
        """The look that this window's holdout was used for, whenever it was taken."""

    def record_look(self, look: Look) -> Look:
        """Keep it, if the window has none yet; return the one that stands."""

    def anchors(self, evaluator: str, fingerprint: str, before: datetime) -> Anchors | None:
        """The newest anchors of this evaluator's fingerprint that were frozen before that."""

    def freeze(self, anchors: Anchors) -> None:
        """Keep them. First anchors (`by` empty) are kept only where the fingerprint has none, or its last no scores."""

    def watches(self, before: datetime) -> Sequence[WatchRecord]:
        """What the anchors said in windows recorded before that, by the end of their windows."""

    def record_watch(self, record: WatchRecord) -> None:
        """Keep it, if this window has none of this evaluator's fingerprint yet."""
