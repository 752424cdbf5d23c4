"""A holdout is filled from earlier windows without a second look, a leak, or another mix of traffic."""

from collections.abc import Iterator, Sequence
from math import fsum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.gate.pooling import DRIFT_LIMIT, HEAVIEST, drift, drift_by_chance, pool, weights_of
from sia_dagster.core.gate.trial import Trial
from sia_dagster.core.records.gate import HeldOut
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster_tests.worlds.evaluation_samples import sample
from sia_dagster_tests.worlds.search_world import BASELINE, state

WORDS = "abcdefghij"


def spelled(number: int) -> str:
    """A number in letters, since digits are folded where near-duplicates are looked for."""
    return "".join(WORDS[int(digit)] for digit in str(number))


def held(window: str, number: int, **fields: Any) -> Sample:
    name = f"{window}-{number:03}"
    given: dict[str, Any] = {
        "span_id": name,
        "conversation_id": name,
        "split": "holdout",
        "messages": (Message(role="user", content=f"Where is my parcel {window} {spelled(number)}?"),),
    }
    return sample(**{**given, **fields})


def week(window: str, count: int, *, start: int = 0, **fields: Any) -> list[Sample]:
    return [held(window, start + number, **fields) for number in range(count)]


def windows_of(found: HeldOut) -> list[str]:
    """The window of every sample, in order; empty for the own one."""
    return [found.windows.get(sample.span_id, "") for sample in found.samples]


def test_all_own_conversations_come_first_then_the_newest_window_s() -> None:
    found = pool(week("own", 30), [("b", week("b", 20)), ("a", week("a", 20))], (), limit=60)
    assert windows_of(found) == [""] * 30 + ["b"] * 20 + ["a"] * 10
    assert [(window.window, window.conversations, window.used) for window in found.pooled] == [
        ("b", 20, 20),
        ("a", 20, 10),
    ]
    assert [window.reason for window in found.pooled] == ["", "the limit of conversations is reached"]
    assert weights_in(found) == {}, "one kind of traffic needs no weights"


def test_a_large_window_needs_no_other_and_reads_none() -> None:
    earlier = iter([("b", week("b", 10))])
    found = pool(week("own", 70), earlier, (), limit=60)
    assert len(found.samples) == 70
    assert found.pooled == ()
    assert [key for key, _ in earlier] == ["b"], "it was not asked for"


def test_no_more_windows_are_read_than_needed() -> None:
    asked: list[str] = []

    def earlier() -> Iterator[tuple[str, Sequence[Sample]]]:
        for name in "dcba":
            asked.append(name)
            yield name, week(name, 10)

    pool(week("own", 10), earlier(), (), limit=30)
    assert asked == ["d", "c"]


def test_the_order_is_that_of_a_hash_and_not_of_time() -> None:
    samples = week("own", 40)
    found = pool(samples, (), (), limit=60)
    assert found.samples != tuple(samples)
    assert pool(samples[::-1], (), (), limit=60) == found
    first_half = {int(s.span_id[-3:]) < 20 for s in found.samples[:20]}
    assert first_half == {True, False}


def test_without_earlier_windows_the_order_is_that_of_a_trial_of_the_window_alone() -> None:
    alone = state(holdout=30)
    update = PolicyUpdate(loop=alone.loop, window=alone.window, baseline=BASELINE, candidate=BASELINE)
    own = alone.of("holdout")
    assert pool(own, (), alone.of("train"), limit=60) == Trial(state=alone, update=update).holdout


def test_samples_of_a_conversation_stay_together_and_in_order() -> None:
    turns = [held("own", n, conversation_id=f"c{n % 7}") for n in range(21)]
    found = pool(turns, (), (), limit=60).samples
    order = list(dict.fromkeys(s.conversation_id for s in found))
    assert [s.conversation_id for s in found] == [name for name in order for _ in range(3)]
    for name in order:
        ids = [s.span_id for s in found if s.conversation_id == name]
        assert ids == sorted(ids)


def test_a_conversation_that_goes_on_over_windows_counts_where_it_is_newest() -> None:
    own = [held("own", 1, conversation_id="long"), *week("own", 10, start=2)]
    middle = [held("b", 1, conversation_id="long"), held("b", 2, conversation_id="older"), *week("b", 8, start=3)]
    oldest = [held("a", 1, conversation_id="long"), held("a", 2, conversation_id="older"), *week("a", 8, start=3)]
    found = pool(own, [("b", middle), ("a", oldest)], (), limit=100)
    places = {s.span_id: s.conversation_id for s in found.samples}
    assert [name for name, conversation in places.items() if conversation == "long"] == ["own-001"]
    assert [name for name, conversation in places.items() if conversation == "older"] == ["b-002"]
    assert [window.conversations for window in found.pooled] == [9, 8]


