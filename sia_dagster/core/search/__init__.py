"""Search: candidates proposed, guarded and compared on the selection split; one strategy a file or folder.

A strategy has its own public imports (`reflection`). No strategy sees the holdout; the verdict is in `gate`.
"""

from sia_dagster.core.search.carried import Undecided, carried_candidate, carry_on, search_after_carried
from sia_dagster.core.search.guard_model import ask_guard_model, guard_prompt
from sia_dagster.core.search.search_policy import SearchRules, search_policy
from sia_dagster.core.search.too_noisy import NOISE_WINDOWS, PlannedValidation, too_noisy_to_search

__all__ = [
    "NOISE_WINDOWS",
    "PlannedValidation",
    "SearchRules",
    "Undecided",
    "ask_guard_model",
    "carried_candidate",
    "carry_on",
    "guard_prompt",
    "search_after_carried",
    "search_policy",
    "too_noisy_to_search",
]
