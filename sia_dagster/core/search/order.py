"""The order of several strategies: those that gained most for an answer so far come first."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from sia_dagster.core.records.search import StrategyRun

Strategy = TypeVar("Strategy")


def in_order_of_gain(
    strategies: Mapping[str, Strategy], earlier: Iterable[Sequence[StrategyRun]]
) -> dict[str, Strategy]:
    """The strategies by their gain an answer in earlier windows; those that have not run yet come first, as listed.

    A gain is that of the strategy's races on selection. A window that was not validated is not among `earlier`.
    """
    answers: dict[str, int] = {}
    gains: dict[str, float] = {}
    for run in (run for runs in earlier for run in runs):
        answers[run.strategy] = answers.get(run.strategy, 0) + run.total
        gains[run.strategy] = gains.get(run.strategy, 0.0) + (run.gain or 0.0)
    untried = [name for name in strategies if not answers.get(name)]
    tried = sorted((name for name in strategies if answers.get(name)), key=lambda name: -gains[name] / answers[name])
    return {name: strategies[name] for name in (*untried, *tried)}
