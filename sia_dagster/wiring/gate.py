"""The verdict of one window under the gate's log: paid for from the error budget, and taken once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sia_dagster.core.config_gate import ValidationConfig
from sia_dagster.core.evidence import WHENEVER, BudgetState, HeldOut, Look
from sia_dagster.core.models import StateActions
from sia_dagster.core.ports import Advance, GateLog
from sia_dagster.core.results import PolicyUpdate, ValidationReport
from sia_dagster.core.watch_results import JudgeReport
from sia_dagster.wiring.stages import LoopSession, Outcome, validate_window


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


async def gated_validation(
    session: LoopSession, state: StateActions, update: PolicyUpdate, gate: Gate
) -> Outcome[ValidationReport]:
    """Both policies on the held-out samples, and the verdict, if this window still may have one.

    Nothing is replayed where no candidate goes on, a judge drifted, the year's error budget cannot pay for the verdict,
    or the window's holdout was used for other evidence. A verdict that was reached is recorded as the window's look;
    run again it is the same one, with the same bytes, and spends nothing anew. Raises as `validate_window`, and
    GateLogError.
    """
    judges = gate.watch.judges if gate.watch else ()
    case = _Case.of(session, state, update, gate)
    if not update.changed or state.refusal or (gate.watch and gate.watch.drifted):
        untested = await validate_window(session, state, update, watch=judges)
        return Outcome(case.with_budget(untested.value), untested.spend, untested.rows)
    if objection := case.objection:
        return Outcome(objection.model_copy(update={"watch": judges}), {}, Advance(done=0, of=0, what="rows"))
    unscored = case.standing.unscored if case.standing else ()
    outcome = await validate_window(session, state, update, held_out=gate.held_out(), watch=judges, unscored=unscored)
    return Outcome(case.booked(outcome.value), outcome.spend, outcome.rows)


@dataclass(frozen=True)
class _Case:
    """A candidate that is to be decided on, and what the log knew before."""

    session: LoopSession
    gate: Gate
    update: PolicyUpdate
    evidence: str
    evaluators: dict[str, str]
    looks: tuple[Look, ...]
    standing: Look | None
    covering: Look | None
    """Of a window that was cut otherwise, and took this one's conversations; None where this has a look of its own."""

    @classmethod
    def of(cls, session: LoopSession, state: StateActions, update: PolicyUpdate, gate: Gate) -> "_Case":
        from sia_dagster.core.carrying import fingerprints_of
        from sia_dagster.core.second_look import covering_look, evidence_of

        evaluators = fingerprints_of(state)
        standing, known = gate.log.look(session.window.key), gate.log.looks(WHENEVER)
        return cls(
            session=session,
            gate=gate,
            update=update,
            evidence=evidence_of(session.loop, update, evaluators),
            evaluators=evaluators,
            looks=tuple(look for look in known if look.at < session.window.end),
            standing=standing,
            covering=None if standing else covering_look(known, session.window),
        )

    @property
    def objection(self) -> ValidationReport | None:
        """The report of a window that may not be decided; None where it may."""
        from sia_dagster.core.budget import exhausted, spent_out
        from sia_dagster.core.second_look import cut_otherwise, other_evidence

        if self.covering is not None:
            return self._undecided(cut_otherwise(self.covering), self._budget(None))
        if self.standing is None:
            budget = self._budget(None)
            told = spent_out(self._validation, self.session.window, self.looks) if exhausted(budget) else ""
            return self._undecided(told, budget) if told else None
        if self.standing.evidence == self.evidence:
            return None
        told = other_evidence(self._look(self._undecided("", self._budget(None))), self.standing)
        return self._undecided(told, self._budget(self.standing))

    def booked(self, report: ValidationReport) -> ValidationReport:
        """The report under the look that stands, which is its own if the window had none, with the budget after it."""
        from sia_dagster.core.second_look import against, was_tested

        if not was_tested(report, self.session.loop):
            return self.with_budget(report)
        look = self._look(report)
        standing = self.gate.log.record_look(look)
        return against(report, look, standing).model_copy(update={"budget": self._budget(standing)})

    def with_budget(self, report: ValidationReport) -> ValidationReport:
        """The report of a window that tested nothing, with what is left of the year's budget."""
        return report.model_copy(update={"budget": self._budget(self.standing)})

    @property
    def _validation(self) -> ValidationConfig:
        return self.session.loop.validation

    def _look(self, report: ValidationReport) -> Look:
        from sia_dagster.core.budget import window_alpha
        from sia_dagster.core.second_look import look_of

        alpha = window_alpha(self._validation, self.session.window)
        return look_of(report, evidence=self.evidence, evaluators=self.evaluators, alpha=alpha, at=self.gate.at)

    def _budget(self, own: Look | None) -> BudgetState:
        from sia_dagster.core.budget import budget_state

        return budget_state(self._validation, self.session.window, self.looks, own)

    def _undecided(self, told: str, budget: BudgetState) -> ValidationReport:
        return ValidationReport(
            loop=self.update.loop,
            window=self.update.window,
            verdict="inconclusive",
            reasons=(told,),
            baseline=self.update.baseline,
            candidate=self.update.actions,
            alpha=budget.alpha,
            min_effect=self._validation.min_effect,
            guardrail_margin=self._validation.guardrail_margin,
            budget=budget,
            carried=self.update.carried,
        )
