"""Files of any container, encoding and damage: each record is read, or counted with its reason."""

import gzip
import io
import json
import tarfile
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.core.errors import TraceFileError
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster_tests.adapters.local.test_traces import START, funnel, ids, lost, read, span, write_lines

ROWS = [span(n) for n in range(3)]
ALL = ["0000", "0001", "0002"]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def parquet(rows: list[dict[str, Any]] = ROWS, **arrays: pa.Array) -> bytes:
    table, target = pa.Table.from_pylist(rows), io.BytesIO()
    for name, array in arrays.items():
        column = name.replace("__", ".")
        table = table.drop_columns([column]) if column in table.column_names else table
        table = table.append_column(column, array)
    pq.write_table(table, target)
    return target.getvalue()


def table(rows: list[dict[str, Any]] = ROWS, **options: Any) -> str:
    texts = [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
    return str(pd.DataFrame(texts).to_csv(index=False, **options))


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content).to_pybytes())


READ: dict[str, str | bytes] = {
    "a comment first": "# three spans\n" + LINES,
    "a line of a log first": "Exporting ...\n" + LINES,
    "texts of JSON": "".join(json.dumps(line) + "\n" for line in LINES.splitlines()),
    "members": b"".join(gzip.compress(f"{line}\n".encode()) for line in LINES.splitlines()),
    "zeros after the end": gzip.compress(LINES.encode()) + bytes(1000),
    "Parquet in gzip": gzip.compress(parquet()),
    "Parquet in Zstandard": zstd(parquet()),
    "frames": zstd(LINES[:100].encode()) + zstd(LINES[100:].encode()),
    "Excel's separator": "sep=;\r\n" + table(sep=";", lineterminator="\r\n"),
    "blanks in the header": table().replace(",", ", ", table().partition("\n")[0].count(",")),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_whatever_it_is_packed_in(tmp_path: Path, name: str) -> None:
    content = READ[name]
    (tmp_path / "a").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert ids(read(tmp_path)) == ALL
    assert {s.output for s in samples_from_rows(read(tmp_path)).samples} == {"Answer 0", "Answer 1", "Answer 2"}


def tar() -> bytes:
    target, content = io.BytesIO(), LINES.encode()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a.jsonl")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()


NAMED: dict[str, tuple[bytes, str]] = {
    "tar": (tar(), "a tar archive; unpack it"),
    "twice": (gzip.compress(gzip.compress(LINES.encode())), "compressed twice"),
    "html": (b"<!DOCTYPE html><html><body>403</body></html>", "an HTML page"),
    "xml": (b'\n<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "Git LFS"),
    "encrypted": (b"PARE" + bytes(100), "an encrypted Parquet file"),
    "pickle": (b"\x80\x02ccollections\n", "a Python pickle"),
    "spark": (table(quoting=1, doublequote=False, escapechar="\\").encode(), "quotes are escaped by backslashes"),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str) -> None:
    content, expected = NAMED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TraceFileError, match=f"{name}: .*{expected}"):
        read(tmp_path)
    write_lines(tmp_path / "good.jsonl", ROWS)
    assert ids(read(tmp_path)) == ALL
    found = funnel(tmp_path)
    assert [loss.example for loss in found.losses] == [name]


@pytest.mark.parametrize("content", ["", "\n \n", "[]", table().partition("\n")[0]])
def test_a_file_without_records_is_noted(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty").write_text(content)
    write_lines(tmp_path / "good.jsonl", ROWS)
    assert funnel(tmp_path).notes == ("1 file without records, such as empty",)


DIGITS = "9" * 5000
DAMAGED: dict[str, str | bytes] = {
    "a number of thousands of digits in a line": f'{LINES}{{"context.span_id": "x", "start_time": {DIGITS}}}\n',
    "a number of thousands of digits in an array": f'[{LINES.replace(chr(10), ",")} {{"start_time": {DIGITS}}}]',
    "digits as the start": LINES + json.dumps(span(3, start_time=DIGITS)) + "\n",
    "no end as the start": f'{LINES}{{"context.span_id": "x", "attributes": {{}}, "start_time": {{"seconds": 1e999}}}}',
    "a row cut within quotes": table([*ROWS, span(3)])[:-30],
    "a row cut within a field": table([*ROWS, span(3)]).rstrip().rpartition("ChatCompletion")[0],
    "a row with fewer fields": f"{table()}span-0003,x\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_counted_alone(tmp_path: Path, name: str) -> None:
    content = DAMAGED[name]
    (tmp_path / "a").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert ids(read(tmp_path)) == ALL
    assert sum(lost(tmp_path, "record").values()) == 1


def test_a_compressed_file_is_read_up_to_where_it_is_cut_off(tmp_path: Path) -> None:
    lines = "".join(json.dumps(span(n)) + "\n" for n in range(400)).encode()
    for content in (gzip.compress(lines)[:-1000], zstd(lines + np.random.default_rng(0).bytes(200_000))[:-1000]):
        (tmp_path / "a").write_bytes(content)
        assert 0 < len(read(tmp_path)) <= 400
        assert "ends early" in str(funnel(tmp_path).losses)


@pytest.mark.parametrize(
    "columns",
    [
        {"end_time": {"seconds": 10**30}},
        {"attributes.llm.token_count.prompt": 10**30},
        {"attributes.llm.token_count.prompt": 1e30},
        {"latency_ms": 10**400},
    ],
)
def test_a_number_beyond_64_bits_costs_no_record(tmp_path: Path, columns: dict[str, Any]) -> None:
    (row,) = read(write_lines(tmp_path / "a", [span(1) | {"latency_ms": None} | columns]))
    assert (row["prompt_tokens"], row["sampled"]) == (None, True)


def test_half_an_emoji_in_what_python_printed_costs_no_record(tmp_path: Path) -> None:
    chat = [{"message.role": "user", "message.content": "Hi \ud83d"}]
    attributes = {k.removeprefix("attributes."): v for k, v in span(1).items() if k.startswith("attributes.")}
    row = {k: v for k, v in span(1).items() if not k.startswith("attributes.")}
    (tmp_path / "a").write_text(table([row | {"attributes": repr(attributes | {"llm.input_messages": chat})}]))
    (sample,) = samples_from_rows(read(tmp_path)).samples
    assert sample.request == "Hi \ufffd"


RAW = [bytes([200 + n] * 8) for n in range(3)]
TIMES = [START + timedelta(minutes=n) for n in range(3)]
MICROS = [int(moment.timestamp()) * 10**6 for moment in TIMES]
BAD_TEXT = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"b", b"c \xff"], pa.binary()).buffers())
TYPED: dict[str, dict[str, pa.Array]] = {
    "ids of bytes": {"context__span_id": pa.array(RAW, pa.binary())},
    "ids of a fixed size": {"context__span_id": pa.array(RAW, pa.binary(8)), "context__trace_id": pa.array(RAW)},
    "text of bytes": {"name": pa.array([b"a", b"b", b"c"], pa.binary())},
    "text with faults": {"name": BAD_TEXT},
    "answers with faults": {"attributes__output__value": BAD_TEXT, "attributes__llm__output_messages": pa.nulls(3)},
    "decimals": {"start_time": pa.array([Decimal(n) for n in MICROS], pa.decimal128(38, 0))},
    "decimal seconds": {"start_time": pa.array([Decimal(n) / 10**6 for n in MICROS], pa.decimal128(20, 6))},
    "days": {"start_time": pa.array([date(2026, 11, 9)] * 3)},
    "an end beyond all years": {"end_time": pa.array([2**62] * 3, pa.timestamp("us"))},
    "a time of day": {"other": pa.array([1] * 3, pa.time64("ns"))},
}


