"""The whole gate once more, from the stored records: a stored `accept` alone promotes nothing.

The numbers of the stored verdict are decided again, and must be those that the looks ledger recorded when the window's
holdout was evaluated: an edited document fails at least one of both.
"""

from collections.abc import Iterator

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.holdout_reuse import result_of
from sia_dagster.core.gate.verdict import decide
from sia_dagster.core.guard import GuardLimits, check_contract
from sia_dagster.core.ports.stores import GateLog
from sia_dagster.core.records.gate import WHENEVER, Look
from sia_dagster.core.records.guard import GuardFinding, for_a_person, stops
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import ComparisonRule

_NO_LOOK = (
    "the looks ledger has no entry for this window, so its verdict was reached before there was a ledger, or "
    "elsewhere: materialise validation_results again"
)


class GateTerms(Value):
    """The settings of today's configuration that the stored verdict does not hold."""

    limits: GuardLimits = GuardLimits()
    max_unscored_share: float = 0.2

    @classmethod
    def of(cls, loop: LoopConfig, *, usd_per_prompt_token: float | None = None) -> "GateTerms":
        """Of a configured loop, at the price of the policy in force's model; None where it is unknown."""
        limits = GuardLimits.of(loop.policy, usd_per_prompt_token=usd_per_prompt_token)
        return cls(limits=limits, max_unscored_share=loop.validation.max_unscored_share)

    def recheck(self, report: ValidationReport, log: GateLog) -> tuple[str, ...]:
        """The reasons against promoting the report's candidate, one sentence each; empty where there are none.

        A verdict other than `accept` is the only reason. A window without an entry in the looks ledger must be decided
        again. Raises GateLogError.
        """
        if report.verdict != "accept":
            decisive = f": {report.reasons[0]}" if report.reasons else ""
            return (f"the verdict is {report.verdict}, so the policy in force stays{decisive}",)
        look = log.look(report.window.key)
        if look is None:
            return (*_decided_otherwise(report, self), _NO_LOOK)
        return (*_decided_otherwise(report, self), *_unlike(report, look), *_drifted(report, look, log))

    def broken_contract(self, report: ValidationReport) -> tuple[str, ...]:
        """The rules of the contract guard that the candidate breaks; nobody may override them.

        The samples are not available here: text copied from them was checked by the search. A longer prompt is priced
        at the report's traffic; where that was not counted, the search bounded it.
        """
        if report.candidate is None or report.baseline is None:
            return ()
        counted = {"calls_a_week": report.cost.calls_a_week} if report.cost else {"max_extra_usd_a_week": None}
        limits = self.limits.model_copy(update=counted)
        if report.question == "not_worse":
            limits = limits.without_cost  # It was shown to cost less.
        found = stops(check_contract(report.candidate, report.baseline, (), limits=limits))
        return tuple(f"the candidate breaks the contract of the policy in force: {each.reason}" for each in found)

    def concerns(self, report: ValidationReport, log: GateLog) -> tuple[GuardFinding, ...]:
        """What a person must look at before the candidate comes into force: whatever any of the records says.

        Those of the report, those that the looks ledger recorded with its verdict, and those that the rules find again
        without the samples, so that no edited document hides one. Raises GateLogError.
        """
        if report.candidate is None or report.baseline is None:
            return ()
        look = log.look(report.window.key)
        recorded = dict.fromkeys((*report.concerns, *(look.concerns if look else ())))
        again = for_a_person(check_contract(report.candidate, report.baseline, (), limits=self.limits))
        rules = {finding.rule for finding in recorded}
        return (*recorded, *(finding for finding in again if finding.rule not in rules))


def stored_rule(report: ValidationReport, terms: GateTerms) -> ComparisonRule:
    """The rule under which the report was made, at the levels of its last look."""
    level = report.interim_analyses[-1].alpha if report.interim_analyses else report.alpha
    rule = ComparisonRule(
        question=report.question, alpha=level, min_effect=report.min_effect, max_unscored_share=terms.max_unscored_share
    )
    guardrails = next((c.alpha for c in report.comparisons if c.role != "primary" and c.alpha is not None), None)
    known = {"guardrail_alpha": guardrails, "guardrail_margin": report.guardrail_margin}
    margins = {c.evaluator: c.margin for c in report.comparisons if c.margin is not None}
    safety = tuple(c.evaluator for c in report.comparisons if c.role == "safety")
    given = {
        "margins": margins,
        "safety": safety,
        **{name: value for name, value in known.items() if value is not None},
    }
    return rule.model_copy(update=given)


def _decided_otherwise(report: ValidationReport, terms: GateTerms) -> Iterator[str]:
    again = decide(
        CriteriaInput(
            comparisons=report.comparisons,
            rule=stored_rule(report, terms),
            conversations=report.conversations,
            candidate_changed=report.candidate is not None,
            slices=report.slices,
            watch=report.watch,
            saving=report.saving,
        )
    )
    if again.verdict != "accept":
        yield (
            f"the stored verdict is accept, but its own numbers give {again.verdict} ({again.reasons[0]}): materialise "
            "validation_results again"
        )


def _unlike(report: ValidationReport, look: Look) -> Iterator[str]:
    """Where the stored verdict and the looks ledger differ."""
    if look.verdict != "accept":
        yield f"according to the looks ledger, this window's holdout gave {look.verdict} {_when(look)}"
    if (look.baseline, look.candidate) != (report.baseline, report.candidate):
        yield f"according to the looks ledger, this window's holdout was used for other policies {_when(look)}"
    elif look.question != report.question:
        yield f"according to the looks ledger, this window's holdout was used for another question {_when(look)}"
    elif look.result != result_of(report):
        yield (
            f"the stored numbers are not those that the looks ledger recorded {_when(look)}: materialise "
            "validation_results again"
        )


def _drifted(report: ValidationReport, look: Look, log: GateLog) -> Iterator[str]:
    """The judges of the look that had drifted in its window, also those that the report leaves out."""
    of_window = [record.judge for record in log.watches(WHENEVER) if record.window == report.window]
    known = [
        *report.watch,
        *(judge for judge in of_window if look.evaluators.get(judge.evaluator) == judge.fingerprint),
    ]
    for name in sorted({judge.evaluator for judge in known if judge.drifted}):
        yield f"the judge {name} had drifted in this window, so its scores are not comparable"


def _when(look: Look) -> str:
    return f"at {look.at.isoformat()}"
