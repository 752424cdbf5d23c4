"""What can be wrong between a loop and Arize, and what the window's assets make of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import flight

from sia_dagster.core.records.report import ValidationReport
from sia_dagster.demo.traffic import WeekPlan, write_traffic
from sia_dagster_tests.adapters.arize.test_experiments import row
from sia_dagster_tests.fakes.arize_rest import ArizeRest
from simulation.arize_flight import KEY, TRACES, ArizeFlight
from simulation.loops import FIRST, WEEKS, Desk, checks, desk, failure, loop_config, materialized, metadata


@dataclass
class World:
    """A loop over one week's spans in Arize."""

    store: ArizeFlight
    desk: Desk

    def with_traces(self, **changes: Any) -> Desk:
        return self.desk.with_loop(traces={**TRACES, **changes})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ArizeFlight() as store, desk(tmp_path, traces=TRACES) as (found, _):
        for name, value in {**store.environment, "ARIZE_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        store.receive(write_traffic(tmp_path / "sent", WEEKS[0], None, WeekPlan(conversations=44)))
        yield World(store, found)


def refused(found: Desk) -> str:
    """What the asset says; nothing of the window is stored."""
    result = found.run(FIRST, "traces")
    stage, told = failure(result)
    assert stage == "traces"
    assert told.startswith("loop desk, window 2026-09-28: ")
    assert KEY not in told
    assert not found.file("traces").exists()
    return told


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space_id": "U3BhY2U6OTk5"}, ("has no space 'U3BhY2U6OTk5'", "ARIZE_SPACE_ID")),
        ({"project": "nowhere"}, ("no project 'nowhere'", "may not be indexed yet", "ARIZE_MODEL_ID")),
        ({"where": "name == 'x'"}, ("refuses the request", "`traces.where`", "name == 'x'")),
    ],
)
def test_what_is_set_wrong_is_named_with_what_to_set(
    world: World, changes: dict[str, Any], says: tuple[str, ...]
) -> None:
    told = refused(world.with_traces(**changes))
    for words in says:
        assert words in told


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ARIZE_API_KEY": "ak-wrong"}, ("does not accept the API key", "ARIZE_API_KEY")),
        ({"ARIZE_API_KEY": ""}, ("the environment variable ARIZE_API_KEY is not set",)),
        ({"ARIZE_API_KEY": f"{KEY}\n"}, ("the value of ARIZE_API_KEY holds", "line break")),
        ({"ARIZE_FLIGHT_PORT": "9"}, ("cannot be reached", "ARIZE_FLIGHT_HOST")),
        ({"ARIZE_FLIGHT_SCHEME": "grpc+tls"}, ("no TLS connection", "ARIZE_SSL_CA_CERT")),
    ],
)
def test_what_the_environment_has_wrong_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: tuple[str, ...]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = refused(world.desk)
    for words in says:
        assert words in told
    assert "ak-wrong" not in told


def test_a_stream_that_breaks_leaves_the_window_as_it_was(world: World) -> None:
    found = world.desk
    assert found.run(FIRST, "traces").success
    before = found.file("traces").read_bytes()
    world.store.manners.batch_rows = 10
    world.store.fail("get", flight.FlightUnavailableError("the stream broke"), after=2, times=100)
    result = found.run(FIRST, "traces")
    assert "broke" in failure(result)[1]
    assert found.file("traces").read_bytes() == before
    assert [file.name for file in found.file("traces").parent.iterdir()] == [f"{FIRST}.parquet"]


def test_a_stream_that_breaks_once_is_asked_for_again_whole(world: World) -> None:
    found = world.with_traces(max_attempts=2)
    assert found.run(FIRST, "traces").success
    whole = found.rows("traces")
    world.store.manners.batch_rows = 10
    world.store.fail("get", flight.FlightUnavailableError("the stream broke"), after=2)
    assert found.run(FIRST, "traces").success
    assert found.rows("traces") == whole
    assert len(whole) > 20


def test_a_window_without_spans_decides_nothing_and_is_well_typed(world: World) -> None:
    found = world.with_traces(where="name = 'Another'")
    result = found.run(FIRST)
    assert result.success, failure(result)
    assert pq.read_schema(found.file("traces")).field("start_time").type == pa.timestamp("us", tz="UTC")
    assert found.rows("traces") == found.rows("eval_results") == []
    assert found.document("validation_results", ValidationReport).verdict == "inconclusive"
    assert not checks(result)["window_has_traces"].passed


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, ArizeRest]]:
    loop = loop_config(traces=TRACES, publish=["file", "arize_experiments"])
    report = ValidationReport(
        loop=loop.name, window=WEEKS[0], verdict="reject", reasons=("because",), rows=tuple(row(n) for n in range(3))
    )
    with ArizeRest() as rest, dg.DagsterInstance.ephemeral() as instance:
        for name, value in {**rest.environment, "ARIZE_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        found = Desk(tmp_path, "http://127.0.0.1:9/v1", loop, instance=instance)
        path = found.file("validation_results")
        path.parent.mkdir(parents=True)
        path.write_text(report.model_dump_json(), encoding="utf-8")
        yield found, rest


def test_a_validation_that_cannot_be_published_says_so_and_is_completed_later(
    experiments: tuple[Desk, ArizeRest],
) -> None:
    found, rest = experiments
    rest.fail("POST /v2/experiments", status=500, times=100)
    stage, told = failure(found.run(FIRST, "published_validation"))
    assert stage == "published_validation"
    assert "loop desk, window 2026-09-28: Arize, the experiment 'desk-2026-09-28-baseline-" in told
    assert KEY not in told
    assert not found.file("published_validation").exists()

    rest.faults.clear()
    done = found.run(FIRST, "published_validation")
    assert materialized(done) == {"published_validation"}
    shown = metadata(done, "published_validation")
    assert (shown["dataset"], shown["runs"], shown["runs_added_by_this_run"]) == ("desk-2026-09-28", 6, 6)
    assert {name.rsplit("-", 1)[0] for name in rest.experiments} == {
        "desk-2026-09-28-baseline",
        "desk-2026-09-28-candidate-reject",
    }


def test_published_again_it_changes_nothing_and_is_the_same_document(experiments: tuple[Desk, ArizeRest]) -> None:
    found, rest = experiments
    found.run(FIRST, "published_validation")
    changes, document = list(rest.changes), found.file("published_validation").read_bytes()
    again = found.run(FIRST, "published_validation")
    assert metadata(again, "published_validation")["runs_added_by_this_run"] == 0
    assert (rest.changes, found.file("published_validation").read_bytes()) == (changes, document)
