"""A conversation has one side for ever, and no request is met again on a stronger one."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.sample import Message, Sample, Split, ToolCall, split_of
from sia_dagster.core.traffic.near_duplicates import request_keys, set_near_duplicates_aside

SPLITS: tuple[Split, ...] = ("train", "selection", "holdout")


def asked(span_id: str, request: str, split: Split, *, system: str = "Be brief.", **fields: Any) -> Sample:
    """A call that is a conversation of its own, as where no session is recorded."""
    values = {
        "span_id": span_id,
        "trace_id": span_id,
        "conversation_id": span_id,
        "start_time": datetime(2026, 11, 9, tzinfo=UTC),
        "split": split,
        "system_prompt": system,
        "messages": (Message(role="user", content=request),) if request else (),
        "output": "ok",
    }
    return Sample(**(values | fields))


def kept_of(samples: Sequence[Sample]) -> list[str]:
    kept, left = set_near_duplicates_aside(samples)
    assert len(kept) + left == len(samples)
    return [sample.span_id for sample in kept]


def same(*samples: Sample) -> bool:
    """Whether the requests count as one in a window of many others."""
    keys = request_keys([*samples, *(asked(f"w{n}", f"About {word}", "train") for n, word in enumerate(WORDS))])
    return len(set(keys[: len(samples)])) == 1


WORDS = ["ash", "beech", "cedar", "elm", "fir", "larch", "maple", "oak", "pine", "rowan", "spruce", "yew"]


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


@pytest.mark.parametrize("request_text", ["where is order 99?", "WHERE IS ORDER 1234", "Where... is\n order_1234?!"])
def test_case_digits_punctuation_and_white_space_make_no_new_request(request_text: str) -> None:
    first = asked("a", "Where is  order 1234?\n", "train")
    assert same(first, asked("b", request_text, "holdout"))
    assert not same(first, asked("c", "Where is my order?", "holdout"))


def test_signs_alone_are_what_was_said() -> None:
    assert not same(asked("a", "\U0001f44d", "train"), asked("b", "\U0001f44e", "holdout"))


def test_digits_stay_where_little_else_tells_requests_apart() -> None:
    sums = [asked(f"s{n}", f"What is {n} + 30?", "train" if n % 2 else "holdout") for n in range(20)]
    others = [asked(f"o{n}", f"About {word}", "train") for n, word in enumerate(WORDS)]
    assert len(kept_of([*sums, *others])) == 32
    assert kept_of([*sums, asked("again", "what is 3 + 30", "holdout")]).count("s3") == 0
    few = [*sums[:6], *others]
    assert kept_of(few) == ["s0", "s2", "s4", *(f"o{n}" for n in range(12))]


def test_a_few_buttons_over_numbers_are_many_requests() -> None:
    """What is asked is one of four questions; the numbers in the prompt tell the customers apart."""
    pressed = [
        asked(str(n), f"About {WORDS[n % 4]}", SPLITS[n % 3], variables={"balance": f"{17 * n}.50"}) for n in range(40)
    ]
    assert len(kept_of(pressed)) == 40


def test_the_policys_versions_make_no_new_request() -> None:
    asks = [
        asked(f"{n}{who}", f"About {word}", side, system=f"Version {who}.")
        for n, word in enumerate(WORDS)
        for who, side in zip("ab", SPLITS[::2], strict=True)
    ]
    assert kept_of(asks) == [f"{n}b" for n in range(12)]


@pytest.mark.parametrize("recorded", ["variables and template", "variables", "nothing"])
def test_a_document_in_the_prompt_is_part_of_the_request(recorded: str) -> None:
    def summary(number: int) -> Sample:
        document = f"All about {WORDS[number]} trees."
        fields: dict[str, Any] = {"variables": {"document": document}} if recorded != "nothing" else {}
        if "template" in recorded:
            fields |= {"template": "Read {{ document }}"}
        system = f"Read {document}" if recorded != "variables" else "Read it."
        return asked(str(number), "Summarise the document.", SPLITS[number % 3], system=system, **fields)

    window = [summary(number) for number in range(12)]
    assert len(kept_of(window)) == 12
    again = window[0].model_copy(update={"span_id": "again", "conversation_id": "again", "split": "holdout"})
    assert kept_of([*window, again])[0] == "1"


def test_variables_that_the_template_does_not_show_make_no_new_request() -> None:
    ids = [
        asked(str(n), "Hi", side, template="Be {tone}.", variables={"tone": "kind", "request_id": f"{WORDS[n]}"})
        for n, side in enumerate(SPLITS)
    ]
    assert kept_of(ids) == ["2"]


def test_a_prompt_that_was_filled_in_counts_and_one_that_many_have_does_not() -> None:
    first, second = asked("a", "Hi", "train"), asked("b", "Hi", "holdout", system="You serve Ada, of Ulm.")
    assert not same(first, second)
    assert same(first, second.model_copy(update={"system_prompt": "Be brief."}))


PICTURES = [{"type": "image_url", "image_url": {"url": f"https://example.com/{n}.png"}} for n in (1, 2)]


def test_pictures_and_tool_calls_are_part_of_the_request() -> None:
    def showing(picture: dict[str, Any], *texts: dict[str, Any]) -> Sample:
        return asked("a", "", "train", messages=(Message(role="user", parts=(*texts, picture)),))

    def calling(name: str, call_id: str) -> Sample:
        call = ToolCall(id=call_id, name=name, arguments='{"city": "Ulm"}')
        return asked("a", "", "train", messages=(Message(role="assistant", tool_calls=(call,)),))

    assert not same(*(showing(picture) for picture in PICTURES))
    assert same(showing(PICTURES[0]), showing(PICTURES[0], {"type": "text", "text": ""}))
    assert not same(calling("weather", "1"), calling("time", "1"))
    assert same(calling("weather", "1"), calling("weather", "2"))


def test_who_said_it_is_part_of_the_request() -> None:
    assert not same(
        asked("a", "Hi", "train"), asked("b", "", "train", messages=(Message(role="assistant", content="Hi"),))
    )


def test_the_system_prompt_stands_in_where_there_is_no_chat() -> None:
    window = [asked(f"{s}{w}", "", s, system=f"Translate {w}") for w in ("cat", "dog") for s in SPLITS]
    assert kept_of(window) == ["holdoutcat", "holdoutdog"]


def test_the_holdout_keeps_its_samples_and_train_gives_way() -> None:
    samples = [
        asked("a", "order 1", "train"),
        asked("b", "Order 2", "holdout"),
        asked("c", "order 3", "selection"),
        asked("d", "refund", "train"),
        asked("e", "Refund", "train"),
        *(asked(f"o{n}", f"About {word}", "train") for n, word in enumerate(WORDS[:3])),
    ]
    assert kept_of(samples) == ["b", "d", "e", "o0", "o1", "o2"]


def chat(name: str, splits: Sequence[Split], *, session: str = "", opening: str = "") -> list[Sample]:
    """The turns of one chat, each as a call of its own with all that was said before in its history."""
    history: list[Message] = []
    turns = []
    for number, split in enumerate(splits):
        said = opening if opening and not number else f"{name} asks {WORDS[number]}"
        history.append(Message(role="user", content=said))
        turn = asked(f"{name}-{number}", "", split, messages=tuple(history), output=f"{name} hears {WORDS[number]}.")
        turns.append(turn.model_copy(update={"conversation_id": session}) if session else turn)
        history.append(Message(role="assistant", content=f"{name} hears {WORDS[number]}"))
    return turns


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "train", "train"), [0, 1, 2]),
        (("train", "holdout", "train"), [1]),
        (("holdout", "train", "selection"), [0]),
        (("selection", "train", "selection"), [0, 2]),
        (("train", "selection", "holdout"), [2]),
    ],
)
def test_turns_of_one_chat_without_a_session_stand_on_one_side(splits: Sequence[Split], expected: list[int]) -> None:
    assert kept_of(chat("Ada", splits)) == [f"Ada-{number}" for number in expected]


def test_a_hundred_chats_without_sessions_do_not_leak() -> None:
    turns = []
    for number in range(100):
        one = chat(f"{WORDS[number % 12]} {WORDS[number // 12]}", SPLITS)
        turns += [turn.model_copy(update={"split": split_of(turn.span_id)}) for turn in one]
    kept, _ = set_near_duplicates_aside(turns)
    sides: dict[str, set[Split]] = {}
    for turn in kept:
        sides.setdefault(turn.span_id.rpartition("-")[0], set()).add(turn.split)
    assert len(sides) == 100
    assert all(len(found) == 1 for found in sides.values())
    assert {turn.split for turn in kept} == set(SPLITS)


def test_an_answer_that_was_edited_still_joins_the_turns() -> None:
    first, second = chat("Ada", ("holdout", "train"))
    assert kept_of([first.model_copy(update={"output": "Something else."}), second]) == ["Ada-0"]


def test_chats_that_only_begin_alike_are_not_one() -> None:
    """The same opening in other surroundings with another answer is another chat."""
    one = [t.model_copy(update={"variables": {"name": "Ada"}}) for t in chat("Ada", ("train",) * 2, opening="Hi")]
    two = [t.model_copy(update={"variables": {"name": "Bob"}}) for t in chat("Bob", ("holdout",) * 2, opening="Hi")]
    assert kept_of([*one, *two]) == ["Ada-0", "Ada-1", "Bob-0", "Bob-1"]
    met = two[0].model_copy(update={"output": "Ada hears ash"})
    assert kept_of([*one, met]) == ["Ada-0", "Bob-0"]


def test_a_recorded_session_keeps_its_turns_whatever_others_say() -> None:
    one, two = chat("Ada", ("holdout",), opening="Hi"), chat("Bob", ("train",) * 2, opening="Hi", session="s")
    assert kept_of([*one, *two]) == ["Ada-0", "Bob-1"]


SAMPLES = st.lists(
    st.builds(
        asked,
        st.integers(0, 10**6).map(str),
        st.sampled_from(["order 1", "ORDER 22", "refund", "Refund ", "hello", "bye", ""]),
        st.sampled_from(SPLITS),
        system=st.sampled_from(["Be brief.", "Be kind."]),
    ),
    max_size=30,
)


@given(SAMPLES)
def test_no_request_stands_in_two_splits_and_nothing_else_changes(samples: list[Sample]) -> None:
    kept, left = set_near_duplicates_aside(samples)
    keys = {id(sample): key for sample, key in zip(samples, request_keys(samples), strict=True)}
    sides: dict[str, set[Split]] = {}
    for sample in kept:
        sides.setdefault(keys[id(sample)], set()).add(sample.split)
    assert all(len(found) == 1 for found in sides.values())
    assert len(kept) + left == len(samples)
    assert set(sides) == set(keys.values())
    assert [s for s in samples if s in kept] == list(kept)
    assert [s for s in samples if s.split == "holdout"] == [s for s in kept if s.split == "holdout"]


@given(st.permutations([*chat("Ada", SPLITS), *chat("Bob", SPLITS[::-1]), asked("x", "Hi", "train")]))
def test_the_order_of_samples_decides_nothing(samples: list[Sample]) -> None:
    assert sorted(kept_of(samples)) == ["Ada-2", "Bob-0", "x"]


def test_no_samples_are_no_requests() -> None:
    assert set_near_duplicates_aside([]) == ((), 0)
    assert request_keys([]) == ()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("ที่ไหน ใครมา", "ที่ไหน! ใครมา?", True),
        ("ขาว", "ข่าว", False),
        ("कल दिन", "कला दीन", False),
        ("Cafe\u0301 au lait", "CAFÉ, au lait", True),
    ],
)
def test_vowels_that_are_marks_are_part_of_a_request(one: str, other: str, *, alike: bool) -> None:
    assert same(asked("a", one, "train"), asked("b", other, "train")) == alike
