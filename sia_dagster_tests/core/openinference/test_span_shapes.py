"""Spans of real instrumentors (`spans/`), stored in each form that stores give, are read as the call that was made."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import Message, Sample, TimeWindow, ToolCall
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.traffic.replayable import Reason, find_obstacle
from sia_dagster_tests.places import DOCS, RECORDED_SPANS

PAGE = DOCS / "span_shapes.md"
DAY = TimeWindow(key="2026-11-09", start=datetime(2026, 11, 9, tzinfo=UTC), end=datetime(2026, 11, 10, tzinfo=UTC))
LISTS = ("attributes.llm.input_messages", "attributes.llm.output_messages", "attributes.llm.tools")


@cache
def recordings() -> dict[str, JsonObject]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDED_SPANS.glob("*.json"))}


def spans() -> Iterator[tuple[str, JsonObject]]:
    """Every recorded span as flattened columns, with ids of its own: `<recording>/<number>`."""
    for name, recording in recordings().items():
        for span in recording["spans"]:
            number = int(span["context.span_id"])
            yield name, span | {"context.span_id": f"{name}/{number}", "context.trace_id": name}


def tree(flat: JsonObject) -> Any:
    """Dotted keys as objects, numbered ones as lists."""
    nested: JsonObject = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        place = nested
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return listed(nested)


def listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [listed(value[key]) for key in sorted(value, key=int)]
    return {key: listed(inner) for key, inner in value.items()}


def dotted(value: Any, prefix: str = "") -> Any:
    """Objects as dotted keys, within each item of a list."""
    if isinstance(value, list):
        return [dotted(item) for item in value]
    if not isinstance(value, dict):
        return value
    flat: JsonObject = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            flat |= dotted(inner, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = dotted(inner)
    return flat


def with_lists(span: JsonObject, form: Callable[[Any], Any]) -> JsonObject:
    """The span with its messages and tools as one column each."""
    columns = {key: value for key, value in span.items() if not key.startswith(tuple(f"{name}." for name in LISTS))}
    for name in LISTS:
        flat = {key.removeprefix(f"{name}."): v for key, v in span.items() if key.startswith(f"{name}.")}
        columns[name] = form(tree(flat)) if flat else None
    return columns


FORMS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "opentelemetry": dict,
    "arize_frame": lambda span: with_lists(span, dotted),
    "arize_wire": lambda span: with_lists(span, lambda items: [json.dumps(item) for item in dotted(items)]),
    "phoenix": lambda span: with_lists(span, lambda items: items),
}
"""Attributes as OpenTelemetry has them, as in Arize's DataFrame and on its wire, and as in Phoenix's."""


def write(rows: list[JsonObject], kind: str, folder: Path) -> None:
    if kind == "jsonl":
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / "spans.jsonl").write_text(text, encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(as_table(rows)), folder / "spans.parquet")


def as_table(rows: list[JsonObject]) -> list[JsonObject]:
    """All rows with all columns, since a table takes its columns from the first row."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in columns} for row in rows]


@cache
def stored(form: str, kind: str) -> tuple[JsonObject, ...]:
    """All recordings in one file, read back through the trace source."""
    rows = [FORMS[form](span) for _, span in spans()]
    with TemporaryDirectory() as folder:
        write(rows, kind, Path(folder))
        batches = LocalTraces(folder).spans(SpanQuery(window=DAY, sample_limit=1_000))
        return tuple(row for batch in batches for row in batch.to_pylist())


@cache
def read(form: str, kind: str) -> dict[str, list[Sample]]:
    """The samples by recording, oldest first."""
    mapped = samples_from_rows(row for row in stored(form, kind) if row["sampled"])
    assert mapped.skipped == ()
    found: dict[str, list[Sample]] = {}
    for sample in mapped.samples:
        found.setdefault(sample.trace_id, []).append(sample)
    return found


SYSTEM = "You tell the weather."
SAID = "It is sunny in Ulm."
CALLED = '[{"name": "weather", "arguments": "{\\"city\\": \\"Ulm\\"}"}]'
SCHEMA = {"type": "object", "properties": {"weather": {"type": "string"}}, "required": ["weather"]}
ASKED = Message(role="user", content="What is the weather in Ulm?")
PROPERTIES = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather of a city.", "parameters": PROPERTIES}
TOOL = {"type": "function", "function": FUNCTION}
LOOSE_TOOL = {"type": "function", "function": FUNCTION | {"strict": False}}
IMAGE = "https://example.com/cat.png"

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg=="
)


