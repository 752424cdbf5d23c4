"""Conversations of one user, and conversations that ask the same, are one piece of evidence."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.records.sample import Message, Sample, split_of
from sia_dagster.core.traffic.groups import Grouped, group_conversations
from sia_dagster_tests.worlds.sample_rows import sample_to_row

WORDS = (
    "ash", "beech", "cedar", "elm", "fir", "larch", "maple", "oak", "pine", "rowan",
    "spruce", "yew", "alder", "aspen", "birch", "hazel", "lime", "plane", "poplar", "willow",
)  # fmt: skip


def said(session: str, request: str, user: str = "", turn: int = 0) -> Sample:
    return Sample(
        span_id=f"{session}-{turn}",
        trace_id=f"trace-{session}-{turn}",
        conversation_id=session,
        user_id=user,
        start_time=datetime(2026, 11, 9, tzinfo=UTC),
        split="holdout",
        messages=(Message(role="user", content=request),),
        output="ok",
    )


def strangers(count: int) -> list[Sample]:
    return [said(f"z{number:02}", f"About {WORDS[number % 20]} and {WORDS[number // 20]}") for number in range(count)]


def groups_of(found: Grouped) -> set[frozenset[str]]:
    """The groups with several conversations."""
    members: dict[str, set[str]] = {}
    for sample in found.samples:
        members.setdefault(found.grouping.unit(sample.conversation_id), set()).add(sample.conversation_id)
    assert len(members) == found.grouping.groups
    assert sum(map(len, members.values())) == found.grouping.conversations
    return {frozenset(held) for held in members.values() if len(held) > 1}


def test_users_and_requests_join_conversations_transitively() -> None:
    joined = [
        said("a", "Where is my parcel?", "ada"),
        said("b", "Cancel it", "ada"),
        said("c", "cancel it!", "bob"),
        said("d", "Something else", "bob"),
        said("e", "Something else"),
        said("f", "Nobody asks this", "eve"),
    ]
    found = group_conversations([*joined, *strangers(8)])
    assert groups_of(found) == {frozenset("abcde")}
    assert (found.grouping.conversations, found.grouping.groups, found.grouping.left_out) == (14, 10, 0)
    assert found.grouping.group_of == dict.fromkeys("bcde", "a"), "the group is named after its smallest id"
    assert found.grouping.note == ""


def test_turns_of_a_session_are_one_conversation_and_a_stranger_is_a_group_of_its_own() -> None:
    found = group_conversations([said("a", "One", "ada"), said("a", "Two", "ada", 1), said("b", "Three")])
    assert (found.grouping.conversations, found.grouping.groups, found.grouping.group_of) == (2, 2, {})


@pytest.mark.parametrize("shared", ["user", "request"])
def test_what_nearly_all_conversations_share_does_not_group_them_and_is_said(shared: str) -> None:
    def one(number: int) -> Sample:
        common = number < 11
        request = "Hello" if common and shared == "request" else f"About {WORDS[number]}"
        return said(f"s{number:02}", request, "service" if common and shared == "user" else f"user {number}")

    found = group_conversations([one(number) for number in range(12)])
    what = "user id" if shared == "user" else "request"
    assert found.grouping.note == f"one {what} has 11 of 12 conversations, so it does not group them"
    assert (found.grouping.groups, found.grouping.left_out) == (12, 0)
    assert found.grouping.resembling == {f"s{number:02}": "s00" for number in range(1, 11)}


def test_a_user_with_most_conversations_is_one_group_and_that_is_said() -> None:
    found = group_conversations([*(said(f"a{n}", f"About {WORDS[n]}", "ada") for n in range(8)), *strangers(20)[-6:]])
    assert (found.grouping.conversations, found.grouping.groups) == (14, 7)
    assert found.grouping.note == "8 of 14 conversations are one group, which counts once"


def test_an_id_that_stands_for_nobody_links_none() -> None:
    names = ("anonymous", "Guest", "NULL", "unknown")
    found = group_conversations([said(f"a{n}", f"About {WORDS[n]}", names[n % 4]) for n in range(20)])
    assert (found.grouping.groups, found.grouping.note) == (20, "")
    rows = [sample_to_row(said(f"c{n}", "Hello", "anonymous" if n % 2 else "")) for n in range(40)]
    assert {sample.split for sample in samples_from_rows(rows).samples} == {"train", "selection", "holdout"}


def test_numbers_do_not_make_a_request_another_one() -> None:
    """Not even where more than half of the traffic asks it: a robot's requests are one piece of evidence."""
    for robots in (20, 51, 60, 80):
        asked = [said(f"r{n:02}", f"process invoice {n}", f"robot {n}") for n in range(robots)]
        found = group_conversations([*asked, *strangers(100 - robots)])
        assert (found.grouping.groups, found.grouping.left_out) == (101 - robots, 0)


TEMPLATE = (
    "Please write a friendly and short reply to this customer in our usual tone, mention the refund policy of the "
    "shop, thank them for their patience, and do not promise any date: "
)


def test_pasted_templates_with_other_words_in_them_are_one_request() -> None:
    pasted = [said(f"p{n:02}", f"{TEMPLATE}{WORDS[n]} {WORDS[19 - n]}") for n in range(10)]
    other = said("q", "Please write a long and formal letter to this supplier, and mention the price list of last year")
    found = group_conversations([*pasted, other, *strangers(20)])
    assert groups_of(found) == {frozenset(s.conversation_id for s in pasted)}


