"""A conversation has one side for ever, and no request is met again on a stronger one."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.models import Message, Sample, Split
from sia_dagster.core.splits import request_key, set_near_duplicates_aside, split_of

SPLITS: tuple[Split, ...] = ("train", "selection", "holdout")


def asked(span_id: str, request: str, split: Split, *, system: str = "Be brief.") -> Sample:
    messages = (Message(role="user", content=request),) if request else ()
    return Sample(
        span_id=span_id,
        trace_id=span_id,
        conversation_id=span_id,
        start_time=datetime(2026, 11, 9, tzinfo=UTC),
        split=split,
        system_prompt=system,
        messages=messages,
        output="ok",
    )


@pytest.mark.parametrize(
    ("conversation", "side"),
    [
        ("session-1", "holdout"),
        ("session-2", "selection"),
        ("session-3", "holdout"),
        ("user-42", "selection"),
        ("", "holdout"),
        ("48adf8d7e179bdcc4479ccad5f39096f", "holdout"),
    ],
)
def test_the_side_of_a_conversation_never_changes(conversation: str, side: Split) -> None:
    assert split_of(conversation) == side


def test_the_shares_are_three_two_and_five_tenths() -> None:
    counts = Counter(split_of(f"conversation-{number}") for number in range(20_000))
    assert counts["train"] == pytest.approx(6_000, abs=250)
    assert counts["selection"] == pytest.approx(4_000, abs=250)
    assert counts["holdout"] == pytest.approx(10_000, abs=250)


@given(st.text(st.characters(codec=None)))
def test_any_text_has_a_side(conversation: str) -> None:
    assert split_of(conversation) in SPLITS


def test_case_digits_and_white_space_make_no_new_request() -> None:
    first = asked("a", "Where is  order 1234?\n", "train")
    assert request_key(first) == request_key(asked("b", "where is order 99?", "holdout", system="Other."))
    assert request_key(first) != request_key(asked("c", "Where is my order?", "holdout"))


def test_the_system_prompt_stands_in_where_there_is_no_chat() -> None:
    assert request_key(asked("a", "", "train", system="Translate cat")) != request_key(
        asked("b", "", "train", system="Translate dog")
    )


def test_the_holdout_keeps_its_samples_and_train_gives_way() -> None:
    samples = [
        asked("a", "order 1", "train"),
        asked("b", "Order 2", "holdout"),
        asked("c", "order 3", "selection"),
        asked("d", "refund", "train"),
        asked("e", "Refund", "train"),
    ]
    kept, left = set_near_duplicates_aside(samples)
    assert [s.span_id for s in kept] == ["b", "d", "e"]
    assert left == 2


SAMPLES = st.lists(
    st.builds(
        asked,
        st.integers(0, 10**6).map(str),
        st.sampled_from(["order 1", "ORDER 22", "refund", "Refund ", "hello", "bye"]),
        st.sampled_from(SPLITS),
    ),
    max_size=30,
)


@given(SAMPLES)
def test_no_request_stands_in_two_splits_and_nothing_else_changes(samples: list[Sample]) -> None:
    kept, left = set_near_duplicates_aside(samples)
    sides: dict[str, set[Split]] = {}
    for sample in kept:
        sides.setdefault(request_key(sample), set()).add(sample.split)
    assert all(len(found) == 1 for found in sides.values())
    assert len(kept) + left == len(samples)
    assert {request_key(s) for s in kept} == {request_key(s) for s in samples}
    assert [s for s in samples if s in kept] == list(kept)
    assert [s for s in samples if s.split == "holdout"] == [s for s in kept if s.split == "holdout"]


@given(SAMPLES)
def test_setting_aside_again_changes_nothing(samples: list[Sample]) -> None:
    kept, _ = set_near_duplicates_aside(samples)
    assert set_near_duplicates_aside(kept) == (kept, 0)
