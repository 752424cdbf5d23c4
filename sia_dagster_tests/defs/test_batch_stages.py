"""A loop whose calls are handed in as batches: the same documents as by calls, and runs that hold nothing meanwhile."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.spend import Spend
from sia_dagster.defs.batches import BATCHES, RESUMED, WAITS, waiting
from sia_dagster.defs.progress_log import listen
from sia_dagster_tests.worlds.chats import Waits
from simulation.batch_server import BatchServer
from simulation.loops import FIRST, NAME, SECOND, Desk, failure, loop_config, materialized, metadata, simulated
from simulation.servers import refusal

SENSOR = f"{NAME}_collects_batches"


@contextmanager
def batched(folder: Path, *, server: dict[str, Any] | None = None, **llm: Any) -> Iterator[tuple[Desk, BatchServer]]:
    """A loop in batch mode with its first week's traffic."""
    with BatchServer(simulated, **(server or {})) as running, dg.DagsterInstance.ephemeral() as instance:
        settings = {"mode": "batch", "batch_poll_seconds": 1, **llm}
        found = Desk(folder, running.base_url, loop_config(), settings, instance)
        found.write()
        yield found, running


def run_to_the_end(found: Desk) -> dg.ExecuteInProcessResult:
    """As `sia run` does, but that time passes at once."""
    with waiting(Waits()):
        return found.run()


def ledger(found: Desk) -> dict[str, Spend]:
    with closing(SqliteStore(found.folder / ".sia" / "completions.sqlite")) as store:
        return store.ledger(NAME, FIRST)


def test_the_documents_are_those_of_direct_calls_byte_for_byte(tmp_path: Path) -> None:
    """Prices are unknown here, since half a price is another number."""
    with batched(tmp_path / "batch", prices={}) as (found, server):
        result = run_to_the_end(found)
        assert result.success
        in_batches = found.contents()
        assert found.document("validation_results", ValidationReport).verdict == "accept"
        direct = Desk(tmp_path / "direct", server.base_url, found.loop, {"prices": {}}, found.instance)
        direct.write()
        server.batches.clear()
        assert direct.run().success
    assert in_batches == direct.contents()
    assert server.batches == []


def test_a_race_in_batches_ends_with_the_same_policy_and_asks_for_all_groups_at_once(tmp_path: Path) -> None:
    stages = ("traces", "eval_results", "baseline_state_actions", "updated_policy")
    changes = {"sample_limit": 120, "policy": {"model": "simulated-optimizer", "search_calls": 400}}
    updates = {}
    with BatchServer(simulated) as server, dg.DagsterInstance.ephemeral() as instance:
        for mode in ("batch", "direct"):
            llm = {"mode": mode, "batch_poll_seconds": 1}
            found = Desk(tmp_path / mode, server.base_url, loop_config(**changes), llm, instance)
            found.write(conversations=100)
            with waiting(Waits()):
                assert found.run(FIRST, *stages).success
            updates[mode] = found.document("updated_policy", PolicyUpdate)
    batch, direct = updates["batch"], updates["direct"]
    assert batch.changed
    assert batch.candidate == direct.candidate
    assert [each.race.groups for each in (batch.candidates[0], direct.candidates[0]) if each.race] == [23, 8]
    assert set(server.paid.values()) == {1}


class Half(NamedTuple):
    """A window in batch mode, what it told of its progress, and the same window by direct calls."""

    batch: Desk
    server: BatchServer
    result: dg.ExecuteInProcessResult
    progress: list[tuple[int, str]]
    direct: Desk


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Half]:
    folder, progress = tmp_path_factory.mktemp("half"), list[tuple[int, str]]()
    with batched(folder / "batch") as (found, server):
        with listen(lambda advance: progress.append((advance.of, advance.what))):
            result = run_to_the_end(found)
        assert result.success
        direct = Desk(folder / "direct", server.base_url, found.loop, {}, found.instance)
        direct.write()
        assert direct.run().success
        yield Half(found, server, result, progress, direct)


def test_a_window_costs_half(half: Half) -> None:
    batched, full = ledger(half.batch), ledger(half.direct)
    assert batched.keys() == full.keys()
    for name, spend in batched.items():
        assert spend.cost_usd == pytest.approx((full[name].cost_usd or 0.0) / 2)
        assert spend.calls == full[name].calls
    assert half.server.paid.total() == sum(spend.calls for spend in batched.values())
    shown = metadata(half.result, "eval_results")
    assert shown["model_calls_paid_in_this_run"] == shown["model_calls"]


def test_waiting_is_told_as_progress(half: Half) -> None:
    assert list(dict.fromkeys(what for _, what in half.progress))[:2] == ["evaluations", "answers in batches"]
    judged = len(half.batch.rows("eval_results")) // 2
    assert (judged, "answers in batches") in half.progress


def test_the_documents_hold_what_the_rows_cost_by_batch(half: Half) -> None:
    judged = [row for row in half.batch.rows("eval_results") if row["cost_usd"] is not None]
    spent = json.loads(half.batch.file("validation_results").read_bytes())["spend"]
    assert sum(row["cost_usd"] for row in judged) > 0
    assert spent["cost_usd"] == pytest.approx((spent["prompt_tokens"] + spent["completion_tokens"]) / 2e6)


