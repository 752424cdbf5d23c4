"""The simulated application's weeks: what is in them, that they repeat byte by byte, that the rule shows in them."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.demo.application import BASE_POLICY, NOTE, answer
from sia_dagster.demo.simulated_judge import judge
from sia_dagster.demo.simulation_rules import ELEMENTS, missing_elements
from sia_dagster.demo.spans import SCHEMA
from sia_dagster.demo.traffic import FIRST_WEEK, WEEKS, WeekPlan, week_windows, write_traffic
from sia_dagster.demo.wire import texts
from sia_dagster_tests.places import DOCS

Row = dict[str, Any]
PLAN = WeekPlan(conversations=120, errors=2)
IMPROVED = BASE_POLICY.model_copy(
    update={"system_prompt": "\n".join([BASE_POLICY.system_prompt, *(element.firm for element in ELEMENTS[:2])])}
)


def week(number: int = 0) -> TimeWindow:
    return week_windows()[number]


def rows_of(folder: Path, plan: WeekPlan = PLAN, actions: Actions | None = None, number: int = 0) -> list[Row]:
    path = write_traffic(folder, week(number), actions, plan)
    assert path
    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows


def calls(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["name"] == "ChatCompletion"]


def answered(rows: Iterable[Row]) -> list[Row]:
    return [row for row in calls(rows) if row["status_code"] == "OK"]


def sent(row: Row) -> list[Row]:
    messages: list[Row] = json.loads(row["attributes.input.value"])["messages"]
    return messages


def output_of(row: Row) -> str:
    (message,) = (json.loads(text) for text in row["attributes.llm.output_messages"])
    return str(message["message.content"])


def pass_rate(rows: Iterable[Row]) -> float:
    labels = [judge(texts(sent(row), "user")[-1], output_of(row))[0] for row in answered(rows)]
    return labels.count("correct") / len(labels)


def test_weeks_are_as_documented() -> None:
    assert len(WEEKS) == len(week_windows()) == 8
    normal = [plan for plan in WEEKS if 110 <= plan.conversations <= 130]
    assert len(normal) == 6
    assert [plan.conversations for plan in WEEKS if plan not in normal] == [12, 0]
    assert [plan.injected for plan in WEEKS].count(True) == 1
    assert all(plan.what for plan in WEEKS)
    page = (DOCS / "demo.md").read_text(encoding="utf-8")
    for window, plan in zip(week_windows(), WEEKS, strict=True):
        assert f"| {window.key} | {plan.conversations} | {plan.what} |" in page


def test_windows_run_from_monday_to_monday() -> None:
    windows = week_windows()
    assert windows[0].key == "2026-09-14"
    assert all(window.start.weekday() == 0 and window.start.tzinfo for window in windows)
    assert all(before.end == after.start for before, after in pairwise(windows))


def test_same_week_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_traffic(tmp_path / name, week(), None, PLAN) for name in ("one", "other"))
    assert one
    assert other
    assert one.read_bytes() == other.read_bytes()
    assert write_traffic(tmp_path / "one", week(), BASE_POLICY, PLAN) == one
    assert one.read_bytes() == other.read_bytes()


def test_week_without_traffic_leaves_no_file(tmp_path: Path) -> None:
    assert write_traffic(tmp_path / "traces", week(), None, WeekPlan(conversations=0)) is None
    assert not (tmp_path / "traces").exists()


def test_file_is_named_after_its_window_and_nothing_else_stays(tmp_path: Path) -> None:
    path = write_traffic(tmp_path / "new" / "traces", week(3), None, WEEKS[3])
    assert path == tmp_path / "new" / "traces" / f"traces-{week(3).key}.parquet"
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_columns_are_those_of_the_export(tmp_path: Path) -> None:
    path = write_traffic(tmp_path, week(), None, PLAN)
    assert path
    assert pq.read_schema(path).equals(SCHEMA)
    (first, *_) = answered(rows_of(tmp_path))
    assert json.loads(first["attributes.llm.invocation_parameters"]) == {
        "model": "simulated-application",
        "temperature": 0.3,
    }
    assert json.loads(first["attributes.llm.input_messages"][0]) == {
        "message.role": "system",
        "message.content": BASE_POLICY.system_prompt,
    }
    response = json.loads(first["attributes.output.value"])
    assert response["choices"][0]["message"]["content"] == output_of(first)
    assert first["attributes.llm.token_count.total"] == response["usage"]["total_tokens"]


def test_spans_lie_in_the_window_oldest_first_with_ids_of_their_own(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    starts = [datetime.fromtimestamp(row["start_time"] / 1e9, tz=UTC) for row in rows]
    assert starts == sorted(starts)
    assert week().start <= starts[0]
    assert starts[-1] < week().end
    assert len({start.date() for start in starts}) == 7
    assert all(row["end_time"] - row["start_time"] == row["latency_ms"] * 1_000_000 for row in rows)
    ids = [row["context.span_id"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{16}", span_id) for span_id in ids)


def test_each_week_has_traffic_of_its_own(tmp_path: Path) -> None:
    ids = [{row["context.span_id"] for row in rows_of(tmp_path, number=number)} for number in (0, 1)]
    assert not ids[0] & ids[1]


def test_conversations_are_sessions_and_some_have_two_turns(tmp_path: Path) -> None:
    rows = answered(rows_of(tmp_path))
    turns = Counter(row["attributes.session.id"] for row in rows)
    assert len(turns) == PLAN.conversations
    assert set(turns.values()) == {1, 2}
    second = next(row for row in rows if len(sent(row)) > 2)
    assert [message["role"] for message in sent(second)] == ["system", "user", "assistant", "user"]
    first = next(row for row in rows if row["attributes.session.id"] == second["attributes.session.id"])
    assert sent(second)[2]["content"] == output_of(first)
    assert first["start_time"] < second["start_time"]


def test_errors_other_kinds_and_pictures_are_among_the_spans(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    failed = [row for row in calls(rows) if row["status_code"] == "ERROR"]
    assert len(failed) == PLAN.errors
    assert all(row["attributes.llm.output_messages"] is None and row["events"] for row in failed)
    kinds = Counter(row["attributes.openinference.span.kind"] for row in rows)
    assert set(kinds) == {"LLM", "CHAIN", "RETRIEVER"}
    assert kinds["CHAIN"] == kinds["RETRIEVER"] > 10
    pictured = [row for number in (0, 1, 2) for row in answered(rows_of(tmp_path, number=number)) if has_picture(row)]
    assert pictured
    contents = json.loads(pictured[0]["attributes.llm.input_messages"][1])["message.contents"]
    assert [part["message_content.type"] for part in contents] == ["text", "image"]


def has_picture(row: Row) -> bool:
    return any("message.contents" in json.loads(text) for text in row["attributes.llm.input_messages"])


def test_requests_differ_even_without_digits_and_blanks(tmp_path: Path) -> None:
    for number in range(3):
        history = [
            re.sub(r"[\d\s]+", "", " ".join(texts(sent(row)[1:]))).casefold()
            for row in answered(rows_of(tmp_path, number=number))
        ]
        assert len(set(history)) >= len(history) - 1


def test_recorded_answer_is_what_a_replay_of_the_request_gives(tmp_path: Path) -> None:
    for row in answered(rows_of(tmp_path, actions=IMPROVED)):
        assert output_of(row) == answer(sent(row))


def test_promoted_policy_speaks_in_the_traffic_and_is_visibly_better(tmp_path: Path) -> None:
    one_edit = BASE_POLICY.model_copy(
        update={"system_prompt": f"{BASE_POLICY.system_prompt}\n{ELEMENTS[0].firm}"}
    )  # fmt: skip
    for number in (0, 1, 2, 6, 7):
        base, first, second = (
            rows_of(tmp_path, WEEKS[number], actions, number) for actions in (None, one_edit, IMPROVED)
        )
        assert all(sent(row)[0]["content"] == IMPROVED.system_prompt for row in calls(second))
        assert 0.28 <= pass_rate(base) <= 0.5
        assert pass_rate(first) >= pass_rate(base) + 0.12
        assert pass_rate(second) >= max(pass_rate(first) + 0.12, 0.78)


def test_injected_week_carries_the_note_in_some_conversations(tmp_path: Path) -> None:
    number = next(number for number, plan in enumerate(WEEKS) if plan.injected)
    rows = answered(rows_of(tmp_path, WEEKS[number], IMPROVED, number))
    noted = [row for row in rows if NOTE in texts(sent(row), "user")[0]]
    assert 0.1 < len(noted) / len(rows) < 0.25
    failing = [row for row in noted if missing_elements(texts(sent(row), "user")[-1], output_of(row))]
    assert len(failing) >= 6
    others = [plan for plan in WEEKS if not plan.injected and plan.conversations]
    assert all(
        NOTE not in str(row["attributes.input.value"])
        for plan in others
        for row in rows_of(tmp_path, plan, number=WEEKS.index(plan))
    )


def test_plan_counts_from_zero() -> None:
    with pytest.raises(ValidationError):
        WeekPlan(conversations=-1)


def test_short_window_holds_its_spans(tmp_path: Path) -> None:
    window = TimeWindow(key="2026-09-14-day", start=FIRST_WEEK, end=FIRST_WEEK + timedelta(days=1))
    path = write_traffic(tmp_path, window, None, WeekPlan(conversations=5))
    assert path
    starts = pq.read_table(path)["start_time"].to_pylist()
    assert all(start < window.end.timestamp() * 1e9 for start in starts)
