"""What is implausible in a window's traffic is said before anything is paid for."""

from typing import Any

import pytest

from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.trace_notes import TraceNote
from sia_dagster.core.traffic import plausibility
from sia_dagster_tests.core.traffic.test_replayable import REPLY, USER, sample

WORDS = ("late", "lost", "broken", "missing", "wrong", "double", "early", "wet", "torn", "heavy", "small", "open")


def window(number: int = 12, **fields: Any) -> list[Sample]:
    """Plausible calls, each of a conversation of its own."""
    return [
        sample(
            *fields.get("messages", (Message(role="user", content=f"My parcel is {WORDS[n % 12]}, number {n}."),)),
            span_id=f"s{n}",
            **{"conversation_id": f"c{n}", **{key: value for key, value in fields.items() if key != "messages"}},
        )
        for n in range(number)
    ]


def kinds(samples: list[Sample]) -> dict[str, TraceNote]:
    return {note.kind: note for note in plausibility(samples)}


def said(*texts: str, role: str = "user") -> list[Sample]:
    return [
        call.model_copy(update={"messages": (*call.messages[:0], Message(role=role, content=text))})
        for call, text in zip(window(len(texts)), texts, strict=True)
    ]


def test_plausible_traffic_and_no_traffic_have_no_note() -> None:
    assert plausibility(window()) == plausibility([]) == ()


def test_nothing_that_can_be_replayed_is_said_with_the_reasons() -> None:
    hidden, ended = said("[REDACTED]", "***"), window(1, messages=(USER, REPLY))
    note = kinds([*hidden, *ended])["none_replayable"]
    assert note.sentence == "none of 3 samples can be replayed (assistant_last: 1, redacted: 2)"
    assert (note.count, note.span_id) == (3, "s0")
    assert "none_replayable" not in kinds([*hidden, *window(1)])


@pytest.mark.parametrize(("of_one", "said_so"), [(12, "all samples are of one"), (11, "11 of 12 samples are of one")])
def test_one_conversation_cannot_be_split(of_one: int, said_so: str) -> None:
    samples = [*window(of_one, conversation_id="prod"), *window(12 - of_one)]
    note = kinds(samples)["one_conversation"]
    assert (note.sentence.startswith(said_so), note.count) == (True, of_one)
    assert "one_conversation" not in kinds([*window(8, conversation_id="prod"), *window(4)])
    assert "one_conversation" not in kinds(window(9, conversation_id="prod")), "too few to tell"


def cut(length: int, number: int, text: str = "My parcel is late and lost and nobody answers ") -> list[str]:
    return [f"{n} {text * (length // len(text) + 1)}"[:length] for n in range(number)]


@pytest.mark.parametrize("length", [128, 1_200, 4_096, 32_000])
@pytest.mark.parametrize("field", ["messages", "output", "system_prompt"])
def test_longest_texts_of_one_length_were_cut(field: str, length: int) -> None:
    texts = cut(length, 4)
    longer = (
        said(*texts)
        if field == "messages"
        else [s.model_copy(update={field: t}) for s, t in zip(window(4), texts, strict=True)]
    )
    short = window(20)[4:]
    note = kinds([*short, *longer])["equal_lengths"]
    assert f"of 4 samples have exactly {length:,} characters" in note.sentence
    assert (note.count, note.span_id) == (4, "s0")


@pytest.mark.parametrize(
    "texts",
    [
        [f"My order {1000 + n} is late. {'Please help. ' * 10}" + "Bye." for n in range(8)],
        cut(90, 8),
        [text[: 1_000 + n] for n, text in enumerate(cut(2_000, 8))],
        cut(1_000, 2),
        cut(1_234, 1) * 3,
    ],
    ids=["whole sentences", "short", "other lengths", "two", "one text of no round length"],
)
def test_texts_that_end_or_differ_were_not_cut(texts: list[str]) -> None:
    assert "equal_lengths" not in kinds(said(*texts))


def test_one_prompt_for_all_was_cut_where_its_length_is_a_limit() -> None:
    assert kinds(window(5, system_prompt=cut(1_200, 1)[0]))["equal_lengths"].count == 5
    assert kinds(window(5, system_prompt=cut(4_096, 1)[0]))["equal_lengths"].count == 5
    assert kinds(window(5, system_prompt=cut(1_234, 1)[0])) == {}