def test_what_was_learned_from_is_never_asked_again() -> None:
    learned = [held("own", n, split="train") for n in range(5)]
    repeated = [
        held("b", n, messages=(Message(role="user", content=f"where is my parcel OWN {spelled(n)}!"),))
        for n in range(5)
    ]
    turn = held("b", 100, conversation_id=repeated[0].conversation_id)
    found = pool(week("own", 20, start=50), [("b", [*repeated, turn, *week("b", 10, start=10)])], learned, limit=100)
    assert {s.span_id for s in found.samples if s.span_id in found.windows} == {f"b-{n:03}" for n in range(10, 20)}
    assert found.pooled[0].conversations == 10


def test_an_earlier_turn_of_what_was_learned_from_is_never_asked() -> None:
    """Without sessions every turn is a conversation of its own: the later one shows what the earlier one asked."""
    asked, more = (Message(role="user", content=text) for text in ("Where is my parcel ab?", "And when will it come?"))
    answer = Message(role="assistant", content="On its way.")
    first = held("b", 0, trace_id="b-000", messages=(asked,), output="On its way.")
    later = held("own", 900, trace_id="own-900", split="train", messages=(asked, answer, more))
    found = pool(week("own", 20), [("b", [first, *week("b", 10, start=1)])], [later], limit=100)
    assert found.pooled[0].used == 10
    assert first.span_id not in found.windows


def weights_in(found: HeldOut) -> dict[str, float]:
    return weights_of(found, {found.unit(s) for s in found.samples})


def test_a_span_that_stands_in_two_windows_counts_in_the_newer_one() -> None:
    own = week("own", 10)
    twin = held("own", 3, conversation_id="elsewhere")
    found = pool(own, [("b", [twin, *week("b", 10)])], (), limit=100)
    assert [s.span_id for s in found.samples].count(twin.span_id) == 1
    assert twin.span_id not in found.windows


def test_the_first_half_weighs_as_this_window_s_mix_too() -> None:
    own = [*week("own", 40, tags=("sales",)), *week("own", 40, start=100, tags=("billing",))]
    earlier = [*week("a", 20, tags=("sales",)), *week("a", 60, start=100, tags=("billing",))]
    found = pool(own, [("a", earlier)], (), limit=160)
    assert weights_in(found)
    assert weights_of(found, {s.conversation_id for s in found.samples[:80]}) == {}, "the half is the window's own"
    more = pool(own[:50], [("a", earlier)], own[50:], limit=130)
    half = more.samples[:65]
    found_weights = weights_of(more, {s.conversation_id for s in half})
    weights = {s.conversation_id: found_weights[s.conversation_id] for s in half}
    sales = fsum(weights[s.conversation_id] for s in half if s.tags == ("sales",))
    assert sales / fsum(weights.values()) == pytest.approx(0.5)
    assert fsum(weights.values()) == pytest.approx(65)


def test_a_window_whose_mix_is_another_is_left_out_and_named() -> None:
    own = [*week("own", 60, tags=("sales",)), *week("own", 60, start=100, tags=("billing",))]
    other = week("b", 40, tags=("sales",))
    like = [*week("a", 20, tags=("sales",)), *week("a", 20, start=100, tags=("billing",))]
    found = pool(own, [("b", other), ("a", like)], (), limit=200)
    far, near = found.pooled
    assert (far.used, far.drift, near.used, near.drift) == (0, 0.5, 40, 0.0)
    assert far.reason.startswith("its mix of traffic differs too much (0.50 away; up to 0.3")
    assert set(windows_of(found)) == {"", "a"}


def test_small_windows_are_not_left_out_for_what_chance_explains() -> None:
    assert drift_by_chance({"a": 1.0}, 50, 50) == 0
    assert drift_by_chance({"a": 0.5, "b": 0.5}, 10, 10) > drift_by_chance({"a": 0.5, "b": 0.5}, 100, 100)
    own = [*week("own", 6, tags=("sales",)), *week("own", 6, start=100, tags=("billing",))]
    tilted = [*week("a", 10, tags=("sales",)), *week("a", 2, start=100, tags=("billing",))]
    assert pool(own, [("a", tilted)], (), limit=200).pooled[0].used == 12


def test_the_distance_that_chance_explains_is_what_it_does() -> None:
    generator, shares, n, m = np.random.default_rng(7), np.array([0.5, 0.3, 0.2]), 60, 90
    ours, theirs = (generator.multinomial(size, shares, 4000) / size for size in (n, m))
    measured = np.abs(ours - theirs).sum(axis=1).mean() / 2
    assert drift_by_chance(dict(zip("abc", shares, strict=True)), n, m) == pytest.approx(measured, rel=0.03)


def test_the_pool_weighs_as_this_window_s_own_mix() -> None:
    own = [*week("own", 40, tags=("sales",)), *week("own", 10, start=100, tags=("billing",))]
    seen = [
        *week("own", 40, start=200, tags=("sales",), split="train"),
        *week("own", 10, start=300, tags=("billing",), split="train"),
    ]
    earlier = [*week("a", 30, tags=("sales",)), *week("a", 20, start=100, tags=("billing",))]
    found = pool(own, [("a", earlier)], seen, limit=100)
    billing = {s.conversation_id for s in found.samples if s.tags == ("billing",)}
    weights = {s.conversation_id: weights_in(found)[s.conversation_id] for s in found.samples}
    assert fsum(weights[name] for name in billing) / fsum(weights.values()) == pytest.approx(0.2)
    assert fsum(weights.values()) == pytest.approx(100)


