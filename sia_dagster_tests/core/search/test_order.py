"""Several strategies run by what they have gained for an answer so far."""

from sia_dagster.core.records.search import StrategyRun
from sia_dagster.core.search import in_order_of_gain

LISTED = {"edits": 1, "few_shot": 2, "rewrite": 3, "gepa": 4}


def ran(strategy: str, calls: int, gain: float | None) -> StrategyRun:
    return StrategyRun(strategy=strategy, calls={"race": calls}, gain=gain)


def test_without_earlier_windows_the_order_is_the_listed_one() -> None:
    assert [*in_order_of_gain(LISTED, ())] == ["edits", "few_shot", "rewrite", "gepa"]


def test_the_gain_an_answer_decides_over_all_windows_and_a_new_strategy_has_its_turn() -> None:
    first = (ran("edits", 100, 0.1), ran("few_shot", 20, 0.1), ran("rewrite", 10, None))
    second = (ran("few_shot", 80, None), ran("edits", 100, 0.3))
    assert in_order_of_gain(LISTED, (first, second)) == {"gepa": 4, "edits": 1, "few_shot": 2, "rewrite": 3}
