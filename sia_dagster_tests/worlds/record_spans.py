"""Makes the recordings in `spans/`: real SDKs under real instrumentors, spoken to by a provider of canned answers.

Not a test, and nothing imports it: it runs where the instrumentors are installed, which this project does not need.
In an environment with the packages of `PACKAGES` (those of one instrumentor are enough to record its scenarios), from
the project's root:

```
python -m sia_dagster_tests.worlds.record_spans                          # all scenarios
python -m sia_dagster_tests.worlds.record_spans openai_chat groq_chat    # these
```

With `LITELLM_LOCAL_MODEL_COST_MAP=True` and `AWS_EC2_METADATA_DISABLED=true` no SDK looks beyond this machine.

A recording holds every span of a scenario as columns that a store would give (`attributes.*` flattened, as
OpenTelemetry has them). Ids and times are replaced by fixed ones, so that equal behaviour gives equal files.
"""

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable
from importlib import import_module, metadata
from typing import Any, NamedTuple

from sia_dagster_tests.corpora.span_replies import PORT, CannedProvider
from sia_dagster_tests.places import RECORDED_SPANS

HOST = f"http://127.0.0.1:{PORT}"


MODEL = "gpt-4o-mini"


SYSTEM = {"role": "system", "content": "You tell the weather."}


ASKED = {"role": "user", "content": "What is the weather in Ulm?"}


PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


FUNCTION = {"name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS}


TOOL = {"type": "function", "function": FUNCTION}


CALLED = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}


HISTORY = [
    SYSTEM,
    ASKED,
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
]


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


ANTHROPIC_TOOL = {"name": "weather", "description": "The weather of a city.", "input_schema": PARAMETERS}


CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 100}


RESPONSES_TOOL = {"type": "function", **FUNCTION, "strict": False}


SCHEMA = {"type": "object", "properties": {"weather": {"type": "string"}}, "required": ["weather"]}


Run = Callable[[], Any]


class Scenario(NamedTuple):
    """One call of an application."""

    instrumentor: str
    run: Run
    hide: tuple[str, ...] = ()
    """Settings of OpenInference's TraceConfig that the application turns on."""


PACKAGES = {
    "openai": ("OpenAIInstrumentor", "openai"),
    "anthropic": ("AnthropicInstrumentor", "anthropic"),
    "litellm": ("LiteLLMInstrumentor", "litellm"),
    "langchain": ("LangChainInstrumentor", "langchain-core", "langchain-openai"),
    "bedrock": ("BedrockInstrumentor", "boto3"),
    "google_genai": ("GoogleGenAIInstrumentor", "google-genai"),
    "mistralai": ("MistralAIInstrumentor", "mistralai"),
    "groq": ("GroqInstrumentor", "groq"),
    "openai_agents": ("OpenAIAgentsInstrumentor", "openai-agents"),
    "llama_index": ("LlamaIndexInstrumentor", "llama-index-core", "llama-index-llms-openai"),
}
"""By module under `openinference.instrumentation`: its class, and the packages that are instrumented."""


def _openai() -> Any:
    return import_module("openai").OpenAI(base_url=f"{HOST}/v1", api_key="none", max_retries=0)


def _chat(*messages: Any, model: str = MODEL, **more: Any) -> Run:
    return lambda: list(_openai().chat.completions.create(model=model, messages=list(messages), **more))


def _refused() -> None:
    try:
        _chat(SYSTEM, ASKED, model="missing")()
    except import_module("openai").NotFoundError:
        return


def _completions() -> Any:
    return _openai().completions.create(model="gpt-3.5-turbo-instruct", prompt="The weather in Ulm:", max_tokens=50)


def _responses(**more: Any) -> Run:
    return lambda: _openai().responses.create(**({"model": MODEL, "input": ASKED["content"]} | more))


