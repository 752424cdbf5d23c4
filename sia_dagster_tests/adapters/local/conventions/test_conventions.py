"""Other conventions beside OpenInference: which of two recorded values stands, and each convention's own names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.local.conventions import CONVENTIONS, to_openinference
from sia_dagster.adapters.local.forms import FormError
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.worlds.recorded_forms import samples_of

KIND = "openinference.span.kind"


def only(attributes: JsonObject) -> Sample:
    (sample,) = samples_of([{"span_id": "cd447e35b8b6d8fe", "attributes": attributes}])
    return sample


def test_openinference_alone_stays_as_it_is() -> None:
    recorded = {"llm.model_name": "small", "llm.input_messages": [], "metadata": "{}"}
    assert to_openinference(recorded) is recorded


def test_what_openinference_recorded_stands_where_it_says_anything() -> None:
    found = to_openinference(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "other",
            "gen_ai.conversation.id": "other",
            "llm.model_name": "small",
            "session.id": "",
            KIND: "SPAN_KIND_CLIENT",
        }
    )
    assert (found["llm.model_name"], found["session.id"], found[KIND]) == ("small", "other", "LLM")


def test_settings_that_several_conventions_know_are_joined() -> None:
    chat = {"gen_ai.prompt.0.content": "Hello", "gen_ai.completion.0.content": "Hi.", "llm.request.type": "chat"}
    given = {"gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 9, "llm.frequency_penalty": 0.5}
    found = only(chat | given | {"llm.invocation_parameters": '{"max_tokens": 7}'})
    assert found.parameters == {"temperature": 0.2, "frequency_penalty": 0.5, "max_tokens": 7}


def test_a_span_of_another_kind_is_never_converted() -> None:
    recorded = {KIND: "CHAIN", "gen_ai.operation.name": "chat", "gen_ai.input.messages": "[{"}
    assert to_openinference(recorded) is recorded


def test_messages_of_the_convention_replace_those_that_phoenix_made_of_them() -> None:
    results = [{"type": "tool_call_response", "id": f"c{n}", "response": f"r{n}"} for n in (1, 2)]
    calls = [{"type": "tool_call", "id": f"c{n}", "name": "weather", "arguments": {}} for n in (1, 2)]
    sample = only(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": json.dumps(
                [{"role": "assistant", "parts": calls}, {"role": "user", "parts": results}]
            ),
            "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "Hi."}]}]',
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "r2",
            "output.value": '{"id": "1", "model": "small"}',
        }
    )
    assert [message.content for message in sample.messages] == [None, "r1", "r2"]


def test_the_id_and_model_of_an_answer_are_no_answer() -> None:
    given = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role": "user", "content": "Hello"}]'}
    assert (
        samples_of([{"span_id": "a1", "attributes": given | {"output.value": '{"id": "1", "model": "small"}'}}]) == []
    )
    assert only(given | {"output.value": '{"id": "1", "note": "x"}'}).output == '{"id": "1", "note": "x"}'


def test_openllmetrys_numbered_messages_are_read_with_their_tools_and_settings() -> None:
    sample = only(
        {
            "llm.request.type": "chat",
            "gen_ai.request.model": "small",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be polite.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": json.dumps(
                [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ]
            ),
            "gen_ai.completion.0.content": "A cat.",
            "gen_ai.completion.1.content": "A dog.",
            "llm.request.functions.0.name": "look",
            "llm.request.functions.0.parameters": '{"type": "object"}',
            "llm.frequency_penalty": 0.5,
            "llm.chat.stop_sequences": ["END"],
            "llm.request.structured_output_schema": '{"title": "Cat", "type": "object"}',
            "traceloop.association.properties.session_id": "chat 7",
            "traceloop.association.properties.user_id": "anna",
        }
    )
    assert (sample.system_prompt, sample.request, sample.output) == ("Be polite.", "What?", "A cat.")
    assert [part["type"] for part in sample.messages[0].parts] == ["text", "image_url"]
    assert sample.tools[0]["function"] == {"name": "look", "parameters": {"type": "object"}}
    assert (sample.conversation_id, sample.user_id) == ("chat 7", "anna")
    form = {"name": "Cat", "schema": {"title": "Cat", "type": "object"}}
    settings = {
        "frequency_penalty": 0.5,
        "stop": ["END"],
        "response_format": {"type": "json_schema", "json_schema": form},
    }
    assert sample.parameters == settings


@pytest.mark.parametrize("prefixes", [("gen_ai.prompt", "gen_ai.completion"), ("llm.prompts", "llm.completions")])
def test_more_than_ten_messages_keep_their_order(prefixes: tuple[str, str]) -> None:
    chat = {f"{prefixes[0]}.{n}.content": f"t{n}" for n in reversed(range(13))}
    roles = {f"{prefixes[0]}.{n}.role": ("user", "assistant")[n % 2] for n in range(13)}
    sample = only({"llm.request.type": "chat"} | chat | roles | {f"{prefixes[1]}.0.content": "Hi."})
    assert [message.content for message in sample.messages] == [f"t{n}" for n in range(13)]


def test_openllmetrys_completions_and_withheld_answers_are_told_apart() -> None:
    asked = {"llm.request.type": "completion", "gen_ai.prompt.0.user": "Hello", "llm.user": "anna"}
    sample = only(asked | {"gen_ai.completion.0.content": "FILTERED", "gen_ai.completion.0.finish_reason": "stop"})
    assert (sample.request, sample.output, sample.user_id) == ("Hello", "FILTERED", "anna")
    withheld = {"gen_ai.completion.0.content": "FILTERED", "gen_ai.completion.0.finish_reason": "content_filter"}
    assert samples_of([{"span_id": "a1", "attributes": asked | withheld}]) == []


def test_openllmetrys_messages_of_which_some_were_dropped_are_an_error() -> None:
    for lacking in ({"gen_ai.prompt.1.content": "b"}, {"gen_ai.prompt.0.content": "a", "gen_ai.prompt.2.content": "c"}):
        with pytest.raises(FormError, match=r"gen_ai\.prompt\.N lacks some numbers.*COUNT_LIMIT"):
            to_openinference({"llm.request.type": "chat"} | lacking)


@pytest.mark.parametrize(
    ("kind", "expected"), [("workflow", "CHAIN"), ("task", "CHAIN"), ("agent", "AGENT"), ("tool", "TOOL")]
)
def test_traceloops_entities_are_no_calls(kind: str, expected: str) -> None:
    found = to_openinference(
        {"traceloop.span.kind": kind, "traceloop.entity.input": "{}", "gen_ai.request.model": "small"}
    )
    assert found[KIND] == expected


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("ai.generateText.doGenerate", "LLM"),
        ("ai.streamObject.doStream", "LLM"),
        ("ai.generateText", "CHAIN"),
        ("ai.toolCall", "TOOL"),
        ("ai.embed", "EMBEDDING"),
        ("ai.embedMany.doEmbed", "EMBEDDING"),
    ],
)
def test_the_ai_sdks_operation_is_the_kind(operation: str, kind: str) -> None:
    assert to_openinference({"ai.operationId": operation, "gen_ai.request.model": "small"})[KIND] == kind
    assert to_openinference({"operation.name": f"{operation} desk", "ai.model.id": "small"})[KIND] == kind


def test_the_ai_sdks_parts_settings_and_answers_are_read() -> None:
    call = {"type": "tool-call", "toolCallId": "c1", "toolName": "look"}
    outputs: tuple[JsonObject, ...] = (
        {"result": {"is": "ok"}},
        {"output": {"type": "json", "value": {"is": "ok"}}},
        {"output": {"type": "text", "value": '{"is": "ok"}'}},
        {"output": {"type": "content", "value": [{"type": "text", "text": '{"is": "ok"}'}]}},
    )
    for output in outputs:
        chat = [
            {"role": "system", "content": "Be polite."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "file", "mediaType": "image/png", "data": "QUJD"},
                ],
            },
            {"role": "assistant", "content": [{"type": "reasoning", "text": "Hm."}, call | {"input": {"a": 1}}]},
            {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "toolName": "look"} | output]},
        ]
        sample = only(
            {
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.model.id": "small",
                "ai.prompt.messages": json.dumps(chat),
                "ai.prompt.tools": ['{"type": "function", "name": "look", "parameters": {"type": "object"}}'],
                "ai.prompt.toolChoice": '{"type": "tool", "toolName": "look"}',
                "ai.settings.maxRetries": 2,
                "ai.settings.topP": 0.5,
                "ai.response.text": "I look.",
            }
        )
        asked, called, answered = sample.messages
        assert asked.parts[1]["image_url"]["url"] == "data:image/png;base64,QUJD"
        assert called.tool_calls[0].arguments == '{"a": 1}'
        assert (answered.role, answered.tool_call_id, answered.content) == ("tool", "c1", '{"is": "ok"}')
        assert sample.tools[0]["function"]["name"] == "look"
        assert sample.parameters == {"top_p": 0.5, "tool_choice": {"type": "function", "function": {"name": "look"}}}
        assert sample.output == "I look."


@pytest.mark.parametrize(
    "answer", [{"ai.response.object": '{"weather": "sunny"}'}, {"ai.result.object": '{"weather": "sunny"}'}]
)
def test_the_ai_sdks_objects_are_answers_in_json(answer: JsonObject) -> None:
    chat = {"ai.prompt.messages": '[{"role": "user", "content": "What?"}]'}
    sample = only({"ai.operationId": "ai.generateObject.doGenerate"} | chat | answer)
    assert (sample.output, sample.parameters) == ('{"weather": "sunny"}', {"response_format": {"type": "json_object"}})


MESSAGES = [{"role": "system", "content": "Be polite."}, {"role": "user", "content": "Hello"}]
PLATFORMS: dict[str, JsonObject] = {
    "Langfuse": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": json.dumps(MESSAGES),
        "langfuse.observation.output": '{"role": "assistant", "content": "Hi."}',
        "langfuse.observation.model.name": "small",
        "langfuse.observation.model.parameters": '{"temperature": 0.2, "max_tokens": "Infinity"}',
        "langfuse.observation.usage_details": '{"input": 21, "output": 7}',
        "langfuse.session.id": "chat 7",
        "langfuse.user.id": "anna",
    },
    "Langfuse with tools": {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": json.dumps(
            {"messages": MESSAGES, "tools": [{"type": "function", "function": {}}]}
        ),
        "langfuse.observation.output": '"Hi."',
        "langfuse.observation.model.name": "small",
        "langfuse.observation.model.parameters": '{"temperature": 0.2}',
        "session.id": "chat 7",
        "user.id": "anna",
    },
    "LangSmith": {
        "langsmith.span.kind": "llm",
        "gen_ai.prompt": json.dumps({"messages": MESSAGES}),
        "gen_ai.completion": json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}),
        "gen_ai.request.model": "small",
        "gen_ai.request.temperature": 0.2,
        "langsmith.metadata.thread_id": "chat 7",
        "langsmith.metadata.user_id": "anna",
    },
    "MLflow": {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.spanInputs": json.dumps({"messages": MESSAGES, "model": "small"}),
        "mlflow.spanOutputs": json.dumps({"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}),
        "mlflow.trace.session": '"chat 7"',
        "mlflow.trace.user": "anna",
        "mlflow.chat.tokenUsage": '{"input_tokens": 21, "output_tokens": 7}',
    },
}


@pytest.mark.parametrize("name", PLATFORMS)
def test_platforms_attributes_are_a_call(name: str) -> None:
    sample = only(PLATFORMS[name])
    assert (sample.system_prompt, sample.request, sample.output) == ("Be polite.", "Hello", "Hi.")
    assert (sample.model, sample.conversation_id, sample.user_id) == ("small", "chat 7", "anna")
    assert sample.parameters == ({} if name == "MLflow" else {"temperature": 0.2})


@pytest.mark.parametrize(
    ("attribute", "value", "kind"),
    [
        ("langfuse.observation.type", "span", "CHAIN"),
        ("langfuse.observation.type", "retriever", "RETRIEVER"),
        ("langsmith.span.kind", "parser", "CHAIN"),
        ("langsmith.span.kind", "tool", "TOOL"),
        ("mlflow.spanType", '"PARSER"', "CHAIN"),
        ("mlflow.spanType", '"AGENT"', "AGENT"),
    ],
)
def test_platforms_other_spans_are_no_calls(attribute: str, value: str, kind: str) -> None:
    assert to_openinference({attribute: value, "gen_ai.request.model": "small"})[KIND] == kind


NAMES = ["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt", "events",
         "gen_ai.completion", "gen_ai.tool.definitions", "gen_ai.prompt.0.content", "gen_ai.prompt.0.tool_calls",
         "llm.request.functions.0.parameters", "llm.request.functions", "ai.prompt.messages", "ai.response.toolCalls",
         "ai.prompt.tools", "ai.prompt.toolChoice", "langfuse.observation.input", "langfuse.observation.output",
         "langfuse.observation.usage_details", "mlflow.spanInputs", "mlflow.chat.tools", "model_request_parameters",
         "gen_ai.operation.name", "traceloop.span.kind", "gen_ai.usage.input_tokens"]  # fmt: skip
KEYS = ["role", "parts", "content", "type", "text", "tool_calls", "function", "arguments", "id", "image_url", "toolUse",
        "toolResult", "messages", "tools", "function_tools", "event.name", "message", "output", "value"]  # fmt: skip
WORDS = [
    "text",
    "tool_call",
    "tool_result",
    "image",
    "file",
    "user",
    "tool",
    "gen_ai.choice",
    "chat",
    "CHAT_MODEL",
    "[{",
    "{",
]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.builds(
    lambda name, attributes, body: {"name": name, "attributes": attributes, "body": body},
    st.sampled_from(["gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt", "exception",
                     "gen_ai.client.inference.operation.details"]),
    st.dictionaries(st.sampled_from([*KEYS, "gen_ai.event.content", "gen_ai.prompt"]), VALUES | VALUES.map(json.dumps)),
    VALUES,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), VALUES | VALUES.map(json.dumps)), st.lists(EVENTS, max_size=2))
def test_attributes_of_any_types_are_converted_or_one_error(attributes: JsonObject, events: list[JsonObject]) -> None:
    for kind in ({}, {"ai.operationId": "ai.generateText.doGenerate"}, {"gen_ai.operation.name": "chat"}):
        try:
            assert isinstance(to_openinference(kind | attributes, events), dict)
        except FormError:
            continue


def test_every_convention_is_asked_for_by_its_attributes() -> None:
    assert [convention.name for convention in CONVENTIONS] == [
        "Vercel AI SDK", "Langfuse", "LangSmith", "MLflow", "OpenLLMetry", "OpenTelemetry GenAI",
    ]  # fmt: skip