def test_one_stage_may_be_batched_alone(tmp_path: Path) -> None:
    with batched(tmp_path, mode="direct", stages={"judge": {"mode": "batch"}}) as (found, server):
        assert run_to_the_end(found).success
    # Of the logged outputs, at each probe of the search, of the held-out ones, and those that watch the judge.
    assert len(server.batches) >= 4
    assert {line["body"]["model"] for batch in server.batches for line in batch.lines} == {"simulated-judge"}


def tick(found: Desk) -> Any:
    """What the sensor says."""
    definitions = found.definitions
    resources = {f"{NAME}__model": (definitions.resources or {})[f"{NAME}__model"]}
    context = dg.build_sensor_context(
        instance=found.instance, resources=resources, definitions=definitions, sensor_name=SENSOR
    )
    return definitions.resolve_sensor_def(SENSOR).evaluate_tick(context)


def go_on(found: Desk, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """The run that the sensor asks for."""
    return found.definitions.resolve_job_def(f"{NAME}_improvement").execute_in_process(
        partition_key=request.partition_key,
        instance=found.instance,
        raise_on_error=False,
        asset_selection=list(request.asset_selection or ()),
    )


def test_a_run_ends_instead_of_waiting_and_the_sensor_goes_on_with_what_is_left(tmp_path: Path) -> None:
    with batched(tmp_path) as (found, server):
        result = found.run()
        assert not result.success
        assert materialized(result) == {"traces"}
        stage, text = failure(result)
        assert stage == "eval_results"
        assert text.endswith(
            f"are collected when the window is run again; nothing is paid for twice. The sensor {SENSOR} resumes the "
            "window when they have ended"
        )
        rounds = 1
        while "validation_results" not in materialized(result):
            ticked = tick(found)
            while ticked.skip_message:
                assert ticked.skip_message == "windows that wait for batches under way: 1"
                ticked = tick(found)
            (request,) = ticked.run_requests
            assert request.partition_key == FIRST
            rounds += 1
            result = go_on(found, request)
        assert tick(found).skip_message == "windows that wait for batches under way: 0"
        assert found.document("validation_results", ValidationReport).verdict == "accept"
    # The judge is watched while the first candidates are asked for: two batches of one run.
    assert rounds == len(server.batches)
    assert set(server.paid.values()) == {1}
    assert materialized(result) == {"validation_results", "next_window_results", "promoted_policy"}


def test_a_window_that_a_person_ran_again_is_left_alone(tmp_path: Path) -> None:
    with batched(tmp_path) as (found, server):
        first = found.run()
        second = found.run()
        assert len(server.batches) == 1
        tick(found)
        assert found.instance.get_run_by_id(first.run_id).tags[WAITS] == RESUMED  # type: ignore[union-attr]
        waits = found.instance.get_run_by_id(second.run_id)
        assert waits is not None
        assert waits.tags[WAITS] == NAME
        assert waits.tags[BATCHES]


def test_an_endpoint_that_is_away_is_asked_again_at_the_next_tick(tmp_path: Path) -> None:
    with batched(tmp_path, max_attempts=1) as (found, server):
        found.run()
        server.fault = lambda method, path, n: refusal(503, "Away.")
        assert "gives no usable answer after 1 attempts (status 503): Away." in str(tick(found).skip_message)


def test_a_window_whose_batch_is_missing_keeps_no_other_from_going_on(tmp_path: Path) -> None:
    with batched(tmp_path, max_attempts=1) as (found, server):
        found.write(1)
        for window in (FIRST, SECOND):
            found.run(window)
        server.batches[0].facts["id"] = "of another project"
        ticked = tick(found)
        # The other window's batch may have ended by now.
        assert f"; {FIRST}: " in str(ticked.skip_message)
        assert "check that llm.api_key is of the same project" in str(ticked.skip_message)
        while ticked.skip_message:
            ticked = tick(found)
        assert [request.partition_key for request in ticked.run_requests] == [SECOND]


def test_nobody_is_told_of_a_failure_where_a_window_waits(tmp_path: Path) -> None:
    with batched(tmp_path) as (found, _):
        result = found.run()
        (event,) = [event for event in result.all_events if event.is_run_failure]
        run = found.instance.get_run_by_id(result.run_id)
        assert run is not None
        context = dg.build_run_status_sensor_context(
            sensor_name=f"{NAME}_run_failed", dagster_instance=found.instance, dagster_run=run, dagster_event=event
        ).for_run_failure()
        skipped = found.definitions.resolve_sensor_def(f"{NAME}_run_failed")(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "waits for batches" in str(skipped.skip_message)


def test_a_loop_whose_calls_are_direct_has_no_such_sensor(tmp_path: Path) -> None:
    found = Desk(tmp_path, "http://127.0.0.1:1/v1")
    assert SENSOR not in {sensor.name for sensor in found.definitions.sensors or ()}


def test_a_cap_that_stops_a_batch_says_what_is_missing(tmp_path: Path) -> None:
    with batched(tmp_path, budget_tokens=3000) as (found, server):
        stage, text = failure(run_to_the_end(found))
    assert stage == "eval_results"
    assert "the spend cap is reached" in text
    assert "Missing: " in text
    assert sum(spend.prompt_tokens + spend.completion_tokens for spend in ledger(found).values()) <= 3000
    assert len(server.requests) > 1