def used(call_id: str = "call_1", result: str = "sunny", said: str | None = None) -> tuple[Message, ...]:
    """The question, the call of the tool, its result."""
    call = ToolCall(id=call_id, name="weather", arguments='{"city": "Ulm"}')
    asks = Message(role="assistant", content=said, tool_calls=(call,))
    return ASKED, asks, Message(role="tool", content=result, tool_call_id=call_id)


def shown(url: str | None, *more: JsonObject, **detail: str) -> tuple[Message, ...]:
    """A question about an image; without an address only the other parts."""
    image = [] if url is None else [{"type": "image_url", "image_url": {"url": url} | detail}]
    parts = ({"type": "text", "text": "What is this?"}, *image, *more)
    return (Message(role="user", content="What is this?", parts=parts),)


class Call(NamedTuple):
    """What was asked and answered, as the application made the call."""

    system: str = SYSTEM
    chat: tuple[Message, ...] = (ASKED,)
    output: str = SAID
    tools: tuple[JsonObject, ...] = ()
    parameters: JsonObject = {}  # noqa: RUF012 - never changed
    model: str = "gpt-4o-mini"
    why_not: str | None = None
    """The reason why it cannot be replayed."""


CLAUDE = Call(model="claude-sonnet-4-5", parameters={"max_tokens": 100})

BEDROCK = Call(
    model="anthropic.claude-3-5-sonnet-20240620-v1:0",
    parameters={"max_tokens": 100, "temperature": 0.2, "top_p": 0.9, "stop": ["END"]},
)

GEMINI = Call(model="gemini-2.5-flash", parameters={"temperature": 0.2})
GROQ = Call(model="llama-3.3-70b")
MISTRAL = Call(model="mistral-small-latest")
LITELLM = Call(model="openai/gpt-4o-mini")
LANGCHAIN = Call(parameters={"temperature": 0.2})

AGENT_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "properties": {"city": {"title": "City", "type": "string"}},
            "required": ["city"],
            "title": "weather_args",
            "type": "object",
            "additionalProperties": False,
        },
        "strict": True,
    },
}

AGENT = Call(tools=(AGENT_TOOL,), parameters={"parallel_tool_calls": True, "tool_choice": "auto"})
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
WEATHER_CHOSEN = {"type": "function", "function": {"name": "weather"}}

TWO_CITIES = (
    ASKED,
    Message(
        role="assistant",
        content="I look.",
        tool_calls=(
            ToolCall(id="call_1", name="weather", arguments='{"city": "Ulm"}'),
            ToolCall(id="call_2", name="weather", arguments='{"city": "Bonn"}'),
        ),
    ),
    Message(role="tool", content="sunny", tool_call_id="call_1"),
    Message(role="tool", content="rain", tool_call_id="call_2"),
)

HIDDEN = "__REDACTED__"

