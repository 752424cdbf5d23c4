"""Answers that are none, and requests that are none: mended where the meaning is clear, else left out and named."""

import json
from typing import Any

import pytest

from sia_dagster.core.openinference.samples import MappedSpans, samples_from_rows
from sia_dagster.core.records.sample import Message, Sample, ToolCall
from sia_dagster_tests.core.openinference.test_openinference import item, row
from sia_dagster_tests.places import CORPORA

SAID = "It is sunny."
CALLS = '[{"name": "weather", "arguments": "{\\"city\\": \\"Ulm\\"}"}]'
USE = {"name": "weather", "args": {"city": "Ulm"}, "id": "call_1", "type": "tool_call"}


def mapped(**columns: Any) -> MappedSpans:
    return samples_from_rows([row(**columns)])


def read(**columns: Any) -> Sample:
    found = mapped(**columns)
    assert found.skipped == ()
    return found.samples[0]


def constructed(name: str, content: Any, **fields: Any) -> dict[str, Any]:
    """A message as LangChain serialises it."""
    kwargs = {"content": content, "type": name.removesuffix("Message").lower()} | fields
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": kwargs}


def chunks(*deltas: Any, **more: Any) -> list[Any]:
    return [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]} | more for delta in deltas]


def block_delta(**delta: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


TOOL_CHUNKS = chunks(
    {"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "weather", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '"Ulm"}'}}]},
)
ANTHROPIC_CALL = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "weather"}},
    block_delta(type="input_json_delta", partial_json='{"city": '),
    block_delta(type="input_json_delta", partial_json='"Ulm"}'),
]

ANSWERS: dict[str, Any] = json.loads((CORPORA / "wrapped_answers.json").read_text(encoding="utf-8"))
"""The same answer in all that is recorded around one; a text stands as it is, anything else as its JSON."""


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_is_what_the_model_said_not_its_wrapping(name: str) -> None:
    value = ANSWERS[name]
    text = value if isinstance(value, str) else json.dumps(value)
    found = read(output_messages=None, output_value=text).output
    assert found == SAID.replace(" sunny", "\nsunny") if name == "message of Gemini" else found == SAID
    again = json.dumps(text)
    assert read(output_messages=None, output_value=again).output == found, "as a JSON text"


@pytest.mark.parametrize(
    "response",
    [
        TOOL_CHUNKS,
        ANTHROPIC_CALL,
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "weather", "args": {"city": "Ulm"}}}]}}]},
        [{"candidates": [{"content": {"parts": [{"function_call": {"name": "weather", "args": {"city": "Ulm"}}}]}}]}],
        constructed("AIMessage", "", tool_calls=[USE]),
        constructed(
            "AIMessage",
            "",
            additional_kwargs={"tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}]},
        ),
        chunks(
            {"tool_calls": [{"index": 0, "function": {"arguments": "lost"}}, {"function": {"name": "weather"}}]},
            {"tool_calls": [{"function": {"arguments": '{"city": "Ulm"}'}}]},
        ),
        {"role": "assistant", "content": [{"type": "tool-call", "toolName": "weather", "input": {"city": "Ulm"}}]},
        [
            {
                "contentBlockStart": {
                    "start": {"toolUse": {"toolUseId": "c", "name": "weather"}},
                    "contentBlockIndex": 1,
                }
            },
            {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"city": "Ulm"}'}}, "contentBlockIndex": 1}},
        ],
    ],
)
def test_tool_calls_are_found_in_every_wrapping(response: Any) -> None:
    assert read(output_messages=None, output_value=json.dumps(response)).output == CALLS


WRAPPED_IN_A_MESSAGE = (
    *("chat completion", "LangChain message", "message", "LangChain type and data", "printed message", "Gemini"),
    *("list of parts", "stream of chat completions", "server-sent events", "printed completion", "Anthropic"),
)


@pytest.mark.parametrize("name", WRAPPED_IN_A_MESSAGE)
def test_a_wrapping_in_the_message_itself_is_taken_off(name: str) -> None:
    value = ANSWERS[name]
    text = value if isinstance(value, str) else json.dumps(value)
    assert read(output_messages=[item("assistant", text)]).output == SAID


