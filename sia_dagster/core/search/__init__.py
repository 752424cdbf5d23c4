"""Search: candidates proposed, guarded and compared on the selection split; one strategy a file or folder.

No strategy sees the holdout; the verdict is in `gate`.
"""

from sia_dagster.core.search.carried import (
    Undecided,
    carried_candidate,
    carry_on,
    fingerprints_of,
    rejected_candidates,
    search_after_carried,
)
from sia_dagster.core.search.reflection.clusters import find_clusters
from sia_dagster.core.search.reflection.prompt import build_prompt, focuses
from sia_dagster.core.search.reflection.updater import ReflectionUpdater
from sia_dagster.core.search.search_policy import SearchRules, search_policy

__all__ = [
    "ReflectionUpdater",
    "SearchRules",
    "Undecided",
    "build_prompt",
    "carried_candidate",
    "carry_on",
    "find_clusters",
    "fingerprints_of",
    "focuses",
    "rejected_candidates",
    "search_after_carried",
    "search_policy",
]