def test_other_documents_pictures_and_prompts_make_another_request() -> None:
    def told(number: int, **fields: object) -> Sample:
        return said(f"p{number:02}", TEMPLATE).model_copy(update=fields)

    words = [" ".join(f"{WORDS[(n + k) % 20]}{chr(97 + n)}" for k in range(40)) for n in range(12)]
    for other in (
        [told(n, variables={"document": text}, template="{document}") for n, text in enumerate(words)],
        [told(n, system_prompt=text) for n, text in enumerate(words)],
        [
            told(n, messages=(Message(role="user", content=TEMPLATE, parts=({"type": "image_url", "n": n},)),))
            for n in range(12)
        ],
    ):
        assert group_conversations([*other, *strangers(20)]).grouping.groups == 32


def test_what_is_said_later_and_what_is_empty_links_nobody() -> None:
    thanked = [
        turn
        for n in range(12)
        for turn in (said(f"s{n:02}", f"About {WORDS[n]}"), said(f"s{n:02}", "Thanks!", turn=1), said(f"e{n:02}", " "))
    ]
    assert group_conversations(thanked).grouping.group_of == {}


def test_a_users_id_in_another_writing_is_the_same_user() -> None:
    ids = ("Bob@x.com", "bob@x.com ", "\tBOB@X.COM", "Zoe\u0301", "zo\u00e9")
    found = group_conversations(
        [*(said(f"s{n}", f"About {WORDS[n]}", name) for n, name in enumerate(ids)), *strangers(9)]
    )
    assert groups_of(found) == {frozenset(("s0", "s1", "s2")), frozenset(("s3", "s4"))}
    nobody = (" ", "0000-0000", "-", "NaN", "n.a.", "Anonymous_User", "(not set)")
    blank = [said(f"b{n}", f"About {WORDS[n]}", name) for n, name in enumerate(nobody)]
    assert group_conversations([*blank, *strangers(60)[30:]]).grouping.group_of == {}


def test_requests_that_would_chain_most_conversations_leave_their_repeats_out() -> None:
    """Each of ten users asks two things of their own, and in a third conversation what the user before asked."""
    own = [said(f"{user}-{n}", f"About {WORDS[user + 10 * n]}", f"user {user}") for user in range(10) for n in (0, 1)]
    repeated = [said(f"{user}-2", f"About {WORDS[user - 1]}", f"user {user}") for user in range(10)]
    found = group_conversations([*own, *repeated], order=lambda name: name[::-1])
    assert groups_of(found) == {frozenset({f"{user}-0", f"{user}-1"}) for user in range(10)}
    assert [sample.span_id for sample in found.samples] == [sample.span_id for sample in own]
    assert (found.grouping.conversations, found.grouping.groups, found.grouping.left_out) == (20, 10, 10)
    assert found.grouping.stands_for == {**{f"{user}-0": 1 for user in range(9)}, "9-1": 1}
    assert "would chain most conversations into one group, so 10 conversations that repeat" in found.grouping.note


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_groups_do_not_depend_on_the_order_of_samples(links: list[tuple[int, int]], shuffle: object) -> None:
    samples = [
        said(f"s{place}", f"About {WORDS[request]}", f"user {user}" if user else "")
        for place, (user, request) in enumerate(links)
    ]
    shuffled = list(samples)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = group_conversations(samples), group_conversations(shuffled)
    assert one.grouping == other.grouping
    assert {s.span_id for s in one.samples} == {s.span_id for s in other.samples}
    assert _independent(one.samples, one) or one.grouping.note


def _independent(samples: Sequence[Sample], found: Grouped) -> bool:
    """Whether no user and no request is in two groups."""
    held: dict[str, set[str]] = {}
    for sample in samples:
        unit = found.grouping.unit(sample.conversation_id)
        for name in filter(None, (sample.user_id, f"asks {sample.messages[0].content}")):
            held.setdefault(name, set()).add(unit)
    return all(len(units) == 1 for units in held.values())


def test_all_conversations_of_a_user_are_of_one_split_in_every_window() -> None:
    rows = [sample_to_row(said(f"c{n}", "Hello", f"u{n % 4}")) for n in range(40)]
    for part in (rows, rows[:7], rows[25:]):
        for sample in samples_from_rows(part).samples:
            assert sample.split == split_of(sample.user_id), "not of its session"


def test_a_conversation_is_of_one_split_and_one_user_where_some_of_its_calls_name_none_or_another() -> None:
    turns = [
        said(f"c{n:02}", f"About {WORDS[n % 20]} {n}", name, turn)
        for n in range(30)
        for turn, name in enumerate(("", f"user {n}", f"guest of {n}"))
    ]
    samples = samples_from_rows(map(sample_to_row, turns)).samples
    for n in range(30):
        own = {sample.split for sample in samples if sample.conversation_id == f"c{n:02}"}
        assert own == {split_of(f"user {n}")}


@pytest.mark.parametrize("sessions", [True, False])
def test_a_user_id_that_everybody_has_decides_no_split(sessions: bool) -> None:
    everybody = [said(f"c{number}", f"About {WORDS[number % 20]}", "svc-1") for number in range(60)]
    named = everybody if sessions else [s.model_copy(update={"conversation_id": "svc-1"}) for s in everybody]
    samples = samples_from_rows(map(sample_to_row, named)).samples
    assert {sample.split for sample in samples} == {"train", "selection", "holdout"}
    assert len({sample.conversation_id for sample in samples}) == 60
    assert all(sample.split == split_of(sample.conversation_id) for sample in samples)
    assert "one user id has 60 of 60 conversations" in group_conversations(samples).grouping.note
