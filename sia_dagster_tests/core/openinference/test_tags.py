"""What an application tags its calls with comes along, however an export writes it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.arize.arize_traces import export_columns
from sia_dagster.adapters.files.span_table import read_sampled, stage_spans
from sia_dagster.adapters.phoenix.phoenix_traces import TEXTS as PHOENIX_TEXTS
from sia_dagster.core.openinference.samples import LONGEST_TAG, read_tags, sample_from_row, samples_from_rows
from sia_dagster.core.openinference.schema import SPAN_SCHEMA, TEXT_COLUMNS
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster_tests.adapters.local.test_traces import WINDOW, read, span, write_lines, write_parquet

TAGGED = {"attributes.tag.tags": ["billing", "beta"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["billing", "beta"], ("billing", "beta")),
        ('["billing", "beta"]', ("billing", "beta")),
        ('{"1": "beta", "0": "billing"}', ("billing", "beta")),
        ({"0": "billing"}, ("billing",)),
        ("billing", ("billing",)),
        ('"billing"', ("billing",)),
        ('["not closed', ('["not closed',)),
        (["billing", "billing", "", "  ", None], ("billing",)),
        (["two  words\nand a line", 7, 1.5, {"a": 1}], ("two words and a line", "7")),
        (["x" * 200], ("x" * LONGEST_TAG,)),
        ({"name": "billing"}, ()),
        ("[]", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_tags_are_read_in_every_shape(value: Any, expected: tuple[str, ...]) -> None:
    assert read_tags(value) == expected


@given(st.lists(st.text(), max_size=5))
def test_tags_that_were_read_are_read_again_as_they_are(tags: list[str]) -> None:
    read_once = read_tags(tags)
    assert read_tags(json.dumps(read_once)) == read_once == read_tags(list(read_once))
    assert len(set(read_once)) == len(read_once)
    assert all("\n" not in tag and 0 < len(tag) <= LONGEST_TAG for tag in read_once)


def test_local_files_give_the_tags_of_sampled_calls(tmp_path: Path) -> None:
    untagged = span(2)
    for path in (
        write_lines(tmp_path / "a.jsonl", [span(1) | TAGGED, untagged]),
        write_parquet(tmp_path / "lists.parquet", [span(1) | TAGGED, untagged]),
        write_parquet(tmp_path / "texts.parquet", [span(1) | {"attributes.tag.tags": '["billing", "beta"]'}, untagged]),
        write_lines(tmp_path / "flat.jsonl", [span(1) | {f"attributes.tag.tags.{n}": t for n, t in enumerate(TAGS)}]),
    ):
        rows = read(path)
        assert samples_from_rows(rows).samples[0].tags == TAGS, path
        assert [sample.tags for sample in samples_from_rows(rows[1:]).samples] in ([], [()])
    assert all(row["tags"] is None for row in read(tmp_path / "a.jsonl", limit=0))


TAGS = ("billing", "beta")


def test_platforms_are_asked_for_the_tags_of_the_calls_that_are_used() -> None:
    asked = export_columns(SpanQuery(window=WINDOW, recorded=(), annotated=()))
    assert asked is not None
    assert "attributes.tag.tags" in asked
    assert "attributes.tag.tags" in PHOENIX_TEXTS
    assert "tags" in TEXT_COLUMNS


def test_traces_that_were_stored_before_tags_had_a_column_still_load(tmp_path: Path) -> None:
    """They count as untagged: a window materialised by an earlier version is not asked for again."""
    (row,) = read(write_lines(tmp_path / "a.jsonl", [span(1) | TAGGED]))
    table = pa.Table.from_pylist([row], SPAN_SCHEMA)
    pq.write_table(table.drop_columns(["tags"]), tmp_path / "old.parquet")
    (old,) = read_sampled(tmp_path / "old.parquet").rows
    assert "tags" not in old
    assert sample_from_row(old).tags == ()
    staged = stage_spans(iter(table.to_batches()))
    (new,) = read_sampled(staged.path).rows
    assert sample_from_row(new).tags == TAGS
