"""Whether a window's candidate may be validated, and recording the look that its verdict takes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.gate.error_budget import error_budget_of, exhausted, spent_out, window_alpha
from sia_dagster.core.gate.holdout_reuse import (
    against,
    covering_look,
    cut_otherwise,
    look_fingerprint,
    look_of,
    other_fingerprint,
    was_tested,
)
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.gate import WHENEVER, ErrorBudget, HeldOut, Look
from sia_dagster.core.records.judge_report import JudgeReport
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions


@dataclass(frozen=True)
class Gate:
    """What a verdict needs besides the window's own samples."""

    log: GateLog
    at: datetime
    """When this is; other windows see the look from then on."""
    held_out: Callable[[], HeldOut]
    """Reads the held-out conversations, earlier windows' included; called only where replays will be made."""
    watch: JudgeReport | None = None
    """What the judges said of their anchors in this window; None: they were not watched."""


@dataclass(frozen=True)
class Admission:
    """A candidate that is to be decided on, and what the log knew before."""

    loop: LoopConfig
    window: TimeWindow
    gate: Gate
    update: PolicyUpdate
    evidence: str
    evaluators: dict[str, str]
    looks: tuple[Look, ...]
    standing: Look | None
    covering: Look | None
    """Of a window that was cut otherwise, and took this one's conversations; None where this has a look of its own."""

    @classmethod
    def of(cls, loop: LoopConfig, state: StateActions, update: PolicyUpdate, gate: Gate) -> "Admission":
        """The case of `update` in the window of `state`, with what the log knows of that window."""
        evaluators = state.evaluator_fingerprints
        standing, known = gate.log.look(state.window.key), gate.log.looks(WHENEVER)
        return cls(
            loop=loop,
            window=state.window,
            gate=gate,
            update=update,
            evidence=look_fingerprint(loop, update, evaluators),
            evaluators=evaluators,
            looks=tuple(look for look in known if look.at < state.window.end),
            standing=standing,
            covering=None if standing else covering_look(known, state.window),
        )

    @property
    def objection(self) -> ValidationReport | None:
        """The report of a window that may not be decided; None where it may."""
        if self.covering is not None:
            return self._undecided(cut_otherwise(self.covering), self._budget(None))
        if self.standing is None:
            budget = self._budget(None)
            told = spent_out(self._validation, self.window, self.looks) if exhausted(budget) else ""
            return self._undecided(told, budget) if told else None
        if self.standing.fingerprint == self.evidence:
            return None
        told = other_fingerprint(self._look(self._undecided("", self._budget(None))), self.standing)
        return self._undecided(told, self._budget(self.standing))

    def booked(self, report: ValidationReport) -> ValidationReport:
        """The report under the look that stands, which is its own if the window had none, with the budget after it."""
        if not was_tested(report, self.loop):
            return self.with_budget(report)
        look = self._look(report)
        standing = self.gate.log.record_look(look)
        return against(report, look, standing).model_copy(update={"error_budget": self._budget(standing)})

    def with_budget(self, report: ValidationReport) -> ValidationReport:
        """The report of a window that tested nothing, with what is left of the year's budget."""
        return report.model_copy(update={"error_budget": self._budget(self.standing)})

    @property
    def _validation(self) -> ValidationConfig:
        return self.loop.validation

    def _look(self, report: ValidationReport) -> Look:
        alpha = window_alpha(self._validation, self.window)
        return look_of(report, evidence=self.evidence, evaluators=self.evaluators, alpha=alpha, at=self.gate.at)

    def _budget(self, own: Look | None) -> ErrorBudget:
        return error_budget_of(self._validation, self.window, self.looks, own)

    def _undecided(self, told: str, budget: ErrorBudget) -> ValidationReport:
        return ValidationReport(
            loop=self.update.loop,
            window=self.update.window,
            verdict="inconclusive",
            reasons=(told,),
            baseline=self.update.baseline,
            candidate=self.update.candidate,
            alpha=budget.alpha,
            min_effect=self._validation.min_effect,
            guardrail_margin=self._validation.guardrail_margin,
            error_budget=budget,
            carried=self.update.carried,
        )
