"""OpenTelemetry's conventions for generative AI are read in all their generations."""

import json
from typing import Any

import pytest

from sia_dagster.adapters.local.conventions import to_openinference
from sia_dagster.adapters.local.forms import FormError
from sia_dagster.core.records.sample import Sample, ToolCall
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.worlds.recorded_forms import samples_of

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small"}
ANSWER = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Hi."}]}])}


def only(attributes: JsonObject, events: list[JsonObject] | None = None) -> Sample:
    record = {"span_id": "cd447e35b8b6d8fe", "attributes": attributes, "events": events or []}
    (sample,) = samples_of([record])
    return sample


def asked(*messages: Any, **more: Any) -> JsonObject:
    return CHAT | {"gen_ai.input.messages": json.dumps(messages)} | ANSWER | more


def user(*parts: Any) -> JsonObject:
    return {"role": "user", "parts": list(parts)}


HELLO = user({"type": "text", "content": "Hello"})


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("chat", "LLM"),
        ("text_completion", "LLM"),
        ("generate_content", "LLM"),
        ("acompletion", "LLM"),
        ("embeddings", "EMBEDDING"),
        ("generate_embeddings", "EMBEDDING"),
        ("execute_tool", "TOOL"),
        ("invoke_agent", "AGENT"),
        ("create_agent", "AGENT"),
        ("retrieval", "RETRIEVER"),
        ("execute_event_loop_cycle", "CHAIN"),
    ],
)
def test_the_operation_is_the_kind(operation: str, kind: str) -> None:
    found = to_openinference({"gen_ai.operation.name": operation, "gen_ai.request.model": "small"})
    assert found["openinference.span.kind"] == kind


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.request.model": "small"}, "LLM"),
        ({"gen_ai.tool.name": "weather", "gen_ai.request.model": "small"}, "TOOL"),
        ({"gen_ai.request.model": "small", "all_messages_events": "[]"}, "AGENT"),
        ({"gen_ai.operation.name": "chat", "logfire.span_type": "pending_span"}, "CHAIN"),
        ({"gen_ai.system": "openai"}, None),
    ],
)
def test_without_an_operation_other_attributes_tell_the_kind(attributes: JsonObject, kind: str | None) -> None:
    assert to_openinference(attributes).get("openinference.span.kind") == kind


def test_settings_counts_model_and_conversation_are_read() -> None:
    settings = {
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 9,
        "stop_sequences": ["END"],
        "choice.count": 1,
        "seed": 3,
    }
    given = {f"gen_ai.request.{name}": value for name, value in settings.items()}
    more = {"gen_ai.response.model": "small-2026", "gen_ai.conversation.id": "chat 7", "enduser.id": "anna"}
    sample = only(asked(HELLO) | given | more)
    assert sample.parameters == {"temperature": 0.2, "top_p": 0.5, "max_tokens": 9, "stop": ["END"]}
    assert (sample.model, sample.answered_by) == ("small", "small-2026")
    assert (sample.conversation_id, sample.user_id) == ("chat 7", "anna")
    for names in (("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens")):
        found = to_openinference(
            CHAT | {f"gen_ai.usage.{name}": count for name, count in zip(names, (21, 7), strict=True)}
        )
        assert (found["llm.token_count.prompt"], found["llm.token_count.completion"]) == (21, 7)


@pytest.mark.parametrize(
    "system",
    [
        '[{"type": "text", "content": "Be polite."}]',
        [{"type": "text", "content": "Be polite."}],
        ["Be polite."],
        '["Be polite."]',
        "Be polite.",
        '{"role": "system", "parts": [{"type": "text", "content": "Be polite."}]}',
        [{"role": "system", "content": "Be polite."}],
    ],
)
def test_system_instructions_are_the_prompt(system: Any) -> None:
    sample = only(asked(HELLO) | {"gen_ai.system_instructions": system})
    assert (sample.system_prompt, sample.request) == ("Be polite.", "Hello")


@pytest.mark.parametrize("system", ["[1, 2]", '{"tone": "polite"}', "[Be polite.]", "{name} is asked."])
def test_a_system_prompt_that_looks_like_json_is_a_text(system: str) -> None:
    assert only(asked(HELLO) | {"gen_ai.system_instructions": system}).system_prompt == system