def _parts(*parts: Any) -> Any:
    return {"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}


def _image(url: str) -> Any:
    return _parts({"type": "image_url", "image_url": {"url": url}})


def _anthropic(*messages: Any, **more: Any) -> Run:
    given = CLAUDE | {"messages": list(messages)} | more
    return lambda: list(import_module("anthropic").Anthropic(base_url=HOST, api_key="none").messages.create(**given))


def _litellm(*messages: Any, **more: Any) -> Run:
    given = {"model": f"openai/{MODEL}", "api_base": f"{HOST}/v1", "api_key": "none"}
    return lambda: import_module("litellm").completion(messages=list(messages), **given, **more)


def _chat_openai() -> Any:
    openai = import_module("langchain_openai")
    return openai.ChatOpenAI(model=MODEL, base_url=f"{HOST}/v1", api_key="none", temperature=0.2)


def _langchain_chain() -> Any:
    prompts = import_module("langchain_core.prompts")
    prompt = prompts.ChatPromptTemplate.from_messages([("system", "You tell the {what}."), ("human", "{question}")])
    return (prompt | _chat_openai()).invoke({"what": "weather", "question": ASKED["content"]})


def _langchain_tools() -> Any:
    messages = import_module("langchain_core.messages")
    call = {"name": "weather", "args": {"city": "Ulm"}, "id": "call_1"}
    history = [
        messages.SystemMessage(SYSTEM["content"]),
        messages.HumanMessage(ASKED["content"]),
        messages.AIMessage("", tool_calls=[call]),
        messages.ToolMessage("sunny", tool_call_id="call_1"),
        messages.HumanMessage("And in Bonn?"),
    ]
    return _chat_openai().bind_tools([TOOL]).invoke(history)


def _langchain_function() -> Any:
    messages = import_module("langchain_core.messages")
    call = {"function_call": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    asked = messages.AIMessage("", additional_kwargs=call)
    answered = messages.FunctionMessage("sunny", name="weather")
    return _chat_openai().bind(functions=[FUNCTION]).invoke([messages.HumanMessage(ASKED["content"]), asked, answered])


def _bedrock() -> Any:
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "eu-central-1"}
    return import_module("boto3").client("bedrock-runtime", endpoint_url=HOST, **keys)


CLAUDE_ON_BEDROCK = "anthropic.claude-3-5-sonnet-20240620-v1:0"


def _converse(*messages: Any, **more: Any) -> Run:
    system = [{"text": SYSTEM["content"]}]
    inference = {"maxTokens": 100, "temperature": 0.2, "topP": 0.9, "stopSequences": ["END"]}
    given = {"modelId": CLAUDE_ON_BEDROCK, "system": system, "inferenceConfig": inference}
    return lambda: _bedrock().converse(messages=list(messages), **given, **more)


def _invoke() -> Any:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "system": SYSTEM["content"]}
    return _bedrock().invoke_model(modelId=CLAUDE_ON_BEDROCK, body=json.dumps(body | {"messages": [ASKED]}))


BEDROCK_ASKED = {"role": "user", "content": [{"text": ASKED["content"]}]}


BEDROCK_TOOL = {"toolSpec": {"name": "weather", "description": "The weather of a city.",
                             "inputSchema": {"json": PARAMETERS}}}  # fmt: skip


BEDROCK_RESULT = {"toolUseId": "tooluse_1", "content": [{"text": "sunny"}]}


BEDROCK_IMAGE = {
    "role": "user",
    "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": b64decode(PIXEL)}}}],
}


BEDROCK_HISTORY = [
    BEDROCK_ASKED,
    {
        "role": "assistant",
        "content": [{"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Ulm"}}}],
    },
    {"role": "user", "content": [{"toolResult": BEDROCK_RESULT}]},
]


CLAUDE_HISTORY = [
    ASKED,
    {"role": "assistant", "content": [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}},
    ]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]},
]  # fmt: skip


def _gemini(contents: Any, **config: Any) -> Run:
    def run() -> Any:
        genai, types = import_module("google.genai"), import_module("google.genai.types")
        client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=HOST))
        given = {"system_instruction": SYSTEM["content"], "temperature": 0.2} | config
        off = {"automatic_function_calling": {"disable": True}}
        return client.models.generate_content(model="gemini-2.5-flash", contents=contents, config=given | off)

    return run


GEMINI_HISTORY = [
    {"role": "user", "parts": [{"text": ASKED["content"]}]},
    {"role": "model", "parts": [{"function_call": {"name": "weather", "args": {"city": "Ulm"}}}]},
    {"role": "user", "parts": [{"function_response": {"name": "weather", "response": {"result": "sunny"}}}]},
]


