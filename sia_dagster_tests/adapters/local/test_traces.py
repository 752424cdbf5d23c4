"""Files of traces are read as they stand, whole, in order, and a bad one is named."""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.errors import TraceError, TraceFileError
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.openinference.schema import SPAN_SCHEMA, TEXT_COLUMNS
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import Funnel, FunnelCount
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster_tests.places import EXPORT

START = datetime(2026, 11, 9, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))
Row = dict[str, Any]


def span(number: int, **columns: Any) -> Row:
    """One call of an export, `number` minutes into the window; `a__b` stands for the column `a.b`."""
    values: Row = {
        "context.span_id": f"span-{number:04}",
        "context.trace_id": f"trace-{number}",
        "name": "ChatCompletion",
        "start_time": int((START + timedelta(minutes=number)).timestamp() * 1000),
        "end_time": int((START + timedelta(minutes=number, seconds=2)).timestamp() * 1000),
        "status_code": "OK",
        "attributes.openinference.span.kind": "LLM",
        "attributes.llm.model_name": "model-a",
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": f"Question {number}"}],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": f"Answer {number}"}],
    }
    return values | {key.replace("__", "."): value for key, value in columns.items()}


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Sequence[Row], **arrays: pa.Array) -> Path:
    table = pa.Table.from_pylist(list(rows))
    for name, array in arrays.items():
        column = name.replace("__", ".")
        table = table.drop_columns([column]) if column in table.column_names else table
        table = table.append_column(column, array)
    pq.write_table(table, path)
    return path


