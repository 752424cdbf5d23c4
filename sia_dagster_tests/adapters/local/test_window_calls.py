"""A call counts once, however often it is recorded, and what is left out is counted."""

from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from sia_dagster_tests.adapters.local.test_traces import Row, funnel, ids, read, span, write_lines, write_parquet

WRITERS = pytest.mark.parametrize("write", [write_lines, write_parquet])
OUTPUT = "attributes.llm.output_messages"


def pair(number: int, **columns: Any) -> list[Row]:
    """A call as its framework's span, and within it its client's."""
    inner = span(number + 100, name="ChatCompletion", parent_id=f"span-{number:04}")
    return [span(number, name="ChatOpenAI", parent_id=None), inner | columns]


@WRITERS
def test_of_two_spans_of_one_call_the_outer_one_counts(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "a", [*pair(1), *pair(2), span(3, parent_id="no such span")])
    assert ids(read(path)) == ["0001", "0002", "0003"]
    (loss,) = funnel(path).losses
    assert (loss.step, loss.records) == ("double", 2)
    assert "ChatCompletion within ChatOpenAI" in loss.reason
    assert "traces.where: name = 'ChatOpenAI'" in loss.reason
    assert ids(read(path, "name = 'ChatCompletion'")) == ["0003", "0101", "0102"]


@WRITERS
def test_the_inner_span_counts_where_the_outer_one_has_no_answer(tmp_path: Path, write: Any) -> None:
    outer, inner = pair(1)
    path = write(tmp_path / "a", [outer | {OUTPUT: None}, inner])
    assert ids(read(path)) == ["0101"]


@WRITERS
@pytest.mark.parametrize(
    "changed", [{"attributes.llm.model_name": "another-model"}, {"attributes.llm.token_count.prompt": 7}]
)
def test_a_call_of_another_model_or_request_within_a_call_is_a_call(tmp_path: Path, write: Any, changed: Row) -> None:
    outer, inner = pair(1)
    rows = [
        outer | {"attributes.llm.token_count.prompt": 5},
        inner | {"attributes.llm.token_count.prompt": 5} | changed,
    ]
    assert ids(read(write(tmp_path / "a", rows))) == ["0001", "0101"]


@WRITERS
def test_several_calls_within_a_call_are_calls(tmp_path: Path, write: Any) -> None:
    rows = [*pair(1), span(102, name="ChatCompletion", parent_id="span-0001")]
    assert ids(read(write(tmp_path / "a", rows))) == ["0001", "0101", "0102"]


@WRITERS
def test_of_a_span_that_was_stored_at_its_start_and_its_end_the_whole_one_counts(tmp_path: Path, write: Any) -> None:
    started = span(1) | {"end_time": None, "status_code": "UNSET", OUTPUT: None}
    path = write(tmp_path / "a", [span(1), started, span(2) | {"end_time": None, OUTPUT: None}])
    rows = read(path)
    assert [(row["span_id"], row["status"], row["sampled"]) for row in rows] == [
        ("span-0001", "OK", True),
        ("span-0002", "OK", False),
    ]
    assert [(loss.step, loss.records) for loss in funnel(path).losses] == [("double", 1), ("answer", 1)]


def test_exports_with_times_in_two_units_count_once(tmp_path: Path) -> None:
    exact = [span(n, start_time=span(n)["start_time"] * 1000 + 123) for n in range(3)]
    write_parquet(tmp_path / "a.parquet", exact)
    write_lines(tmp_path / "b.jsonl", [span(n) for n in range(3)])
    assert ids(read(tmp_path)) == ["0000", "0001", "0002"]
    assert [(loss.step, loss.records) for loss in funnel(tmp_path).losses] == [("double", 3)]


@WRITERS
@pytest.mark.parametrize(
    ("status", "sampled"), [(2, False), ("2", False), ("StatusCode.ERROR", False), (1, True), (0, True)]
)
def test_a_status_is_read_as_a_number_too(tmp_path: Path, write: Any, status: Any, sampled: bool) -> None:
    (row,) = read(write(tmp_path / "a", [span(1, status_code=status)]))
    assert row["sampled"] == sampled


@WRITERS
def test_more_calls_are_looked_at_where_the_first_have_no_answer(tmp_path: Path, write: Any) -> None:
    rows = [span(n) | ({} if n % 20 == 0 else {OUTPUT: None}) for n in range(2000)]
    path = write(tmp_path / "a", rows)
    sampled = [row for row in read(path, limit=30) if row["sampled"]]
    assert len(sampled) == 30
    assert all(int(row["span_id"][-4:]) % 20 == 0 for row in sampled)
    assert all(row["output_messages"] for row in sampled)
    assert funnel(path, limit=30).sampled == 30


@WRITERS
def test_the_sample_is_found_where_the_calls_with_the_smallest_hashes_failed(tmp_path: Path, write: Any) -> None:
    spans = sorted((span(n) for n in range(60)), key=lambda row: md5(row["context.span_id"].encode()).hexdigest())
    rows = [row | {"status_code": "ERROR"} for row in spans[:-1]] + spans[-1:]
    (sampled,) = [row for row in read(write(tmp_path / "a", rows), limit=1) if row["sampled"]]
    assert sampled["span_id"] == spans[-1]["context.span_id"]
    assert "Answer" in sampled["output_messages"]


def test_a_condition_on_a_text_holds_for_calls_that_are_not_sampled(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [span(n) for n in range(60)])
    assert len(read(path, "attributes.llm.output_messages LIKE '%Answer%'", limit=1)) == 60
