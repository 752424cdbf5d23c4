"""Langfuse's exports are read in both spellings, with their traces, and without what its SDKs add."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.local.forms import form_of
from sia_dagster.core.traffic.replayable import find_obstacle
from sia_dagster_tests.adapters.local.forms.test_recordings import CHAT, COOL
from sia_dagster_tests.worlds.form_calls import START, call, calls, read_file, read_records

ASKED = [
    {"role": "system", "content": "You tell the weather."},
    {"role": "user", "content": "What is the weather in Ulm?"},
]
SAID = {"role": "assistant", "content": "It is sunny in Ulm."}


def observation(**fields: Any) -> dict[str, Any]:
    """A row of the public API."""
    return {
        "id": "observation-1",
        "traceId": "trace-1",
        "type": "GENERATION",
        "startTime": "2026-11-09T08:00:00.000Z",
        "model": "gpt-4o-mini",
        "modelParameters": {"temperature": 0.2},
        "input": ASKED,
        "output": SAID,
        "sessionId": "chat-7",
    } | fields


def as_parts(message: dict[str, Any]) -> dict[str, Any]:
    """A message as OpenTelemetry's conventions write it, which Langfuse keeps."""
    return {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}


BLOB = {
    "id": "observation-1",
    "trace_id": "trace-1",
    "project_id": "project",
    "type": "GENERATION",
    "parent_observation_id": "",
    "start_time": "2026-11-09 08:00:00.000000",
    "provided_model_name": "gpt-4o-mini",
    "model_parameters": '{"temperature":0.2}',
    "input": json.dumps(ASKED),
    "output": json.dumps(SAID),
    "usage_details": {"input": 21, "output": 7},
    "metadata": {"tenant": "acme"},
    "session_id": "chat-7",
    "user_id": "",
    "tags": ["weather"],
}


@pytest.mark.parametrize(
    "record",
    [
        observation(),
        observation(input=json.dumps(ASKED), output=json.dumps(SAID)),
        observation(input={"messages": ASKED}, output="It is sunny in Ulm."),
        observation(input={"args": [ASKED], "kwargs": {}}, output={"choices": [{"message": SAID}]}),
        observation(input={"args": [], "kwargs": {"messages": ASKED}}, output=[SAID]),
        observation(output=[*ASKED, SAID]),
        observation(output=[{"type": "message", "content": [{"type": "output_text", "text": "It is sunny in Ulm."}]}]),
        observation(input=[as_parts(item) for item in ASKED], output=[as_parts(SAID)]),
        BLOB,
    ],
)
def test_an_observation_is_a_call_in_every_spelling(record: dict[str, Any]) -> None:
    assert calls([record]) == [CHAT | COOL]


def test_the_export_is_the_same_as_csv_and_as_parquet(tmp_path: Path) -> None:
    table, text = tmp_path / "export.parquet", tmp_path / "export.csv"
    maps = {"usage_details": pa.map_(pa.string(), pa.int64()), "metadata": pa.map_(pa.string(), pa.string())}
    columns = {
        n: pa.array([list(v.items()) if isinstance(v, dict) else v], maps.get(n))
        for n, v in BLOB.items()
        if n != "start_time"
    }
    pq.write_table(pa.table(columns | {"start_time": pa.array([START])}), table)
    with text.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(BLOB)
        writer.writerow([value if isinstance(value, str) else json.dumps(value) for value in BLOB.values()])
    for path in (table, text):
        (sample,) = read_file(path).samples
        assert (call(sample), sample.conversation_id, sample.tags) == (CHAT | COOL, "chat-7", ("weather",))


def test_a_trace_gives_its_session_and_its_scores_to_its_observations() -> None:
    scores = [
        {"name": "is-right", "value": 1, "dataType": "BOOLEAN", "source": "EVAL", "observationId": "observation-1"},
        {"name": "tone", "value": 0, "stringValue": "kind", "dataType": "CATEGORICAL", "source": "ANNOTATION"},
    ]
    row = observation(sessionId=None, scores=None)
    span = observation(id="observation-2", type="SPAN")
    trace = {"id": "trace-1", "sessionId": "chat-8", "userId": "ann", "observations": [span, row], "scores": scores}
    (sample,) = read_records([trace]).samples
    assert (sample.conversation_id, sample.user_id) == ("chat-8", "ann")
    assert [(e.name, e.score, e.label) for e in sample.evals] == [("is_right", 1, "true")]
    assert [(e.name, e.label) for e in sample.annotations] == [("tone", "kind")]


def test_a_score_of_a_trace_with_two_calls_is_of_neither() -> None:
    rows = [observation(), observation(id="observation-2")]
    trace = {"id": "trace-1", "observations": rows, "scores": [{"name": "tone", "value": 1, "dataType": "NUMERIC"}]}
    assert [sample.evals for sample in read_records([trace]).samples] == [(), ()]


def test_settings_that_the_sdk_adds_are_no_settings_of_the_application() -> None:
    added = {"temperature": 1, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
    assert calls([observation(modelParameters=added)]) == [CHAT]
    assert calls([observation(modelParameters=added | {"temperature": 0.2})]) == [CHAT | COOL]
    # Who sets the temperature alone means it.
    assert calls([observation(modelParameters={"temperature": 1})]) == [CHAT | {"parameters": {"temperature": 1}}]


def test_an_image_in_langfuses_own_store_is_not_replayed() -> None:
    reference = "@@@langfuseMedia:type=image/png|id=1|source=base64_data_uri@@@"
    image = {"type": "image_url", "image_url": {"url": reference}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    (sample,) = read_records([observation(input=asked)]).samples
    found = find_obstacle(sample)
    assert found is not None
    assert found.reason == "media"


def test_observations_of_other_kinds_and_failed_ones_are_no_calls() -> None:
    kinds = ["SPAN", "EVENT", "TOOL", "AGENT", "CHAIN", "RETRIEVER", "EMBEDDING", "EVALUATOR", "GUARDRAIL"]
    read = read_records([observation(type=kind) for kind in kinds] + [observation(level="ERROR")])
    assert (read.samples, read.failed) == ((), 1)


def test_observations_without_their_traces_are_told_apart() -> None:
    bare = {name: value for name, value in BLOB.items() if name not in ("session_id", "user_id", "tags")}
    form = form_of(bare)
    assert form is not None
    assert "sessions" in form.lacks


def test_one_broken_observation_costs_itself_alone() -> None:
    rows = [observation(), observation(id="observation-2", input="[" * 150 + "]" * 150)]
    read = read_records([{"id": "trace-1", "observations": rows, "scores": None}])
    assert len(read.samples) == 1
    assert read.lost == ["JSON in one of its fields is nested more than 100 deep"]


def test_an_export_without_texts_says_which_fields_to_add() -> None:
    record = {name: value for name, value in observation().items() if name not in ("input", "output")}
    assert read_records([record]).lost == ["it holds neither input nor output; export the field group `io`, too"]