def test_what_only_this_window_s_learners_saw_is_part_of_its_mix() -> None:
    own, seen = week("own", 30, tags=("sales",)), week("own", 30, start=100, tags=("billing",), split="train")
    earlier = [*week("a", 30, tags=("sales",)), *week("a", 30, start=100, tags=("billing",))]
    found = pool(own, [("a", earlier)], seen, limit=200)
    assert found.pooled[0].drift == 0
    (weight,) = {weights_in(found)[s.conversation_id] for s in found.samples if s.tags == ("billing",)}
    assert weight == pytest.approx(1.5)


def test_no_conversation_weighs_more_than_the_cap_allows() -> None:
    own = [*week("own", 90, tags=("sales",)), *week("own", 10, start=200, tags=("billing",))]
    earlier = [*week("a", 70, tags=("sales",)), *week("a", 30, start=200, tags=("refund",))]
    found = pool(own, [("a", earlier)], (), limit=300)
    weights = {s.tags: weights_in(found)[s.conversation_id] for s in found.samples}
    assert max(weights.values()) / min(weights.values()) <= HEAVIEST**2
    assert weights["refund",] == pytest.approx(weights["sales",] / HEAVIEST * 16 / 18), "capped, not taken out"


def test_without_tags_kinds_are_language_tools_and_length() -> None:
    german = "Wo ist mein Paket, das am Freitag hier sein sollte"
    own = week("own", 60)
    earlier = [held("a", n, messages=(Message(role="user", content=f"{german} {spelled(n)}?"),)) for n in range(60)]
    assert pool(own, [("a", earlier)], (), limit=300).pooled[0].drift == 1.0
    tool: dict[str, Any] = {"type": "function", "function": {"name": "look_up"}}
    assert pool(own, [("a", week("a", 60, tools=(tool,)))], (), limit=300).pooled[0].drift == 1.0
    wordy = [
        held("a", n, messages=(Message(role="user", content="My parcel! " * 100 + spelled(n)),)) for n in range(60)
    ]
    assert pool(own, [("a", wordy)], (), limit=300).pooled[0].drift == 1.0


def test_tags_of_single_calls_tell_no_kinds_apart() -> None:
    own, earlier = ([held(w, n, tags=(f"request {w} {n}",)) for n in range(50)] for w in ("own", "a"))
    found = pool(own, [("a", earlier)], (), limit=100)
    assert (found.pooled[0].drift, weights_in(found)) == (0.0, {})


def test_a_conversation_is_of_the_kind_of_most_of_its_samples() -> None:
    turns = [held("own", n, conversation_id=f"c{n // 3}", tags=("a",) if n % 3 else ("b",)) for n in range(60)]
    assert pool(turns, [("a", week("a", 20, tags=("a",)))], (), limit=40).pooled[0].drift == 0


def test_windows_that_give_nothing_are_named() -> None:
    assert pool(week("own", 9), [("a", ())], (), limit=99).pooled[0].reason == (
        "none of its held-out conversations can be used"
    )
    nothing_own = pool((), [("a", week("a", 9))], (), limit=99)
    assert nothing_own.pooled[0].reason == "this window has no traffic of its own"
    assert nothing_own.samples == ()


MIXES = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1).map(
    lambda counts: {kind: count / sum(counts.values()) for kind, count in counts.items()}
)


@given(MIXES, MIXES)
def test_the_distance_of_mixes_is_one(one: dict[str, float], other: dict[str, float]) -> None:
    assert drift(one, one) == 0
    assert drift(one, other) == drift(other, one)
    assert -1e-12 <= drift(one, other) <= 1 + 1e-12
    assert 0 <= drift_by_chance(one, 20, 30) < 1


TAGS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=5, max_size=25)


@given(own=TAGS, earlier=st.lists(TAGS, max_size=3), limit=st.integers(1, 60))
def test_the_pool_is_bounded_weighs_one_on_average_and_is_the_same_again(
    own: list[str], earlier: list[list[str]], limit: int
) -> None:
    def tagged(name: str, tags: list[str]) -> list[Sample]:
        return [held(name, n, tags=(tag,)) for n, tag in enumerate(tags)]

    ours = tagged("own", own)
    weeks = [(f"w{n}", tagged(f"w{n}", tags)) for n, tags in enumerate(earlier)]
    found = pool(ours, weeks, (), limit=limit)
    assert found == pool(ours[::-1], [(key, samples[::-1]) for key, samples in weeks], (), limit=limit)
    assert len(found.samples) <= max(limit, len(own))
    assert {s.span_id for s in ours} <= {s.span_id for s in found.samples}
    assert sum(window.used for window in found.pooled) == len(found.windows)
    weights = [weights_in(found).get(s.conversation_id, 1.0) for s in found.samples]
    assert fsum(weights) == pytest.approx(len(weights))
    assert max(weights) <= HEAVIEST**2 * min(weights) + 1e-9
    assert all(window.used == 0 or (window.drift or 0.0) <= DRIFT_LIMIT + 1 for window in found.pooled)