CALLS: dict[str, tuple[Call, ...]] = {
    "openai_chat": (Call(parameters={"temperature": 0.2, "max_tokens": 100}),),
    "openai_no_system": (Call(system=""),),
    "openai_two_systems": (Call(system=f"{SYSTEM}\n\nBe brief."),),
    "openai_stream": (Call(),),
    "openai_stream_tools": (Call(output=CALLED, tools=(TOOL,)),),
    "openai_tool_call": (
        Call(output=CALLED, tools=(TOOL,), parameters={"tool_choice": "required", "parallel_tool_calls": False}),
    ),
    "openai_tool_result": (Call(chat=used(), tools=(TOOL,)),),
    "openai_functions": (Call(output=CALLED, tools=(TOOL,), parameters={"tool_choice": "auto"}),),
    "openai_image": (Call(system="", chat=shown(IMAGE)),),
    "openai_image_inline": (Call(system="", chat=shown(PIXEL)),),
    "openai_image_cut": (Call(system="", chat=shown(HIDDEN), why_not="media"),),
    "openai_file": (Call(chat=shown(None, {"type": "file", "file": {"file_id": "file-1"}}), why_not="part"),),
    "openai_schema": (Call(output='{"weather": "sunny"}', parameters={"response_format": JSON_SCHEMA}),),
    "openai_error": (),
    "openai_hidden": (Call("", (Message(role="user", content=HIDDEN),), HIDDEN, why_not="redacted"),),
    "openai_hidden_text": (Call(HIDDEN, (Message(role="user", content=HIDDEN),), why_not="redacted"),),
    "openai_hidden_images": (Call(system="", chat=shown(""), why_not="media"),),
    "openai_completions": (
        Call(
            system="",
            chat=(Message(role="user", content="The weather in Ulm:"),),
            parameters={"max_tokens": 50},
            model="gpt-3.5-turbo-instruct",
        ),
    ),
    "openai_responses": (Call(parameters={"temperature": 0.2}),),
    "openai_responses_messages": (
        Call(
            parameters={
                "max_completion_tokens": 100,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True},
                },
            }
        ),
    ),
    "openai_responses_tools": (Call(output=CALLED, tools=(LOOSE_TOOL,)),),
    "openai_responses_result": (Call(system="", chat=used(), tools=(LOOSE_TOOL,)),),
    "openai_responses_turns": (Call(chat=TWO_CITIES, tools=(LOOSE_TOOL,), parameters={"tool_choice": WEATHER_CHOSEN}),),
    "openai_responses_image": (
        Call(
            system="", chat=shown(IMAGE, {"type": "file", "file": {"file_id": "file-1"}}, detail="low"), why_not="part"
        ),
    ),
    "openai_responses_search": (
        Call(
            system="",
            tools=(
                {
                    "type": "web_search",
                    "external_web_access": None,
                    "filters": None,
                    "search_context_size": None,
                    "user_location": None,
                },
            ),
            why_not="provider_tool",
        ),
    ),
    "openai_responses_state": (
        Call(
            system="",
            chat=(Message(role="user", content="And in Bonn?"),),
            parameters={"previous_response_id": True},
            why_not="server_state",
        ),
    ),
    "openai_responses_reference": (
        Call(
            system="",
            chat=(Message(role="user", content="Why?"),),
            parameters={"item_reference": True},
            why_not="server_state",
        ),
    ),
    "anthropic_chat": (CLAUDE._replace(parameters={"max_tokens": 100, "stop": ["END"]}),),
    "anthropic_system_list": (CLAUDE._replace(system=f"{SYSTEM}\nBe brief."),),
    "anthropic_tool_call": (
        CLAUDE._replace(
            system="", output=CALLED, tools=(TOOL,), parameters={"max_tokens": 100, "tool_choice": WEATHER_CHOSEN}
        ),
    ),
    "anthropic_tool_result": (CLAUDE._replace(system="", chat=used("toolu_1", said="I look."), tools=(TOOL,)),),
    "anthropic_stream": (CLAUDE,),
    "anthropic_image": (
        CLAUDE._replace(
            system="",
            chat=(Message(role="user", content="What is this?", parts=tuple(reversed(shown(PIXEL)[0].parts))),),
        ),
    ),
    "anthropic_document": (
        CLAUDE._replace(
            system="",
            chat=(
                Message(
                    role="user",
                    content="What is this?",
                    parts=(
                        {"type": "document", "source": {"type": "url", "url": "https://example.com/report.pdf"}},
                        {"type": "text", "text": "What is this?"},
                    ),
                ),
            ),
            why_not="part",
        ),
    ),
    "litellm_chat": (LITELLM._replace(parameters={"temperature": 0.2}),),
    "litellm_tool_call": (LITELLM._replace(output=CALLED, tools=(TOOL,), parameters={"tool_choice": "auto"}),),
    "litellm_tool_result": (LITELLM._replace(chat=used(), tools=(TOOL,)),),
    "litellm_image": (LITELLM._replace(system="", chat=shown(IMAGE)),),
    "langchain_chain": (LANGCHAIN,),
    "langchain_tools": (
        LANGCHAIN._replace(chat=(*used(), Message(role="user", content="And in Bonn?")), tools=(TOOL,)),
    ),
    "langchain_function": (LANGCHAIN._replace(system="", chat=used(), tools=(TOOL,)),),
    "langchain_schema": (
        LANGCHAIN._replace(
            system="",
            output='{"weather": "sunny"}',
            parameters={
                "temperature": 0.2,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "weather", "strict": False, "schema": SCHEMA},
                },
            },
        ),
    ),
    "bedrock_converse": (BEDROCK,),
    "bedrock_tool_call": (BEDROCK._replace(output=CALLED, tools=(TOOL,)),),
    "bedrock_tool_result": (BEDROCK._replace(chat=used("tooluse_1"), tools=(TOOL,)),),
    "bedrock_image": (BEDROCK._replace(chat=shown(PIXEL)),),
    "bedrock_invoke": (CLAUDE,),
    "google_genai_chat": (GEMINI,),
    "google_genai_tool_call": (GEMINI._replace(output=CALLED, tools=(TOOL,)),),
    "google_genai_tool_result": (GEMINI._replace(chat=used(result='{"result": "sunny"}'), tools=(TOOL,)),),
    "google_genai_image": (GEMINI._replace(chat=shown(PIXEL)),),
    "google_genai_schema": (
        GEMINI._replace(
            parameters={
                "temperature": 0.2,
                "top_k": 3.0,
                "max_completion_tokens": 100,
                "stop": ["END"],
                "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
            }
        ),
    ),
    "mistralai_chat": (MISTRAL._replace(parameters={"temperature": 0.2}),),
    "mistralai_tool_result": (MISTRAL._replace(chat=used(), tools=(TOOL,)),),
    "groq_chat": (GROQ._replace(parameters={"temperature": 0.2}),),
    "groq_tool_call": (GROQ._replace(output=CALLED, tools=(TOOL,)),),
    "groq_tool_result": (GROQ._replace(chat=used(), tools=(TOOL,)),),
    "openai_agents_tools": (AGENT._replace(output=CALLED), AGENT._replace(chat=used())),
    "llama_index_chat": (Call(),),
    "llama_index_tool_call": (Call(output=CALLED, tools=(TOOL,)),),
}


