"""The trace source `arize`: the unpatched client reads a store on loopback; nothing outside the window comes out."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight

from sia_dagster.adapters.arize.arize_traces import ArizeTraces, _hour_before, _hour_from, export_columns
from sia_dagster.adapters.local.columns import ANSWERED, STATUSES, SpanExpressions
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.openinference.schema import SPAN_SCHEMA
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.demo.traffic import WEEKS, week_windows, write_traffic
from sia_dagster_tests.places import EXPORT
from simulation.arize_flight import PROJECT, SPACE, ArizeFlight

START = datetime(2026, 11, 9, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))
QUERY = SpanQuery(window=WINDOW)
Row = dict[str, Any]


def span(span_id: str, start: datetime, **more: Any) -> Row:
    nanoseconds = int(start.timestamp()) * 10**9 + start.microsecond * 1000
    return {
        "context.span_id": span_id,
        "context.trace_id": f"trace-{span_id}",
        "name": "ChatCompletion",
        "start_time": nanoseconds,
        "end_time": nanoseconds + 900_000_000,
        "time": nanoseconds,
        "status_code": "OK",
        "attributes.openinference.span.kind": "LLM",
        "attributes.llm.model_name": "gpt-4o-mini",
        "attributes.llm.token_count.prompt": 12,
        "attributes.llm.input_messages": [{"message.role": "user", "message.content": f"Where is {span_id}?"}],
        "attributes.llm.output_messages": [{"message.role": "assistant", "message.content": f"{span_id} is here."}],
        "attributes.metadata": {"shop": "north"},
        "events": [{"name": "first token"}],
        **more,
    }


def rows(source: ArizeTraces, query: SpanQuery = QUERY) -> list[Row]:
    batches = list(source.spans(query))
    assert all(batch.schema == SPAN_SCHEMA for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def ids(source: ArizeTraces, query: SpanQuery = QUERY) -> list[str]:
    return [row["span_id"] for row in rows(source, query)]


def within(start: datetime, end: datetime, where: str = "") -> SpanQuery:
    return SpanQuery(window=TimeWindow(key="w", start=start, end=end), where=where)


def naming(*names: str, query: SpanQuery = QUERY) -> SpanQuery:
    """As a loop asks that has these evaluators: columns by their names."""
    return query.model_copy(update={"recorded": names, "annotated": names})


def waits() -> tuple[list[float], Callable[[float], object]]:
    waited: list[float] = []
    return waited, waited.append


def test_spans_come_out_as_rows_of_our_schema_oldest_first(store: ArizeFlight) -> None:
    store.add_rows([span("b", START + timedelta(hours=2)), span("a", START + timedelta(hours=1))])
    first, second = rows(ArizeTraces(store.connection()))
    assert (first["span_id"], second["span_id"]) == ("a", "b")
    assert first["start_time"] == START + timedelta(hours=1)
    assert (first["model"], first["prompt_tokens"], first["completion_tokens"]) == ("gpt-4o-mini", 12, None)
    assert (first["status"], first["latency_ms"], first["sampled"]) == ("OK", 900.0, True)
    (sample,) = samples_from_rows([first]).samples
    assert (sample.messages[0].content, sample.output) == ("Where is a?", "a is here.")


def test_a_recorded_export_reads_the_same_over_the_wire_as_from_its_file(store: ArizeFlight) -> None:
    file = EXPORT
    recorded = json.loads(file.read_text(encoding="utf-8"))
    start = datetime.fromtimestamp(min(row["start_time"] for row in recorded) / 1000, UTC)
    query = within(start, start + timedelta(days=30))
    store.add_rows(recorded)
    over_the_wire = samples_from_rows(rows(ArizeTraces(store.connection()), naming(query=query))).samples
    from_the_file = samples_from_rows(
        row for batch in LocalTraces(file).spans(query) for row in batch.to_pylist()
    ).samples
    assert len(from_the_file) == len(recorded)
    assert over_the_wire == from_the_file


def test_the_demos_week_reads_the_same_over_the_wire_as_from_its_file(store: ArizeFlight, tmp_path: Path) -> None:
    write_traffic(tmp_path, week_windows()[0], None, WEEKS[0])
    for file in sorted(tmp_path.rglob("*.parquet")):
        store.add_table(pq.read_table(file))
    query = SpanQuery(window=week_windows()[0])
    expected = [row for batch in LocalTraces(tmp_path).spans(query) for row in batch.to_pylist()]
    assert rows(ArizeTraces(store.connection()), naming(query=query)) == expected
    assert len(expected) > 100


def test_the_store_is_asked_for_whole_hours_in_utc(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    india = datetime.fromisoformat("2026-11-09T00:00:00+05:30")
    list(ArizeTraces(store.connection()).spans(within(india, india + timedelta(minutes=45))))
    (asked,) = store.seen.queries
    assert (asked["startTime"], asked["endTime"]) == ("2026-11-08T18:00:00Z", "2026-11-08T20:00:00Z")
    assert (asked["spaceId"], asked["modelId"], asked["environment"]) == (SPACE, PROJECT, "TRACING")


def test_nothing_outside_the_window_comes_out(store: ArizeFlight) -> None:
    start, end = START + timedelta(minutes=20), START + timedelta(minutes=50)
    moments = {
        "before": start - timedelta(microseconds=1),
        "first": start,
        "last": end - timedelta(microseconds=1),
        "after": end,
        "other_hour": end + timedelta(hours=5),
    }
    store.add_rows([span(name, moment) for name, moment in moments.items()])
    store.manners.loose = timedelta(days=1)
    assert ids(ArizeTraces(store.connection()), within(start, end)) == ["first", "last"]


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_hours_are_taken_outwards(moment: datetime) -> None:
    before, after = _hour_before(moment), _hour_from(moment)
    assert before <= moment <= after
    assert after - before in (timedelta(0), timedelta(hours=1))
    assert (after == before) == (moment.astimezone(UTC).strftime("%M%S%f") == "0000000000")
    assert before.utcoffset() == after.utcoffset() == timedelta(0)
    assert all((one.minute, one.second, one.microsecond) == (0, 0, 0) for one in (before, after))


def test_times_without_a_zone_are_utc(store: ArizeFlight) -> None:
    store.add_rows([span("a", START + timedelta(minutes=1))])
    store.manners.naive_times = True
    (row,) = rows(ArizeTraces(store.connection()))
    assert row["start_time"] == START + timedelta(minutes=1)
    assert row["latency_ms"] == 900.0


@pytest.mark.parametrize("counts", [True, False])
def test_a_window_without_spans_is_empty(store: ArizeFlight, *, counts: bool) -> None:
    store.add_rows([span("late", WINDOW.end + timedelta(days=1))])
    store.manners.counts = counts
    assert list(ArizeTraces(store.connection()).spans(QUERY)) == []


def test_a_project_of_other_spans_alone_is_empty(store: ArizeFlight) -> None:
    store.add_rows([span("a", START, **{"attributes.openinference.span.kind": "CHAIN"})])
    assert rows(ArizeTraces(store.connection())) == []


def test_a_store_that_does_not_count_gives_all_the_same(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.manners.counts = False
    assert ids(ArizeTraces(store.connection())) == ["a"]


def test_a_column_that_says_nothing_is_null_of_its_type(store: ArizeFlight) -> None:
    store.add_rows([span("a", START, **{"eval.good.score": 1.0})])
    store.manners.nulls = (
        "attributes.llm.model_name",
        "attributes.llm.token_count.prompt",
        "attributes.llm.input_messages",
        "end_time",
        "eval.good.score",
    )
    (row,) = rows(ArizeTraces(store.connection()))
    assert [row[name] for name in ("model", "prompt_tokens", "input_messages", "latency_ms", "evals")] == [None] * 5
    assert row["sampled"]


def test_a_column_that_is_missing_is_null(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.manners.lacks = ("attributes.llm.model_name", "end_time", "attributes.llm.output_messages")
    (row,) = rows(ArizeTraces(store.connection()))
    assert (row["model"], row["latency_ms"], row["output_messages"], row["sampled"]) == (None, None, None, False)


@pytest.mark.parametrize("column", ["context.span_id", "start_time"])
def test_spans_that_say_neither_which_nor_when_are_an_error(store: ArizeFlight, column: str) -> None:
    store.add_rows([span("a", START)])
    store.manners.lacks = (column,)
    with pytest.raises(TraceError) as caught:
        rows(ArizeTraces(store.connection()))
    assert "cannot be read" in str(caught.value)
    assert PROJECT in str(caught.value)
    assert "/spans-" not in str(caught.value), "a temporary path helps nobody"


def test_the_condition_is_the_stores(store: ArizeFlight) -> None:
    store.add_rows([span("a", START), span("b", START, name="Embedding"), span("c", START, name="it's")])
    where = "name = 'ChatCompletion' AND attributes.llm.model_name = 'gpt-4o-mini'"
    assert ids(ArizeTraces(store.connection()), within(START, WINDOW.end, where)) == ["a"]
    assert store.seen.queries[-1]["filterExpression"] == where


def test_only_the_columns_that_are_read_are_asked_for(store: ArizeFlight) -> None:
    said = {"eval.helpful.label": "yes", "annotation.helpful.text": "It is not.", "eval.other.label": "no"}
    store.add_rows([span("a", START, **said)])
    (row,) = rows(ArizeTraces(store.connection()), naming("helpful"))
    asked = store.seen.queries[0]["projectedColumns"]
    assert {"context.span_id", "start_time", "eval.helpful.score", "annotation.helpful.label"} <= set(asked)
    assert not {"events", "attributes.metadata", "eval.other.label"} & set(asked)
    assert json.loads(row["evals"]) == {"helpful": {"label": "yes"}}
    assert json.loads(row["annotations"]) == {"helpful": {"explanation": "It is not."}}


def test_what_a_loop_wrote_back_does_not_change_what_it_reads(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    # With its columns refused, all that the store has is exported.
    store.manners.refuses_unknown_columns = True
    query = QUERY.model_copy(update={"recorded": ("csat",), "annotated": ("correctness",)})
    before = rows(ArizeTraces(store.connection()), query)
    store.evaluations["a"] = {"eval.correctness.label": "correct", "eval.csat.score": 1.0}
    (after,) = rows(ArizeTraces(store.connection()), query)
    assert json.loads(after["evals"]) == {"csat": {"score": "1.0"}}
    assert [{**after, "evals": None}] == before


def test_without_names_every_evaluation_is_read(store: ArizeFlight) -> None:
    said = {"eval.helpful.score": 1.0, "annotation.tone.label": "kind"}
    store.add_rows([span("a", START, **said), span("b", START)])
    first, second = rows(ArizeTraces(store.connection()))
    assert "projectedColumns" not in store.seen.queries[0]
    assert json.loads(first["evals"]) == {"helpful": {"score": "1.0"}}
    assert json.loads(first["annotations"]) == {"tone": {"label": "kind"}}
    assert (second["evals"], second["annotations"]) == (None, None)


def test_a_store_that_refuses_unknown_columns_is_asked_for_all(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.manners.refuses_unknown_columns = True
    assert ids(ArizeTraces(store.connection()), naming("helpful")) == ["a"]
    assert ["projectedColumns" in query for query in store.seen.queries] == [True, False]


OTHERS_WORDS = {
    *{"span_kind", "context.parent_id", "parent_span_id", "attributes.metadata.user_id", "attributes.otel.status_code"},
    *STATUSES,
    ANSWERED,
}
"""Columns that other stores have: Arize has them under another name, or keeps them in `metadata`. One that converted
files have."""


class _Asked(dict[str, str]):
    """Types of columns that notes which names are asked for."""

    def __init__(self, kinds: dict[str, str]) -> None:
        super().__init__(kinds)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


def test_every_column_that_the_reader_looks_for_is_asked_for() -> None:
    asked = _Asked({"start_time": "BIGINT", "context.span_id": "VARCHAR"})
    reader = SpanExpressions(asked)
    assert reader.facts()
    assert reader.kind()
    assert reader.has_output() == "false"
    assert asked.names - set(export_columns(naming()) or ()) <= OTHERS_WORDS


def test_a_stream_that_breaks_is_read_again_whole(store: ArizeFlight) -> None:
    store.add_rows([span(f"s{number:03}", START + timedelta(seconds=number)) for number in range(100)])
    store.manners.batch_rows = 10
    store.fail("get", flight.FlightInternalError("stream reset"), after=5, times=2)
    waited, wait = waits()
    found = ids(ArizeTraces(store.connection(), wait=wait))
    assert found == [f"s{number:03}" for number in range(100)]
    assert len(waited) == 2
    assert waited[0] < waited[1], "it backs off"


def test_a_stream_that_keeps_breaking_gives_no_row_at_all(store: ArizeFlight) -> None:
    store.add_rows([span(f"s{number}", START) for number in range(100)])
    store.manners.batch_rows = 10
    store.fail("get", flight.FlightInternalError("stream reset"), after=9, times=99)
    waited, wait = waits()
    batches = ArizeTraces(store.connection(max_attempts=3), wait=wait).spans(QUERY)
    with pytest.raises(TracesUnavailable, match=r"broke off \(stream reset\).*\[3 attempts\]"):
        next(batches)
    assert len(waited) == 2


def test_a_store_that_is_busy_is_asked_again(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.fail("info", flight.FlightUnavailableError("too many requests"), times=3)
    waited, wait = waits()
    assert ids(ArizeTraces(store.connection(), wait=wait)) == ["a"]
    again, wait = waits()
    store.fail("info", flight.FlightUnavailableError("too many requests"), times=3)
    assert ids(ArizeTraces(store.connection(), wait=wait)) == ["a"]
    assert waited == again, "the same attempts wait the same time"


@pytest.mark.parametrize(("rpc", "after"), [("info", 0), ("get", 0), ("get", 3)])
def test_a_store_that_falls_silent_is_left_and_asked_again(store: ArizeFlight, rpc: str, after: int) -> None:
    store.add_rows([span(f"s{number}", START) for number in range(50)])
    store.manners.batch_rows = 10
    store.hang(rpc, after=after)
    waited, wait = waits()
    assert len(ids(ArizeTraces(store.connection(timeout_seconds=0.3), wait=wait))) == 50
    assert len(waited) == 1


def test_a_store_that_stays_silent_is_an_error_that_says_so(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.hang("info", times=2)
    settings = store.connection(timeout_seconds=0.2, max_attempts=2)
    with pytest.raises(TraceError, match=r"Arize sent nothing for 0\.2 seconds.*timeout_seconds"):
        rows(ArizeTraces(settings, wait=waits()[1]))


def test_an_answer_of_any_length_may_take_its_time_as_long_as_rows_come(store: ArizeFlight) -> None:
    store.add_rows([span(f"s{number}", START) for number in range(40)])
    store.manners.batch_rows, store.manners.pause = 1, 0.05
    # Forty pauses are longer than the timeout; no silence is.
    assert len(ids(ArizeTraces(store.connection(timeout_seconds=0.8, max_attempts=1)))) == 40


def test_no_file_is_left_behind(store: ArizeFlight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store.add_rows([span(f"s{number}", START) for number in range(100)])
    store.manners.batch_rows = 10
    source = ArizeTraces(store.connection(max_attempts=1))
    assert len(ids(source)) == 100
    store.fail("get", flight.FlightInternalError("stream reset"), after=5)
    with pytest.raises(TraceError):
        rows(source)
    unfinished = source.spans(QUERY)
    next(unfinished)
    assert list(tmp_path.iterdir())
    unfinished.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows_before", [[], [span("a", WINDOW.end - timedelta(minutes=1))]])
def test_a_probe_asks_little_and_finds_nothing_wrong(store: ArizeFlight, rows_before: Sequence[Row]) -> None:
    store.add_rows([span("old", START), *rows_before])
    ArizeTraces(store.connection()).probe(QUERY)
    (asked,) = store.seen.queries
    assert asked["startTime"] == "2026-11-15T23:00:00Z"
    assert asked["projectedColumns"] == ["context.span_id", "start_time"]


def test_a_probe_asks_once(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.fail("info", flight.FlightUnavailableError("too many requests"), times=9)
    waited, wait = waits()
    with pytest.raises(TraceError, match="too many requests"):
        ArizeTraces(store.connection(), wait=wait).probe(QUERY)
    assert len(store.seen.queries) == 1
    assert waited == []


def test_a_probe_names_a_bad_filter(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    with pytest.raises(TraceError, match=r"traces\.where.*name LIKE"):
        ArizeTraces(store.connection()).probe(within(START, WINDOW.end, "name LIKE 'x'"))


def test_what_the_package_says_goes_to_our_log_alone(
    store: ArizeFlight, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    store.add_rows([span("a", START)])
    with caplog.at_level(logging.DEBUG, logger="sia_dagster"):
        rows(ArizeTraces(store.connection()))
        with pytest.raises(TraceError) as refused:
            rows(ArizeTraces(store.connection(project="unknown")))
    assert not isinstance(refused.value, TracesUnavailable), "a project that is not there is an answer"
    assert capfd.readouterr() == ("", "")
    ours = [record for record in caplog.records if record.name.startswith("sia_dagster.")]
    assert {record.levelno for record in ours} == {logging.DEBUG}
    assert any("Fetching data" in record.getMessage() for record in ours)
    assert logging.getLogger("arize").propagate is False, "nor to the handlers of the process"


def test_a_process_that_used_the_package_before_stays_quiet_too(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    program = f"""
import logging, sys, tqdm
import arize
from datetime import UTC, datetime
from pydantic import SecretStr
from sia_dagster.adapters.arize.arize_client import ArizeConnection
from sia_dagster.adapters.arize.arize_traces import ArizeTraces
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.ports.trace_store import SpanQuery
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
settings = ArizeConnection(space_id={SPACE!r}, project={PROJECT!r}, api_key=SecretStr({store.key!r}))
window = TimeWindow(key="w", start=datetime(2026, 11, 9, tzinfo=UTC), end=datetime(2026, 11, 10, tzinfo=UTC))
assert len(list(ArizeTraces(settings).spans(SpanQuery(window=window)))) == 1
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=store.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_packages_own_variables_are_not_in_the_way(store: ArizeFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in store.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ARIZE_SINGLE_HOST", "127.0.0.1")
    monkeypatch.setenv("ARIZE_SINGLE_PORT", str(store.port))
    monkeypatch.setenv("ARIZE_FLIGHT_SCHEME", "grpc+tcp")
    monkeypatch.setenv("ARIZE_API_KEY", "another-key")
    store.add_rows([span("a", START)])
    assert ids(ArizeTraces(store.connection())) == ["a"]
    assert store.headers["auth-token-bin"] == [store.key.encode()]


def test_a_repeated_span_comes_once(store: ArizeFlight) -> None:
    store.add_rows([span("a", START), span("a", START), span("b", START)])
    assert ids(ArizeTraces(store.connection())) == ["a", "b"]


def test_types_that_differ_by_window_give_the_same_schema(store: ArizeFlight) -> None:
    store.add_rows([span("a", START)])
    store.add_table(
        pa.table(
            {
                "context.span_id": ["b"],
                "start_time": pa.array([int(START.timestamp()) * 10**9]),
                "attributes.openinference.span.kind": ["LLM"],
                "attributes.llm.invocation_parameters": [""],
            }
        )
    )
    first, second = rows(ArizeTraces(store.connection()))
    assert (first["span_id"], second["span_id"]) == ("a", "b")
    assert second["invocation_parameters"] is None
