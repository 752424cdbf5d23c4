"""`written_evaluations` and what it keeps from the rest of the window: nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import flight

from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import WriteReport
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from simulation.arize_flight import KEY, PROJECT, TRACES, ArizeFlight
from simulation.loops import FIRST, IS_BRIEF, SECOND, WEEKS, Desk, checks, desk, failure, materialized, metadata

BRIEF_ALONE: dict[str, Any] = {
    "traces": TRACES,
    "evaluators": [IS_BRIEF],
    "validation": {"primary": "is_brief"},
    "write_back": True,
    "sample_limit": 30,
}


@dataclass
class World:
    """A loop with one function as its evaluator, over spans in Arize."""

    store: ArizeFlight
    desk: Desk

    def drop(self, *span_ids: str) -> None:
        """Somebody deletes spans."""
        table = self.store.tables[PROJECT]
        self.store.tables[PROJECT] = table.filter(
            pc.invert(pc.is_in(table["context.span_id"], pa.array(span_ids, pa.string())))
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ArizeFlight(now=WEEKS[0].end) as store, desk(tmp_path, **BRIEF_ALONE) as (found, _):
        for name, value in {**store.environment, "ARIZE_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        store.receive(write_traffic(tmp_path / "sent", WEEKS[0], None, WeekPlan(conversations=44)))
        yield World(store, found)


def test_a_store_that_is_down_costs_the_window_nothing(world: World) -> None:
    found, store = world.desk, world.store
    store.fail("put", flight.FlightUnavailableError("the store is down"), times=100)
    result = found.run(FIRST)
    stage, told = failure(result)
    assert stage == "written_evaluations"
    assert "loop desk, window 2026-09-28: no evaluation was written back" in told
    assert "the store is down" in told
    assert KEY not in told
    assert materialized(result) == {
        *("traces", "eval_results", "judge_watch", "baseline_state_actions", "next_window_results"),
        *("updated_policy", "validation_results", "promoted_policy"),
    }
    rows = found.rows("eval_results")
    assert len(rows) == 30
    assert store.evaluations == {}

    store._faults.clear()
    repeated = found.run(FIRST, "written_evaluations")
    assert repeated.success, failure(repeated)
    assert {span: said["eval.is_brief.score"] for span, said in store.evaluations.items()} == {
        row["span_id"]: row["score"] for row in rows
    }
    assert checks(repeated)["evaluations_are_back"].passed


def test_what_the_store_does_not_know_fails_the_check_and_not_the_asset(world: World) -> None:
    found = world.desk
    found.run(FIRST, "traces", "eval_results")
    gone = sorted(row["span_id"] for row in found.rows("eval_results"))[:2]
    world.drop(*gone)
    result = found.run(FIRST, "written_evaluations")
    assert result.success
    claim = checks(result)["evaluations_are_back"]
    assert not claim.passed
    assert "28 of 30 evaluations are in the trace store; 2 spans are unknown to the store" in str(claim.description)
    assert gone[0] in str(claim.description)
    assert found.document("written_evaluations", WriteReport).unmatched == tuple(gone)
    shown = metadata(result, "written_evaluations")
    assert (shown["evaluations_offered"], shown["evaluations_updated"], shown["spans_unmatched"]) == (30, 28, 2)


def test_spans_too_old_to_be_updated_are_counted_and_no_fault(world: World) -> None:
    found, old = world.desk, datetime(2020, 1, 6, tzinfo=UTC)
    long_ago = TimeWindow(key="2020-01-06", start=old, end=old + timedelta(weeks=1))
    world.store.receive(write_traffic(found.folder / "sent", long_ago, None, WeekPlan(conversations=44)))
    loop = found.with_loop(**BRIEF_ALONE, start=long_ago.key).loop
    today = Desk(found.folder, found.base_url, loop, instance=found.instance, clock="now")
    result = today.run(long_ago.key, "traces", "eval_results", "written_evaluations")
    claim = checks(result)["evaluations_are_back"]
    assert claim.passed
    assert claim.description == "0 of 30 evaluations are in the trace store; 30 spans are too old to be updated."
    assert metadata(result, "written_evaluations")["spans_too_old"] == 30


def test_evaluations_of_a_window_that_was_read_again_since_say_so(world: World) -> None:
    found = world.desk
    found.run(FIRST, "traces", "eval_results")
    found.with_loop(**{**BRIEF_ALONE, "sample_limit": 5}).run(FIRST, "traces")
    result = found.run(FIRST, "written_evaluations")
    stage, told = failure(result)
    assert stage == "written_evaluations"
    assert "25 evaluated spans are no longer among the window's sampled calls" in told
    assert "materialise `eval_results` again" in told
    assert world.store.evaluations == {}


def test_an_empty_window_has_nothing_to_write(world: World) -> None:
    result = world.desk.run(SECOND, "traces", "eval_results", "written_evaluations")
    assert result.success, failure(result)
    assert world.desk.document("written_evaluations", WriteReport, SECOND) == WriteReport()
    assert world.store.seen.puts == []
