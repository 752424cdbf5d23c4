"""The window's spans as one file: staged in flat memory, put in place whole, read back without the rest."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from sia_dagster.adapters.files.span_table import SampledSpans, SpanFile, place, read_sampled, stage_spans
from sia_dagster.core.errors import TraceError
from sia_dagster.core.openinference.schema import SPAN_SCHEMA


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files go here, so that a test sees what is left behind."""
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def row(number: int, **fields: Any) -> dict[str, Any]:
    given = {
        "span_id": f"s{number:03}",
        "start_time": datetime(2026, 9, 28, tzinfo=UTC),
        "status": "OK",
        "model": "m",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "sampled": number % 2 == 0,
    }
    return {name: {**given, **fields}.get(name) for name in SPAN_SCHEMA.names}


def batches(*groups: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    for rows in groups:
        yield pa.RecordBatch.from_pylist(rows, schema=SPAN_SCHEMA)


def test_counts_are_those_of_all_batches() -> None:
    failed = row(4, status="ERROR", model=None, prompt_tokens=None, completion_tokens=None, sampled=False)
    spans = stage_spans(batches([row(0), row(1)], [row(2), row(3, model="n"), failed]))
    assert spans.model_dump(exclude={"path"}) == {
        "rows": 5,
        "sampled": 2,
        "by_status": {"ERROR": 1, "OK": 4},
        "by_model": {"m": 3, "n": 1, "unknown": 1},
        "prompt_tokens": 40,
        "completion_tokens": 20,
    }
    assert pq.read_table(spans.path)["span_id"].to_pylist() == ["s000", "s001", "s002", "s003", "s004"]


def test_a_window_without_spans_is_an_empty_table_of_the_same_schema() -> None:
    spans = stage_spans(batches())
    assert (spans.rows, spans.sampled, spans.by_status, spans.by_model) == (0, 0, {}, {})
    assert pq.read_schema(spans.path).equals(SPAN_SCHEMA)
    assert read_sampled(spans.path) == SampledSpans()


def test_the_same_spans_give_the_same_bytes() -> None:
    first, second = stage_spans(batches([row(0)], [row(1)])), stage_spans(batches([row(0)], [row(1)]))
    assert first.path != second.path
    assert first.path.read_bytes() == second.path.read_bytes()


def test_a_table_names_its_format_and_one_without_is_read(tmp_path: Path) -> None:
    spans = stage_spans(batches([row(0), row(1)]))
    assert pq.read_schema(spans.path).metadata[b"sia_format"] == b"2"
    old = tmp_path / "old.parquet"
    pq.write_table(pa.Table.from_batches(batches([row(0), row(1)])), old)
    assert pq.read_schema(old).metadata is None
    assert read_sampled(old) == read_sampled(spans.path)


def test_a_source_that_fails_leaves_nothing_behind(staging: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches([row(0)])
        raise TraceError("the disk is gone")

    with pytest.raises(TraceError, match="the disk is gone"):
        stage_spans(broken())
    assert list(staging.iterdir()) == []


def test_a_placed_file_replaces_the_old_one_and_nothing_else_is_left(tmp_path: Path, staging: Path) -> None:
    target = tmp_path / "assets" / "2026-09-28.parquet"
    place(stage_spans(batches([row(0)])), target)
    place(stage_spans(batches([row(0), row(1), row(2)])), target)
    assert [r["span_id"] for r in read_sampled(target).rows] == ["s000", "s002"]
    assert list(target.parent.iterdir()) == [target]
    assert list(staging.iterdir()) == []


def test_a_file_that_cannot_be_placed_leaves_the_old_one(tmp_path: Path, staging: Path) -> None:
    target = tmp_path / "assets" / "2026-09-28.parquet"
    place(stage_spans(batches([row(0)])), target)
    before = target.read_bytes()
    gone = SpanFile(path=staging / "sia_spans_gone" / "spans.parquet")
    with pytest.raises(FileNotFoundError):
        place(gone, target)
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_spans_are_placed_on_a_url(staging: Path) -> None:
    target = UPath("memory://span-table/desk/traces/2026-09-28.parquet")
    place(stage_spans(batches([row(0), row(1)])), target)
    with target.open("rb") as file:
        (sampled,) = read_sampled(file).rows
    assert sampled["span_id"] == "s000"
    assert sampled["start_time"] == datetime(2026, 9, 28, tzinfo=UTC)
    assert list(staging.iterdir()) == []


def test_all_calls_are_counted_though_only_the_sampled_are_read() -> None:
    spans = stage_spans(batches([row(0), row(1)], [row(2), row(3), row(5)]))
    found = read_sampled(spans.path)
    assert (len(found.rows), found.calls) == (2, 5)
    with spans.path.open("rb") as file:
        assert read_sampled(file) == found
