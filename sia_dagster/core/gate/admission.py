"""Whether a window's candidate may be validated, and the record of the look that its verdict takes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.error_budget import error_budget_of, exhausted, exhausted_reason, window_alpha
from sia_dagster.core.gate.holdout_reuse import (
    covering_look,
    look_fingerprint,
    look_of,
    other_window_reason,
    report_under_first_look,
    reuse_reason,
    was_tested,
)
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.gate import WHENEVER, ErrorBudget, HeldOut, Look, TrafficCost
from sia_dagster.core.records.judge_report import JudgeReport, JudgeWatch
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions


@dataclass(frozen=True)
class Gate:
    """What a verdict needs besides the window's own samples."""

    log: GateLog
    at: datetime
    """The time of this run; other windows see the look from then on."""
    held_out: Callable[[], HeldOut]
    """Reads the held-out conversations, earlier windows' included; called only where replays will be made."""
    watch: JudgeReport | None = None
    """What the judge watch found in this window; None: the judges were not watched."""
    cost: Callable[[ValidationReport], TrafficCost | None] | None = None
    """Prices the week's traffic under both policies of a report; None: the report has no cost."""


@dataclass(frozen=True)
class Admission:
    """A candidate that is to be decided on, and what the gate's log knew before."""

    loop: LoopConfig
    state: StateActions
    gate: Gate
    update: PolicyUpdate
    fingerprint: str
    """Of the look that this verdict would take."""
    looks: tuple[Look, ...]
    standing: Look | None
    covering: Look | None
    """Of a window with other bounds that used this one's conversations; None where this window has its own look."""

    @classmethod
    def of(cls, loop: LoopConfig, state: StateActions, update: PolicyUpdate, gate: Gate) -> "Admission":
        """The admission of `update` in the window of `state`, with what the log knows of that window."""
        standing, known = gate.log.look(state.window.key), gate.log.looks(WHENEVER)
        return cls(
            loop=loop,
            state=state,
            gate=gate,
            update=update,
            fingerprint=look_fingerprint(loop, update, state.evaluator_fingerprints),
            looks=tuple(look for look in known if look.at < state.window.end),
            standing=standing,
            covering=None if standing else covering_look(known, state.window),
        )

    @property
    def refused(self) -> ValidationReport | None:
        """The finished report of a candidate that may not be validated here; None where it may, or there is none."""
        if self._untried.policies is None:
            return None
        if self.covering is not None:
            return self._undecided(other_window_reason(self.covering), self._budget(None))
        budget = self._budget(self.standing)
        if self.standing is None:
            reason = exhausted_reason(self.loop.validation, self.state.window, self.looks) if exhausted(budget) else ""
            return self._undecided(reason, budget) if reason else None
        if self.standing.fingerprint == self.fingerprint:
            return None
        return self._undecided(reuse_reason(self._look(self._undecided("", budget)), self.standing), budget)

    def trial(self) -> Trial:
        """What is to be validated. The holdout is read here, and only where replays will be made."""
        if self._untried.policies is None:
            return self._untried
        unscored = self.standing.unscored if self.standing else ()
        return self._untried.model_copy(update={"held_out": self.gate.held_out(), "unscored": unscored})

    def finish(self, report: ValidationReport) -> ValidationReport:
        """The report with its cost and the error budget after it; its look is recorded if the candidate was tested.

        A look that was recorded before stands: a report that differs from it is inconclusive. Raises GateLogError.
        """
        standing = self.standing
        if was_tested(report):
            look = self._look(report)
            standing = self.gate.log.record_look(look)
            report = report_under_first_look(report, look, standing)
        cost = self.gate.cost(report) if self.gate.cost else None
        return report.model_copy(update={"error_budget": self._budget(standing), "cost": cost})

    @property
    def _watch(self) -> tuple[JudgeWatch, ...]:
        return self.gate.watch.judges if self.gate.watch else ()

    @property
    def _untried(self) -> Trial:
        return Trial(state=self.state, update=self.update, watch=self._watch)

    def _look(self, report: ValidationReport) -> Look:
        look = look_of(
            report,
            fingerprint=self.fingerprint,
            evaluators=self.state.evaluator_fingerprints,
            alpha=window_alpha(self.loop.validation, self.state.window),
            at=self.gate.at,
        )
        return look.model_copy(update={"selected": self.update.selected})

    def _budget(self, own: Look | None) -> ErrorBudget:
        return error_budget_of(self.loop.validation, self.state.window, self.looks, own)

    def _undecided(self, reason: str, budget: ErrorBudget) -> ValidationReport:
        return ValidationReport(
            loop=self.update.loop,
            window=self.update.window,
            verdict="inconclusive",
            reasons=(reason,),
            baseline=self.update.baseline,
            candidate=self.update.candidate,
            provenance=self.update.provenance,
            question=self.update.question,
            alpha=budget.alpha,
            min_effect=self.loop.validation.min_effect,
            guardrail_margin=self.loop.validation.guardrail_margin,
            void=True,
            watch=self._watch,
            error_budget=budget,
            carried=self.update.carried,
        )
