"""The ports of the policy registry, of decisions on candidates and of the gate's log."""

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

    def timeline(self) -> Sequence[PolicyVersion]:
        """All entries, oldest first, with the times from which windows count them, which never go back."""

    def in_force(self, before: datetime | None = None) -> PolicyVersion | None:
        """The latest entry of the timeline with `at < before` (of all, without `before`); None if there is none."""

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        """Store `entry` under the next version number and return it as stored.

        `entry.parent` is the version that its author saw in force. A promotion of one policy by one window is written
        once, and a rollback only if it is not the newest entry already. Raises PromotionRefused if another version than
        the parent, or one newer than the entry, is in force.
        """


class DecisionStore(Protocol):
    """People's decisions on candidates, beside the registry; append-only."""

    def decisions(self, before: datetime | None = None) -> Sequence[PolicyDecision]:
        """All with `at < before` (all, without `before`), oldest first. Raises PolicyError."""

    def append(self, decision: PolicyDecision) -> PolicyDecision:
        """Store it under the next number and return it as stored. Raises PolicyError."""


class GateLog(Protocol):
    """The gate's records between windows. The first version of a record is kept; all reads name a cut-off.

    A window reads with `before` its own end, and so ignores what any window recorded later. Windows give the same bytes
    in any order and when they are repeated. All methods raise GateLogError.
    """

    def looks(self, before: datetime) -> Sequence[Look]:
        """The looks recorded before that, by the end of their windows."""

    def look(self, window: str) -> Look | None:
        """The look that used this window's holdout, whenever it was taken."""

    def record_look(self, look: Look) -> Look:
        """Store it if the window has none yet; return the stored one."""

    def anchors(self, evaluator: str, fingerprint: str, before: datetime) -> Anchors | None:
        """The newest anchors of this evaluator's fingerprint that were frozen before that."""

    def freeze(self, anchors: Anchors) -> None:
        """Store them; first anchors (`by` empty) only if the fingerprint has none, or its last ones have no scores."""

    def watches(self, before: datetime) -> Sequence[WatchRecord]:
        """The anchors' results in windows recorded before that, by the end of their windows."""

    def record_watch(self, record: WatchRecord) -> None:
        """Store it if this window has none of this evaluator's fingerprint yet."""