def test_a_prompt_that_stands_twice_is_read_once() -> None:
    told = {"role": "system", "parts": [{"type": "text", "content": "Be polite."}]}
    sample = only(asked(told, HELLO) | {"gen_ai.system_instructions": '[{"type": "text", "content": "Be polite."}]'})
    assert sample.system_prompt == "Be polite."


def test_parts_are_texts_media_calls_and_results() -> None:
    image = {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"}
    blob = {"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "QUJD"}
    thought = {"type": "reasoning", "content": "Two cities."}
    calls = [{"type": "tool_call", "id": f"c{n}", "name": "weather", "arguments": {"city": n}} for n in (1, 2)]
    results = [{"type": "tool_call_response", "id": f"c{n}", "response": {"is": "sunny"}} for n in (1, 2)]
    text = {"type": "text", "content": "What is this?"}
    sample = only(
        asked(user(text, image, blob), {"role": "assistant", "parts": [thought, *calls]}, user(*results, text))
    )
    first, called, *answers, last = sample.messages
    assert [part["type"] for part in first.parts] == ["text", "image_url", "image_url"]
    assert first.parts[2]["image_url"]["url"] == "data:image/jpeg;base64,QUJD"
    assert called.tool_calls == tuple(
        ToolCall(id=f"c{n}", name="weather", arguments=f'{{"city": {n}}}') for n in (1, 2)
    )
    assert [(m.role, m.tool_call_id, m.content) for m in answers] == [
        ("tool", f"c{n}", '{"is": "sunny"}') for n in (1, 2)
    ]
    assert (last.role, last.content) == ("user", "What is this?")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "modality": "document", "file_id": "file-1"},
        {"type": "uri", "modality": "video", "uri": "https://example.com/a.mp4"},
        {"type": "server_tool_call", "name": "web_search"},
    ],
)
def test_a_part_that_no_endpoint_takes_is_kept_for_the_rule_of_replays(part: JsonObject) -> None:
    sample = only(asked(user({"type": "text", "content": "Sum it up."}, part)))
    assert len(sample.messages[0].parts) == 2
    assert sample.messages[0].parts[1]["type"] == part["type"]


def test_the_first_choice_is_the_answer() -> None:
    choices = [{"role": "assistant", "parts": [{"type": "text", "content": text}]} for text in ("One.", "Two.")]
    thought = {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]}
    assert only(asked(HELLO) | {"gen_ai.output.messages": json.dumps([thought, *choices])}).output == "One."


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
        [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        [{"name": "weather", "input_schema": {"type": "object"}}],
        [{"type": "function", "name": "weather", "inputSchema": {"type": "object"}}],
    ],
)
def test_tool_definitions_are_tools(tools: Any) -> None:
    wire = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    assert only(asked(HELLO) | {"gen_ai.tool.definitions": json.dumps(tools)}).tools == (wire,)
    assert only(asked(HELLO) | {"gen_ai.tool.definitions": tools}).tools == (wire,)


def test_tools_of_older_pydantic_ai_are_read() -> None:
    request = {"function_tools": [{"name": "weather", "description": "", "parameters_json_schema": {"type": "object"}}]}
    (tool,) = only(asked(HELLO) | {"model_request_parameters": json.dumps(request)}).tools
    assert tool["function"] == {"name": "weather", "parameters": {"type": "object"}}


def event(name: str, **attributes: Any) -> JsonObject:
    return {"name": name, "attributes": attributes}


SAID = {"content": "Hi."}