def call_of(sample: Sample) -> Call:
    obstacle = find_obstacle(sample)
    return Call(
        system=sample.system_prompt,
        chat=sample.messages,
        output=sample.output,
        tools=sample.tools,
        parameters=sample.parameters,
        model=sample.model,
        why_not=obstacle.reason if obstacle else None,
    )


def test_every_recording_is_expected_and_says_what_it_was_made_with() -> None:
    assert set(recordings()) == set(CALLS)
    for recording in recordings().values():
        assert recording["versions"][recording["instrumentor"]]
        assert len(recording["versions"]) >= 2


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_read_as_the_application_made_it(name: str, kind: str) -> None:
    assert tuple(map(call_of, read("opentelemetry", kind).get(name, []))) == CALLS[name]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "opentelemetry"])
def test_every_store_s_form_gives_the_same_samples(form: str, kind: str) -> None:
    assert read(form, kind) == read("opentelemetry", "jsonl")


def test_spans_around_a_model_s_call_are_no_calls() -> None:
    calls = {row["span_id"] for row in stored("opentelemetry", "jsonl")}
    kinds = {span["context.span_id"]: span["span_kind"] for _, span in spans()}
    assert calls == {span_id for span_id, kind in kinds.items() if kind == "LLM"}
    assert {"CHAIN", "AGENT", "TOOL", "PROMPT"} <= set(kinds.values())


def test_a_failed_call_is_counted_and_carries_no_text() -> None:
    (row,) = (row for row in stored("opentelemetry", "jsonl") if row["trace_id"] == "openai_error")
    assert (row["status"], row["sampled"], row["input_messages"]) == ("ERROR", False, None)


def test_a_stream_without_counted_tokens_has_none() -> None:
    counts = {row["trace_id"]: (row["prompt_tokens"], row["completion_tokens"]) for row in stored("phoenix", "parquet")}
    assert counts["openai_stream"] == (None, None)
    assert counts["openai_chat"] == counts["anthropic_chat"] == counts["bedrock_converse"] == (21, 7)


def test_recordings_hold_nothing_of_the_machine_they_were_made_on() -> None:
    for name in recordings():
        text = (RECORDED_SPANS / f"{name}.json").read_text(encoding="utf-8")
        hosts = set(re.findall(r"https?://([^/\"\\\s:]+)", text))
        assert hosts <= {"127.0.0.1", "example.com"}, name
        assert not re.search(r"/(root|home|tmp|usr)/|\bsk-|Traceback", text), name


def test_the_page_names_every_recording_and_version_and_no_other() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])) == sorted(CALLS)
    for recording in recordings().values():
        made_with = recording["instrumentor"], recording["versions"][recording["instrumentor"]]
        assert f"`{made_with[0]}` {made_with[1]}" in page


def test_the_page_says_every_reason_for_which_a_call_is_not_asked_again() -> None:
    rows = re.findall(r"^\| (\w+) \| ", PAGE.read_text(encoding="utf-8").partition("## What is replayed")[2], re.M)
    assert rows == ["reason", *get_args(Reason)]