OWN_TEXTS = [
    '{"answer": "sunny"}',
    '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]',
    '{"role": "Engineer", "content": "builds"}',
    '{"type": "text"}',
    '[{"text": "one"}, {"text": "two"}]',
    '{"error": "the order is unknown"}',
    "{'answer': 'sunny'}",
    "[1] See the report. [2] As above.",
    "<b>Sunny</b>",
    "weather(city='Ulm')",
    "Result(s): none",
    "ValueError means that the value is wrong.",
    'It says:\n```\nTraceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1\n```\nso a key is missing.',
    "data: the plural of datum",
    "(Sunny) with clouds",
    "(1)",
    '{"a": 1}\n{"b": ',
    '{"a": 1}\n{"b": 2}',
    '[{"task": "call Ida", "done": true}, {"task": "write", "done": false}]',
    '[{"type": "order", "text": "late"}]',
]


@pytest.mark.parametrize("text", OWN_TEXTS)
def test_what_the_model_wrote_itself_stays(text: str) -> None:
    assert read(output_messages=[item("assistant", text)]).output == text


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": "sunny"}',
        '{"text": "sunny"}',
        '{"message": {"to": "Ida"}}',
        '["a", "b"]',
        "{'a': 1}",
        '[{"text": "one"}]',
        '{"messages": ["a"]}',
    ],
)
def test_json_of_no_known_api_is_the_answer_itself(text: str) -> None:
    assert read(output_messages=None, output_value=text).output == text


TRACEBACK = (
    'Traceback (most recent call last):\n  File "/app/a.py", line 3, in ask\n    raise error\nopenai.APIError: no'
)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"error": {"message": "Rate limit", "type": "requests", "code": 429}}, "answer_is_error"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "answer_is_error"),
        ({"error": "model not found"}, "answer_is_error"),
        ([{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}], "no_answer"),
        ({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}}]}, "no_answer"),
        ({"object": "chat.completion", "choices": []}, "no_answer"),
        ({"candidates": [{"finishReason": "SAFETY", "index": 0}], "usageMetadata": {}}, "no_answer"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "no_answer"),
        ({"generations": [], "llm_output": None}, "no_answer"),
        ("{'error': {'code': 503, 'status': 'UNAVAILABLE'}}", "answer_is_error"),
        (TRACEBACK, "answer_is_error"),
        (f"The call failed.\n{TRACEBACK}\n", "answer_is_error"),
        ("openai.RateLimitError: Error code: 429 - {'error': {}}", "answer_is_error"),
        ("Error code: 400 - {'error': {'message': 'no'}}", "answer_is_error"),
        ("RateLimitError('too many requests')", "answer_is_error"),
        ("APIConnectionError: Connection error.", "answer_is_error"),
        ("ThrottlingException: Too many requests", "answer_is_error"),
        ("TimeoutError", "answer_is_error"),
        ("Error: 500 Internal Server Error", "answer_is_error"),
        ("HTTP 503 Service Unavailable", "answer_is_error"),
        ("Request timed out.", "answer_is_error"),
        ("[object Object]", "no_answer"),
        ("undefined", "no_answer"),
        ("nan", "no_answer"),
        ("<Response [200]>", "answer_is_object"),
        ("<openai.Stream object at 0x7f3c8c0d5e50>", "answer_is_object"),
        ("<async_generator object ask at 0x7f>", "answer_is_object"),
        ("<coroutine object ask at 0x7f>", "answer_is_object"),
        ("ModelResponse(<unreadable>)", "answer_is_object"),
        ("AIMessage(content=['a' 3])", "answer_is_object"),
        (" \n\t", "no_answer"),
        ("\u200b\ufeff \u2060", "no_answer"),
        ({"role": "assistant", "content": " \u200b "}, "no_answer"),
        ([{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "?"}], None),
        ([{"role": "user", "content": "Weather?"}], "no_answer"),
        ('{"id": "chatcmpl-1", "choices": [{"message": {"role": "assistant", "content": "It is su', "cut"),
        ('{"role": "assistant", "content": "It is', "cut"),
    ],
)
def test_what_is_no_answer_is_left_out_with_its_kind(value: Any, reason: str | None) -> None:
    found = mapped(output_messages=None, output_value=value)
    assert [(span.span_id, span.reason) for span in found.left_out] == ([("s1", reason)] if reason else [])
    if reason in ("answer_is_error", "answer_is_object", "no_answer") and isinstance(value, str):
        told = mapped(output_messages=[item("assistant", value)])
        assert [span.reason for span in told.left_out] == [reason] or value.startswith("{")