@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("name", TYPED)
def test_a_column_of_any_type_is_read_from_parquet(tmp_path: Path, name: str, converted: bool) -> None:
    more = {"attributes": pa.array(["{}"] * 3)} if converted else {}
    (tmp_path / "a.parquet").write_bytes(parquet(**TYPED[name] | more))
    rows = read(tmp_path)
    assert len({row["span_id"] for row in rows}) == 3
    assert len(samples_from_rows(rows).samples) == 3
    if "id" in name:
        assert {row["span_id"] for row in rows} == {raw.hex() for raw in RAW}


def test_a_time_beyond_all_years_costs_its_row_alone(tmp_path: Path) -> None:
    times = pa.array([*MICROS[:2], 2**62], pa.int64()).cast(pa.timestamp("us"))
    (tmp_path / "a.parquet").write_bytes(parquet(start_time=times, attributes=pa.array(["{}"] * 3)))
    assert ids(read(tmp_path)) == ALL[:2]
    assert lost(tmp_path, "record") == {"a.parquet, row 3: '4611686018427387904 timestamp[us]'": 1}


def test_a_parquet_file_whose_columns_names_are_damaged_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(other=pa.array([1] * 3)).replace(b"other", b"o\x9fher"))
    write_lines(tmp_path / "b.jsonl", [span(3)])
    assert "0003" in ids(read(tmp_path))
    assert funnel(tmp_path).records >= 1


