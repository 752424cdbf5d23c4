"""Evaluations as annotations in a real Phoenix server: on the right spans, once, and every one accounted for."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from sia_dagster.adapters.phoenix.annotations import BATCH, PhoenixAnnotations
from sia_dagster.adapters.phoenix.phoenix_traces import PhoenixTraces
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import SpanEvaluation, WriteReport
from sia_dagster_tests.fakes.phoenix_proxy import Fault, PhoenixProxy, no_wait
from sia_dagster_tests.fakes.phoenix_server import Phoenix, PhoenixProject, hex_id, llm_span

START = datetime(2026, 9, 28, tzinfo=UTC)
WEEK = TimeWindow(key="2026-09-28", start=START, end=START + timedelta(days=7))
NOW = START + timedelta(days=400)


def said(span_id: str, evaluator: str = "polite", **changes: Any) -> SpanEvaluation:
    fields = {"kind": "llm_classify", "started": START, "label": "yes", "score": 1.0, **changes}
    return SpanEvaluation(span_id=span_id, evaluator=evaluator, **fields)


def write(project: PhoenixProject, *evaluations: SpanEvaluation) -> WriteReport:
    return PhoenixAnnotations(project.connection()).write(evaluations, now=NOW)


def stored(project: PhoenixProject, *span_ids: str) -> list[dict[str, Any]]:
    found = project.client.spans.get_span_annotations(span_ids=span_ids, project_identifier=project.name, timeout=60)
    return sorted((dict(one) for one in found), key=lambda one: (one["span_id"], one["name"], one["annotator_kind"]))


@pytest.fixture
def project(phoenix: Phoenix) -> PhoenixProject:
    return phoenix.project("write")


def spans(project: PhoenixProject, number: int) -> list[str]:
    return project.send([llm_span(f"{project.name[6:]}-{n}", at=START + timedelta(minutes=n)) for n in range(number)])


def rows(project: PhoenixProject) -> list[dict[str, Any]]:
    batches = list(PhoenixTraces(project.connection()).spans(SpanQuery(window=WEEK)))
    table: list[dict[str, Any]] = pa.Table.from_batches(batches).to_pylist()
    return table


def test_evaluations_land_on_their_spans_and_the_window_reads_as_before(project: PhoenixProject) -> None:
    one, two = spans(project, 2)
    project.client.spans.add_span_annotation(span_id=one, annotation_name="csat", score=4.0, sync=True)
    before = rows(project)
    report = write(
        project,
        said(one, explanation="It greets."),
        said(one, "is_json", kind="code", label=None, score=0.0),
        said(two, label="no", score=0.0),
    )
    assert report == WriteReport(offered=3, updated=3)
    assert report.complete
    found = {(a["span_id"], a["name"]): (a["annotator_kind"], a["result"]) for a in stored(project, one, two)}
    assert found == {
        (one, "csat"): ("HUMAN", {"label": None, "score": 4.0, "explanation": None}),
        (one, "is_json"): ("CODE", {"label": None, "score": 0.0, "explanation": None}),
        (one, "polite"): ("LLM", {"label": "yes", "score": 1.0, "explanation": "It greets."}),
        (two, "polite"): ("LLM", {"label": "no", "score": 0.0, "explanation": None}),
    }
    assert rows(project) == before
    assert [row["annotations"] is None for row in before] == [False, True]


def test_written_twice_it_stands_there_once_and_the_last_word_counts(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    first, again = write(project, said(span)), write(project, said(span))
    assert first == again
    (one,) = stored(project, span)
    assert one["result"] == {"label": "yes", "score": 1.0, "explanation": None}
    write(project, said(span, label="no", score=0.0, explanation="Changed."))
    (one,) = stored(project, span)
    assert one["result"] == {"label": "no", "score": 0.0, "explanation": "Changed."}


def test_what_people_said_under_the_same_name_stays(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    project.client.spans.add_span_annotation(
        span_id=span, annotation_name="polite", annotator_kind="HUMAN", label="no", sync=True
    )
    write(project, said(span))
    assert [(one["annotator_kind"], one["result"]["label"]) for one in stored(project, span)] == [
        ("HUMAN", "no"),
        ("LLM", "yes"),
    ]


def test_unknown_spans_are_named_and_keep_nothing_else_out(project: PhoenixProject, phoenix: Phoenix) -> None:
    (span,) = spans(project, 1)
    other = phoenix.project("other")
    (elsewhere,) = spans(other, 1)
    report = write(project, said("f" * 16), said(span), said(elsewhere))
    assert report == WriteReport(offered=3, updated=1, unmatched=tuple(sorted(["f" * 16, elsewhere])))
    assert not report.complete
    assert stored(other, elsewhere) == []


def test_only_unknown_spans_is_a_report_and_no_failure(project: PhoenixProject) -> None:
    assert write(project, said("e" * 16)) == WriteReport(offered=1, unmatched=("e" * 16,))
    assert write(project) == WriteReport()


def test_long_texts_are_cut_with_a_mark(project: PhoenixProject) -> None:
    one, two = spans(project, 2)
    report = write(
        project,
        said(one, label="l" * 101, explanation="x" * 10_001),
        said(two, label="l" * 100, explanation="x" * 10_000),
    )
    assert (report.updated, report.shortened, report.complete) == (2, 1, True)
    cut, whole = sorted((entry["result"] for entry in stored(project, one, two)), key=lambda r: r["label"][-1] == "l")
    assert cut == {"label": "l" * 98 + " …", "score": 1.0, "explanation": "x" * 9_998 + " …"}
    assert whole == {"label": "l" * 100, "score": 1.0, "explanation": "x" * 10_000}


def test_half_an_emoji_can_be_sent(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    assert write(project, said(span, label="half \ud83d", explanation="\ude00 half")).updated == 1
    (one,) = stored(project, span)
    assert (one["result"]["label"], one["result"]["explanation"]) == ("half \ufffd", "\ufffd half")


def test_what_cannot_be_stored_is_left_out_with_its_reason(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    report = write(
        project,
        said(span, "nan", score=math.nan),
        said(span, "inf", score=math.inf, label=None),
        said(span, "note"),
        said(span, "bare", score=None, label="", explanation="Only this."),
        said(span, "bool", score=True, label=None),
    )
    assert (report.offered, report.updated) == (5, 1)
    assert [(left.evaluator, left.reason.split(",")[0]) for left in report.not_taken] == [
        ("bare", "it has neither a label nor a score"),
        ("inf", "its score inf is not a finite number"),
        ("nan", "its score nan is not a finite number"),
        ("note", "Phoenix reserves the name 'note' for notes; rename the evaluator"),
    ]
    (one,) = stored(project, span)
    assert one["result"] == {"label": None, "score": 1.0, "explanation": None}


def test_the_same_evaluation_offered_twice_counts_once_and_the_last_stays(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    assert write(project, said(span, label="no"), said(span, label="yes")) == WriteReport(offered=1, updated=1)
    assert stored(project, span)[0]["result"]["label"] == "yes"


def many(project: PhoenixProject) -> list[SpanEvaluation]:
    ids = spans(project, 3)
    return [said(span, f"e{number:04}") for span in ids for number in range(BATCH)]


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}, {"lose": True}, {"cut": True}])
def test_a_batch_that_failed_for_the_moment_is_sent_again_and_stands_once(
    project: PhoenixProject, fault: dict[str, Any]
) -> None:
    (span,) = spans(project, 1)
    waits: list[float] = []
    with PhoenixProxy(project.base_url, [Fault(path="/v1/span_annotations?", times=1, **fault)]) as proxy:
        store = PhoenixAnnotations(project.connection(base_url=proxy.base_url), wait=waits.append)
        assert store.write([said(span)], now=NOW) == WriteReport(offered=1, updated=1)
    assert len(waits) == 1
    assert len(stored(project, span)) == 1


def test_a_failure_half_way_reports_what_arrived_and_the_next_call_completes_it(project: PhoenixProject) -> None:
    """More than a batch is sent in batches; the second fails twice."""
    evaluations = many(project)
    with PhoenixProxy(project.base_url, [Fault(path="/v1/span_annotations?", status=500, after=1, times=2)]) as proxy:
        connection = project.connection(base_url=proxy.base_url, max_attempts=2)
        store = PhoenixAnnotations(connection, wait=no_wait)
        half = store.write(evaluations, now=NOW)
        assert (half.offered, half.updated, len(half.not_taken)) == (3 * BATCH, BATCH, 2 * BATCH)
        assert not half.complete
        assert half.not_taken[0].span_id == evaluations[BATCH].span_id
        assert "materialise the asset again" in half.not_taken[0].reason
        assert len(half.faults) == 1
        assert "status 500 after 2 attempts" in half.faults[0]
        asked = len(proxy.requests)
        assert store.write(evaluations, now=NOW) == WriteReport(offered=3 * BATCH, updated=3 * BATCH)
    assert sum("POST /v1/span_annotations" in request for request in proxy.requests[asked:]) == 3


def test_nothing_sent_at_all_is_an_error(project: PhoenixProject) -> None:
    (span,) = spans(project, 1)
    with PhoenixProxy(project.base_url, [Fault(path="/v1/span_annotations?", status=403)]) as proxy:
        store = PhoenixAnnotations(project.connection(base_url=proxy.base_url), wait=no_wait)
        with pytest.raises(WriteBackError, match="asks for a key"):
            store.write([said(span)], now=NOW)


def test_an_unknown_project_is_no_heap_of_unmatched_spans(project: PhoenixProject) -> None:
    store = PhoenixAnnotations(project.connection(project="no such"))
    with pytest.raises(WriteBackError, match="has no project 'no such'"):
        store.write([said(hex_id("a"))], now=NOW)


def test_a_web_page_in_place_of_the_spans_is_no_heap_of_unmatched_spans(project: PhoenixProject) -> None:
    with PhoenixProxy(project.base_url, [Fault(path="/v1/spans", page=True)]) as proxy:
        store = PhoenixAnnotations(project.connection(base_url=proxy.base_url), wait=no_wait)
        with pytest.raises(WriteBackError, match="the reply names no spans"):
            store.write([said(hex_id("a"))], now=NOW)
