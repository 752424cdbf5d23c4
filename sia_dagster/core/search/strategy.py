"""What a search strategy is, and the table of those that the package brings."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search.cheaper_model import CheaperModel
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.edits import Edits
from sia_dagster.core.search.few_shot import FewShot
from sia_dagster.core.search.rewrite import Rewrite


class SearchStrategy(Protocol):
    """Finds a better policy, with nothing but what the desk offers."""

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """Candidates, the best first; `status` is `not_chosen`, or `unusable` for what is only to be reported.

        Each is checked by the guard, and compared on the selection split unless `desk.race` has done so already. What
        was offered (`desk.offer`) counts where the search ends early: the cap is reached, or the strategy raises.
        """


STRATEGIES: dict[str, Callable[[], SearchStrategy]] = {
    "edits": Edits,
    "few_shot": FewShot,
    "model": CheaperModel,
    "rewrite": Rewrite,
}
"""By name, as in `policy.updater`. `gepa` is an adapter, which `wiring` adds."""
NEED_FAILURES = frozenset({"edits", "few_shot", "rewrite", "gepa"})
"""Strategies that learn from scores below the best: without any they are not asked."""
