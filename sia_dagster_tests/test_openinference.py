"""Every shape in which instrumentors write a call is read; what cannot be read is named and left out."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.errors import SpanError
from sia_dagster.core.models import EvalMetrics, Message, Sample, ToolCall, fingerprint
from sia_dagster.core.openinference.attributes import load_object, nest
from sia_dagster.core.openinference.messages import message_attributes, parse_messages, text_of, tool_calls_text
from sia_dagster.core.openinference.payloads import request_messages, response_text
from sia_dagster.core.openinference.samples import (
    placeholders,
    sample_from_row,
    sample_to_row,
    samples_from_rows,
    split_system,
)
from sia_dagster.core.openinference.schema import SPAN_COLUMNS, SPAN_SCHEMA, TEXT_COLUMNS
from sia_dagster.core.openinference.settings import read_parameters, read_tools
from sia_dagster.core.splits import split_of

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


def test_parts_of_text_alone_are_text_and_what_a_chat_cannot_repeat_leaves() -> None:
    contents = [
        {"message_content.type": "reasoning", "message_content.text": "Hm"},
        {"message_content.type": "output_text", "message_content.text": "One"},
        {"message_content.type": "image"},
        {"message_content.text": "Two"},
        "Three",
    ]
    (message,) = parse_messages([{"message.role": "assistant", "message.contents": contents}])
    assert (message.content, message.parts) == ("One\nTwo\nThree", ())


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


def test_tool_results_and_functions_keep_role_and_id() -> None:
    chat = [
        item("user", "Weather?"),
        item("assistant", tool_calls=[{"tool_call.function.name": "weather"}]),
        item("tool", "Rain", tool_call_id="call_1"),
        item("function", "Rain", name="weather"),
    ]
    read = sample(input_messages=chat).messages
    assert read[1] == Message(role="assistant", tool_calls=(ToolCall(name="weather"),))
    assert read[2] == Message(role="tool", content="Rain", tool_call_id="call_1")
    assert read[3] == Message(role="function", content="Rain", name="weather")
    assert (text_of(read[2]), text_of(Message(role="user"))) == ("Rain", "")
    assert text_of(read[1]) == '[{"name": "weather", "arguments": ""}]'


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
        ({"invocation_parameters": "{"}, "invocation_parameters"),
        ({"invocation_parameters": "[1]"}, "invocation_parameters"),
        ({"invocation_parameters": "[1]", "model": None}, "invocation_parameters"),
        ({"tools": "[1]"}, "tools"),
        ({"evals": '{"csat": 1}'}, "evals"),
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
    assert read_parameters(None) == read_parameters("") == {}


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
    assert kept == {k: v for k, v in recorded.items() if isinstance(v, str) or (isinstance(v, float) and v - v == 0)}


def test_the_model_falls_back_to_the_one_that_was_asked_for() -> None:
    assert sample(model=None, invocation_parameters={"model": "asked"}).model == "asked"
    assert sample(model="", invocation_parameters={"model": None, "model_name": "named"}).model == "named"
    assert sample(model="said", invocation_parameters={"model": "asked"}).model == "said"
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
    ],
)
def test_tools_come_in_wire_form(tools: Any) -> None:
    assert read_tools(json.dumps(tools)) == (WEATHER,)


def test_tools_without_parameters_or_at_all() -> None:
    assert read_tools('[{"name": "now"}]') == ({"type": "function", "function": {"name": "now"}},)
    assert read_tools(None) == read_tools("3") == ()
    search = {"type": "web_search"}
    assert read_tools(json.dumps([search])) == (search,)


@pytest.mark.parametrize(
    ("template", "trusted"),
    [
        ("Greet {name}.", True),
        ("Greet {{ name }}.", True),
        ("Greet Ada.", True),
        ("Greet {name}!", False),
        ("Greet {other}.", False),
        ("", False),
        (None, False),
    ],
)
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


TEXT = st.text(min_size=1, max_size=20)
JSON = st.dictionaries(st.sampled_from(["temperature", "top_p", "response_format"]), st.floats(0, 1), max_size=3)
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


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    conversation = draw(TEXT)
    name, system = draw(st.sampled_from(["name", "customer.id"])), draw(st.text(alphabet="abc ", max_size=10))
    filled = draw(st.booleans())
    value = draw(st.text(max_size=5))
    return Sample(
        span_id=draw(TEXT),
        trace_id=draw(TEXT),
        conversation_id=conversation,
        start_time=draw(st.datetimes(timezones=st.just(UTC))),
        split=split_of(conversation),
        system_prompt=f"{system}{value}" if filled else system,
        messages=tuple(draw(st.lists(PLAIN | TOOL_USE | RESULTS | PICTURES, min_size=1, max_size=4))),
        output=draw(TEXT),
        variables={name: value} if filled else {},
        template=f"{system}{{{name}}}" if filled else None,
        model=draw(TEXT),
        parameters=draw(JSON),
        tools=draw(st.sampled_from([(), (WEATHER,)])),
        evals=tuple(
            draw(st.lists(EVALS, max_size=2, unique_by=lambda e: e.name).map(lambda e: sorted(e, key=lambda m: m.name)))
        ),
    )


@given(samples())
def test_a_sample_becomes_a_row_and_comes_back_equal(original: Sample) -> None:
    written = sample_to_row(original)
    assert list(written) == SPAN_SCHEMA.names
    assert sample_from_row(written) == original


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
