"""Exports as people have them, thirty calls of one application each with one fault: read rightly, or named."""

from datetime import UTC, datetime, timedelta

import pytest

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.openinference import samples_from_rows
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.traffic import plausibility, with_samples
from sia_dagster_tests.places import TRACE_CASES

START = datetime(2026, 11, 9, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(days=7))
NUMBERS = "attributes.llm.token_count.prompt > 10 OR attributes.llm.token_count.prompt IS NULL"
WHOLE = (30, 30, 30)
FOUND: dict[str, tuple[tuple[int, int, int], set[str]]] = {
    "01_genai_semconv": (WHOLE, set()),
    "03_openllmetry_indexed": (WHOLE, set()),
    "04_otlp_json_lines": (WHOLE, set()),
    "05_phoenix_rest_jsonl": (WHOLE, set()),
    "08_bom_crlf": (WHOLE, set()),
    "10_zstd": (WHOLE, set()),
    "11_csv": (WHOLE, set()),
    "13_role_only_user": ((30, 0, 0), {"sample"}),
    "14_role_only_with_lc_input_value": (WHOLE, {"text_from_request"}),
    "16_hand_list_and_message": (WHOLE, set()),
    "20_cut_attribute_limit": (WHOLE, {"equal_lengths"}),
    "21_double_instrumentation": (WHOLE, {"double"}),
    "35_attributes_json_column": (WHOLE, set()),
    "41_python_repr_params": (WHOLE, set()),
    "48_lone_surrogate_some": (WHOLE, {"lost_characters"}),
    "57_time_go_string": (WHOLE, set()),
    "63_time_some_bad": ((20, 20, 20), {"record"}),
    "64_user_anonymous_no_session": (WHOLE, {"nobody"}),
    "68_system_in_middle": (WHOLE, {"prompt_later"}),
    "70_system_every_turn": (WHOLE, {"prompt_repeated"}),
    "73_n_choices": (WHOLE, {"several_choices"}),
    "76_masked_values": ((30, 30, 0), {"replay", "none_replayable"}),
    "78_langfuse_observations": (WHOLE, set()),
    "80_chat_log_messages": (WHOLE, set()),
    "A02_kind_otel_internal": (WHOLE, set()),
    "A04_kind_null": (WHOLE, set()),
    "A06_status_int": ((30, 20, 20), {"answer"}),
    "A08_two_exports_ms_and_us": (WHOLE, {"double"}),
    "A10_content_json_parts": (WHOLE, set()),
    "A11_roles_class_names": (WHOLE, set()),
    "B02_delta_table": (WHOLE, set()),
    "B16_where_number_missing_in_one_file": (WHOLE, set()),
    "B21_whitespace_answers": ((30, 15, 15), {"sample"}),
    "D02_gz_name_plain_content": (WHOLE, set()),
    "D08_all_redacted": ((30, 30, 0), {"replay", "none_replayable"}),
}
"""Calls, samples and replayable ones, and what is said: the steps of losses and the kinds of notes."""
PROMPT = "You are the message desk of Northwind. Rewrite the customer's message for the archive."


@pytest.mark.parametrize("case", FOUND)
def test_a_case_is_read_rightly_or_named(case: str) -> None:
    count, rows = FunnelCount(), []
    query = SpanQuery(window=WINDOW, where=NUMBERS if case.startswith("B16") else "")
    for batch in LocalTraces(TRACE_CASES / case / "traces").spans(query, count):
        rows += batch.to_pylist()
    mapped = samples_from_rows(row for row in rows if row["sampled"])
    funnel = with_samples(count.result(), mapped)
    notes = (*mapped.notes, *plausibility(mapped.samples))
    said = {loss.step for loss in funnel.losses} | {note.kind for note in notes}
    assert ((len(rows), funnel.readable, funnel.replayable), said) == FOUND[case]
    assert all(loss.example for loss in funnel.losses if loss.step not in ("limit", "replay"))
    assert all(sample.output.strip() and sample.messages for sample in mapped.samples)
    if said <= {"double", "record", "answer", "sample", "nobody", "text_from_request", "prompt_repeated"}:
        assert {sample.system_prompt[: len(PROMPT)] for sample in mapped.samples} <= {PROMPT}


def test_every_case_is_looked_at() -> None:
    assert {path.name for path in TRACE_CASES.iterdir()} == set(FOUND)
