"""A call is asked again only where the trace holds all of it; what is left out is counted and told."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.sample import Message, Sample, ToolCall
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.traffic.marks import REDACTED
from sia_dagster.core.traffic.replayable import Reason, find_obstacle, replayability, too_little_left

USER = Message(role="user", content="What is this?")
REPLY = Message(role="assistant", content="A cat.")
DATED = "You are the message desk of Northwind. Today is"
TOOL = {"type": "function", "function": {"name": "look"}}
PNG = b"\x89PNG and pixels IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff and pixels \xff\xd9"


def sample(*messages: Message, span_id: str = "s1", **fields: Any) -> Sample:
    given_ = {
        "span_id": span_id,
        "trace_id": "t1",
        "conversation_id": "c1",
        "start_time": datetime(2026, 11, 9, tzinfo=UTC),
        "split": "train",
        "system_prompt": "Be kind.",
        "messages": messages or (USER,),
        "output": "A cat.",
    }
    return Sample.model_validate(given_ | fields)


def showing(*parts: JsonObject) -> Message:
    return Message(role="user", content="What is this?", parts=({"type": "text", "text": "What is this?"}, *parts))


def image(url: str) -> Message:
    return showing({"type": "image_url", "image_url": {"url": url}})


def inline(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def calling(*ids: str) -> Message:
    return Message(role="assistant", tool_calls=tuple(ToolCall(id=i, name="look", arguments="{}") for i in ids))


def result(call_id: str | None, role: str = "tool") -> Message:
    return Message(role=role, content="a cat", tool_call_id=call_id)


def reason_of(given_: Sample) -> str | None:
    obstacle = find_obstacle(given_)
    return obstacle.reason if obstacle else None


@pytest.mark.parametrize(
    "messages",
    [
        (USER,),
        (USER, REPLY, USER),
        (USER, Message(role="system", content="In French.")),
        (USER, calling("a"), result("a")),
        (USER, calling("a", "b"), result("b"), result("a"), REPLY, USER, calling("a"), result("a")),
        (image("https://example.com/cat.png"),),
        (image("http://127.0.0.1/cat.png"),),
        (image(inline("png", PNG)),),
        (image(inline("jpeg", JPEG)),),
        (image(inline("webp", b"RIFF and more")),),
        (showing({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),),
        (showing({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}),),
        (showing({"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}}),),
    ],
)
def test_what_the_trace_holds_whole_can_be_asked_again(messages: tuple[Message, ...]) -> None:
    assert find_obstacle(sample(*messages)) is None


@pytest.mark.parametrize(
    "given_",
    [
        sample(system_prompt=REDACTED),
        sample(system_prompt=f"Be kind.\n\n{REDACTED}"),
        sample(output=REDACTED),
        sample(Message(role="user", content=REDACTED)),
        sample(
            USER,
            Message(role="assistant", tool_calls=(ToolCall(id="a", name="look", arguments=REDACTED),)),
            result("a"),
        ),
    ],
)
def test_hidden_text_is_no_call(given_: Sample) -> None:
    assert reason_of(given_) == "redacted"


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (image(""), "removed"),
        (image(REDACTED), "removed"),
        (image(f"data:image/png;base64,{REDACTED}"), "removed"),
        (image(inline("png", PNG)[:-1]), "cut"),
        (image(inline("png", PNG[:12])), "cut"),
        (image(inline("jpeg", JPEG[:12])), "cut"),
        (image(inline("png", PNG)[:-4] + "..."), "cut"),
        (image("data:image/png;base64,"), "cut"),
        (image("data:image/png;base64,\u00e9"), "cut"),
        (image("data:text/plain;base64,AAAA"), "referred to"),
        (image("data:image/png,raw"), "referred to"),
        (image("blob:https://example.com/1"), "referred to"),
        (image("gs://bucket/cat.png"), "referred to"),
        (image("file-1"), "referred to"),
        (showing({"type": "image_url", "image_url": {"url": None}}), "removed"),
        (showing({"type": "input_audio", "input_audio": {"data": REDACTED, "format": "wav"}}), "sound"),
        (showing({"type": "input_audio", "input_audio": "AAAA"}), "sound"),
    ],
)
def test_images_and_sounds_that_are_not_whole_are_no_call(message: Message, says: str) -> None:
    obstacle = find_obstacle(sample(message))
    assert obstacle is not None
    assert obstacle.reason == "media"
    assert says in obstacle.sentence


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_url": "https://example.com/a.pdf"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{REDACTED}"}},
        {"type": "file", "file": "file-1"},
        {"type": "document", "source": {"type": "url"}},
        {"type": "video", "video": {}},
    ],
)
def test_parts_that_a_chat_endpoint_cannot_take_are_no_call(part: JsonObject) -> None:
    assert reason_of(sample(showing(part))) == "part"
    assert reason_of(sample(showing(part), image(""))) == "media"


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "web_search"}, "web_search"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_interpreter"),
        ({"type": "computer_20250124", "name": "computer"}, "computer_20250124"),
        ({"google_search": {}}, "google_search"),
        ({}, "''"),
        ({"type": ["function"], "name": "look"}, "['function']"),
        ({"type": {"a": 1}}, "{'a': 1}"),
    ],
)
def test_tools_at_the_provider_are_no_call(tool: JsonObject, name: str) -> None:
    obstacle = find_obstacle(sample(tools=(TOOL, tool)))
    assert obstacle is not None
    assert obstacle.reason == "provider_tool"
    assert name in obstacle.sentence


def test_tools_of_the_application_are_no_obstacle() -> None:
    assert reason_of(sample(tools=(TOOL, {"function": {"name": "look"}}, {"type": "custom", "custom": {}}))) is None
    assert reason_of(sample(parameters={"web_search_options": True})) == "provider_tool"


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "item_reference"])
def test_a_call_that_goes_on_from_the_provider_s_state_is_no_call(name: str) -> None:
    obstacle = find_obstacle(sample(parameters={"temperature": 0, name: True}))
    assert obstacle is not None
    assert obstacle.reason == "server_state"
    assert name in obstacle.sentence


@pytest.mark.parametrize(
    "messages",
    [
        (USER, calling("a")),
        (USER, calling("a"), USER),
        (USER, calling("a", "b"), result("a"), USER),
        (USER, calling("a"), REPLY, result("a"), USER),
        (USER, result("a")),
        (USER, result(None, role="function")),
        (USER, calling("a"), result("b")),
        (USER, calling("a"), result("a"), result("a")),
    ],
)
def test_calls_without_results_and_results_without_calls_are_no_call(messages: tuple[Message, ...]) -> None:
    assert reason_of(sample(*messages)) == "tool_calls"


def test_a_chat_that_ends_with_the_assistant_waits_for_nobody() -> None:
    assert reason_of(sample(USER, REPLY)) == "assistant_last"


def test_without_a_request_only_a_filled_prompt_is_a_call() -> None:
    bare = sample().model_copy(update={"messages": ()})
    assert reason_of(bare) == "no_request"
    assert reason_of(bare.model_copy(update={"messages": (Message(role="system", content="Now."),)})) == "no_request"
    assert reason_of(bare.model_copy(update={"variables": {"city": "Ulm"}})) == "no_request"
    assert reason_of(bare.model_copy(update={"variables": {"city": "Ulm"}, "template": "In {city}."})) is None
    assert reason_of(bare.model_copy(update={"template": "Be kind."})) == "no_request"


def test_the_reason_comes_with_its_sentence() -> None:
    found = find_obstacle(sample(USER, REPLY))
    assert found == ("assistant_last", "the chat ends with the assistant's own message")


def one_of_each() -> list[Sample]:
    chats: list[dict[str, Any]] = [
        {"output": REDACTED},
        {"output": "A cat ... [truncated]"},
        {"messages": (Message(role="operator", content="Go on."), USER)},
        {"messages": (USER, Message(role="system", content=f"{DATED} Tuesday.")), "system_prompt": f"{DATED} Monday."},
        {"messages": (image(""),)},
        {"messages": (showing({"type": "video"}),)},
        {"tools": ({"type": "web_search"},)},
        {"parameters": {"conversation": True}},
        {"messages": (USER, calling("a"))},
        {"messages": (USER, REPLY)},
        {"messages": (Message(role="system", content="Now."),)},
    ]
    return [sample(span_id=f"s{number}", **fields) for number, fields in enumerate(chats)]


def test_every_reason_is_counted_and_every_sample_is_told() -> None:
    fine = [sample(span_id="fine1"), sample(span_id="fine2")]
    left_out = one_of_each()
    found = replayability([fine[0], *left_out, fine[1]])
    assert found.replayable == tuple(fine)
    assert found.left_out == dict.fromkeys(sorted(get_args(Reason)), 1)
    assert [told.split(":")[0] for told in found.sentences] == [f"span {s.span_id}" for s in left_out]
    assert list(found.left_out) == sorted(found.left_out)
    assert replayability([]).model_dump() == {"replayable": (), "left_out": {}, "sentences": ()}


def test_a_sample_counts_under_its_first_reason() -> None:
    broken = sample(image(""), calling("a"), output=REDACTED, tools=({"type": "web_search"},))
    assert replayability([broken, broken]).left_out == {"redacted": 2}


@given(st.lists(st.sampled_from([sample(), *one_of_each()])))
def test_nothing_is_lost_or_counted_twice(samples: list[Sample]) -> None:
    found = replayability(samples)
    assert len(found.replayable) + sum(found.left_out.values()) == len(samples)
    assert len(found.sentences) == sum(found.left_out.values())
    assert replayability(found.replayable).replayable == found.replayable


@pytest.mark.parametrize(("replayable", "total"), [(0, 0), (1, 1), (1, 2), (5, 10), (100, 200)])
def test_half_of_the_calls_is_enough(replayable: int, total: int) -> None:
    assert too_little_left(replayable, total) is None


@pytest.mark.parametrize(("replayable", "total"), [(0, 1), (1, 3), (4, 9), (99, 200)])
def test_fewer_than_half_is_too_little(replayable: int, total: int) -> None:
    told = too_little_left(replayable, total)
    assert told is not None
    assert f"{replayable} of {total}" in told
    assert "traces.where" in told


@pytest.mark.parametrize("mark", ["[REDACTED]", "<redacted>", "***", "<PII>", "[FILTERED]", "xxxxx"])
def test_text_under_any_mask_is_no_call(mark: str) -> None:
    for masked in (sample(system_prompt=mark), sample(output=mark), sample(Message(role="user", content=mark))):
        assert reason_of(masked) == "redacted"


def test_marks_within_a_text_hide_it_unless_the_prompt_asks_for_them() -> None:
    masked = "Write to [REDACTED] today."
    assert reason_of(sample(Message(role="user", content=masked))) == "redacted"
    assert reason_of(sample(output=masked)) == reason_of(sample(system_prompt=masked)) == "redacted"
    asked = "Redact every name as [REDACTED]."
    assert reason_of(sample(system_prompt=asked, output=masked)) is None
    assert reason_of(sample(Message(role="user", content=masked), system_prompt=asked)) == "redacted"


@pytest.mark.parametrize("mark", ["... [truncated]", "\u2026[+1234 chars]", "<truncated>"])
def test_text_that_says_it_was_cut_is_no_call(mark: str) -> None:
    for short in (
        sample(system_prompt=f"Be {mark}"),
        sample(output=f"A {mark}"),
        sample(Message(role="user", content=mark)),
    ):
        assert reason_of(short) == "cut"


def test_a_role_that_no_endpoint_knows_is_named() -> None:
    obstacle = find_obstacle(sample(Message(role="operator", content="Go on."), USER))
    assert obstacle == ("role", "the role 'operator' is none that a chat endpoint knows")


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (f"{DATED} Tuesday.", "prompt_again"),
        (f"Hello. {DATED} Monday.", "prompt_again"),
        ("In French.", None),
        ("You are", None),
    ],
)
def test_the_prompt_again_in_other_words_is_no_call(later: str, reason: str | None) -> None:
    chat = (USER, Message(role="system", content=later), USER)
    assert reason_of(sample(*chat, system_prompt=f"{DATED} Monday.")) == reason
