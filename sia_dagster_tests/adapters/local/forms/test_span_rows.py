"""Spans with a record each are read alike from every tool that writes them so."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.local.forms import FormError, Span, form_of
from sia_dagster.adapters.local.forms.span_rows import FORM
from sia_dagster.adapters.local.moments import microseconds
from sia_dagster.adapters.local.record import Broken
from sia_dagster.adapters.local.records import read_records
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.worlds.recorded_forms import attributes_of, recorded, samples_of, spans_of

ATTRIBUTES = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "small",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "Hello",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Hi.",
    "llm.invocation_parameters": '{"temperature": 0.2}',
}
NESTED: dict[str, JsonObject] = {
    "openinference": {"span": {"kind": "LLM"}},
    "llm": {
        "model_name": "small",
        "input_messages": [{"message": {"role": "user", "content": "Hello"}}],
        "output_messages": [{"message": {"role": "assistant", "content": "Hi."}}],
        "invocation_parameters": '{"temperature": 0.2}',
    },
}
ID = {"context.span_id": "cd447e35b8b6d8fe", "start_time": "2026-11-09T08:00:00Z"}


def only(record: JsonObject) -> Span:
    (found,) = spans_of([record])
    assert isinstance(found, Span), found
    return found


@pytest.mark.parametrize(
    "attributes",
    [
        ATTRIBUTES,
        json.dumps(ATTRIBUTES),
        NESTED,
        json.dumps(NESTED),
        str(NESTED),
        list(ATTRIBUTES.items()),
        [{"key": key, "value": {"stringValue": value}} for key, value in ATTRIBUTES.items()],
        [{"key": key, "value": value} for key, value in ATTRIBUTES.items()],
    ],
    ids=["flat", "JSON", "nested", "nested JSON", "repr", "map", "OTLP", "pairs"],
)
def test_attributes_in_one_column_are_read_in_any_shape(attributes: Any) -> None:
    for column in ("attributes", "span_attributes", "SpanAttributes"):
        (sample,) = samples_of([ID | {column: attributes}])
        assert (sample.request, sample.output, sample.model) == ("Hello", "Hi.", "small")
        assert sample.parameters == {"temperature": 0.2}


def test_attributes_with_a_column_each_may_be_objects() -> None:
    columns = {f"attributes.{name}": value for name, value in NESTED["llm"].items()}
    for record in ({f"attributes.llm.{k}": v for k, v in NESTED["llm"].items()}, {"attributes.llm": NESTED["llm"]}):
        (sample,) = samples_of([ID | record])
        assert (sample.request, sample.output) == ("Hello", "Hi.")
    assert only(ID | columns).attributes["model_name"] == "small"


@pytest.mark.parametrize(
    "attributes", ["{'a': 1", "text", "{'a': f()}", 7, ["a"], [["a"]], "[" * 10_000, "{'a': " * 500]
)
def test_attributes_that_cannot_be_read_are_an_error(attributes: Any) -> None:
    with pytest.raises(FormError, match="its attributes are"):
        list(FORM.spans(ID | {"attributes": attributes}))


def test_what_pythons_sdk_prints_is_read() -> None:
    span, *_, failed = map(only, recorded("openllmetry_0_40"))
    assert (span.span_id, span.trace_id, span.parent_id) == (f"{2:016x}", f"{1:032x}", "")
    assert (span.status, failed.status) == ("UNSET", "ERROR")
    assert microseconds(span.start) == 1794211200_500000


def test_what_javascripts_sdk_prints_is_read() -> None:
    printed = {
        "traceId": "1a2b8f1ff1fd42a29755d4c13a902931",
        "parentId": "8092b4d42b28fef0",
        "name": "ChatCompletion",
        "id": "cd447e35b8b6d8fe",
        "kind": 0,
        "timestamp": 1794211200500000,
        "duration": 20500,
        "attributes": ATTRIBUTES,
        "status": {"code": 2, "message": "refused"},
        "events": [],
    }
    span = only(printed)
    assert (span.span_id, span.parent_id, span.status) == ("cd447e35b8b6d8fe", "8092b4d42b28fef0", 2)
    assert (microseconds(span.start), span.columns["latency_ms"]) == (1794211200_500000, 20.5)


def test_what_javascripts_spans_are_as_json_is_read() -> None:
    context = {"traceId": "1a2b8f1ff1fd42a29755d4c13a902931", "spanId": "cd447e35b8b6d8fe", "traceFlags": 1}
    times = {"startTime": [1794211200, 500000000], "endTime": [1794211201, 0]}
    span = only(
        {"_spanContext": context, "name": "a", "kind": 0, "attributes": ATTRIBUTES, "status": {"code": 0}} | times
    )
    assert (span.span_id, span.trace_id) == (context["spanId"], context["traceId"])
    assert (microseconds(span.start), microseconds(span.end)) == (1794211200_500000, 1794211201_000000)


def test_clickhouses_table_of_the_collector_is_read() -> None:
    row = {
        "Timestamp": "2026-11-09 08:00:00.500000001",
        "TraceId": "1a2b8f1ff1fd42a29755d4c13a902931",
        "SpanId": "cd447e35b8b6d8fe",
        "ParentSpanId": "",
        "SpanName": "chat small",
        "SpanKind": "Client",
        "ServiceName": "desk",
        "SpanAttributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small"},
        "Duration": "20500000",
        "StatusCode": "Ok",
        "Events.Name": ["gen_ai.user.message", "gen_ai.choice"],
        "Events.Attributes": [{"content": "Hello"}, {"message": '{"content": "Hi."}'}],
    }
    span = only(row)
    assert (span.name, span.status, span.columns["latency_ms"]) == ("chat small", "Ok", 20.5)
    assert microseconds(span.start) == 1794211200_500000
    (sample,) = samples_of([row])
    assert (sample.request, sample.output) == ("Hello", "Hi.")


def _frame() -> pd.DataFrame:
    """The recording as Phoenix's client gives it: a column for each attribute, lists of messages, texts `None`."""
    rows = []
    for span in spans_of(recorded("openinference")):
        assert isinstance(span, Span)
        attributes = attributes_of(span)
        row: JsonObject = {"context.span_id": span.span_id, "context.trace_id": span.trace_id, "name": span.name}
        row |= {"start_time": pd.Timestamp(span.start, unit="ns", tz="UTC"), "attributes.session.id": "None"}
        for name in ("input_messages", "output_messages"):
            flat = {k: v for k, v in attributes.items() if k.startswith(f"llm.{name}.") and "tool_calls" not in k}
            items: dict[str, JsonObject] = {}
            for key, value in flat.items():
                number, rest = key.removeprefix(f"llm.{name}.").split(".", 1)
                items.setdefault(number, {})[rest] = value
            row[f"attributes.llm.{name}"] = list(items.values()) or None
        row |= {
            f"attributes.{k}": v
            for k, v in attributes.items()
            if k in ("llm.model_name", "input.value", "output.value")
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _samples(path: Path) -> list[Sample]:
    records = [record.value for record in read_records(path)]
    return samples_of(record for record in records if not isinstance(record, Broken))


@pytest.mark.parametrize("orient", ["records", "split", "index", "columns", "table"])
def test_a_frame_written_as_json_is_read_with_any_orient(tmp_path: Path, orient: Any) -> None:
    path = tmp_path / "spans.json"
    _frame().to_json(path, orient=orient)
    found, expected = _samples(path), samples_of(recorded("openinference"))
    assert [(s.span_id, s.system_prompt, s.output) for s in found] == [
        (s.span_id, s.system_prompt, s.output) for s in expected
    ]
    assert {s.conversation_id for s in found} == {s.trace_id for s in expected}


def test_a_frame_written_as_parquet_is_read(tmp_path: Path) -> None:
    _frame().to_parquet(tmp_path / "spans")
    expected = samples_of(recorded("openinference"))
    assert [(s.span_id, s.output) for s in _samples(tmp_path / "spans")] == [(s.span_id, s.output) for s in expected]


def test_objects_in_a_csv_are_read_from_their_repr(tmp_path: Path) -> None:
    gen_ai: JsonObject = {"operation": {"name": "chat"}, "request": {"model": "small"}, "input": {"messages": None}}
    gen_ai["input"]["messages"] = '[{"role": "user", "parts": [{"type": "text", "content": "It\'s 5\\" long"}]}]'
    gen_ai["output"] = {"messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]'}
    pd.DataFrame([ID | {"attributes.gen_ai": gen_ai}]).to_csv(tmp_path / "spans.csv")
    (sample,) = _samples(tmp_path / "spans.csv")
    assert (sample.request, sample.output) == ("It's 5\" long", "Yes.")


NAMES = ["context.span_id", "span_id", "spanId", "id", "traceId", "context", "attributes", "SpanAttributes", "events",
         "Events.Name", "Events.Attributes", "status", "startTime", "Duration", "attributes.ai", "TraceId"]  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["{'a': 1}", '{"gen_ai.x": [', "gen_ai."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "name"]), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_record_that_is_recognised_gives_spans_or_one_error(record: JsonObject) -> None:
    if FORM.recognises(record):
        assert _is_read(FORM.spans, record)
    assert form_of(record) is None or _is_read(form_of(record).spans, record)  # type: ignore[union-attr]


def _is_read(spans: Any, record: JsonObject) -> bool:
    try:
        found: Iterable[Any] = list(spans(record))
    except FormError:
        return True
    return all(isinstance(span, Span | FormError) for span in found)