def test_an_empty_system_prompt_is_said() -> None:
    note = kinds([*window(8)[5:], *window(5, system_prompt="")])["prompt_empty"]
    assert note.sentence.startswith("5 samples of 8 have no system prompt")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_prompt_that_stands_later_is_said(role: str) -> None:
    chat = (USER, REPLY, Message(role=role, content="You are the desk."), USER)
    found = kinds(window(3, messages=chat, system_prompt=""))
    assert "prompt_empty" not in found
    assert (
        "3 samples of 3 have a system message after other messages; 3 of them have none in front"
        in found["prompt_later"].sentence
    )
    led = kinds(window(3, messages=chat))["prompt_later"].sentence
    assert "none in front" not in led


@pytest.mark.parametrize(
    "text",
    [
        "System: Be kind.\nHuman: Hi",
        "[INST] <<SYS>> Be kind. <</SYS>> Hi [/INST]",
        "<|im_start|>system\nBe kind.",
        "### System prompt:\nBe kind.",
        "<|system|>Be kind.",
        "**System message**: Be kind.",
    ],
)
def test_a_system_prompt_inside_the_users_message_is_said(text: str) -> None:
    bare = window(3, messages=(Message(role="user", content=text),), system_prompt="")
    assert kinds(bare)["prompt_in_message"].count == 3
    assert "prompt_in_message" not in kinds(window(3, messages=(Message(role="user", content=text),)))


def test_user_messages_with_one_long_beginning_may_hold_the_prompt() -> None:
    prompt = "You are the message desk of Northwind. Rewrite what follows:"
    asked = [s.model_copy(update={"system_prompt": ""}) for s in said(*(f"{prompt} {word}" for word in WORDS))]
    assert kinds(asked)["prompt_in_message"].count == 12
    assert "prompt_in_message" not in kinds(asked[:5]), "too few to tell"
    greeted = [s.model_copy(update={"system_prompt": ""}) for s in said(*(f"Hello, {word} parcel" for word in WORDS))]
    assert "prompt_in_message" not in kinds(greeted)


def test_unknown_roles_are_named_and_not_replayed() -> None:
    odd = [said(f"Hi {n}", role=f"role{n}")[0] for n in range(7)]
    note = kinds(odd)["unknown_role"]
    assert (
        "7 samples have messages of unknown roles ('role0', 'role1', 'role2', 'role3', 'role4', ...)" in note.sentence
    )
    assert "role: 7" in kinds(odd)["none_replayable"].sentence
    assert "unknown roles ('critic'), and" in kinds(said("Hi", role="critic"))["unknown_role"].sentence


def test_answers_that_are_json_around_one_text_are_said() -> None:
    wrapped = '{"answer": "A cat."}'
    note = kinds([*window(3, output=wrapped), *window(2)])["answer_in_json"]
    assert note.sentence.startswith("3 answers of 5 are JSON with one text, such as 'answer'")
    assert "answer_in_json" not in kinds([*window(2, output=wrapped), *window(2)])
    for own in ('{"a": 1}', '{"a": "b", "c": "d"}', '{"a', '["a"]'):
        assert "answer_in_json" not in kinds(window(3, output=own))
    assert "answer_in_json" not in kinds(
        window(3, output=wrapped, parameters={"response_format": {"type": "json_object"}})
    )


def test_placeholders_of_an_anonymiser_are_said_and_replayed() -> None:
    found = kinds([*window(4)[2:], *said("I am <PERSON> of [LOCATION]", "Mail me at <EMAIL_ADDRESS> please")])
    assert (found["placeholders"].count, list(found)) == (2, ["placeholders"])
    assert "placeholders" not in kinds(window(4, system_prompt="Sign as [NAME]."))


def test_one_call_under_two_names_of_a_trace_is_said() -> None:
    both = [s.model_copy(update={"name": name}) for s in window(4, trace_id="t") for name in ("ChatOpenAI", "OpenAI")]
    note = kinds(both)["told_twice"]
    assert note.sentence.startswith(
        "4 samples of 8 say what another one of their trace says ('ChatOpenAI' and 'OpenAI')"
    )
    assert "told_twice" not in kinds([s.model_copy(update={"trace_id": s.name}) for s in both]), "of other traces"
    assert "told_twice" not in kinds([s.model_copy(update={"name": ""}) for s in both]), "asked again"


def test_characters_that_were_lost_are_said() -> None:
    note = kinds([*said("caf\ufffd", "Z\ufffdrich"), *window(10)])["lost_characters"]
    assert (note.count, note.span_id) == (2, "s0")
    assert "lost_characters" not in kinds([*said("caf\ufffd"), *window(30)])