GEMINI_IMAGE = [
    {"role": "user", "parts": [{"text": "What is this?"}, {"inline_data": {"mime_type": "image/png", "data": PIXEL}}]}
]


GEMINI_TOOLS = [{"function_declarations": [FUNCTION]}]


def _mistral(*messages: Any, **more: Any) -> Run:
    given = {"model": "mistral-small-latest", "messages": list(messages)} | more
    return lambda: import_module("mistralai.client").Mistral(api_key="none", server_url=HOST).chat.complete(**given)


def _groq(*messages: Any, **more: Any) -> Run:
    given = {"model": "llama-3.3-70b", "messages": list(messages)} | more
    return lambda: import_module("groq").Groq(api_key="none", base_url=HOST).chat.completions.create(**given)


def _agent() -> Any:
    agents = import_module("agents")
    client = import_module("openai").AsyncOpenAI(base_url=f"{HOST}/v1", api_key="none")
    tool = agents.function_tool(_weather, name_override="weather", description_override="The weather of a city.")
    model = agents.OpenAIResponsesModel(model=MODEL, openai_client=client)
    agent = agents.Agent(name="forecaster", instructions=SYSTEM["content"], model=model, tools=[tool])
    return asyncio.run(agents.Runner.run(agent, ASKED["content"]))


def _weather(city: str) -> str:
    return "sunny"


def _llama_index(**more: Any) -> Run:
    def run() -> Any:
        llms = import_module("llama_index.core.llms")
        openai = import_module("llama_index.llms.openai").OpenAI(model=MODEL, api_base=f"{HOST}/v1", api_key="none")
        return openai.chat([llms.ChatMessage(**message) for message in (SYSTEM, ASKED)], **more)

    return run


