"""The contract guard: what a candidate must keep, and must not hold, before anything is paid for its replay.

A candidate that breaks a rule is rejected, never repaired: what came with the fault may be worse than the fault.
"""

from collections.abc import Sequence

from sia_dagster.core.guard._contract import keeps_form, keeps_length, keeps_tools
from sia_dagster.core.guard._copying import copies_no_sample
from sia_dagster.core.guard._details import repeats_no_capitals, repeats_no_name, repeats_no_number
from sia_dagster.core.guard._islands import keeps_islands
from sia_dagster.core.guard._leaks import holds_no_address, holds_no_personal_detail, holds_no_secret
from sia_dagster.core.guard._orders import holds_no_order
from sia_dagster.core.guard._variables import keeps_variables
from sia_dagster.core.models import Actions, Sample

__all__ = ["check_contract", "keeps_variables"]


def check_contract(
    candidate: Actions, baseline: Actions, samples: Sequence[Sample], *, max_prompt_tokens: int
) -> tuple[str, ...]:
    """Why `candidate` may not be tried, one sentence a broken rule; empty when it keeps the contract.

    `samples` are those whose text the updater saw, or more: none of it may stand in the candidate. Text that is
    already in the baseline is never held against a candidate.
    """
    reasons = (
        keeps_variables(candidate, baseline),
        keeps_islands(candidate, baseline),
        keeps_form(candidate, baseline),
        keeps_tools(candidate, baseline),
        keeps_length(candidate, baseline, max_prompt_tokens),
        copies_no_sample(candidate, baseline, samples),
        repeats_no_number(candidate, baseline, samples),
        repeats_no_name(candidate, baseline, samples),
        repeats_no_capitals(candidate, baseline, samples),
        holds_no_personal_detail(candidate, baseline),
        holds_no_secret(candidate, baseline),
        holds_no_address(candidate, baseline),
        holds_no_order(candidate, baseline),
    )
    return tuple(reason for reason in reasons if reason)
