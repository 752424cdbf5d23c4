"""How many calls are in flight follows sustained 429s, and only those; it grows while answers stay as fast."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.rate_limits.adaptive import Adaptation

Attempt = float | str
"""The seconds of an answer, "429", or "500"."""


def observed(adaptation: Adaptation, attempts: Iterable[Attempt], *, wait: float = 0.0) -> list[float]:
    """The holds that attempts one after another ask for."""
    holds = []
    for attempt in attempts:
        slot = adaptation.slot()
        slot.limited, slot.wait = attempt == "429", wait if attempt == "429" else 0.0
        slot.seconds = attempt if isinstance(attempt, float) else None
        holds.append(adaptation.observe(slot))
    return holds


def limit_after(most: int, attempts: Iterable[Attempt]) -> int:
    adaptation = Adaptation(most)
    observed(adaptation, attempts)
    return adaptation.limit


def test_a_run_begins_with_all_that_is_configured() -> None:
    assert Adaptation(100).limit == 100


def test_a_stray_429_changes_nothing() -> None:
    assert limit_after(32, [*[1.0] * 40, "429"] * 20) == 32
    assert limit_after(1, [*[1.0] * 9, "429"] * 20) == 1


def test_one_in_twenty_does_not_keep_the_limit_from_coming_back() -> None:
    adaptation = Adaptation(32)
    observed(adaptation, ["429"] * 8)
    observed(adaptation, [*[1.0] * 19, "429"] * 40)
    assert adaptation.limit == 32


def test_sustained_429s_halve_the_limit_down_to_one() -> None:
    assert limit_after(32, ["429"] * 8) == 16
    assert limit_after(32, ["429"] * 200) == 1


def test_other_failures_say_nothing_about_the_limit() -> None:
    adaptation = Adaptation(32)
    observed(adaptation, ["500"] * 200)
    assert adaptation.limit == 32
    observed(adaptation, ["429"] * 8)
    observed(adaptation, ["500"] * 200)
    assert adaptation.limit == 16


def test_the_limit_comes_back_by_an_eighth_at_a_time() -> None:
    adaptation = Adaptation(32)
    observed(adaptation, ["429"] * 8)
    limits = [adaptation.limit]
    while adaptation.limit < 32:
        observed(adaptation, [1.0])
        if adaptation.limit != limits[-1]:
            limits.append(adaptation.limit)
    assert limits == [16, 20, 24, 28, 32]


def test_it_does_not_grow_while_more_calls_only_wait_longer() -> None:
    """Twice the seconds at the higher limit: the endpoint queues, and 429s are what comes next."""
    adaptation = Adaptation(32)
    observed(adaptation, [1.0] * 32)
    observed(adaptation, ["429"] * 8)
    observed(adaptation, [2.0] * 16)
    assert adaptation.limit == 16
    observed(adaptation, [1.4] * 16)
    assert adaptation.limit == 20


def test_answers_that_stay_slower_become_the_measure() -> None:
    adaptation = Adaptation(32)
    observed(adaptation, [1.0] * 32)
    observed(adaptation, ["429"] * 8)
    observed(adaptation, [4.0] * 16 * 3)
    assert adaptation.limit == 16
    observed(adaptation, [4.0] * 32 * 8)
    assert adaptation.limit == 32


def test_a_few_slow_answers_do_not_stop_it() -> None:
    adaptation = Adaptation(32)
    observed(adaptation, [1.0] * 32)
    observed(adaptation, ["429"] * 8)
    observed(adaptation, [1.0, 1.0, 30.0, 1.0] * 4)
    assert adaptation.limit == 20


def test_only_a_halving_asks_for_a_hold_the_longest_that_was_told() -> None:
    adaptation = Adaptation(32)
    assert observed(adaptation, ["429"] * 7, wait=2.0) == [0.0] * 7
    assert observed(adaptation, ["429"], wait=7.0) == [7.0]
    assert observed(adaptation, ["429"] * 3, wait=9.0) == [0.0] * 3
    assert observed(adaptation, ["429"] * 1, wait=0.0) == [9.0]


def test_one_burst_is_one_piece_of_news() -> None:
    """All 32 in flight are refused at once: they began before the halving."""
    adaptation = Adaptation(32)
    in_flight = [adaptation.slot() for _ in range(32)]
    for slot in in_flight:
        slot.limited, slot.wait = True, 3.0
    assert [wait for slot in in_flight if (wait := adaptation.observe(slot))] == [3.0]
    assert adaptation.limit == 16


@given(st.integers(1, 64), st.lists(st.sampled_from([1.0, 2.0, "429", "500"]), max_size=300))
def test_the_limit_stays_between_one_and_the_configured_number(most: int, attempts: list[Attempt]) -> None:
    assert 1 <= limit_after(most, attempts) <= most