def kinds(found: MappedSpans) -> list[str]:
    return [note.kind for note in found.notes]


CHOICES = [item("assistant", "One."), item("assistant", "Two."), item("assistant", "Three.")]
TURN = [item("assistant", "One."), item("assistant", tool_calls=[{"function": {"name": "look", "arguments": "{}"}}])]


@pytest.mark.parametrize(
    ("columns", "output", "several"),
    [
        ({"output_messages": CHOICES, "invocation_parameters": {"n": 3}}, "One.", True),
        ({"output_messages": CHOICES, "output_value": {"choices": [{}, {}, {}]}}, "One.", True),
        ({"output_messages": CHOICES, "output_value": {"candidates": [{}, {}]}}, "One.", True),
        ({"output_messages": CHOICES, "output_value": {"generations": [[{}, {}, {}]]}}, "One.", True),
        ({"output_messages": CHOICES}, "One.", True),
        ({"output_messages": CHOICES, "output_value": {"output": [{}, {}, {}]}}, "One.\nTwo.\nThree.", False),
        ({"output_messages": CHOICES, "output_value": {"choices": [{}]}}, "One.\nTwo.\nThree.", False),
        ({"output_messages": CHOICES, "invocation_parameters": {"n": 1}}, "One.\nTwo.\nThree.", False),
        ({"output_messages": TURN}, "One.", False),
        ({"output_messages": [*TURN, *TURN], "invocation_parameters": {"candidate_count": 2}}, "One.", True),
        ({"output_messages": [*TURN, *TURN], "input_value": {"messages": [], "n": 2}}, "One.", True),
        ({"output_messages": [item("assistant", " "), item("assistant", "Two.")]}, "Two.", False),
        ({"output_messages": [item("user", "?"), *CHOICES[:1], item("user", "Ok.")]}, "One.", False),
    ],
)
def test_of_several_choices_the_first_is_the_answer_and_a_turn_is_one(
    columns: dict[str, Any], output: str, several: bool
) -> None:
    found = mapped(**columns)
    assert found.samples[0].output == output
    assert kinds(found) == (["several_choices"] if several else [])


ASKED = Message(role="user", content="Hi")
PLAIN = {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}

REQUESTS: dict[str, Any] = json.loads((CORPORA / "raw_requests.json").read_text(encoding="utf-8"))
"""The same chat as the raw request of each API."""


@pytest.mark.parametrize("name", REQUESTS)
def test_the_request_is_read_in_the_form_of_every_api(name: str) -> None:
    value = REQUESTS[name]
    found = read(input_messages=None, input_value=value)
    assert (found.system_prompt, found.messages) == ("Be kind.", (ASKED,))


def test_a_prompt_alone_is_the_users() -> None:
    for value in ({"prompt": "Hi"}, {"prompts": ["Hi"]}, {"inputText": "Hi", "textGenerationConfig": {}}, "Hi"):
        assert read(input_messages=None, input_value=value).messages == (ASKED,)


TOOL_USE = Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="weather", arguments='{"city": "Ulm"}'),))


