"""OTLP JSON is read in each of the ways that tools write it, and one broken span costs itself alone."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.local.forms import FormError, Span, form_of
from sia_dagster.adapters.local.forms.otlp import FORM
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.worlds.recorded_forms import recorded, recorded_samples, samples_of, spans_of, told

ID, TRACE = "cd447e35b8b6d8fe", "1a2b8f1ff1fd42a29755d4c13a902931"


def request(*spans: Any) -> JsonObject:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}


def span(**fields: Any) -> JsonObject:
    return {"traceId": TRACE, "spanId": ID, "name": "chat", "startTimeUnixNano": "1794211200000000000"} | fields


def text(key: str, value: str) -> JsonObject:
    return {"key": key, "value": {"stringValue": value}}


def only(record: JsonObject) -> Span:
    (found,) = FORM.spans(record)
    assert isinstance(found, Span), found
    return found


def _snake(value: Any) -> Any:
    """The record as protobuf's JSON writes it with its own names of fields."""
    if isinstance(value, list):
        return [_snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): _snake(item) for key, item in value.items()}


def _nulls(value: Any) -> Any:
    """The record as Phoenix writes it: each value with the fields that it does not use."""
    if isinstance(value, list):
        return [_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _nulls(item) for key, item in value.items()}
    is_value = len(found) == 1 and next(iter(found)).endswith("_value")
    return (
        dict.fromkeys(("array_value", "bool_value", "int_value", "kvlist_value", "string_value")) | found
        if is_value
        else found
    )