def read(path: Path | str, where: str = "", limit: int = 200, window: TimeWindow = WINDOW) -> list[Row]:
    batches = list(LocalTraces(path).spans(SpanQuery(window=window, where=where, sample_limit=limit)))
    assert all(batch.schema == SPAN_SCHEMA for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def funnel(path: Path | str, where: str = "", limit: int = 200) -> Funnel:
    count = FunnelCount()
    list(LocalTraces(path).spans(SpanQuery(window=WINDOW, where=where, sample_limit=limit), count))
    found = count.result()
    lost = sum(loss.records for loss in found.losses if loss.step != "file")
    assert found.records == lost + found.sampled, found
    return found


def lost(path: Path | str, step: str) -> dict[str, int]:
    """The first example of each loss at a step, with its number of records."""
    return {loss.example: loss.records for loss in funnel(path).losses if loss.step == step}


def ids(rows: Sequence[Row]) -> list[str]:
    return [row["span_id"].removeprefix("span-") for row in rows]


def test_the_real_export_is_read_as_it_stands() -> None:
    window = TimeWindow(key="2025-04-07", start=datetime(2025, 4, 7, tzinfo=UTC), end=datetime(2025, 4, 14, tzinfo=UTC))
    rows = read(EXPORT, "name = 'ChatCompletion'", window=window)
    assert [row["span_id"] for row in rows] == [
        "7c67aaaacb9560eb",
        "fc971d2014a2064d",
        "d6ba6bdc99d489a0",
        "e78ddf55cddcfd3e",
    ]
    assert rows[0]["start_time"] == datetime(2025, 4, 9, 23, 2, 55, 367_000, tzinfo=UTC)
    assert rows[0]["latency_ms"] == 8583.067647
    assert (rows[0]["prompt_tokens"], rows[0]["completion_tokens"], rows[0]["status"]) == (617, 603, "OK")
    mapped = samples_from_rows(rows)
    assert mapped.skipped == ()
    assert {s.system_prompt[:34] for s in mapped.samples} == {"I want you to rewrite what the use"}
    assert {(s.model, json.dumps(s.parameters), s.template) for s in mapped.samples} == {("gpt-4o-mini", "{}", None)}
    assert mapped.samples[0].output.startswith("# The Interplay of Climate Change and Food Security")


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz", "a.json.gz", "a.parquet", "objects.json"]
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = [span(2), span(1)]
    path = tmp_path / name
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    text = json.dumps(rows, indent=1) if ".json" in name and ".jsonl" not in name and name[0] == "a" else lines
    if name.endswith(".parquet"):
        write_parquet(path, rows)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    (tmp_path / "expected").mkdir()
    assert read(path) == read(write_lines(tmp_path / "expected" / "b.jsonl", rows))
    assert ids(read(path)) == ["0001", "0002"]


def test_a_folder_is_read_with_those_below_it_and_without_hidden_files(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [span(3)])
    write_parquet(tmp_path / "b.parquet", [span(1)])
    write_lines(tmp_path / "deep" / "er" / "c.ndjson", [span(2)])
    write_lines(tmp_path / ".hidden" / "d.jsonl", [span(4)])
    write_lines(tmp_path / ".e.jsonl", [span(5)])
    (tmp_path / "notes.txt").write_text("no traces")
    assert ids(read(tmp_path)) == ["0001", "0002", "0003"]
    assert ids(read(f"{tmp_path}/**/*.ndjson")) == ["0002"]


def test_files_with_different_columns_and_types_are_one_source(tmp_path: Path) -> None:
    texts = [[json.dumps(m) for m in span(1)["attributes.llm.input_messages"]]]
    write_parquet(tmp_path / "a.parquet", [span(1)], attributes__llm__input_messages=pa.array(texts))
    write_parquet(tmp_path / "b.parquet", [span(2, eval__csat__score=1.0)])
    as_json = {k: json.dumps(v) if isinstance(v, list) else v for k, v in span(3, tier="gold").items()}
    write_lines(tmp_path / "c.jsonl", [as_json])
    assert [s.request for s in samples_from_rows(read(tmp_path)).samples] == ["Question 1", "Question 2", "Question 3"]
    assert ids(read(tmp_path, "tier = 'gold'")) == ["0003"]
    assert ids(read(tmp_path, 'tier IS NULL AND "eval.csat.score" = 1')) == ["0002"]


MOMENT = datetime(2026, 11, 9, 8, 30, tzinfo=UTC)
SECONDS = MOMENT.timestamp()


@pytest.mark.parametrize(
    "start",
    [
        int(SECONDS),
        int(SECONDS * 1e3),
        int(SECONDS * 1e6),
        int(SECONDS) * 10**9,
        SECONDS,
        str(int(SECONDS)),
        "2026-11-09T08:30:00Z",
        "2026-11-09 08:30:00",
        "2026-11-09T09:30:00.000+01:00",
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_times_are_read_in_every_unit(tmp_path: Path, start: Any, kind: str) -> None:
    write = write_lines if kind == "jsonl" else write_parquet
    (row,) = read(write(tmp_path / f"a.{kind}", [span(1, start_time=start, end_time=None)]))
    assert row["start_time"] == MOMENT
    assert row["latency_ms"] is None


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.timestamp("ms"),
        pa.timestamp("s"),
        pa.timestamp("us", tz="UTC"),
        pa.timestamp("ns", tz="Europe/Berlin"),
        pa.int64(),
        pa.uint64(),
        pa.float64(),
    ],
)
def test_typed_times_are_read_from_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    zoned = MOMENT.astimezone(timezone(timedelta(hours=1)))
    typed = pa.types.is_timestamp(kind)
    value = (zoned if kind.tz else MOMENT.replace(tzinfo=None)) if typed else SECONDS
    path = write_parquet(tmp_path / "a.parquet", [span(1)], start_time=pa.array([value], kind))
    assert [row["start_time"] for row in read(path)] == [MOMENT]


def test_the_window_takes_its_start_and_not_its_end(tmp_path: Path) -> None:
    week = 7 * 24 * 60
    path = write_lines(
        tmp_path / "a.jsonl",
        [span(0), span(week - 1), span(week), span(1, start_time=int(START.timestamp() * 1000) - 1)],
    )
    assert ids(read(path)) == ["0000", f"{week - 1:04}"]
    days = [START - timedelta(days=1), START, START + timedelta(days=7)]
    typed = pa.array([d.replace(tzinfo=None) for d in days], pa.timestamp("us"))
    assert ids(read(write_parquet(tmp_path / "b.parquet", [span(n) for n in range(3)], start_time=typed))) == ["0001"]


def test_oldest_first_and_ties_by_span_id(tmp_path: Path) -> None:
    same = span(0)["start_time"]
    rows = [span(9), span(3, start_time=same), span(1, start_time=same), span(2, start_time=same)]
    assert ids(read(write_lines(tmp_path / "a.jsonl", rows))) == ["0001", "0002", "0003", "0009"]


def test_only_llm_spans_count(tmp_path: Path) -> None:
    kind = "attributes.openinference.span.kind"
    rows = [span(1), span(2, **{kind: "CHAIN"}), span(3, **{kind: "llm"}), span(4, **{kind: "EMBEDDING"})]
    assert ids(read(write_lines(tmp_path / "a.jsonl", rows))) == ["0001", "0003"]
    rows = [{k: v for k, v in row.items() if k != kind} | {"span_kind": row[kind]} for row in rows]
    assert ids(read(write_lines(tmp_path / "b.jsonl", rows))) == ["0001", "0003"]


@pytest.mark.parametrize("kind", [None, "", "SPAN_KIND_INTERNAL", "SpanKind.CLIENT", 3, "UNKNOWN", "generation"])
@pytest.mark.parametrize("write", [write_lines, write_parquet])
def test_a_kind_that_says_nothing_is_as_none(tmp_path: Path, kind: Any, write: Any) -> None:
    nothing = {"attributes.llm.model_name": None, "attributes.llm.input_messages": None}
    rows = [span(1), span(2, **nothing, **{"attributes.llm.output_messages": None})]
    rows = [row | {"attributes.openinference.span.kind": kind} for row in rows]
    assert ids(read(write(tmp_path / "a.file", rows))) == ["0001"]


@pytest.mark.parametrize("kind", ["OpenInferenceSpanKindValues.LLM", "<OpenInferenceSpanKindValues.LLM: 'LLM'>", "Llm"])
@pytest.mark.parametrize("write", [write_lines, write_parquet])
def test_the_kind_is_read_in_an_enums_text(tmp_path: Path, kind: str, write: Any) -> None:
    other = kind.replace("LLM", "TOOL").replace("Llm", "Tool")
    rows = [span(n, **{"attributes.openinference.span.kind": k}) for n, k in enumerate((kind, other))]
    assert ids(read(write(tmp_path / "a.file", rows))) == ["0000"]


@pytest.mark.parametrize("write", [write_lines, write_parquet])
def test_attributes_of_another_convention_are_read_in_an_object_too(tmp_path: Path, write: Any) -> None:
    """Phoenix's DataFrame has one column for all attributes that share the first part of their names."""
    call = {"association": {"properties": {"session_id": "chat-7"}}, "span": {"kind": None}}
    around = {"association": {"properties": {"session_id": "chat-7"}}, "span": {"kind": "workflow"}}
    rows = [span(1, attributes__traceloop=call), span(2, attributes__traceloop=around, span_kind="UNKNOWN")]
    rows[1] |= {"attributes.openinference.span.kind": "UNKNOWN"}
    (found,) = read(write(tmp_path / "spans", rows))
    assert (found["span_id"], found["conversation_id"]) == ("span-0001", "chat-7")


def test_without_a_kind_column_an_llm_span_is_one_with_messages_or_model(tmp_path: Path) -> None:
    nothing = dict.fromkeys([f"attributes.llm.{n}" for n in ("model_name", "input_messages", "output_messages")])
    rows = [span(1), span(2, **nothing), span(3, **nothing | {"attributes.llm.model_name": "m"})]
    rows = [{k: v for k, v in row.items() if k != "attributes.openinference.span.kind"} for row in rows]
    assert ids(read(write_lines(tmp_path / "a.jsonl", rows))) == ["0001", "0003"]
    bare = [{"context.span_id": "a", "start_time": span(1)["start_time"]}]
    assert read(write_lines(tmp_path / "b.jsonl", bare)) == []


def test_the_sample_is_the_usable_calls_with_the_smallest_hash(tmp_path: Path) -> None:
    mute: Row = {"attributes.llm.output_messages": []}
    rows = [span(n) for n in range(40)]
    rows += [span(n, status_code="STATUS_CODE_ERROR") for n in range(40, 60)] + [span(n, **mute) for n in range(60, 80)]
    write_parquet(tmp_path / "a.parquet", rows[::-1])
    read_rows = read(tmp_path / "a.parquet", limit=10)
    usable = sorted((f"span-{n:04}" for n in range(40)), key=lambda i: hashlib.md5(i.encode()).hexdigest())
    assert {row["span_id"] for row in read_rows if row["sampled"]} == set(usable[:10])
    assert len(read_rows) == 80
    assert all((row["input_messages"] is not None) == row["sampled"] for row in read_rows)
    assert all(row[name] is None for row in read_rows if not row["sampled"] for name in TEXT_COLUMNS)
    assert sum(row["status"] == "ERROR" for row in read_rows) == 20


def test_a_raw_response_is_an_answer_too(tmp_path: Path) -> None:
    mute = {"attributes.llm.output_messages": None}
    rows = [span(1, **mute | {"attributes.output.value": "Yes"}), span(2, **mute | {"attributes.output.value": ""})]
    assert [row["sampled"] for row in read(write_lines(tmp_path / "a.jsonl", rows))] == [True, False]


def test_a_span_that_stands_in_two_exports_counts_once(tmp_path: Path) -> None:
    rows = [span(n) for n in range(30)]
    write_parquet(tmp_path / "a.parquet", rows)
    write_lines(tmp_path / "b.jsonl", [row | {"eval.csat.label": "good"} for row in rows[10:]])
    write_parquet(tmp_path / "c.parquet", rows[:20])
    read_rows = read(tmp_path, limit=12)
    assert ids(read_rows) == [f"{n:04}" for n in range(30)]
    assert sum(row["sampled"] for row in read_rows) == 12
    assert all(bool(row["evals"]) == (row["span_id"] >= "span-0010") for row in read_rows if row["sampled"])


def test_repeats_across_batches_are_found(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [span(n // 3) for n in range(60_000)])
    assert len(read(path, limit=1, window=WINDOW.model_copy(update={"end": START + timedelta(days=60)}))) == 20_000


def test_evaluations_and_annotations_of_the_platform_are_read(tmp_path: Path) -> None:
    rows = [
        span(
            1,
            eval__csat__label="good",
            eval__csat__score=0.5,
            annotation__csat__label="bad",
            annotation__tone__label="x",
            annotation__csat__text="Rude.",
            annotation__csat__updated_by="ada",
        ),
        span(2, eval__csat__explanation="Why.", annotation__tone__explanation="Hm.", annotation__tone__text="x"),
        span(3),
    ]
    path = write_lines(tmp_path / "a.jsonl", rows)
    samples = samples_from_rows(read(path)).samples
    said = [[(e.name, e.label, e.score, e.explanation) for e in s.evals] for s in samples]
    assert said == [[("csat", "good", 0.5, None)], [("csat", None, None, "Why.")], []]
    said = [[(e.name, e.label, e.score, e.explanation) for e in s.annotations] for s in samples]
    assert said == [[("csat", "bad", None, "Rude."), ("tone", "x", None, None)], [("tone", None, None, "Hm.")], []]


def test_evaluations_whose_names_differ_in_case_alone_stand_side_by_side(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [span(1, eval__csat__score=1, eval__CSAT__label="x")])
    (sample,) = samples_from_rows(read(path)).samples
    assert [(e.name, e.label, e.score) for e in sample.evals] == [("CSAT", "x", None), ("csat", None, 1.0)]


def test_of_two_exports_the_one_with_peoples_word_is_taken(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [span(1, eval__csat__score=1.0)])
    write_parquet(tmp_path / "b.parquet", [span(1, eval__csat__score=0.0, annotation__csat__label="bad")])
    (row,) = read(tmp_path)
    assert json.loads(row["annotations"])["csat"]["label"] == "bad"
    assert json.loads(row["evals"])["csat"]["score"] == "0.0"


def test_flattened_attributes_are_read(tmp_path: Path) -> None:
    flat = {
        "attributes.llm.input_messages.0.message.role": "system",
        "attributes.llm.input_messages.0.message.content": "Greet Ada.",
        "attributes.llm.input_messages.1.message.role": "user",
        "attributes.llm.input_messages.1.message.content": "Hi",
        "attributes.llm.output_messages.0.message.role": "assistant",
        "attributes.llm.output_messages.0.message.content": "Hello!",
        "attributes.llm.prompt_template.template": "Greet {name}.",
        "attributes.llm.prompt_template.variables.name": "Ada",
    }
    nested = {"attributes.llm.input_messages", "attributes.llm.output_messages"}
    rows = [{k: v for k, v in span(1).items() if k not in nested} | flat]
    for path in (write_lines(tmp_path / "a.jsonl", rows), write_parquet(tmp_path / "b.parquet", rows)):
        (sample,) = samples_from_rows(read(path)).samples
        assert (sample.template, sample.variables, sample.request, sample.output) == (
            "Greet {name}.",
            {"name": "Ada"},
            "Hi",
            "Hello!",
        )


def test_the_conversation_is_the_session_else_the_user_else_the_trace(tmp_path: Path) -> None:
    ids_of = {"attributes.session.id": "s", "attributes.user.id": "u"}
    rows = [
        span(1, **ids_of),
        span(2, **ids_of | {"attributes.session.id": ""}),
        span(3),
        span(4, context__trace_id=None),
    ]
    found = [row["conversation_id"] for row in read(write_lines(tmp_path / "a.jsonl", rows))]
    assert found == ["s", "u", "trace-3", "span-0004"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", ["0001", "0002", "0003"]),
        ("  ", ["0001", "0002", "0003"]),
        ("name = 'Other'", ["0002"]),
        ("attributes.llm.model_name = 'model-b' or name = 'Other'", ["0002", "0003"]),
        ("ATTRIBUTES.LLM.MODEL_NAME LIKE '%-b' -- the new one", ["0003"]),
        ('"attributes.llm.token_count.total" > 100', ["0003"]),
        ("attributes.llm.token_count.total BETWEEN 1 AND 100", ["0001"]),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_where_is_a_condition_over_the_files_own_columns(
    tmp_path: Path, where: str, expected: list[str], kind: str
) -> None:
    total = "attributes.llm.token_count.total"
    rows = [
        span(1, **{total: 50}),
        span(2, name="Other", **{total: None}),
        span(3, **{total: 200, "attributes.llm.model_name": "model-b"}),
    ]
    write = write_lines if kind == "jsonl" else write_parquet
    assert ids(read(write(tmp_path / f"a.{kind}", rows), where)) == expected


@pytest.mark.parametrize(
    "where",
    [
        "tier IS NULL",
        "NOT (tier IS NOT NULL)",
        "tier IS DISTINCT FROM 'gold'",
        "tier IS NOT DISTINCT FROM NULL",
        "tier is null OR tier is null",
        "tier IS NULL AND name = 'ChatCompletion'",
        "coalesce(tier, '') = ''",
    ],
)
@pytest.mark.parametrize("write", [write_lines, write_parquet])
def test_a_condition_on_missing_values_holds_for_them_alone(tmp_path: Path, where: str, write: Any) -> None:
    rows = [span(n, tier="gold" if n < 3 else None) for n in range(1, 6)]
    path = write(tmp_path / "a", rows)
    if write is write_parquet:
        pq.write_table(pq.read_table(path), path, use_dictionary=False)
    assert ids(read(path, where)) == ["0003", "0004", "0005"]
    assert funnel(path, where).sampled == 3


@pytest.mark.parametrize("write", [write_lines, write_parquet])
def test_a_condition_on_a_list_is_read_in_files_that_hold_it_as_text(tmp_path: Path, write: Any) -> None:
    rows = [span(n, **{"attributes.tag.tags": ["a", "b"] if n > 1 else ["b"]}) for n in range(4)]
    rows = [row | {"start_time": str(START + timedelta(minutes=n))} for n, row in enumerate(rows)]
    for printed in (False, True):
        rows = [row | ({"attributes.tag.tags": str(row["attributes.tag.tags"])} if printed else {}) for row in rows]
        assert ids(read(write(tmp_path / "a", rows), "list_contains(attributes.tag.tags, 'a')")) == ["0002", "0003"]


@pytest.mark.parametrize(
    "where",
    [
        "nme = 'x'",
        "name = ",
        "name = 'x'; DROP TABLE spans",
        "true) UNION ALL SELECT (1",
        "true) ORDER BY (1",
        "name IN (SELECT content FROM read_text('/etc/hostname'))",
        "no_such_function(name)",
        "name = 7",
        "count(*) > 1",
    ],
)
def test_a_bad_condition_is_quoted_and_a_wrong_name_with_the_columns_there_are(tmp_path: Path, where: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", [span(1)])
    with pytest.raises(TraceError) as raised:
        read(path, where)
    assert f"where: {where}" in str(raised.value)
    assert ('"attributes.llm.model_name", ' in str(raised.value)) == (where in ("nme = 'x'", "name = 7"))
    assert not isinstance(raised.value, TraceFileError)


def test_no_file_says_where_it_looked(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, tmp_path / "*.parquet"):
        with pytest.raises(TraceFileError, match=r"there is no trace file; .*traces\.path") as raised:
            read(path)
        assert raised.value.path == str(path)


BAD_FILES = {
    "text.parquet": b"this is no parquet",
    "cut.parquet": b"PAR1 and nothing else",
    "text.json": b"this is no json",
    "text.jsonl": b"this is\nno json\n",
    "list.jsonl": b"1\n2\n",
    "binary.json.gz": b"not gzip",
    "avro": b"Obj\x01 and so on",
    "text.unknown": b"this has no known suffix",
    "package.json": b'{"name": "app", "version": "1.0.0"}',
    "manifest.json": b'{"entries": [{"url": "s3://bucket/unload/0000_part_00.parquet", "mandatory": true}]}',
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named_and_costs_itself_alone(tmp_path: Path, name: str) -> None:
    bad = tmp_path / name
    bad.write_bytes(BAD_FILES[name])
    with pytest.raises(TraceFileError, match=name):
        read(bad)
    write_lines(tmp_path / "good.jsonl", [span(1)])
    assert ids(read(tmp_path)) == ["0001"]
    (loss, *_) = funnel(tmp_path).losses
    assert (loss.step in ("file", "record"), loss.example.split(",")[0]) == (True, name)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("cut.json", json.dumps([span(1), span(2)])[:-40], ["0001"]),
        ("cut_clean.json", json.dumps([span(1)])[:-1] + ",", ["0001"]),
        ("late.json", json.dumps([span(n) for n in range(3)]).replace('"end_time": 179', '"end_time": oo', 1), None),
        ("deep.jsonl", json.dumps(span(1)) + '\n{"a":' * 300 + "1" + "}" * 300 + "\n" + json.dumps(span(2)), None),
        ("nul.jsonl", "\0\0" + json.dumps(span(1)) + "\0\n" + json.dumps(span(2)), ["0001", "0002"]),
    ],
)
def test_a_broken_record_costs_itself_alone(tmp_path: Path, name: str, content: str, expected: Any) -> None:
    (tmp_path / name).write_text(content)
    assert ids(read(tmp_path / name)) == (expected or ["0001", "0002"])
    assert bool(lost(tmp_path, "record")) == (name != "nul.jsonl")


@pytest.mark.parametrize("write", [write_lines, write_parquet])
@pytest.mark.parametrize("column", ["context.span_id", "start_time"])
def test_records_without_an_id_or_a_start_are_counted(tmp_path: Path, column: str, write: Any) -> None:
    write_lines(tmp_path / "good.jsonl", [span(1)])
    write(tmp_path / "bad", [{k: v for k, v in span(2).items() if k != column}])
    assert ids(read(tmp_path)) == ["0001"]
    assert sum(lost(tmp_path, "record").values()) == 1


@pytest.mark.parametrize("orient", ["columns", "index", "split", "records", "table"])
def test_a_data_frame_is_read_in_every_orient_that_names_its_columns(tmp_path: Path, orient: Any) -> None:
    frame = pd.DataFrame([span(1), span(2)])
    frame.to_json(tmp_path / "a.json", orient=orient)
    assert ids(read(tmp_path)) == ["0001", "0002"]
    if orient != "records":
        frame.set_index("context.span_id").to_json(tmp_path / "a.json", orient=orient)
        assert ids(read(tmp_path)) == ["0001", "0002"]


@pytest.fixture(params=[True, False])
def damaged(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A Parquet file whose first pages are overwritten, beside a sound one; scanned as it is, and converted."""
    write_parquet(tmp_path / "a.parquet", [span(n) for n in range(50)])
    times: list[Row] = [{"start_time": span(n)["start_time"]} for n in range(2000)]
    if request.param:
        times = [{"start_time": f"2026-11-10 00:00:00.{n:06}"} for n in range(2000)]
    path = write_parquet(tmp_path / "b.parquet", [times[n] | span(n) | times[n] for n in range(50, 2000)])
    content = bytearray(path.read_bytes())
    content[4:4000] = b"\xff" * 3996
    path.write_bytes(content)
    return path


def test_a_parquet_file_damaged_within_is_named_and_costs_itself_alone(damaged: Path) -> None:
    assert len(read(damaged.parent, "name = 'ChatCompletion'")) == 50
    (loss,) = funnel(damaged.parent).losses
    assert loss.example.startswith("b.parquet")
    with pytest.raises(TraceFileError, match=r"b\.parquet.*cannot be read"):
        read(damaged)


def test_a_broken_line_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = [json.dumps(span(n)) for n in range(3)]
    noise = [
        '{"context.span_id": ',
        "[1, 2]",
        json.dumps(span(7, start_time="soon")),
        json.dumps(span(8, context__span_id=None)),
    ]
    path.write_text("\n".join([noise[0], *good, *noise[1:], ""]))
    write_parquet(tmp_path / "b.parquet", [span(9)])
    assert ids(read(tmp_path)) == ["0000", "0001", "0002", "0009"]
    assert lost(tmp_path, "record") == {"a.jsonl, line 1": 1, "a.jsonl, line 5": 1, "a.jsonl, line 6: 'soon'": 1} | {
        "a.jsonl, line 7": 1
    }


@pytest.mark.parametrize("kind", [pa.int64(), pa.timestamp("us"), pa.string(), pa.float64()])
def test_spans_of_parquet_without_id_or_start_are_counted(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.types.is_string(kind)
    starts = ["2026-11-09", None, "soon", "2026-11-10"] if texts else [START.timestamp() * 1e6, None, None, 1.8e15]
    ids_of = ["a", "b", "c", ""]
    rows = [span(n, context__span_id=ids_of[n]) for n in range(4)]
    array = pa.array(starts) if texts else pa.array(starts, pa.float64()).cast(pa.int64(), safe=False).cast(kind)
    path = write_parquet(tmp_path / "a.parquet", rows, start_time=array)
    assert sum(lost(path, "record").values()) == 3
    nobody = write_parquet(tmp_path / "b.parquet", [span(1, context__span_id=7), span(2, context__span_id=None)])
    assert sum(lost(nobody, "record").values()) == 1


def test_a_file_that_grows_is_looked_at_again(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", [span(1)])
    assert (ids(read(path)), lost(path, "record")) == (["0001"], {})
    write_parquet(path, [span(1, tier=None), span(2, tier="gold"), span(3, start_time=None)])
    assert (ids(read(path, "tier = 'gold'")), lost(path, "record")) == (["0002"], {"a.parquet": 1})


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_a_column_that_first_stands_in_a_late_record_is_read(tmp_path: Path, suffix: str) -> None:
    late = {
        "attributes.session.id": "s",
        "attributes.llm.prompt_template.variables.name": "Ada",
        "eval.csat.score": 1,
        "tier": "gold",
    }
    rows = [{"context.span_id": f"{n}", "start_time": 0} for n in range(15_000)]
    rows += [span(1) | late, span(2, tier=None)]
    path = tmp_path / f"a.{suffix}"
    path.write_text(json.dumps(rows)) if suffix == "json" else write_lines(path, rows)
    (row,) = read(path, "tier = 'gold'")
    assert row["conversation_id"] == "s"
    assert json.loads(row["evals"])["csat"]["score"] == "1"
    assert samples_from_rows([row]).samples[0].variables == {"name": "Ada"}


@pytest.mark.parametrize(("name", "content"), [("a.json", "[]"), ("a.jsonl", ""), ("b.jsonl", "\n \n")])
def test_an_empty_file_is_an_empty_window(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert read(tmp_path / name) == []
    assert funnel(tmp_path / name) == Funnel(notes=(f"1 file without records, such as {name}",))


def test_a_window_without_spans_yields_nothing(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", [span(1)])
    before = TimeWindow(key="2026-11-02", start=START - timedelta(days=7), end=START)
    assert read(tmp_path, window=before) == []


def test_keys_that_differ_by_case_alone_do_not_fail_the_file(tmp_path: Path) -> None:
    assert ids(read(write_lines(tmp_path / "a.jsonl", [span(1, Name="x")]))) == ["0001"]


def test_columns_that_change_their_shape_do_not_fail_the_file(tmp_path: Path) -> None:
    messages, total = "attributes.llm.input_messages", "attributes.llm.token_count.prompt"
    rows = [
        span(1, **{total: 3}),
        span(2, **{messages: json.dumps(span(2)[messages]), total: "4"}),
        span(3, **{messages: 7}),
    ]
    read_rows = read(write_lines(tmp_path / "a.jsonl", rows))
    assert [row["prompt_tokens"] for row in read_rows] == [3, 4, None]
    mapped = samples_from_rows(read_rows)
    assert [s.request for s in mapped.samples] == ["Question 1", "Question 2"]
    assert "span span-0003: input_messages cannot be read" in mapped.skipped[0]


def test_lines_that_are_no_objects_hide_no_column(tmp_path: Path) -> None:
    rows: list[Any] = [span(1, total=None), 3, span(2, total=4, Name="x", tier=[1]), span(3, total=5.5)]
    rows.append({"context.span_id": None, "start_time": None})
    path = write_lines(tmp_path / "a.jsonl", rows)
    assert ids(read(path, "total > 4.5")) == ["0003"]
    assert ids(read(path, "tier = '[1]' AND name = 'ChatCompletion'")) == ["0002"]
    assert lost(path, "record") == {"a.jsonl, line 2": 1, "a.jsonl, line 5": 1}


def test_a_large_file_of_lines_is_read_in_little_memory(tmp_path: Path) -> None:
    text = {"attributes.output.value": "word " * 1000}
    path = write_lines(tmp_path / "a.jsonl", [span(n % 9000, **text) for n in range(12_000)])
    query = SpanQuery(window=WINDOW)
    assert sum(b.num_rows for b in LocalTraces(path, memory_limits=["256MB"]).spans(query)) == 9000
    traces = LocalTraces(path, memory_limits=["1MB", "256MB"])
    assert sum(b.num_rows for b in traces.spans(query)) == 9000


def test_too_little_memory_says_what_to_do(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", [span(n, **{"attributes.output.value": f"{n}" * 4000}) for n in range(2000)]
    )
    traces = LocalTraces(path, memory_limits=["1MB"], threads=1)
    with pytest.raises(TraceError, match="row groups"):
        list(traces.spans(SpanQuery(window=WINDOW)))


def test_a_file_that_needs_more_memory_is_read_under_the_next_limit(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", [span(n, **{"attributes.output.value": f"{n}" * 4000}) for n in range(2000)]
    )
    traces = LocalTraces(path, memory_limits=["1MB", "256MB"], threads=1)
    assert sum(batch.num_rows for batch in traces.spans(SpanQuery(window=WINDOW))) == 2000


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 500), unique=True, min_size=1, max_size=20), st.integers(1, 5), st.integers(1, 8))
def test_the_same_spans_in_any_files_give_the_same_bytes(
    tmp_path: Path, numbers: list[int], files: int, limit: int
) -> None:
    folder = tmp_path / hashlib.md5(repr((numbers, files, limit)).encode()).hexdigest()
    for index in range(files):
        write_lines(folder / f"{index}.jsonl", [span(n) for n in numbers[index::files]])
    whole = write_lines(folder / "whole" / "a.jsonl", [span(n) for n in sorted(numbers)])
    assert read(f"{folder}/*.jsonl", limit=limit) == read(whole, limit=limit)
