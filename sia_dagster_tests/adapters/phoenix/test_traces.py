"""Spans in a real Phoenix server come out as the loop's own rows: all of the window, nothing else, the right text."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.phoenix.annotations import columns_of
from sia_dagster.adapters.phoenix.phoenix_traces import PhoenixTraces
from sia_dagster.core.errors import TraceError
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.openinference.schema import SPAN_SCHEMA
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster_tests.fakes.phoenix_server import Phoenix, PhoenixProject, hex_id, llm_span
from sia_dagster_tests.worlds.recorded_forms import otlp_lines, recorded_samples, told

START = datetime(2026, 9, 28, tzinfo=UTC)
END = START + timedelta(days=7)
WEEK = TimeWindow(key="2026-09-28", start=START, end=END)


def read(project: PhoenixProject, *, page_rows: int = 20_000, **query: Any) -> list[dict[str, Any]]:
    source = PhoenixTraces(project.connection(), page_rows=page_rows)
    batches = list(source.spans(SpanQuery(**{"window": WEEK, **query})))
    assert all(batch.schema == SPAN_SCHEMA for batch in batches)
    rows: list[dict[str, Any]] = pa.Table.from_batches(batches, SPAN_SCHEMA).to_pylist()
    return rows


def ids(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["span_id"] for row in rows]


def test_a_window_is_start_inclusive_end_exclusive_llm_spans_alone_oldest_first(phoenix: Phoenix) -> None:
    project = phoenix.project("window")
    project.send(
        [
            llm_span("last", at=END - timedelta(microseconds=1)),
            llm_span("after", at=END),
            llm_span("before", at=START - timedelta(microseconds=1)),
            llm_span("first", at=START),
            llm_span("chain", at=START + timedelta(hours=1), kind="CHAIN"),
            llm_span("fault", at=START + timedelta(hours=2), output=None, status="ERROR"),
        ]
    )
    rows = read(project)
    assert ids(rows) == [hex_id("first"), hex_id("fault"), hex_id("last")]
    assert [row["status"] for row in rows] == ["OK", "ERROR", "OK"]
    assert [row["sampled"] for row in rows] == [True, False, True]
    assert rows[0]["start_time"] == START
    assert START <= rows[-1]["start_time"] < END


def test_a_call_comes_with_everything_a_sample_needs(phoenix: Phoenix) -> None:
    project = phoenix.project("whole")
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    project.send(
        [
            llm_span(
                "whole",
                at=START + timedelta(seconds=1.5),
                session__id="chat 7",
                user__id="anna",
                llm__token_count__completion=3,
                llm__invocation_parameters=json.dumps({"temperature": 0.2, "max_tokens": 9}),
                llm__tools__0__tool__json_schema=json.dumps(tool),
                tag__tags=["billing", "beta"],
                llm__prompt_template__template="Be {how}.",
                llm__prompt_template__variables=json.dumps({"how": "polite"}),
                input__value=json.dumps({"messages": []}),
                llm__output_messages__0__message__tool_calls__0__tool_call__function__name="look_up",
                llm__output_messages__0__message__tool_calls__0__tool_call__function__arguments='{"a": 1}',
            )
        ]
    )
    (row,) = read(project)
    assert (row["conversation_id"], row["model"], row["name"]) == ("chat 7", "small", "ChatCompletion")
    assert (row["prompt_tokens"], row["completion_tokens"], row["latency_ms"]) == (7, 3, 1000.0)
    (sample,) = samples_from_rows([row]).samples
    assert sample.system_prompt == "Be polite."
    assert sample.template == "Be {how}."
    assert sample.variables == {"how": "polite"}
    assert (sample.request, sample.output) == ("Question whole", "An answer")
    assert sample.parameters == {"temperature": 0.2, "max_tokens": 9}
    assert sample.tools == (tool,)
    assert sample.tags == ("billing", "beta")


def test_multimodal_messages_and_answers_without_messages_are_read(phoenix: Phoenix) -> None:
    project = phoenix.project("shapes")
    image = {"llm.input_messages.2.message.role": "user"}
    part = "llm.input_messages.2.message.contents"
    image |= {f"{part}.0.message_content.type": "text", f"{part}.0.message_content.text": "What is this?"}
    image |= {
        f"{part}.1.message_content.type": "image",
        f"{part}.1.message_content.image.image.url": "https://example.com/a.png",
    }
    project.send(
        [
            llm_span("image", at=START, **image),
            llm_span("raw", at=START + timedelta(1), output=None, output__value="Just text"),
            llm_span("empty", at=START + timedelta(2), output=None, output__value="{}"),
        ]
    )
    rows = read(project)
    assert [row["sampled"] for row in rows] == [True, True, False]
    first, second = samples_from_rows(rows[:2]).samples
    assert first.request == "What is this?"
    assert first.messages[-1].parts[1]["image_url"] == {"url": "https://example.com/a.png"}
    assert second.output == "Just text"


def test_all_pages_are_read_even_where_a_microsecond_holds_more_than_a_page(phoenix: Phoenix) -> None:
    project = phoenix.project("pages")
    crowd = [llm_span(f"c{number}", at=START + timedelta(hours=5)) for number in range(7)]
    spread = [llm_span(f"s{number}", at=START + timedelta(hours=number)) for number in range(20)]
    sent = project.send(crowd + spread)
    rows = read(project, page_rows=3, sample_limit=5)
    assert sorted(ids(rows)) == sorted(sent)
    assert [row["start_time"] for row in rows] == sorted(row["start_time"] for row in rows)
    assert sum(row["sampled"] for row in rows) == 5
    assert rows == read(project, page_rows=1000, sample_limit=5)


def test_the_sampled_are_the_smallest_hashes_with_an_answer_as_from_files(phoenix: Phoenix) -> None:
    import hashlib

    project = phoenix.project("hash")
    spans = [
        llm_span(f"h{number}", at=START + timedelta(minutes=number), output=None if number % 2 else "Yes")
        for number in range(250)
    ]
    project.send(spans)
    rows = read(project, sample_limit=30)
    usable = sorted(
        (hex_id(f"h{number}") for number in range(0, 250, 2)), key=lambda i: hashlib.md5(i.encode()).hexdigest()
    )
    assert {row["span_id"] for row in rows if row["sampled"]} == set(usable[:30])
    assert all((row["output_messages"] is not None) == row["sampled"] for row in rows)
    assert sum(row["sampled"] for row in read(project, sample_limit=200)) == 125


def test_where_is_phoenixs_own_filter(phoenix: Phoenix) -> None:
    project = phoenix.project("where")
    project.send(
        [
            llm_span("one", at=START, name="ChatCompletion", session__id="gold"),
            llm_span("two", at=START + timedelta(1), name="Response"),
        ]
    )
    assert ids(read(project, where="name == 'ChatCompletion'")) == [hex_id("one")]
    assert ids(read(project, where=" name == 'Response' or session.id == 'gold'\n")) == [hex_id("one"), hex_id("two")]
    assert ids(read(project, where="name == 'x' or span_kind == 'CHAIN'")) == []
    assert read(project, where="nam == 'ChatCompletion'") == []


@pytest.mark.parametrize(
    "where",
    ["name ==", "name == 'x') or (True", "import os", "name = 'ChatCompletion'", "\0", "name == 'a'\nname == 'b'"],
)
def test_a_condition_that_is_no_expression_is_refused_before_anything_is_asked(where: str) -> None:
    from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection

    nowhere = PhoenixTraces(PhoenixConnection(base_url="http://127.0.0.1:9", max_attempts=1))
    with pytest.raises(TraceError, match=r"traces.where cannot be used: .*name == 'ChatCompletion'"):
        list(nowhere.spans(SpanQuery(window=WEEK, where=where)))


@pytest.mark.parametrize("where", ["unknown(name)", "1", "llm.token_count.prompt > 'x'"])
def test_a_condition_that_phoenix_refuses_is_told_in_its_words(phoenix: Phoenix, where: str) -> None:
    project = phoenix.project("refused")
    with pytest.raises(TraceError, match=r"traces.where cannot be used \(Invalid query: .+\).*name == 'Chat"):
        read(project, where=where)
    with pytest.raises(TraceError, match=r"traces\.where cannot be used"):
        PhoenixTraces(project.connection()).probe(SpanQuery(window=WEEK, where=where))


def test_an_unknown_project_is_told_from_an_empty_one(phoenix: Phoenix) -> None:
    empty = phoenix.project("empty")
    assert read(empty) == []
    unknown = PhoenixTraces(empty.connection(project="no such"))
    for ask in (lambda: list(unknown.spans(SpanQuery(window=WEEK))), lambda: unknown.probe(SpanQuery(window=WEEK))):
        with pytest.raises(
            TraceError, match=rf"has no project 'no such'; set traces.project to one of \[.*{empty.name}"
        ):
            ask()


def test_a_project_may_have_any_name(phoenix: Phoenix) -> None:
    project = phoenix.project("team a/app? #2")
    send = PhoenixProject(project.base_url, project.client.projects.list(name_contains=project.name)[0]["id"])
    send.client.spans.log_spans(project_identifier=send.name, spans=[llm_span("odd", at=START)], timeout=60)  # type: ignore[list-item]
    project.wait_for(1)
    project.client.spans.add_span_annotation(span_id=hex_id("odd"), annotation_name="good", score=1.0, sync=True)
    (row,) = read(project)
    assert row["span_id"] == hex_id("odd")
    (sample,) = samples_from_rows([row]).samples
    assert [(said.name, said.score) for said in sample.annotations] == [("good", 1.0)]


def test_probe_says_nothing_where_all_is_good(phoenix: Phoenix) -> None:
    source = PhoenixTraces(phoenix.project("probe").connection())
    source.probe(SpanQuery(window=WEEK, where="name == 'ChatCompletion'"))


def test_annotations_of_models_code_and_people_come_apart(phoenix: Phoenix) -> None:
    project = phoenix.project("said")
    (span,) = project.send([llm_span("said", at=START)])
    say = project.client.spans.add_span_annotation
    say(span_id=span, annotation_name="polite", annotator_kind="LLM", label="yes", score=1, sync=True)
    say(span_id=span, annotation_name="is_json", annotator_kind="CODE", score=0, explanation="no brace", sync=True)
    say(span_id=span, annotation_name="user-feedback", annotator_kind="HUMAN", label="thumbs-up", sync=True)
    project.client.spans.add_span_note(span_id=span, note="look here")
    (row,) = read(project)
    (sample,) = samples_from_rows([row]).samples
    assert [(e.name, e.label, e.score, e.explanation) for e in sample.evals] == [
        ("is_json", None, 0.0, "no brace"),
        ("polite", "yes", 1.0, None),
    ]
    assert [(e.name, e.label, e.score) for e in sample.annotations] == [("user_feedback", "thumbs-up", None)]


def annotation(name: str, kind: str, label: str, at: str, number: str = "1") -> dict[str, Any]:
    result = {"label": label, "score": None, "explanation": None}
    return {"span_id": "a", "name": name, "annotator_kind": kind, "result": result, "updated_at": at, "id": number}


def test_people_and_models_have_columns_of_their_own_and_the_last_word_counts() -> None:
    said = [
        annotation("correct", "LLM", "new", "2026-10-02"),
        annotation("correct", "LLM", "old", "2026-10-01"),
        annotation("correct", "HUMAN", "person", "2026-09-30"),
        annotation("so so", "HUMAN", "spaced", "2026-09-30"),
        annotation("a-b", "HUMAN", "changed name", "2026-10-05"),
        annotation("a_b", "HUMAN", "own name", "2026-10-01"),
        {"span_id": "b", "name": "bare", "annotator_kind": "CODE", "result": None},
    ]
    columns = columns_of(said)
    assert columns["a"]["eval.correct.label"] == "new"
    assert columns["a"]["annotation.correct.label"] == "person"
    assert columns["a"]["annotation.so so.label"] == "spaced"
    assert columns["a"]["annotation.a_b.label"] == "own name"
    assert columns["b"] == {"eval.bare.label": None, "eval.bare.score": None, "eval.bare.explanation": None}


@given(st.permutations([annotation("x", "HUMAN", str(n), "2026-10-01", str(n)) for n in range(4)]))
def test_the_order_in_which_the_server_lists_annotations_does_not_matter(said: list[dict[str, Any]]) -> None:
    assert columns_of(said)["a"]["annotation.x.label"] == "3"


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1, max_size=4
    )
)
def test_what_was_said_comes_out_as_it_went_in(phoenix: Phoenix, texts: list[str]) -> None:
    project = phoenix.project("text")
    project.send([llm_span(f"{project.name[4:]}.{n}", at=START, output=text) for n, text in enumerate(texts)])
    outputs = sorted(json.loads(row["output_messages"])[0]["message"]["content"] for row in read(project))
    assert outputs == sorted(texts)


RECORDED = TimeWindow(key="2026-11-09", start=datetime(2026, 11, 9, tzinfo=UTC), end=datetime(2026, 11, 16, tzinfo=UTC))


@pytest.mark.parametrize(
    "recording", ["openai_v2", "openllmetry", "openllmetry_0_40", "pydantic_ai", "ai_sdk_5", "ai_sdk_7"]
)
def test_spans_of_other_conventions_are_the_same_calls_as_from_files(phoenix: Phoenix, recording: str) -> None:
    project = phoenix.project(recording)
    for line in otlp_lines(recording):
        project.export(line)
    rows = read(project, window=RECORDED)
    from_files = recorded_samples(recording)
    found = samples_from_rows(row for row in rows if row["sampled"]).samples
    assert [told(sample) for sample in found] == [told(sample) for sample in from_files]
    assert len(found) >= 3


def test_a_call_without_a_session_or_settings_beside_one_that_has_them_lacks_them(phoenix: Phoenix) -> None:
    project = phoenix.project("beside")
    given = {"session__id": "chat 7", "user__id": "anna", "llm__invocation_parameters": '{"temperature": 0.2}'}
    project.send([llm_span("with", at=START, **given), llm_span("lacks", at=START + timedelta(hours=1))])
    rows = read(project)
    assert [row["conversation_id"] for row in rows] == ["chat 7", hex_id("lacks") * 2]
    assert [row["user_id"] for row in rows] == ["anna", None]
    assert [sample.parameters for sample in samples_from_rows(rows).samples] == [{"temperature": 0.2}, {}]


def test_the_id_and_model_that_phoenix_writes_as_output_are_no_answer(phoenix: Phoenix) -> None:
    project = phoenix.project("no answer")
    unanswered = {"gen_ai.request.model": "small", "gen_ai.response.id": "chatcmpl-1"}
    project.send([llm_span("mute", at=START, output=None, **unanswered, output__value='{"id": "chatcmpl-1"}')])
    (row,) = read(project)
    assert (row["span_id"], row["sampled"]) == (hex_id("mute"), False)
