"""The contract guard: what a candidate must keep and must not hold, checked before its replay is paid for.

A candidate that breaks a rule is rejected, never repaired: what came with the fault may be worse than the fault.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sia_dagster.core.guard._addresses import holds_no_address
from sia_dagster.core.guard._copying import copies_no_sample, follows_no_trace
from sia_dagster.core.guard._format_and_tools import keeps_form, keeps_tools
from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._hidden import holds_nothing_hidden
from sia_dagster.core.guard._length import keeps_cost, keeps_length
from sia_dagster.core.guard._limits import GuardLimits
from sia_dagster.core.guard._names import repeats_no_capitals, repeats_no_name
from sia_dagster.core.guard._numbers import repeats_no_code, repeats_no_number
from sia_dagster.core.guard._orders import holds_no_order
from sia_dagster.core.guard._personal import holds_no_personal_detail
from sia_dagster.core.guard._protected import keeps_protected, missing_passages
from sia_dagster.core.guard._secrets import holds_no_secret
from sia_dagster.core.guard._text_between_slots import keeps_text_between_slots
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.guard._variables import keeps_variables
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample

__all__ = ["GuardLimits", "check_contract", "keeps_variables", "missing_passages"]


def _keeps_variables(case: GuardInput) -> str | None:
    return keeps_variables(case.candidate, case.baseline, case.traffic)


RULES: Final[tuple[Callable[[GuardInput], str | None], ...]] = (
    _keeps_variables,
    keeps_text_between_slots,
    keeps_form,
    keeps_tools,
    keeps_protected,
    keeps_length,
    keeps_cost,
    copies_no_sample,
    follows_no_trace,
    repeats_no_number,
    repeats_no_code,
    repeats_no_name,
    repeats_no_capitals,
    holds_no_personal_detail,
    holds_no_secret,
    holds_no_address,
    holds_no_order,
    holds_nothing_hidden,
)


def check_contract(
    candidate: Actions, baseline: Actions, samples: Sequence[Sample], *, limits: GuardLimits | None = None
) -> tuple[str, ...]:
    """Why `candidate` may not be tried, one sentence a broken rule; empty when it keeps the contract.

    Each sentence names what the policy in force lost, or what is new, with the sample that holds it and its author
    there, or that no sample does. `samples` are those whose text the updater saw, or more: none of it may stand in the
    candidate. Text that is already in the baseline is never held against a candidate.
    """
    case = GuardInput(candidate, baseline, Traffic.of(samples), limits or GuardLimits())
    return tuple(reason for rule in RULES if (reason := rule(case)))