SCENARIOS: dict[str, Scenario] = {
    "openai_chat": Scenario("openai", _chat(SYSTEM, ASKED, temperature=0.2, max_tokens=100, user="u-1")),
    "openai_no_system": Scenario("openai", _chat(ASKED)),
    "openai_two_systems": Scenario("openai", _chat(SYSTEM, {"role": "developer", "content": "Be brief."}, ASKED)),
    "openai_stream": Scenario("openai", _chat(SYSTEM, ASKED, stream=True)),
    "openai_stream_tools": Scenario("openai", _chat(SYSTEM, ASKED, stream=True, tools=[TOOL])),
    "openai_tool_call": Scenario(
        "openai", _chat(SYSTEM, ASKED, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    ),
    "openai_tool_result": Scenario("openai", _chat(*HISTORY, tools=[TOOL])),
    "openai_functions": Scenario("openai", _chat(SYSTEM, ASKED, functions=[FUNCTION], function_call="auto")),
    "openai_image": Scenario("openai", _chat(_image("https://example.com/cat.png"))),
    "openai_image_inline": Scenario("openai", _chat(_image(f"data:image/png;base64,{PIXEL}"))),
    "openai_image_cut": Scenario("openai", _chat(_image(f"data:image/png;base64,{PIXEL * 400}"))),
    "openai_file": Scenario("openai", _chat(SYSTEM, _parts({"type": "file", "file": {"file_id": "file-1"}}))),
    "openai_schema": Scenario(
        "openai",
        _chat(
            SYSTEM, ASKED, response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
        ),
    ),
    "openai_error": Scenario("openai", _refused),
    "openai_hidden": Scenario("openai", _chat(SYSTEM, ASKED), hide=("hide_inputs", "hide_outputs")),
    "openai_hidden_text": Scenario("openai", _chat(SYSTEM, ASKED), hide=("hide_input_text",)),
    "openai_hidden_images": Scenario(
        "openai", _chat(_image("https://example.com/cat.png")), hide=("hide_input_images",)
    ),
    "openai_completions": Scenario("openai", _completions),
    "openai_responses": Scenario("openai", _responses(instructions=SYSTEM["content"], temperature=0.2)),
    "openai_responses_messages": Scenario(
        "openai",
        _responses(
            input=[
                {"role": "developer", "content": SYSTEM["content"]},
                {"role": "user", "content": [{"type": "input_text", "text": ASKED["content"]}]},
            ],
            max_output_tokens=100,
            text={"format": {"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}},
        ),
    ),
    "openai_responses_tools": Scenario("openai", _responses(instructions=SYSTEM["content"], tools=[RESPONSES_TOOL])),
    "openai_responses_result": Scenario(
        "openai",
        _responses(
            tools=[RESPONSES_TOOL],
            input=[
                ASKED,
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            ],
        ),
    ),
    "openai_responses_turns": Scenario(
        "openai",
        _responses(
            instructions=SYSTEM["content"],
            tools=[RESPONSES_TOOL],
            tool_choice={"type": "function", "name": "weather"},
            input=[
                ASKED,
                {"type": "reasoning", "id": "rs_0", "summary": [{"type": "summary_text", "text": "Two cities."}]},
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
                    "type": "message",
                    "id": "msg_0",
                    "status": "completed",
                },
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'},
                {"type": "function_call", "call_id": "call_2", "name": "weather", "arguments": '{"city": "Bonn"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
                {"type": "function_call_output", "call_id": "call_2", "output": "rain"},
            ],
        ),
    ),
    "openai_responses_image": Scenario(
        "openai",
        _responses(
            input=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is this?"},
                        {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "low"},
                        {"type": "input_file", "file_id": "file-1"},
                    ],
                }
            ]
        ),
    ),
    "openai_responses_reference": Scenario(
        "openai", _responses(input=[{"type": "item_reference", "id": "msg_0"}, {"role": "user", "content": "Why?"}])
    ),
    "openai_responses_search": Scenario("openai", _responses(tools=[{"type": "web_search"}])),
    "openai_responses_state": Scenario("openai", _responses(previous_response_id="resp_0", input="And in Bonn?")),
    "anthropic_chat": Scenario("anthropic", _anthropic(ASKED, system=SYSTEM["content"], stop_sequences=["END"])),
    "anthropic_system_list": Scenario(
        "anthropic",
        _anthropic(ASKED, system=[{"type": "text", "text": SYSTEM["content"]}, {"type": "text", "text": "Be brief."}]),
    ),
    "anthropic_tool_call": Scenario(
        "anthropic", _anthropic(ASKED, tools=[ANTHROPIC_TOOL], tool_choice={"type": "tool", "name": "weather"})
    ),
    "anthropic_tool_result": Scenario("anthropic", _anthropic(*CLAUDE_HISTORY, tools=[ANTHROPIC_TOOL])),
    "anthropic_stream": Scenario("anthropic", _anthropic(ASKED, system=SYSTEM["content"], stream=True)),
    "anthropic_image": Scenario(
        "anthropic",
        _anthropic(
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ),
    ),
    "anthropic_document": Scenario(
        "anthropic",
        _anthropic(
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": {"type": "url", "url": "https://example.com/report.pdf"}},
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ),
    ),
    "litellm_chat": Scenario("litellm", _litellm(SYSTEM, ASKED, temperature=0.2)),
    "litellm_tool_call": Scenario("litellm", _litellm(SYSTEM, ASKED, tools=[TOOL], tool_choice="auto")),
    "litellm_tool_result": Scenario("litellm", _litellm(*HISTORY, tools=[TOOL])),
    "litellm_image": Scenario("litellm", _litellm(_image("https://example.com/cat.png"))),
    "langchain_chain": Scenario("langchain", _langchain_chain),
    "langchain_tools": Scenario("langchain", _langchain_tools),
    "langchain_schema": Scenario(
        "langchain",
        lambda: (
            _chat_openai()
            .with_structured_output(SCHEMA | {"title": "weather"}, method="json_schema")
            .invoke(ASKED["content"])
        ),
    ),
    "langchain_function": Scenario("langchain", _langchain_function),
    "bedrock_converse": Scenario("bedrock", _converse(BEDROCK_ASKED)),
    "bedrock_tool_call": Scenario("bedrock", _converse(BEDROCK_ASKED, toolConfig={"tools": [BEDROCK_TOOL]})),
    "bedrock_tool_result": Scenario("bedrock", _converse(*BEDROCK_HISTORY, toolConfig={"tools": [BEDROCK_TOOL]})),
    "bedrock_image": Scenario("bedrock", _converse(BEDROCK_IMAGE)),
    "bedrock_invoke": Scenario("bedrock", _invoke),
    "google_genai_chat": Scenario("google_genai", _gemini(ASKED["content"])),
    "google_genai_tool_call": Scenario("google_genai", _gemini(ASKED["content"], tools=GEMINI_TOOLS)),
    "google_genai_tool_result": Scenario("google_genai", _gemini(GEMINI_HISTORY, tools=GEMINI_TOOLS)),
    "google_genai_schema": Scenario(
        "google_genai",
        _gemini(
            ASKED["content"],
            response_mime_type="application/json",
            response_schema=SCHEMA,
            max_output_tokens=100,
            top_k=3,
            stop_sequences=["END"],
        ),
    ),
    "google_genai_image": Scenario("google_genai", _gemini(GEMINI_IMAGE)),
    "mistralai_chat": Scenario("mistralai", _mistral(SYSTEM, ASKED, temperature=0.2)),
    "mistralai_tool_result": Scenario("mistralai", _mistral(*HISTORY, tools=[TOOL])),
    "groq_chat": Scenario("groq", _groq(SYSTEM, ASKED, temperature=0.2)),
    "groq_tool_call": Scenario("groq", _groq(SYSTEM, ASKED, tools=[TOOL])),
    "groq_tool_result": Scenario("groq", _groq(*HISTORY, tools=[TOOL])),
    "openai_agents_tools": Scenario("openai_agents", _agent),
    "llama_index_chat": Scenario("llama_index", _llama_index()),
    "llama_index_tool_call": Scenario("llama_index", _llama_index(tools=[TOOL])),
}
"""By the name of the recording."""


