"""Every shape in which instrumentors write a call is read; what cannot be read is named and left out."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.errors import SpanError
from sia_dagster.core.openinference.attributes import load_object, nest
from sia_dagster.core.openinference.messages import (
    answer_text,
    is_blank,
    message_attributes,
    parse_messages,
    tool_calls_text,
)
from sia_dagster.core.openinference.payloads import request_messages
from sia_dagster.core.openinference.recorded_template import placeholders
from sia_dagster.core.openinference.responses import response_text
from sia_dagster.core.openinference.samples import read_tags, sample_from_row, samples_from_rows, split_system
from sia_dagster.core.openinference.schema import SPAN_COLUMNS, SPAN_SCHEMA, TEXT_COLUMNS
from sia_dagster.core.openinference.settings import (
    call_settings,
    kept_elsewhere,
    policy_settings,
    read_model,
    read_parameters,
)
from sia_dagster.core.openinference.tools import lower_types, read_tools
from sia_dagster.core.openinference.turns import as_chat
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Message, Sample, ToolCall, split_of
from sia_dagster.core.records.value import fingerprint
from sia_dagster.core.traffic.replayable import replayability
from sia_dagster_tests.worlds.sample_rows import sample_to_row

START = datetime(2026, 11, 9, 8, tzinfo=UTC)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def item(role: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    return {"message.role": role, "message.content": content} | {f"message.{k}": v for k, v in more.items()}


def row(**columns: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "span_id": "s1",
        "trace_id": "t1",
        "conversation_id": "c1",
        "start_time": START,
        "model": "model-a",
        "input_messages": [item("system", "Be kind."), item("user", "Hi")],
        "output_messages": [item("assistant", "Hello!")],
    } | columns
    return {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in values.items()}


def sample(**columns: Any) -> Sample:
    return sample_from_row(row(**columns))


def test_every_column_is_described() -> None:
    assert list(SPAN_COLUMNS) == SPAN_SCHEMA.names
    assert set(TEXT_COLUMNS) < set(SPAN_COLUMNS)
    assert all(text.endswith((".", ")")) for text in SPAN_COLUMNS.values())


def test_a_plain_call() -> None:
    assert sample() == Sample(
        span_id="s1",
        trace_id="t1",
        conversation_id="c1",
        start_time=START,
        split=split_of("c1"),
        system_prompt="Be kind.",
        messages=(Message(role="user", content="Hi"),),
        output="Hello!",
        model="model-a",
    )


def test_without_a_system_message_the_prompt_is_empty() -> None:
    assert sample(input_messages=[item("user", "Hi")]).system_prompt == ""


def test_leading_system_messages_are_one_prompt_and_later_ones_stay() -> None:
    chat = [item("system", "A"), item("developer", "B"), item("user", "Hi"), item("system", "Now in French.")]
    read = sample(input_messages=chat)
    assert read.system_prompt == "A\n\nB"
    assert [m.role for m in read.messages] == ["user", "system"]


def test_a_chat_of_system_messages_alone_is_a_sample() -> None:
    read = sample(input_messages=[item("system", "Write a haiku."), item("system", None)])
    assert (read.system_prompt, read.messages, read.request) == ("Write a haiku.", (), "")
    assert split_system(()) == ("", ())


@pytest.mark.parametrize(
    "image",
    [
        {"message_content.type": "image", "message_content.image": {"image.url": "https://example.com/a.png"}},
        {"message_content.type": "image", "message_content.image.image.url": "https://example.com/a.png"},
        {"message_content": {"type": "image", "image": {"image": {"url": "https://example.com/a.png"}}}},
        {"message_content.image": {"image.url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
    ],
)
def test_multimodal_messages_keep_their_parts(image: dict[str, Any]) -> None:
    text = {"message_content.type": "text", "message_content.text": "What is this?"}
    (message,) = parse_messages([{"message.role": "user", "message.contents": [text, image]}])
    assert message.content == "What is this?"
    assert message.to_openai()["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]


def test_parts_of_text_alone_are_text_and_thoughts_leave() -> None:
    contents = [
        {"message_content.type": "reasoning", "message_content.text": "Hm"},
        {"message_content.type": "output_text", "message_content.text": "One"},
        {"message_content": {}},
        {"message_content.text": "Two"},
        "Three",
    ]
    (message,) = parse_messages([{"message.role": "assistant", "message.contents": contents}])
    assert (message.content, message.parts) == ("One\nTwo\nThree", ())


PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


@pytest.mark.parametrize(
    ("found", "part"),
    [
        ({"message_content.type": "image"}, {"type": "image_url", "image_url": {"url": ""}}),
        ({"type": "image_url", "image_url": "https://example.com/a"}, {"url": "https://example.com/a"}),
        ({"type": "input_image", "image_url": "u", "detail": "low"}, {"url": "u", "detail": "low"}),
        ({"type": "image_url", "image_url": {"url": "u", "detail": "high"}}, {"url": "u", "detail": "high"}),
        ({"type": "image", "source": PNG}, {"url": "data:image/png;base64,AAAA"}),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a"}},
            {"url": "https://example.com/a"},
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, {"url": ""}),
        ({"type": "image", "image": [1]}, {"url": "[1]"}),
        ({"type": "input_file", "file_id": "f-1", "x": 1}, {"type": "file", "file": {"file_id": "f-1"}}),
        ({"type": "document", "source": PNG}, {"type": "document", "source": PNG}),
        ({"video": {"format": "mp4"}}, {"type": "unknown", "video": {"format": "mp4"}}),
    ],
)
def test_what_is_no_text_stays_a_part(found: dict[str, Any], part: dict[str, Any]) -> None:
    (message,) = parse_messages([{"role": "user", "contents": [found]}])
    assert message.parts == (part if "type" in part else {"type": "image_url", "image_url": part},)
    assert parse_messages([message_attributes(message)]) == (message,)


def test_a_refusal_is_what_the_model_said() -> None:
    raw = {"choices": [{"message": {"role": "assistant", "content": None, "refusal": "I cannot."}}]}
    assert response_text(json.dumps(raw)) == "I cannot."
    said = {"message.role": "assistant", "message.contents": [{"type": "refusal", "refusal": "I cannot."}]}
    assert sample(output_messages=[said]).output == "I cannot."


def test_audio_stays_as_it_was_sent() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    (message,) = parse_messages([{"role": "user", "content": [audio]}])
    assert (message.content, message.parts) == (None, (audio,))
    assert parse_messages([message_attributes(message)]) == (message,)


CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Ulm"}')


@pytest.mark.parametrize(
    "call",
    [
        {
            "tool_call.id": "call_1",
            "tool_call.function.name": "weather",
            "tool_call.function.arguments": CALL.arguments,
        },
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": CALL.arguments}},
        {"tool_call": {"id": "call_1", "function": {"name": "weather", "arguments": {"city": "Ulm"}}}},
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_tool_calls_without_content_are_the_answer(call: dict[str, Any], as_text: bool) -> None:
    read = sample(output_messages=[item("assistant", tool_calls=[json.dumps(call) if as_text else call])])
    assert json.loads(read.output) == [{"name": "weather", "arguments": CALL.arguments}]
    assert read.output == tool_calls_text([CALL])


def test_results_without_an_id_answer_the_first_open_call_of_their_name() -> None:
    chat = [
        item("user", "Weather?"),
        item("assistant", tool_calls=[{"tool_call.function.name": "weather"}, {"tool_call.function.name": "time"}]),
        item("function", "Noon", name="time"),
        item("tool", "Rain"),
        item("function", "Snow", name="weather"),
    ]
    read = sample(input_messages=chat).messages
    assert read[1].tool_calls == (ToolCall(id="call_1", name="weather"), ToolCall(id="call_2", name="time"))
    assert read[2] == Message(role="tool", content="Noon", tool_call_id="call_2")
    assert read[3] == Message(role="tool", content="Rain", tool_call_id="call_1")
    assert read[4] == Message(role="function", content="Snow", name="weather")
    assert (answer_text([read[2]]), answer_text([Message(role="user")])) == ("Noon", "")
    assert json.loads(answer_text([read[1]]))[0] == {"name": "weather", "arguments": ""}


def test_recorded_ids_stay_and_new_ones_are_none_of_them() -> None:
    calls = (ToolCall(id="call_1", name="a"), ToolCall(name="b"))
    result = Message(role="tool", content="x", tool_call_id="call_1", name="a")
    unknown = Message(role="tool", content="y", tool_call_id="other")
    turns = as_chat((Message(role="assistant", tool_calls=calls), result, unknown))
    assert [call.id for call in turns[0].tool_calls] == ["call_1", "call_2"]
    assert turns[1:] == (result, unknown)


def test_a_call_is_part_of_the_assistant_s_message_before_it() -> None:
    picture = {"type": "image_url", "image_url": {"url": "u"}}
    said, thought = Message(role="assistant", content="I look."), Message(role="assistant")
    first, second = (Message(role="assistant", tool_calls=(ToolCall(id=i, name="weather"),)) for i in "ab")
    told = Message(role="assistant", content="And there.", tool_calls=second.tool_calls)
    both = first.tool_calls + second.tool_calls
    assert as_chat((said, thought, first, second)) == (said.model_copy(update={"tool_calls": both}),)
    assert as_chat((said, first, told))[0].content == "I look.\nAnd there."
    assert as_chat((said, said)) == (said, said)
    shown = Message(role="assistant", content=None, parts=(picture,))
    assert as_chat((shown, first)) == (shown, first)


def test_parts_that_only_the_raw_request_holds_are_part_of_the_call() -> None:
    attached = {"type": "file", "file": {"file_id": "file-1"}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Read it."}, attached]}]}
    told = [item("user", contents=[{"message_content.type": "text", "message_content.text": "Read it."}])]
    assert sample(input_messages=told, input_value=body).messages[0].parts[1] == attached
    other = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Another."}, attached]}]}
    assert sample(input_messages=told, input_value=other).messages[0].parts == ()
    assert sample(input_messages=[*told, item("user", "More")], input_value=body).messages[0].parts == ()
    for broken in ("[1]", "{", "[" * 100_000, '{"messages": 3}'):
        assert sample(input_messages=told, input_value=broken).messages[0].content == "Read it."


def test_a_function_call_is_a_tool_call() -> None:
    raw = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": CALL.arguments}}
    flat = item("assistant", function_call_name="weather", function_call_arguments_json=CALL.arguments)
    assert (
        parse_messages([raw])
        == parse_messages([flat])
        == parse_messages([raw | {"function_call": json.dumps(raw["function_call"])}])
    )
    assert parse_messages([raw])[0].tool_calls == (CALL.model_copy(update={"id": ""}),)


CHAT = (Message(role="system", content="Be kind."), Message(role="user", content="Hi"))
ITEMS = [item("system", "Be kind."), item("user", "Hi")]


@pytest.mark.parametrize(
    "shape",
    [
        ITEMS,
        [json.dumps(i) for i in ITEMS],
        json.dumps(ITEMS),
        json.dumps([json.dumps(i) for i in ITEMS]),
        [{"message": {"role": "system", "content": "Be kind."}}, {"message": {"role": "user", "content": "Hi"}}],
        [{"role": "system", "content": "Be kind."}, {"role": "human", "content": "Hi"}],
        [*ITEMS, None, item("", None)],
        {f"{n}.{key}": value for n, i in enumerate(ITEMS) for key, value in i.items()},
    ],
)
def test_messages_are_read_in_every_shape(shape: Any) -> None:
    assert parse_messages(shape) == CHAT


@pytest.mark.parametrize("nothing", [None, "", "[]", "null", [], {}])
def test_nothing_is_no_message(nothing: Any) -> None:
    assert parse_messages(nothing) == ()


def test_a_message_without_a_role_is_the_users_and_empty_content_stays() -> None:
    assert parse_messages([{"content": "Hi"}]) == (Message(role="user", content="Hi"),)
    assert parse_messages({"role": "Assistant", "content": ""}) == (Message(role="assistant", content=""),)
    assert parse_messages([{"role": "user", "content": {"a": 1}}])[0].content == '{"a": 1}'


def test_dotted_and_numbered_keys_nest() -> None:
    flat = {"a.0.x": 1, "a.1.x": 2, "a.10.x": 3, "b": {"c.d": None}}
    assert nest(flat) == {"a": [{"x": 1}, {"x": 2}, {"x": 3}], "b": {}}
    assert nest({"k": {"x": 1}, "k.y": 2}) == {"k": {"x": 1, "y": 2}}
    assert nest({"k.x": 1, "k": {"y": 2}}) == {"k": {"x": 1, "y": 2}}
    assert nest({"k.x": 1, "k": "text"}) == {"k": {"x": 1}}
    assert nest({"k": "text", "k.x": 1}) == {"k": {"x": 1}}
    assert nest({"1": "b", "0": ["a", {"x.y": 1}]}) == [["a", {"x": {"y": 1}}], "b"]
    assert load_object("no json") == load_object("[1]") == load_object("[" * 100_000) == {}


@pytest.mark.parametrize(
    ("request_value", "expected"),
    [
        ({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}, CHAT),
        ({"system": "Be kind.", "messages": [{"role": "user", "content": "Hi"}]}, CHAT),
        ({"system": [{"type": "text", "text": "Be kind."}], "messages": [{"role": "user", "content": "Hi"}]}, CHAT),
        ({"instructions": "Be kind.", "input": "Hi"}, CHAT),
        ({"instructions": "Be kind.", "input": [{"role": "user", "content": [{"text": "Hi"}]}]}, CHAT),
        ({"prompt": "Hi"}, CHAT[1:]),
        ([{"role": "user", "content": "Hi"}], CHAT[1:]),
        ("Hi", CHAT[1:]),
        ({"unknown": 1}, ()),
        (None, ()),
    ],
)
def test_the_raw_request_is_the_fallback(request_value: Any, expected: tuple[Message, ...]) -> None:
    value = request_value if isinstance(request_value, str) or request_value is None else json.dumps(request_value)
    assert request_messages(value) == expected


def test_a_responses_request_with_function_calls_reads_as_a_chat() -> None:
    items = [
        {"role": "user", "content": "Weather?"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain"},
    ]
    assert request_messages(json.dumps({"input": items})) == (
        Message(role="user", content="Weather?"),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content="Rain", tool_call_id="call_1"),
    )
    assert request_messages(json.dumps({"input": {"role": "user", "content": "Hi"}})) == CHAT[1:]


BLOCKS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Ulm"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Rain"}]},
            {"type": "text", "text": "And?"},
        ],
    },
]

CONVERSE: list[dict[str, Any]] = [
    {"role": "user", "content": [{"text": "Weather?"}]},
    {
        "role": "assistant",
        "content": [
            {"text": "I look."},
            {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Ulm"}}},
        ],
    },
    {"role": "user", "content": [{"toolResult": {"toolUseId": "call_1", "content": [{"text": "Rain"}]}}]},
    {"role": "user", "content": [{"text": "And?"}]},
]


@pytest.mark.parametrize("request_value", [{"messages": BLOCKS}, CONVERSE])
def test_blocks_of_tool_use_in_a_raw_request_read_as_a_chat(request_value: Any) -> None:
    assert request_messages(json.dumps(request_value)) == (
        Message(role="user", content="Weather?"),
        Message(role="assistant", content="I look.", tool_calls=(CALL,)),
        Message(role="tool", content="Rain", tool_call_id="call_1"),
        Message(role="user", content="And?"),
    )


@pytest.mark.parametrize("number", [1, 2])
def test_blocks_of_tool_use_in_a_raw_response_are_the_answer(number: int) -> None:
    content = (BLOCKS, CONVERSE)[number - 1][1]["content"]
    assert response_text(json.dumps({"content": content[1:]})) == tool_calls_text([CALL])
    assert response_text(json.dumps({"content": content})) == "I look."


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": "Hello!"}}]}, "Hello!"),
        ({"choices": [{"text": "Hello!"}]}, "Hello!"),
        ({"choices": [{"message": {"role": "assistant", "content": None}}]}, ""),
        ({"content": [{"type": "text", "text": "Hello!"}], "role": "assistant"}, "Hello!"),
        ({"output": "Hello!"}, "Hello!"),
        ({"output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "Hello!"}]}]}, "Hello!"),
        ({"generations": [[{"text": "Hello!"}]]}, "Hello!"),
        ({"generations": [{"text": "Hello!"}]}, "Hello!"),
        ("Hello!", "Hello!"),
        ('"Hello!"', "Hello!"),
        ("42", "42"),
        ({"answer": "Hello!"}, '{"answer": "Hello!"}'),
        ("", ""),
        (None, ""),
    ],
)
def test_the_raw_response_is_the_last_resort(response: Any, expected: str) -> None:
    value = json.dumps(response) if isinstance(response, dict) else response
    assert response_text(value) == expected


def test_a_responses_function_call_is_the_answer() -> None:
    output = [{"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'}]
    assert response_text(json.dumps({"output": output})) == tool_calls_text([CALL])


def test_a_responses_span_is_read_from_contents_and_raw_request() -> None:
    said = {"message.role": "assistant", "message.contents": [{"message_content.text": "Hello!"}]}
    read = sample(input_messages=None, input_value=json.dumps({"input": "Hi"}), output_messages=[said])
    assert (read.request, read.output) == ("Hi", "Hello!")


def test_a_stream_without_messages_is_read_from_its_raw_response() -> None:
    raw = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hello!"}}]})
    assert sample(output_messages="[]", output_value=raw).output == "Hello!"


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"input_messages": "[{"}, "input_messages"),
        ({"input_messages": "[1]"}, "input_messages"),
        ({"input_messages": '[{"message": "x"}]'}, "input_messages"),
        ({"output_messages": '[{"message.tool_calls": [1]}]'}, "output_messages"),
        ({"output_messages": None, "output_value": '{"choices": 1}'}, "output_value"),
        ({"input_messages": "[" * 100_000}, "input_messages"),
        ({"tools": "[1]"}, "tools"),
        ({"evals": '{"csat": 1}'}, "evals"),
        ({"annotations": '{"csat": {"score": "high"}}'}, "annotations"),
        ({"output_messages": None}, "no answer"),
        ({"input_messages": None}, "no messages"),
    ],
)
def test_a_span_that_cannot_be_read_is_skipped_and_named(columns: dict[str, Any], says: str) -> None:
    mapped = samples_from_rows([row(**columns), row(span_id="s2")])
    assert [s.span_id for s in mapped.samples] == ["s2"]
    assert len(mapped.skipped) == 1
    assert mapped.skipped[0].startswith("span s1: ")
    assert says in mapped.skipped[0]
    with pytest.raises(SpanError) as raised:
        sample_from_row(row(**columns))
    assert raised.value.span_id == "s1"


def test_parameters_keep_settings_and_drop_what_belongs_to_one_call() -> None:
    recorded = {"model": "m", "temperature": 0.2, "stream": True, "user": "u-1", "n": 1, "top_p": None, "api_key": "sk"}
    assert read_parameters(json.dumps(recorded)) == {"temperature": 0.2}
    assert read_parameters('{"max_output_tokens": 5}') == {"max_completion_tokens": 5}
    assert read_parameters('{"stop_sequences": ["END"]}') == {"stop": ["END"]}
    bedrock = {"maxTokens": 5, "topP": 0.5, "stopSequences": ["END"]}
    assert read_parameters(bedrock) == {"max_tokens": 5, "top_p": 0.5, "stop": ["END"]}
    assert read_parameters('{"temperature": "", "max_tokens": "", "stop": ""}') == {}
    assert read_parameters(None) == read_parameters("") == {}
    for read in (read_parameters, read_model):
        with pytest.raises(TypeError):
            read("[1]")


def test_what_a_client_was_given_beside_its_settings_is_never_replayed() -> None:
    langchain = {
        "_type": "openai-chat",
        "model_name": "gpt-4o",
        "openai_api_key": "sk-1",
        "azure_ad_token": "t",
        "default_headers": {"Authorization": "Bearer x"},
        "request_timeout": 60,
        "model_kwargs": {"api_key": "sk-2"},
        "some_setting_of_tomorrow": 1,
        "seed": 7,
    }
    sampling = {
        "temperature": 0,
        "top_k": 5,
        "logit_bias": {"50256": -100},
        "response_format": {"type": "json_object"},
        "tool_choice": "auto",
        "reasoning_effort": "low",
    }
    assert read_parameters(json.dumps(langchain | sampling)) == sampling
    assert sample(invocation_parameters=langchain).parameters == {}


@given(st.dictionaries(st.sampled_from(["temperature", "stop", "top_p"]), st.floats() | st.text() | st.binary()))
def test_parameters_are_plain_json(recorded: dict[str, Any]) -> None:
    kept = read_parameters(recorded)
    json.dumps(kept, allow_nan=False)
    plain = {k: v for k, v in recorded.items() if isinstance(v, str) or (isinstance(v, float) and v - v == 0)}
    assert kept == {k: v for k, v in plain.items() if v != ""}


FORMAT: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
CHOSEN = {"type": "function", "function": {"name": "weather"}}


@pytest.mark.parametrize(
    ("recorded", "read"),
    [
        ({"response_format": FORMAT}, {"response_format": FORMAT}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": "<class 'Answer'>"}, {}),
        (
            {"text": {"format": {"type": "json_schema", **FORMAT["json_schema"]}, "verbosity": "low"}},
            {"response_format": FORMAT, "verbosity": "low"},
        ),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"text": "plain"}, {}),
        (
            {"response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}},
            {"response_format": FORMAT},
        ),
        ({"response_mime_type": "application/json"}, {"response_format": {"type": "json_object"}}),
        ({"response_mime_type": "text/plain"}, {}),
        ({"tool_choice": "any"}, {"tool_choice": "required"}),
        ({"tool_choice": ""}, {}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}),
        ({"tool_choice": {"type": "tool", "name": "weather"}}, {"tool_choice": CHOSEN}),
        ({"tool_choice": {"type": "function", "name": "weather"}}, {"tool_choice": CHOSEN}),
        ({"tool_choice": CHOSEN}, {"tool_choice": CHOSEN}),
        ({"tool_choice": {"type": "web_search"}}, {"tool_choice": {"type": "web_search"}}),
        ({"tool_choice": {"type": []}}, {"tool_choice": {"type": []}}),
        ({"function_call": {"name": "weather"}}, {"tool_choice": CHOSEN}),
        ({"function_call": "none"}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
        ({"parallel_tool_calls": "false"}, {}),
        ({"reasoning": {"effort": "low", "summary": None}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"effort": None}}, {}),
        ({"reasoning": {"max_tokens": 9}}, {"reasoning": {"max_tokens": 9}}),
        ({"previous_response_id": "resp_1", "conversation": None}, {"previous_response_id": True}),
        ({"prompt": {"id": "pmpt_1", "variables": {"name": "Ada"}}}, {"prompt": True}),
        ({"prompt": "The weather:"}, {}),
    ],
)
def test_the_settings_of_every_api_take_their_form_in_chat_completions(
    recorded: dict[str, Any], read: dict[str, Any]
) -> None:
    assert read_parameters(json.dumps(recorded)) == read
    assert read_parameters(read) == read


def test_settings_are_the_policy_s_or_the_call_s_or_say_what_is_elsewhere() -> None:
    recorded = {"temperature": 0, "response_format": FORMAT, "tool_choice": "auto", "previous_response_id": True}
    assert policy_settings(recorded) == {"temperature": 0}
    assert call_settings(recorded) == {"response_format": FORMAT, "tool_choice": "auto"}
    assert kept_elsewhere(recorded) == ("previous_response_id",)


def test_the_call_s_settings_are_looked_for_in_the_raw_request_too() -> None:
    body = {
        "messages": [],
        "temperature": 1,
        "response_format": FORMAT,
        "tool_choice": "auto",
        "parallel_tool_calls": float("nan"),
    }
    read = sample(invocation_parameters={"tool_choice": "none"}, input_value=body)
    assert read.parameters == {"response_format": FORMAT, "tool_choice": "none"}
    refers = {"input": [{"type": "item_reference", "id": "msg_1"}]}
    assert sample(input_value=refers).parameters == {"item_reference": True}


@pytest.mark.parametrize("kind", [[], {}, 3, None, True])
@pytest.mark.parametrize("column", ["input_value", "invocation_parameters"])
def test_settings_of_an_unknown_shape_are_not_the_call_s(column: str, kind: Any) -> None:
    body = {"response_format": {"type": kind}, "tool_choice": {"type": kind, "name": 3}, "input": [kind], "text": kind}
    assert sample(**{column: body}).parameters.get("response_format") is None


def test_tools_are_looked_for_in_settings_and_raw_request_too() -> None:
    function = WEATHER["function"]
    assert sample(invocation_parameters={"functions": [function]}).tools == (WEATHER,)
    assert sample(input_value={"tools": [WEATHER]}).tools == (WEATHER,)
    assert sample(input_value={"tools": "weather"}).tools == sample(input_value={"tools": [1]}).tools == ()
    declared = {"contents": [], "tools": [{"function_declarations": [function]}, {"google_search": {}}]}
    assert sample(input_value=declared).tools == (WEATHER, {"google_search": {}})
    assert sample(tools=[WEATHER], input_value={"tools": [{"name": "other"}]}).tools == (WEATHER,)


def test_the_requested_model_is_replayed_and_the_one_that_answered_is_kept_beside_it() -> None:
    assert sample(model=None, invocation_parameters={"model": "asked"}).model == "asked"
    assert sample(model="", invocation_parameters={"model": None, "model_name": "named"}).model == "named"
    found = sample(model="gpt-4o-2024-08-06", invocation_parameters={"model": "gpt-4o"})
    assert (found.model, found.answered_by, found.recorded_model) == (
        "gpt-4o",
        "gpt-4o-2024-08-06",
        "gpt-4o-2024-08-06",
    )
    azure = {"azure_deployment": "our-gpt", "model": "gpt-4o"}
    assert sample(model="gpt-4o-2024-08-06", invocation_parameters=azure).model == "our-gpt"
    raw = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    assert sample(model="gpt-4o-2024-08-06", invocation_parameters={}, input_value=raw).model == "gpt-4o"
    other = {"model": "Tesla 3", "question": "Hi"}
    assert sample(model="gpt-4o-2024-08-06", invocation_parameters={}, input_value=other).model == "gpt-4o-2024-08-06"
    same = sample(model="gpt-4o", invocation_parameters={"model": "gpt-4o"})
    assert (same.answered_by, same.recorded_model) == ("", "gpt-4o")
    assert sample(model=None, invocation_parameters={"model": {"id": 1}}).model == ""
    assert sample(model=None).model == ""


CUT = json.loads('"cut \\ud83d"')
CLEAN = "cut \ufffd"


@pytest.mark.parametrize(
    "columns",
    [
        {"input_messages": [item("system", CUT), item("user", CUT)]},
        {"input_messages": json.dumps([json.dumps(item("user", CUT, name=CUT))])},
        {"input_messages": [item("user", contents=[{"message_content.image": {"image.url": CUT}}])]},
        {"input_messages": [item("assistant", tool_calls=[{"function": {"name": CUT, "arguments": {CUT: CUT}}}])]},
        {"input_messages": None, "input_value": {"messages": [{"role": "user", "content": CUT}]}},
        {"input_messages": None, "input_value": CUT},
        {"output_messages": [item("assistant", CUT)]},
        {"output_messages": None, "output_value": CUT},
        {"template_variables": {CUT: CUT}, "template": CUT},
        {"invocation_parameters": {"stop": [CUT], "model": CUT}, "model": None},
        {"tools": [{"name": CUT, "parameters": {CUT: [CUT]}}]},
        {"evals": {CUT: {"label": CUT, "explanation": CUT}}},
        {"annotations": {CUT: {"label": CUT, "explanation": CUT}}},
        {"span_id": CUT, "trace_id": CUT, "conversation_id": CUT, "model": CUT},
    ],
)
def test_half_an_emoji_can_be_stored_and_hashed(columns: dict[str, Any]) -> None:
    (read,) = samples_from_rows([row(**columns)]).samples
    assert CLEAN in str(read.model_dump()).replace("\\ufffd", "\ufffd")
    assert Sample.model_validate_json(read.model_dump_json()) == read
    assert fingerprint(read.model_dump(mode="json"))
    assert sample_from_row(sample_to_row(read)).messages == read.messages


def test_a_whole_emoji_stays() -> None:
    assert sample(output_messages=[item("assistant", "\U0001f600")]).output == "\U0001f600"


@pytest.mark.parametrize(
    "tools",
    [
        [{"tool.json_schema": json.dumps(WEATHER)}],
        [json.dumps({"tool.json_schema": json.dumps(WEATHER)})],
        [{"tool": {"json_schema": WEATHER}}],
        [WEATHER],
        {"0.tool.json_schema": json.dumps(WEATHER), "1.tool.json_schema": None},
        WEATHER,
        [{"name": "weather", "parameters": {"type": "object"}, "type": "function"}],
        [{"name": "weather", "input_schema": {"type": "object"}}],
        [{"type": "custom", "name": "weather", "input_schema": {"type": "object"}}],
        [{"name": "weather", "parameters": {"type": "OBJECT"}}],
        [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}],
    ],
)
def test_tools_come_in_wire_form(tools: Any) -> None:
    assert read_tools(json.dumps(tools)) == (WEATHER,)


def test_tools_without_parameters_or_at_all() -> None:
    assert read_tools('[{"name": "now"}]') == ({"type": "function", "function": {"name": "now"}},)
    assert read_tools(None) == read_tools("3") == ()
    assert read_tools('{"0.tool.json_schema": null}') == ()
    for there in ({"type": "web_search"}, {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}):
        assert read_tools(json.dumps([there])) == (there,)


def test_types_of_a_schema_take_the_names_of_json_schema() -> None:
    google = {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING", "enum": ["ARRAY"]}},
        "anyOf": [{"type": "NULL"}],
    }
    assert lower_types(google) == {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": ["ARRAY"]}},
        "anyOf": [{"type": "null"}],
    }
    assert lower_types({"type": ["string", "null"], "title": "STRING"}) == {
        "type": ["string", "null"],
        "title": "STRING",
    }


@pytest.mark.parametrize(("template", "trusted"), [("Greet {name}.", True), ("Greet {other}.", False), (None, False)])
def test_a_template_is_trusted_only_where_it_gives_the_recorded_prompt(template: str | None, trusted: bool) -> None:
    read = sample(
        input_messages=[item("system", "Greet Ada."), item("user", "Hi")],
        template=template,
        template_variables={"name": "Ada", "": "x", "age": 7, "gone": None},
    )
    assert read.template == (template if trusted else None)
    assert read.variables == {"name": "Ada", "": "x", "age": "7"}


def test_placeholders_are_the_variables_that_stand_in_the_text() -> None:
    assert placeholders("{b} and {{ a }} and {c d}", ["a", "b", "d", ""]) == ("a", "b")


def test_evaluations_of_the_platform_are_read() -> None:
    said = {
        "csat": {"label": 4, "score": None, "explanation": None},
        "tone": {"label": "good", "score": 1, "explanation": "Kind."},
        "empty": {"label": None, "score": float("nan"), "explanation": None},
    }
    assert sample(evals=said).evals == (
        EvalMetrics(name="csat", label="4", source="platform"),
        EvalMetrics(name="tone", label="good", score=1.0, explanation="Kind.", source="platform"),
    )


def test_what_people_said_stands_apart_from_the_platforms_evaluations() -> None:
    read = sample(evals={"csat": {"score": 1}}, annotations={"csat": {"label": "bad", "score": None}})
    assert read.evals == (EvalMetrics(name="csat", score=1.0, source="platform"),)
    assert read.annotations == (EvalMetrics(name="csat", label="bad", source="platform"),)


def test_what_was_stored_before_annotations_had_a_column_still_loads() -> None:
    old = {name: value for name, value in row(evals={"csat": {"score": 1}}).items() if name != "annotations"}
    assert sample_from_row(old).annotations == ()
    stored = sample(evals={"csat": {"score": 1}}).model_dump(mode="json")
    del stored["annotations"]
    assert Sample.model_validate(stored).evals == sample_from_row(old).evals


def test_times_are_utc() -> None:
    local = datetime(2026, 11, 9, 9, tzinfo=timezone(timedelta(hours=1)))
    assert sample(start_time=local).start_time == START
    assert sample(start_time=datetime(2026, 11, 9, 8)).start_time == START  # noqa: DTZ001 - exports have no zone


@pytest.mark.parametrize(
    ("ids", "expected"),
    [({}, "c1"), ({"conversation_id": None}, "t1"), ({"conversation_id": "", "trace_id": ""}, "s1")],
)
def test_the_conversation_falls_back_to_the_trace(ids: dict[str, Any], expected: str) -> None:
    assert sample(**ids).conversation_id == expected


IDS = st.integers(1, 999).map(lambda number: f"id {number}")
TEXT = st.text(min_size=1, max_size=20).filter(lambda text: not is_blank(text))
JSON = st.dictionaries(st.sampled_from(["temperature", "top_p", "stop"]), st.floats(0, 1), max_size=3)
IMAGES = TEXT.map(lambda url: {"type": "image_url", "image_url": {"url": url}})
PLAIN = st.builds(Message, role=st.sampled_from(["user", "assistant"]), content=TEXT)

TOOL_USE = st.builds(
    Message,
    role=st.just("assistant"),
    content=st.none() | TEXT,
    tool_calls=st.lists(st.builds(ToolCall, id=TEXT, name=TEXT, arguments=st.text()), min_size=1, max_size=2).map(
        tuple
    ),
)

RESULTS = st.builds(Message, role=st.just("tool"), content=TEXT, tool_call_id=TEXT, name=st.none() | TEXT)
PICTURES = st.builds(
    lambda text, image: Message(role="user", content=text, parts=({"type": "text", "text": text}, image)), TEXT, IMAGES
)
SCORES = st.floats(allow_nan=False, allow_infinity=False)

EVALS = st.builds(
    EvalMetrics,
    name=TEXT,
    label=TEXT,
    score=st.none() | SCORES,
    explanation=st.none() | TEXT,
    source=st.just("platform"),
)

SAID = st.lists(EVALS, max_size=2, unique_by=lambda e: e.name).map(lambda e: tuple(sorted(e, key=lambda m: m.name)))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    conversation = draw(IDS)
    name, system = draw(st.sampled_from(["name", "customer.id"])), draw(st.text(alphabet="abc ", max_size=10))
    filled = draw(st.booleans())
    value = draw(st.text(max_size=5))
    return Sample(
        span_id=draw(TEXT),
        trace_id=draw(IDS),
        conversation_id=conversation,
        start_time=draw(st.datetimes(timezones=st.just(UTC))),
        split=split_of(conversation),
        system_prompt=f"{system}{value}" if filled else system,
        messages=as_chat(draw(st.lists(PLAIN | TOOL_USE | RESULTS | PICTURES, min_size=1, max_size=4))),
        output=draw(TEXT),
        variables={name: value} if filled else {},
        template=f"{system}{{{name}}}" if filled else None,
        model=draw(TEXT),
        parameters=draw(JSON),
        tools=draw(st.sampled_from([(), (WEATHER,)])),
        tags=read_tags(draw(st.lists(TEXT, max_size=3))),
        evals=draw(SAID),
        annotations=draw(SAID),
    )


@given(samples())
def test_a_sample_becomes_a_row_and_comes_back_equal(original: Sample) -> None:
    written = sample_to_row(original)
    assert list(written) == SPAN_SCHEMA.names
    assert sample_from_row(written) == original


@pytest.mark.parametrize("before", [(), (ToolCall(id="a", name="look"),)])
def test_all_that_an_assistant_says_before_its_calls_is_one_turn(before: tuple[ToolCall, ...]) -> None:
    """Else the chat that is stored would be read back as another one."""
    call = ToolCall(id="b", name="look")
    first = Message(role="assistant", content="Let me see.", tool_calls=before)
    chat = as_chat(
        (first, Message(role="assistant", content="One moment."), Message(role="assistant", tool_calls=(call,)))
    )
    assert chat == (Message(role="assistant", content="Let me see.\nOne moment.", tool_calls=(*before, call)),)
    assert as_chat(chat) == chat


LOOSE = st.builds(
    Message,
    role=st.sampled_from(["user", "assistant", "tool", "function"]),
    content=st.none() | st.sampled_from(["", "x"]),
    tool_calls=st.lists(st.builds(ToolCall, id=st.sampled_from(["", "a"]), name=st.sampled_from("fg")), max_size=2).map(
        tuple
    ),
    tool_call_id=st.none() | st.sampled_from(["a", "b", "call_1"]),
    name=st.none() | st.sampled_from("fg"),
)


@given(st.lists(LOOSE, max_size=6))
def test_a_chat_in_order_stays_as_it_is(messages: list[Message]) -> None:
    turns = as_chat(messages)
    assert as_chat(turns) == turns
    assert all(call.id for turn in turns for call in turn.tool_calls)
    calls = [call.name for message in messages for call in message.tool_calls]
    assert [call.name for turn in turns for call in turn.tool_calls] == calls


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "message.role",
                    "message.contents",
                    "choices",
                    "content",
                    "output",
                    "0",
                    "tool_calls",
                    "messages",
                    "input",
                    "tool.json_schema",
                    "name",
                    "function",
                    "generations",
                    "toolUse",
                    "tool_result",
                    "type",
                    "image_url",
                    "text",
                    "tools",
                    "prompt",
                    "functions",
                    "tool_choice",
                    "response_format",
                    "x.y",
                    "",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(TEXT_COLUMNS), JUNK))
def test_no_trace_can_break_the_reading(columns: dict[str, Any]) -> None:
    mapped = samples_from_rows([row(**columns)])
    assert len(mapped.samples) + len(mapped.skipped) == 1
    parted = replayability(mapped.samples)
    assert len(parted.replayable) + sum(parted.left_out.values()) == len(mapped.samples)
    for found in mapped.samples:
        assert Sample.model_validate_json(found.model_dump_json()) == found
        assert sample_from_row(sample_to_row(found)).output == found.output
