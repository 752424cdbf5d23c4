"""The same window again: the same bytes and nothing paid; two at once: one promotion; the past knows no future."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest

from sia_dagster.core.records.next_window import NextWindowResults
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.names import STAGES
from sia_dagster.demo.application import BASE_POLICY
from simulation.loops import (
    FIRST,
    NAME,
    SECOND,
    THIRD,
    WEEKS,
    Desk,
    desk,
    let_go,
    materialized,
    metadata,
    simulated,
    start,
)
from simulation.servers import Reply, ScriptedServer

PAYING = ("eval_results", "updated_policy", "validation_results")


def report(found: Desk) -> str:
    return (found.folder / ".sia" / "reports" / NAME / f"{FIRST}.html").read_text(encoding="utf-8")


class Run(NamedTuple):
    """The first window as it ran once."""

    desk: Desk
    server: ScriptedServer
    contents: dict[str, object]
    paid: int


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Its server goes on; whoever runs the window again leaves it as it was, which is what is tested."""
    with desk(tmp_path_factory.mktemp("once")) as (found, server):
        found.write(errors=1)
        assert found.run().success
        yield Run(found, server, found.contents(), len(server.requests))


def test_a_window_run_twice_gives_the_same_bytes_and_pays_for_nothing(once: Run) -> None:
    found = once.desk
    page, promotion = report(found), found.file("promoted_policy").read_bytes()
    again = found.run()
    assert again.success
    assert found.contents() == once.contents
    assert report(found) == page
    assert len(once.server.requests) == once.paid
    assert {metadata(again, stage)["model_calls_paid_in_this_run"] for stage in PAYING} == {0}
    assert all(metadata(again, stage)["cost_usd"] > 0 for stage in PAYING)
    assert len(found.versions) == 1
    assert found.file("promoted_policy").read_bytes() == promotion


def test_a_fresh_folder_gives_the_same_result(once: Run, tmp_path: Path) -> None:
    """All but what was timed: answers come in another order, and from another store."""
    with desk(tmp_path) as (found, _):
        found.write(errors=1)
        assert found.with_llm(max_concurrency=1).run().success
    assert found.contents() == once.contents


def test_one_stage_materialised_alone_reads_what_the_others_stored(once: Run) -> None:
    for stage in STAGES:
        result = once.desk.run(FIRST, stage)
        assert result.success
        assert materialized(result) == {stage}
    assert once.desk.contents() == once.contents
    assert len(once.server.requests) == once.paid


def test_a_later_promotion_does_not_change_an_earlier_window(tmp_path: Path) -> None:
    better = "Name the order number. Say by when. Close with the signature."
    with desk(tmp_path, promotion="manual") as (found, _):
        found.write(0)
        found.write(1, BASE_POLICY.model_copy(update={"system_prompt": better}))
        assert found.run(FIRST).success
        before = found.contents(FIRST)
        found.put_in_force(better, WEEKS[0].end)
        assert found.run(FIRST).success
        assert found.contents(FIRST) == before
        assert found.run(SECOND).success
    state = found.document("baseline_state_actions", StateActions, SECOND)
    assert (state.policy_version, state.policy_share) == (1, 1.0)
    assert state.actions
    assert state.actions.system_prompt == better


def missing(found: Desk) -> set[str | None]:
    """The windows whose check of the window before the automation asks for."""
    evaluated = dg.evaluate_automation_conditions(found.definitions, found.instance)
    return set(evaluated.get_requested_partitions(dg.AssetKey([NAME, "next_window_results"])))


def test_a_backfill_in_any_order_gives_the_same_documents(tmp_path: Path) -> None:
    """Once the automation has filled in what windows could not check before the window before them had run."""
    weeks, found_in = (FIRST, SECOND, THIRD), list[dict[str, object]]()
    for order, gaps in ((weeks, set[str]()), (weeks[::-1], {SECOND, THIRD})):
        with desk(tmp_path / "-".join(order), promotion="manual", clock="now") as (found, _):
            for number, conversations in enumerate((44, 8, 8)):
                found.write(number, conversations=conversations)
            assert all(found.run(window).success for window in order)
            assert missing(found) == gaps
            assert all(found.run(window, "next_window_results").success for window in gaps)
            assert missing(found) == set()
            found_in.append({window: found.contents(window) for window in weeks})
            assert found.document("validation_results", ValidationReport).verdict == "accept"
            assert found.document("next_window_results", NextWindowResults, SECOND).found_in == WEEKS[0]
    assert found_in[0] == found_in[1]


def test_only_what_was_in_force_at_the_window_s_end_counts(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(0)
        found.put_in_force("Be brief.", WEEKS[1].start)
        assert found.run(FIRST).success
    state = found.document("baseline_state_actions", StateActions)
    assert (state.policy_version, state.actions) == (None, Actions.model_validate(BASE_POLICY))
    assert found.document("validation_results", ValidationReport).verdict == "accept"
    promotion = found.document("promoted_policy", Promotion)
    assert promotion.promoted is None
    assert "after the window's end" in promotion.reason
    assert [version.actions.system_prompt for version in found.versions] == ["Be brief."]


def test_two_runs_at_once_spoil_nothing_and_promote_once(once: Run, tmp_path: Path) -> None:
    with desk(tmp_path, lambda body, n: Reply(body=simulated(body), delay=0.005)) as (found, server):
        found.write(errors=1)
        children = [start(found), start(found)]
        assert [let_go(child) for child in children] == ["ready\n"] * 2
        assert [(child.communicate()[1], child.returncode) for child in children] == [("", 0)] * 2
        paid = len(server.requests)
        assert found.run().success
        assert len(server.requests) == paid
    assert found.contents() == once.contents
    (version,) = found.versions
    assert version.window == WEEKS[0]
    assert found.document("promoted_policy", Promotion).promoted == version
    assert [path.name for path in (found.folder / ".sia" / "assets").rglob(".*")] == []
