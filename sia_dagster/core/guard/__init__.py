"""The contract guard: what a candidate must keep and must not hold, checked before its replay is paid for.

A candidate that surely breaks a rule is stopped, never repaired: what came with the fault may be worse than the fault.
Where a rule cannot be sure, a person must look: the candidate is tried and shown, and does not come into force by
itself.
"""

from collections.abc import Sequence
from typing import Final

from sia_dagster.core.guard._addresses import holds_no_address
from sia_dagster.core.guard._copying import copies_no_sample, follows_no_trace
from sia_dagster.core.guard._figures import changes_no_figure
from sia_dagster.core.guard._format_and_tools import asks_for_no_other_format, keeps_form, keeps_tools
from sia_dagster.core.guard._guard_input import Findings, GuardInput, GuardRule, stopping
from sia_dagster.core.guard._hidden import holds_nothing_hidden
from sia_dagster.core.guard._identifiers import holds_no_identifier
from sia_dagster.core.guard._introduced_names import repeats_no_introduced_name
from sia_dagster.core.guard._length import keeps_cost, keeps_length, prompt_tokens
from sia_dagster.core.guard._limits import GuardLimits
from sia_dagster.core.guard._names import repeats_no_capitals, repeats_no_name
from sia_dagster.core.guard._numbers import repeats_no_code, repeats_no_number
from sia_dagster.core.guard._orders import holds_no_order
from sia_dagster.core.guard._personal import holds_no_personal_detail
from sia_dagster.core.guard._prose import is_plain_prose
from sia_dagster.core.guard._protected import keeps_protected, missing_passages
from sia_dagster.core.guard._quoted_words import quotes_no_trace
from sia_dagster.core.guard._scripts import keeps_to_its_scripts
from sia_dagster.core.guard._secrets import holds_no_secret
from sia_dagster.core.guard._shared_text import shares_no_text
from sia_dagster.core.guard._support import rests_on_several_sources
from sia_dagster.core.guard._text_between_slots import keeps_text_between_slots
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.guard._variables import keeps_variables
from sia_dagster.core.records.comparison import Question
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Edit

__all__ = ["ContractGuard", "GuardLimits", "check_contract", "keeps_variables", "missing_passages", "prompt_tokens"]


def _keeps_variables(case: GuardInput) -> str | None:
    return keeps_variables(case.candidate, case.baseline, case.traffic)


RULES: Final[tuple[GuardRule, ...]] = (
    stopping(_keeps_variables),
    stopping(keeps_text_between_slots),
    stopping(keeps_form),
    asks_for_no_other_format,
    stopping(keeps_tools),
    stopping(keeps_protected),
    stopping(keeps_length),
    stopping(keeps_cost),
    copies_no_sample,
    follows_no_trace,
    shares_no_text,
    quotes_no_trace,
    changes_no_figure,
    rests_on_several_sources,
    repeats_no_number,
    repeats_no_code,
    repeats_no_name,
    repeats_no_introduced_name,
    repeats_no_capitals,
    holds_no_personal_detail,
    holds_no_secret,
    holds_no_address,
    holds_no_identifier,
    holds_no_order,
    is_plain_prose,
    keeps_to_its_scripts,
    holds_nothing_hidden,
)


def check_contract(
    candidate: Actions,
    baseline: Actions,
    samples: Sequence[Sample],
    *,
    limits: GuardLimits | None = None,
    edits: Sequence[Edit] | None = None,
) -> tuple[GuardFinding, ...]:
    """What is wrong with `candidate`, at most one finding a rule; empty when it passes.

    A `stop` says why it may not be tried, a `person` why it may not come into force by itself. Each names what the
    policy in force lost, or what is new, with the sample that holds it and its author there, or that no sample does.
    `samples` are those whose text the updater saw, or more: none of it may stand in the candidate. `edits` are the
    changes that made the candidate, with the samples that motivate them; None where they are not known, and support is
    not checked. Text that is already in the baseline is never held against a candidate.
    """
    return ContractGuard(baseline, samples, limits).check(candidate, edits)


class ContractGuard:
    """`check_contract` for many candidates of one window, whose texts are read once."""

    def __init__(self, baseline: Actions, samples: Sequence[Sample], limits: GuardLimits | None = None) -> None:
        self._baseline, self._traffic, self._limits = baseline, Traffic.of(samples), limits or GuardLimits()

    def check(
        self, candidate: Actions, edits: Sequence[Edit] | None = None, question: Question = "better"
    ) -> tuple[GuardFinding, ...]:
        """As `check_contract`; of a candidate that has to be shown to cost less (`not_worse`) no cost is estimated."""
        given = None if edits is None else tuple(edits)
        limits = self._limits if question == "better" else self._limits.without_cost
        case = GuardInput(candidate, self._baseline, self._traffic, limits, given)
        return tuple(finding for rule in RULES if (finding := _gravest(rule(case))))


def _gravest(findings: Findings) -> GuardFinding | None:
    """The first that stops, else the first."""
    first = None
    for finding in findings:
        if finding.action == "stop":
            return finding
        first = first or finding
    return first