def record(name: str) -> None:
    """Run one scenario and write its recording."""
    scenario = SCENARIOS[name]
    with CannedProvider():
        spans = _spans(scenario)
    _, *packages = PACKAGES[scenario.instrumentor]
    instrumentor = f"openinference-instrumentation-{scenario.instrumentor.replace('_', '-')}"
    recording = {
        "instrumentor": instrumentor,
        "versions": {package: metadata.version(package) for package in (instrumentor, *packages)},
        "spans": _columns(spans),
    }
    text = json.dumps(recording, indent=1, ensure_ascii=False) + "\n"
    (RECORDED_SPANS / f"{name}.json").write_text(_with_fixed_ids(text), encoding="utf-8")


def _spans(scenario: Scenario) -> Iterable[Any]:
    """The finished spans, in the order of their start."""
    sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
    memory = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(memory))
    module = import_module(f"openinference.instrumentation.{scenario.instrumentor}")
    instrumentor = getattr(module, PACKAGES[scenario.instrumentor][0])()
    config = import_module("openinference.instrumentation").TraceConfig(**dict.fromkeys(scenario.hide, True))
    instrumentor.instrument(tracer_provider=provider, config=config)
    scenario.run()
    return sorted(memory.get_finished_spans(), key=lambda span: int(span.start_time))


def _columns(spans: Iterable[Any]) -> list[dict[str, Any]]:
    numbers: dict[int, int] = {}
    return [_row(span, numbers) for span in spans]


def _row(span: Any, numbers: dict[int, int]) -> dict[str, Any]:
    """One span as columns; its time is the number of its turn, in seconds."""
    number = numbers.setdefault(span.context.span_id, len(numbers) + 1)
    attributes = {f"attributes.{name}": _plain(value) for name, value in sorted(span.attributes.items())}
    return {
        "name": span.name,
        "context.trace_id": f"{1:032x}",
        "context.span_id": f"{number:016x}",
        "parent_id": f"{numbers[span.parent.span_id]:016x}" if span.parent else None,
        "start_time": f"2026-11-09T08:00:{number:02}.000000Z",
        "end_time": f"2026-11-09T08:00:{number:02}.500000Z",
        "status_code": span.status.status_code.name,
        "span_kind": attributes.get("attributes.openinference.span.kind"),
        **attributes,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_ID = re.compile(r"\b(lc_run--)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def _with_fixed_ids(text: str) -> str:
    return _ID.sub("00000000-0000-0000-0000-000000000000", text)


if __name__ == "__main__":
    RECORDED_SPANS.mkdir(exist_ok=True)
    if len(sys.argv) == 2:
        record(sys.argv[1])
    else:
        # A process a scenario: instrumentors patch what they find.
        for each in sys.argv[1:] or SCENARIOS:
            subprocess.run([sys.executable, "-m", "sia_dagster_tests.worlds.record_spans", each], check=False)