@pytest.mark.parametrize(
    "chat",
    [
        [constructed("AIMessage", "", tool_calls=[USE]), constructed("ToolMessage", "Rain", tool_call_id="call_1")],
        [
            {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Ulm"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": "Rain"}}]},
        ],
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "tool-call", "toolCallId": "call_1", "toolName": "weather", "args": {"city": "Ulm"}}
                ],
            },
            {
                "role": "tool",
                "content": [
                    {"type": "tool-result", "toolCallId": "call_1", "output": {"type": "text", "value": "Rain"}}
                ],
            },
        ],
    ],
)
def test_tools_in_raw_requests_are_a_chat(chat: Any) -> None:
    found = read(input_messages=None, input_value={"messages": [{"role": "user", "content": "Hi"}, *chat]})
    used = [message.model_copy(update={"content": message.content or None}) for message in found.messages]
    assert used == [ASKED, TOOL_USE, Message(role="tool", content="Rain", tool_call_id="call_1")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"messages": [[{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Ho"}]]}, "unreadable"),
        ({"prompts": ["Hi", "Ho"]}, "unreadable"),
        ('{"model": "m", "messages": [{"role": "user", "content": "Hi the', "cut"),
        ('[{"role": "user", "content": "Hi", "x": tru', "cut"),
        ({"question": "Hi"}, "no_messages"),
    ],
)
def test_a_request_that_is_none_is_left_out_with_its_kind(value: Any, reason: str) -> None:
    assert [span.reason for span in mapped(input_messages=None, input_value=value).left_out] == [reason]


@pytest.mark.parametrize("column", ["input_messages", "output_messages"])
def test_messages_that_a_limit_cut_are_named(column: str) -> None:
    whole = json.dumps([item("user", "Hello there, how are you?")])
    (left_out,) = mapped(**{column: whole[:-12]}).left_out
    assert (left_out.reason, left_out.span_id) == ("cut", "s1")
    assert f"{column} cannot be read (it is cut after {len(whole) - 12} characters)" in left_out.sentence


LOST: list[Any] = [{"message.role": "user"}, item("user", ""), item("user", " \u200b"), item("human", contents=[])]
LOST += [item("user", "[object Object]"), item("user", "<list_iterator object at 0x7f>")]


@pytest.mark.parametrize("lost", LOST)
def test_a_user_message_without_text_is_taken_from_the_request_or_named(lost: Any) -> None:
    chat = [item("system", "Be kind."), lost]
    found = mapped(input_messages=chat, input_value=REQUESTS["LangChain"])
    assert (found.samples[0].messages, kinds(found)) == ((ASKED,), ["text_from_request"])
    beside = mapped(input_messages=chat, input_value=REQUESTS["Anthropic"])
    assert beside.samples[0].messages == (ASKED,)
    other = {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "Hi"}]}
    longer = {"messages": [*PLAIN["messages"], {"role": "user", "content": "More"}]}
    for request in (None, "Hi", other, longer, {"messages": [{"role": "assistant", "content": "Hi"}]}):
        (left_out,) = mapped(input_messages=chat, input_value=request).left_out
        assert left_out.reason == "empty_message"
        assert left_out.sentence.startswith("a user message is empty")


def test_without_its_system_prompt_the_request_is_the_same_chat() -> None:
    chat = [item("system", "Be kind."), {"message.role": "user"}, item("assistant", "Hello."), item("user", "More")]
    said = [("user", "Hi"), ("assistant", "Hello."), ("user", "More")]
    sent = {"messages": [{"role": role, "content": text} for role, text in said]}
    found = read(input_messages=chat, input_value=sent)
    assert (found.system_prompt, found.messages[0]) == ("Be kind.", ASKED)


def test_an_earlier_message_and_a_tools_result_without_text_are_named_too() -> None:
    for empty in (item("user"), item("tool", tool_call_id="c")):
        chat = [item("user", "Hi"), item("assistant", "Hello."), empty, item("user", "More")]
        assert [span.reason for span in mapped(input_messages=chat).left_out] == ["empty_message"]
    fine = [
        item("user", "Hi"),
        item("assistant", tool_calls=[{"name": "f", "id": "c"}]),
        item("tool", "", tool_call_id="c"),
    ]
    assert read(input_messages=fine).messages[-1].content == ""


