"""MLflow's traces of all versions are read, with the session, the user and the assessments of the trace."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sia_dagster_tests.adapters.local.forms.test_recordings import BY_OPENAI, CHAT, COOL
from sia_dagster_tests.worlds.form_calls import SECONDS, call, calls, read_file, read_records, recorded

ASKED = {
    "model": "gpt-4o-mini",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "You tell the weather."},
        {"role": "user", "content": "What is the weather in Ulm?"},
    ],
}
SAID = {"choices": [{"message": {"role": "assistant", "content": "It is sunny in Ulm."}}]}


def attributes(**more: Any) -> dict[str, str]:
    given = {"mlflow.traceRequestId": "tr-1", "mlflow.spanType": "LLM", "mlflow.spanInputs": ASKED}
    return {name: json.dumps(value) for name, value in (given | {"mlflow.spanOutputs": SAID} | more).items()}


def trace(*assessments: dict[str, Any], spans: int = 1) -> dict[str, Any]:
    rows = [
        {
            "trace_id": "AAAAAAAAAAAAAAAAAAAAAg==",
            "span_id": f"{number:016x}",
            "parent_span_id": None,
            "name": "Completions",
            "start_time_unix_nano": SECONDS * 10**9,
            "end_time_unix_nano": SECONDS * 10**9,
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": attributes(),
        }
        for number in range(1, spans + 1)
    ]
    return {"info": {"trace_id": "tr-1", "assessments": list(assessments)}, "data": {"spans": rows}}


def test_traces_of_the_second_schema_are_read() -> None:
    span: dict[str, Any] = {
        "name": "Completions",
        "context": {"span_id": "0x00000000000000a1", "trace_id": "0x000000000000000000000000000000b1"},
        "parent_id": None,
        "start_time": SECONDS * 10**9,
        "end_time": SECONDS * 10**9,
        "status_code": "OK",
        "status_message": "",
        "attributes": attributes(),
        "events": [],
    }
    info = {
        "request_id": "tr-1",
        "timestamp_ms": SECONDS * 1000,
        "request_metadata": {"mlflow.trace.session": "chat-7"},
    }
    record = {"info": info, "data": {"spans": [span], "request": "{}", "response": "{}"}}
    assert calls([record]) == [CHAT | COOL]
    (sample,) = read_records([record]).samples
    assert (sample.span_id, sample.trace_id, sample.conversation_id) == ("00000000000000a1", "tr-1", "chat-7")


def test_a_table_is_read_from_its_spans_where_it_has_no_trace(tmp_path: Path) -> None:
    # An empty request cannot be written as Parquet.
    left = ("trace", "request")
    rows = [{name: value for name, value in row.items() if name not in left} for row in recorded("mlflow_table")]
    path = tmp_path / "traces.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = read_file(path)
    assert [call(sample) for sample in found.samples] == BY_OPENAI
    assert {sample.conversation_id for sample in found.samples} == {"chat-7"}


def test_spans_alone_are_read() -> None:
    assert calls(trace()["data"]["spans"]) == [CHAT | COOL]


def test_an_assessment_of_the_trace_is_of_its_only_call() -> None:
    right = {
        "assessment_name": "is right",
        "source": {"source_type": "LLM_JUDGE"},
        "feedback": {"value": True},
        "rationale": "The sun shines.",
    }
    tone = {"assessment_name": "tone", "source": {"source_type": "HUMAN"}, "feedback": {"value": "kind"}}
    (sample,) = read_records([trace(right, tone)]).samples
    assert [(e.name, e.score, e.label, e.explanation) for e in sample.evals] == [
        ("is right", 1, "true", "The sun shines.")
    ]
    assert [(e.name, e.label) for e in sample.annotations] == [("tone", "kind")]
    two = read_records([trace(right, tone | {"span_id": f"{2:016x}"}, spans=2)])
    assert [(s.evals, len(s.annotations)) for s in two.samples] == [((), 0), ((), 1)]


def test_an_output_that_is_a_plain_text_is_the_answer() -> None:
    spans = trace()["data"]["spans"]
    spans[0]["attributes"] = attributes(**{"mlflow.spanOutputs": "It is sunny in Ulm."})
    assert calls(spans) == [CHAT | COOL]