@pytest.mark.parametrize(
    "events",
    [
        [event("gen_ai.system.message", content="Be polite."), event("gen_ai.user.message", content="Hello"),
         event("gen_ai.choice", message=json.dumps(SAID), index=0)],
        [event("gen_ai.system.message", **{"gen_ai.event.content": '{"content": "Be polite.", "role": "system"}'}),
         event("gen_ai.user.message", **{"gen_ai.event.content": '{"content": "Hello", "role": "user"}'}),
         event("gen_ai.choice", **{"gen_ai.event.content": json.dumps({"message": SAID, "finish_reason": "stop"})})],
        [{"name": "gen_ai.system.message", "attributes": {}, "body": {"content": "Be polite."}},
         {"name": "gen_ai.user.message", "attributes": {}, "body": {"content": "Hello"}},
         {"name": "gen_ai.choice", "attributes": {}, "body": {"message": SAID}}],
        [event("gen_ai.system.message", content='[{"text": "Be polite."}]'),
         event("gen_ai.user.message", content='[{"text": "Hello"}]'),
         event("gen_ai.choice", message='[{"text": "Hi."}]')],
        [event("gen_ai.content.prompt", **{"gen_ai.prompt": json.dumps(
            [{"role": "system", "content": "Be polite."}, {"role": "user", "content": "Hello"}])}),
         event("gen_ai.content.completion", **{"gen_ai.completion": json.dumps([{"role": "assistant"} | SAID])})],
        [event("gen_ai.client.inference.operation.details", **ANSWER, **{
            "gen_ai.system_instructions": "Be polite.", "gen_ai.input.messages": json.dumps([HELLO])})],
    ],
    ids=["fields", "content", "body", "blocks", "prompt", "details"],
)  # fmt: skip
def test_messages_in_events_are_read(events: list[JsonObject]) -> None:
    sample = only(CHAT, [*events, event("exception", **{"exception.message": "no"})])
    assert (sample.system_prompt, sample.request, sample.output) == ("Be polite.", "Hello", "Hi.")


def test_calls_and_results_in_events_are_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    sample = only(
        CHAT,
        [
            event("gen_ai.user.message", content="Hello"),
            event("gen_ai.assistant.message", tool_calls=json.dumps([call])),
            event("gen_ai.tool.message", content="sunny", id="c1"),
            event("gen_ai.choice", message=json.dumps({"tool_calls": [call]})),
        ],
    )
    assert [(m.role, m.content, m.tool_call_id) for m in sample.messages[1:]] == [
        ("assistant", None, None),
        ("tool", "sunny", "c1"),
    ]
    assert json.loads(sample.output) == [{"name": "weather", "arguments": "{}"}]


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello",
        json.dumps({"messages": [{"role": "user", "content": "Hello"}]}),
        '[{"role": "user", "content": "Hello"}]',
    ],
)
def test_the_first_generations_attributes_are_read(prompt: str) -> None:
    completion = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hi."}}]})
    for answer in (completion, '[{"role": "assistant", "content": "Hi."}]', "Hi."):
        sample = only(CHAT | {"gen_ai.prompt": prompt, "gen_ai.completion": answer})
        assert (sample.request, sample.output) == ("Hello", "Hi.")


CUT = '[{"role": "user", "parts": [{"type": "te'
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((f"gen_ai.{name}", CUT) for name in ("system_instructions", "prompt", "completion")),
        *((f"gen_ai.{name}", value) for name in ("input.messages", "output.messages") for value in (CUT, DEEP)),
        *(("gen_ai.tool.definitions", value) for value in (CUT, DEEP)),
    ],
)
def test_a_call_whose_texts_are_cut_off_is_an_error_and_never_another_call(name: str, value: str) -> None:
    with pytest.raises(FormError, match=f"{name} is not JSON, or cut off"):
        to_openinference(CHAT | {name: value})
    found = to_openinference({"gen_ai.operation.name": "execute_tool", name: value})
    assert found["openinference.span.kind"] == "TOOL"


@pytest.mark.parametrize("value", ["[1]", "[[]]", '[{"role": "user", "parts": [7]}]'])
def test_anything_but_messages_is_an_error(value: str) -> None:
    with pytest.raises(FormError):
        to_openinference(CHAT | {"gen_ai.input.messages": value})


def test_a_users_json_stays_a_text() -> None:
    for text in ('[{"type": "invoice", "text": "a"}]', '{"role": "user"}', "[1, 2]", '{"a": 1}'):
        sample = only(CHAT | ANSWER | {"gen_ai.input.messages": json.dumps([{"role": "user", "content": text}])})
        assert sample.request == text