def _base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_base64(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = {key for key in ("traceId", "spanId", "parentSpanId") if value.get(key)}
    plain = {key: _base64(item) for key, item in value.items() if key not in ids}
    return plain | {key: b64encode(bytes.fromhex(value[key])).decode() for key in ids}


def _pages(record: JsonObject) -> JsonObject:
    spans = [s for r in record["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
    return {"data": _nulls(_snake(spans)), "next_cursor": None}


WRITTEN: dict[str, Callable[[JsonObject], JsonObject]] = {
    "snake case": _snake,
    "base64": _base64,
    "Tempo": lambda record: {"batches": record["resourceSpans"]},
    "Tempo 2": lambda record: {"trace": record},
    "Jaeger 3": lambda record: {"result": record},
    "old scopes": lambda record: json.loads(json.dumps(record).replace("scopeSpans", "instrumentationLibrarySpans")),
    "one resource": lambda record: record["resourceSpans"][0],
    "Phoenix's pages": _pages,
    "numbers": lambda record: json.loads(json.dumps(record).replace('"21"', "21").replace('"7"', "7")),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_every_way_to_write_a_request_gives_the_same_spans(way: str) -> None:
    (record,) = recorded("openinference")
    expected, found = list(spans_of([record])), list(spans_of([WRITTEN[way](record)]))
    assert len(found) == 5
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, Span)
        assert isinstance(theirs, Span)
        for name in ("span_id", "trace_id", "name", "start", "end", "status", "attributes"):
            assert getattr(ours, name) == getattr(theirs, name), name


def test_ids_are_hexadecimal_and_those_of_zeros_are_none() -> None:
    found = only(request(span(traceId=TRACE.upper(), parentSpanId="0" * 16)))
    assert (found.trace_id, found.span_id, found.parent_id) == (TRACE, ID, "")
    assert only(request(span(spanId=b64encode(bytes(8)).decode()))).span_id == ""


def test_values_of_all_kinds_are_read_and_objects_are_flattened() -> None:
    message = {"kvlistValue": {"values": [text("message.role", "user"), text("message.content", "Hello")]}}
    nested = {"kvlistValue": {"values": [text("b", "x"), {"key": "c", "value": {"doubleValue": 0.5}}]}}
    values = [
        text("llm.model_name", "small"),
        text("empty", ""),
        {"key": "llm.token_count.prompt", "value": {"intValue": "21"}},
        {"key": "flag", "value": {"boolValue": False}},
        {"key": "nothing", "value": {}},
        {"key": "a", "value": nested},
        {"key": "llm.input_messages", "value": {"arrayValue": {"values": [message]}}},
    ]
    assert only(request(span(attributes=values))).attributes == {
        "llm.model_name": "small",
        "empty": "",
        "llm.token_count.prompt": 21,
        "flag": False,
        "a.b": "x",
        "a.c": 0.5,
        "llm.input_messages": [{"message.role": "user", "message.content": "Hello"}],
    }


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("text", "a span is no object"),
        (span(attributes="text"), "its attributes are no list"),
        (span(attributes=[{"key": "a", "value": {"intValue": "many"}}]), "not of its type"),
        (span(attributes=[{"value": {"stringValue": "a"}}]), "its attributes are no list"),
        (span(spanId=7), "an id of it is no text"),
        (span(status="OK"), "fields of other types"),
        (span(events=["text"]), "fields of other types"),
        (
            span(attributes=[text("llm.input_messages.3.message.content", "Hi")], droppedAttributesCount=9),
            "were dropped",
        ),
    ],
)
def test_a_broken_span_costs_itself_alone(broken: Any, reason: str) -> None:
    first, error, last = FORM.spans(request(span(), broken, span(name="last")))
    assert isinstance(first, Span)
    assert isinstance(last, Span)
    assert last.name == "last"
    assert isinstance(error, FormError)
    assert reason in str(error)


def test_resources_are_columns_for_a_condition() -> None:
    record = request(span())
    record["resourceSpans"][0]["resource"] = {"attributes": [text("service.name", "desk")]}
    assert only(record).columns["resource.attributes.service.name"] == "desk"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["resource", "scopeSpans", "spans", "spanId", "attributes", "key", "value", "intValue", "arrayValue",
             "values", "kvlistValue", "events", "status", "startTimeUnixNano", "name"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_anything_in_a_request_is_spans_or_errors(anything: Any) -> None:
    record = {"resourceSpans": anything}
    assert form_of(record) is FORM
    assert all(isinstance(found, Span | FormError) for found in FORM.spans(record))
    assert all(isinstance(found, Span | FormError) for found in FORM.spans(request(anything)))


ALL_FIVE = ["openinference", "openai_v2", "openllmetry", "openllmetry_0_40", "langfuse_otel"]
AGENTS = ["pydantic_ai", "pydantic_ai_0_4", "ai_sdk_4", "ai_sdk_5", "ai_sdk_6", "ai_sdk_7"]
UNRECORDED = {"openai_v2": {"tools"}, "strands": {"tools", "parameters"}}
"""What a tool does not record."""


@pytest.mark.parametrize("name", [*ALL_FIVE, *AGENTS, "strands"])
def test_the_recordings_of_all_tools_are_the_same_calls(name: str) -> None:
    plain, offered, answered, streamed = samples_of(recorded("openinference"))
    expected = {True: [plain, offered, answered, streamed], False: [offered, answered]}[name != "strands"]
    found = recorded_samples(name)
    if "pydantic" in name:
        expected = expected[:3]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        kept = set(told(ours)) - UNRECORDED.get(name, set()) - ({"parameters"} if name in AGENTS else set())
        assert {key: _plain(told(ours)[key]) for key in kept} == {key: _plain(told(theirs)[key]) for key in kept}


def _plain(value: Any) -> Any:
    """The value without what tools add to a schema or a tool's message, and with JSON written alike."""
    if not isinstance(value, tuple):
        return value.replace('\\":\\"', '\\": \\"') if isinstance(value, str) else value
    return tuple(_tool(i) if isinstance(i, dict) else i.model_copy(update={"name": None}) for i in value)


def _tool(tool: JsonObject) -> JsonObject:
    function = tool["function"]
    schema = {key: item for key, item in function["parameters"].items() if key in ("type", "properties", "required")}
    return {"name": function["name"], "description": function["description"], "parameters": schema}


@pytest.mark.parametrize("name", AGENTS)
def test_agents_and_tools_around_a_call_are_no_calls(name: str) -> None:
    kept = {sample.span_id for sample in recorded_samples(name)}
    assert 3 <= len(kept) < len(list(spans_of(recorded(name))))
    assert recorded_samples(name)[0].parameters == {"temperature": 0.2, "max_tokens": 100}


@pytest.mark.parametrize("name", ["ai_sdk_4", "ai_sdk_5", "ai_sdk_6"])
def test_the_ai_sdks_metadata_name_session_and_user(name: str) -> None:
    assert {(s.conversation_id, s.user_id) for s in recorded_samples(name)} == {("s-1", "u-1")}
