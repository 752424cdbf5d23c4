"""Search: strategies find candidates at a desk that keeps them to the rules; the best one goes on to validation.

One strategy a file or folder, named in `STRATEGIES`. No strategy sees the holdout; the verdict is in `gate`.
"""

from sia_dagster.core.search.carried import Undecided, carried_candidate, carry_on, search_after_carried
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.guard_model import ask_guard_model, guard_prompt
from sia_dagster.core.search.metering import MeteredChat
from sia_dagster.core.search.order import in_order_of_gain
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.search.search_policy import search_policy
from sia_dagster.core.search.search_work import SearchWork
from sia_dagster.core.search.strategy import STRATEGIES, SearchStrategy
from sia_dagster.core.search.too_noisy import NOISE_WINDOWS, PlannedValidation, too_noisy_to_search

__all__ = [
    "NOISE_WINDOWS",
    "STRATEGIES",
    "Desk",
    "MeteredChat",
    "PlannedValidation",
    "SearchRules",
    "SearchStrategy",
    "SearchWork",
    "Undecided",
    "ask_guard_model",
    "carried_candidate",
    "carry_on",
    "guard_prompt",
    "in_order_of_gain",
    "search_after_carried",
    "search_policy",
    "too_noisy_to_search",
]
