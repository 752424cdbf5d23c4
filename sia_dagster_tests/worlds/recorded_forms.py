"""The recordings in `forms/`, and records of any form as samples, without a file or a window between them."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sia_dagster.adapters.local.columns import TEXTS
from sia_dagster.adapters.local.conventions import to_openinference
from sia_dagster.adapters.local.forms import FormError, Span, form_of
from sia_dagster.adapters.local.kinds import LLM, is_call, recorded_kind
from sia_dagster.adapters.local.pages import unwrapped
from sia_dagster.adapters.local.record import Broken
from sia_dagster.adapters.local.records import read_records
from sia_dagster.core.openinference.samples import sample_from_row
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.places import RECORDED_FORMS

_START = datetime(2026, 11, 9, tzinfo=UTC)


def recorded(name: str) -> list[JsonObject]:
    """The records of a recording; each can be read."""
    path = next(RECORDED_FORMS.glob(f"{name}.json*"))
    records = [record.value for record in read_records(path)]
    return [record for record in records if not isinstance(record, Broken)]


def spans_of(records: Iterable[JsonObject]) -> Iterator[Span | FormError]:
    """The spans in records of any form, as `unwrapped` takes them out of their pages."""
    for record in records:
        for inner in unwrapped(record):
            form = form_of(inner)
            assert form, f"no form reads {list(inner)}"
            yield from form.spans(inner)


def attributes_of(span: Span | FormError) -> JsonObject:
    """The span's OpenInference attributes."""
    assert isinstance(span, Span), span
    return to_openinference(span.attributes, span.events)


def samples_of(records: Iterable[JsonObject]) -> list[Sample]:
    """The calls of a model that have an answer, in the records' order."""
    return [sample for span in spans_of(records) if (sample := _sample(span))]


def recorded_samples(name: str) -> list[Sample]:
    """The calls with an answer in a recording."""
    return samples_of(recorded(name))


def otlp_lines(name: str) -> list[str]:
    """A recording as lines of OTLP JSON, whatever form it has."""
    records = recorded(name)
    if "resourceSpans" not in records[0]:
        records = [{"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [_otlp(r) for r in records]}]}]}]
    return [json.dumps(record) for record in records]


def told(sample: Sample) -> JsonObject:
    """What a form must keep of a call."""
    return {
        "system": sample.system_prompt,
        "messages": sample.messages,
        "output": sample.output,
        "model": sample.model,
        "parameters": sample.parameters,
        "tools": sample.tools,
    }


def _sample(span: Span | FormError) -> Sample | None:
    attributes = attributes_of(span)
    assert isinstance(span, Span)
    kind = recorded_kind(attributes.get("openinference.span.kind")) or recorded_kind(span.kind)
    if kind != LLM and (kind or not is_call(attributes)):
        return None
    row: JsonObject = {name: _text(attributes, column) for name, column in TEXTS.items()}
    ids = {"span_id": span.span_id, "trace_id": span.trace_id, "start_time": _START, "name": span.name}
    who = {"conversation_id": attributes.get("session.id"), "user_id": attributes.get("user.id")}
    if not answered(attributes):
        return None
    return sample_from_row(row | ids | who | {"model": attributes.get("llm.model_name")})


def answered(attributes: JsonObject) -> bool:
    """Whether the call has an answer."""
    return any(name.startswith(("llm.output_messages", "output.value")) and value for name, value in attributes.items())


def _text(attributes: JsonObject, column: str) -> Any:
    """A text column; flattened attributes as one object."""
    name = column.removeprefix("attributes.")
    below = {key[len(name) + 1 :]: value for key, value in attributes.items() if key.startswith(f"{name}.")}
    value = attributes.get(name, below or None)
    return value if isinstance(value, str | None) else json.dumps(value)


def _otlp(span: JsonObject) -> JsonObject:
    """What the SDK prints, as OTLP JSON."""
    attributes = [
        {"key": key, "value": _value(value)} for key, value in span["attributes"].items() if value is not None
    ]
    moments = [str(int(datetime.fromisoformat(span[name]).timestamp()) * 10**9) for name in ("start_time", "end_time")]
    ids = {"traceId": span["context"]["trace_id"][2:], "spanId": span["context"]["span_id"][2:]}
    code = {"OK": 1, "ERROR": 2}.get(span["status"]["status_code"], 0)
    times = {"startTimeUnixNano": moments[0], "endTimeUnixNano": moments[1]}
    return {**ids, **times, "name": span["name"], "kind": 3, "attributes": attributes, "status": {"code": code}}


def _value(value: Any) -> JsonObject:
    """The value in OTLP's `AnyValue`."""
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    name = {bool: "boolValue", int: "intValue", float: "doubleValue"}.get(type(value), "stringValue")
    return {name: value}