SYSTEM_ITEM, USER_ITEM = str(item("system", "Be kind.")), str(item("user", "Hi"))
PARTS = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PARTS),
        json.dumps(PARTS[0]),
        str(PARTS),
        f" \n{json.dumps(PARTS, indent=1)}",
        json.dumps([{"text": "Be kind.", "type": "input_text"}, *PARTS[:0]]).replace("input_text", "text"),
        json.dumps([{"type": "thinking", "thinking": "Hm"}, *PARTS]),
    ],
)
def test_text_that_is_the_json_of_parts_is_their_text(text: str) -> None:
    found = read(input_messages=[item("system", text), item("user", json.dumps([{"type": "text", "text": "Hi"}]))])
    assert (found.system_prompt, found.messages) == ("Be kind.", (ASKED,))


@pytest.mark.parametrize(
    "text",
    [
        '[{"text": "a"}, {"text": "b"}]',
        '[{"type": "order", "text": "late"}]',
        '[{"type": "text", "te',
        '{"type": "text"}',
        "[{'type': f()}]",
    ],
)
def test_json_that_a_user_sent_stays(text: str) -> None:
    assert read(input_messages=[item("user", text)]).request == text


def test_parts_recorded_as_text_keep_their_pictures() -> None:
    parts = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    (message,) = read(input_messages=[item("user", json.dumps(parts))]).messages
    assert (message.content, message.parts) == ("What?", tuple(parts))


@pytest.mark.parametrize(
    ("written", "role"),
    [
        *[
            (name, "user")
            for name in (
                "HumanMessage",
                "HumanMessageChunk",
                "USER",
                "MessageRole.USER",
                "Role.user",
                "<Role.USER: 'user'>",
                "ChatCompletionUserMessageParam",
                "ROLE_USER",
                "UserPromptPart",
                " User ",
            )
        ],
        *[
            (name, "assistant")
            for name in ("AIMessage", "CHATBOT", "AIMessageChunk", "ChatMessageRole.ASSISTANT", "bot", "Model")
        ],
        *[(name, "system") for name in ("SystemMessage", "ChatMessageRole.SYSTEM", "SYSTEM", "system_instruction")],
        ("DeveloperMessage", "developer"),
        ("operator", "operator"),
        ("Critic", "critic"),
        ("x" * 2_000, "x" * 2_000),
        (7, "7"),
    ],
)
def test_roles_are_read_in_every_writing_and_unknown_ones_stay(written: Any, role: str) -> None:
    chat = [item("user", "Hi"), item(written, "Yes."), item("user", "More")]
    assert read(input_messages=chat).messages[1].role == role


def test_tool_messages_of_class_names_answer_their_calls() -> None:
    call = {"tool_call.id": "c", "tool_call.function.name": "f", "tool_call.function.arguments": "{}"}
    chat = [
        item("HumanMessage", "Hi"),
        item("AIMessage", tool_calls=[call]),
        item("ToolMessage", "x", tool_call_id="c"),
    ]
    assert [message.role for message in read(input_messages=chat).messages] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    "shape",
    [
        f"[{SYSTEM_ITEM}, {USER_ITEM}]",
        f"[{SYSTEM_ITEM}\n {USER_ITEM}]",
        f"array([{SYSTEM_ITEM},\n       {USER_ITEM}], dtype=object)",
        f"[{SYSTEM_ITEM[:-1]}, 'message.name': nan}}, {USER_ITEM}]",
        "({'message': {'role': 'system', 'content': 'Be kind.'}}, {'message': {'role': 'user', 'content': 'Hi'}})",
    ],
)
def test_what_pandas_prints_is_read(shape: str) -> None:
    found = read(
        input_messages=shape, output_messages="[{'message.role': 'assistant', 'message.content': \"It's ok\"}]"
    )
    assert (found.system_prompt, found.messages, found.output) == ("Be kind.", (ASKED,), "It's ok")


@pytest.mark.parametrize(
    "text",
    [
        "[__import__('os')]",
        "[open('/etc/passwd')]",
        "[f'{1}']",
        "[1 if 1 else 2]",
        "[{**{}}, x]",
        "[" + "-" * 5_000 + "1]",
        "[b'x']",
        "['a' -1, -'b']",
    ],
)
def test_nothing_is_run_and_no_expression_is_read(text: str) -> None:
    (left_out,) = mapped(input_messages=text).left_out
    assert left_out.reason in ("unreadable", "no_messages")