def test_messages_in_maps_are_read_from_parquet(tmp_path: Path) -> None:
    maps = pa.list_(pa.map_(pa.string(), pa.string()))
    chats = {name: [[list(m.items()) for m in row[name]] for row in ROWS] for name in ROWS[0] if "messages" in name}
    arrays = {name.replace(".", "__"): pa.array(chat, maps) for name, chat in chats.items()}
    for more in ({}, {"attributes": pa.array(["{}"] * 3)}):
        (tmp_path / "a.parquet").write_bytes(parquet(**arrays, **more))
        assert [s.request for s in samples_from_rows(read(tmp_path)).samples] == [f"Question {n}" for n in range(3)]


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    (Path(f"{tmp_path}/a\udcff.parquet")).write_bytes(parquet())
    write_lines(tmp_path / "b.jsonl", [span(3)])
    assert ids(read(tmp_path)) == [*ALL, "0003"]


FAILED = ["STATUS_CODE_ERROR", "<StatusCode.ERROR: 2>", "err", "FAILED", "failure", "internal_error", 2, "2.0"]
FAILED += [{"code": 2, "message": "x"}, {"status_code": "ERROR"}, "ERROR: rate limit"]
FINE = ["OK", "StatusCode.OK", "<StatusCode.UNSET: 0>", "success", "no error", 0, 1, "200", None, {"code": 1}]


@pytest.mark.parametrize("write", ["lines", "parquet"])
@pytest.mark.parametrize("status", [*FAILED, *FINE])
def test_a_status_in_any_writing_is_told(tmp_path: Path, status: Any, write: str) -> None:
    rows = [span(1, status_code=status)]
    content = parquet(rows) if write == "parquet" else json.dumps(rows).encode()
    (tmp_path / "a").write_bytes(content)
    (row,) = read(tmp_path)
    assert (row["status"] == "ERROR") == (status in FAILED)


@pytest.mark.parametrize("name", ["statusCode", "attributes.otel.status_code"])
@pytest.mark.parametrize("write", ["lines", "parquet"])
def test_a_status_under_another_name_is_read(tmp_path: Path, name: str, write: str) -> None:
    rows = [{k: v for k, v in span(1).items() if k != "status_code"} | {name: "ERROR"}]
    content = parquet(rows) if write == "parquet" else json.dumps(rows).encode()
    (tmp_path / "a").write_bytes(content)
    assert [row["status"] for row in read(tmp_path)] == ["ERROR"]


@pytest.mark.parametrize("models", [("gpt-4o", "gpt-4o"), ("gpt-4o", "gpt-4o-2024-08-06"), ("openai/gpt-4o", "gpt-4o")])
def test_a_call_that_two_instrumentors_recorded_counts_once(tmp_path: Path, models: tuple[str, str]) -> None:
    name = "attributes.llm.model_name"
    outer = [span(n, **{name: models[0]}) for n in range(3)]
    inner = [span(n + 10, name="Inner", parent_id=f"span-{n:04}", **{name: models[1]}) for n in range(3)]
    write_lines(tmp_path / "a", [*outer, *inner])
    assert ids(read(tmp_path)) == ALL
    assert lost(tmp_path, "double") == {"span-0010": 3}
    other = [row | {name: "another-model"} for row in inner]
    write_lines(tmp_path / "a", [*outer, *other])
    assert len(read(tmp_path)) == 6