def test_a_printed_value_of_a_megabyte_is_left_out() -> None:
    text = str([{"message.role": "user", "message.content": "x" * 1_000_000}])
    assert [span.reason for span in mapped(input_messages=text).left_out] == ["unreadable"]


def test_printed_settings_tools_and_variables_are_read() -> None:
    tool = {"type": "function", "function": {"name": "look", "strict": True}}
    found = read(
        invocation_parameters="{'temperature': 0.5, 'presence_penalty': -1, 'stream': True, 'stop': None}",
        tools=f"[{{'tool.json_schema': {json.dumps(tool)!r}}}]",
        template_variables="{'name': 'Ida', 'age': 7}",
    )
    assert (found.parameters, found.tools, found.variables) == (
        {"temperature": 0.5, "presence_penalty": -1},
        (tool,),
        {"name": "Ida", "age": "7"},
    )


@pytest.mark.parametrize("text", ["{", "[1]", "temperature=0", "Settings(temperature=0)", '{"temperature": 0, "stop'])
def test_settings_that_cannot_be_read_leave_the_sample_and_are_counted(text: str) -> None:
    found = samples_from_rows([row(span_id=f"s{n}", invocation_parameters=text) for n in range(3)])
    assert [sample.parameters for sample in found.samples] == [{}] * 3
    (note,) = found.notes
    assert (note.kind, note.count, note.span_id) == ("parameters_unreadable", 3, "s0")
    assert "3 samples have no settings" in note.sentence


def test_a_class_among_printed_settings_costs_none_of_the_others() -> None:
    objects = "'response_format': <class 'app.Answer'>, 'client': <app.Client object at 0x7f>"
    text = f"{{'temperature': np.float64(0.5), {objects}}}"
    assert read(invocation_parameters=text).parameters == {"temperature": 0.5}


@pytest.mark.parametrize("text", ["name: Ida", '{"name": "Id'])
def test_variables_that_cannot_be_read_are_counted(text: str) -> None:
    assert kinds(mapped(template_variables=text)) == ["variables_unreadable"]
    assert kinds(mapped(template_variables="{}")) == []


def test_the_system_prompt_is_sent_once_where_it_was_repeated_in_every_turn() -> None:
    lead = [item("system", "A"), item("developer", "B")]
    chat = [
        *lead,
        item("user", "Hi"),
        item("system", "A\n\nB"),
        item("user", "Ho"),
        item("system", " B "),
        item("user", "He"),
    ]
    found = mapped(input_messages=chat)
    assert found.samples[0].system_prompt == "A\n\nB"
    assert [message.content for message in found.samples[0].messages] == ["Hi", "Ho", "He"]
    assert kinds(found) == ["prompt_repeated"]
    other = [*lead, item("user", "Hi"), item("system", "Now in French."), item("user", "Ho")]
    kept = mapped(input_messages=other)
    assert [message.role for message in kept.samples[0].messages] == ["user", "system", "user"]
    assert kinds(kept) == []


@pytest.mark.parametrize(
    ("ids", "conversation"),
    [
        (("undefined", "ada", "t1"), "ada"),
        (("null", "None", "t1"), "t1"),
        (("s 1", "anonymous", "t1"), "s 1"),
        (("anonymous", "anonymous", "0" * 32), "s1"),
        (("0", "", "00000000-0000-0000-0000-000000000000"), "s1"),
        (("[object Object]", "guest_user", "t1"), "t1"),
        (("session-undefined", None, "t1"), "t1"),
        ((None, None, None), "s1"),
        (("user0", "x", "t1"), "user0"),
    ],
)
def test_an_id_of_nobody_is_no_conversation(ids: tuple[str | None, ...], conversation: str) -> None:
    session, user, trace = ids
    assert read(conversation_id=session, user_id=user, trace_id=trace).conversation_id == conversation
