"""Claims about a window: they land on its partition, say why in words, and only the blocking ones stop a run."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster import AssetCheckSeverity

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.names import STAGES
from simulation.loops import FIRST, NAME, SECOND, WEEKS, Desk, checks, desk, simulated
from simulation.servers import Body, Reply, completion, refusal

CLAIMS = {
    "window_has_traces": "traces",
    "calls_can_be_replayed": "traces",
    "spans_are_readable": "eval_results",
    "unscored_share_is_low": "eval_results",
    "judges_are_steady": "judge_watch",
    "judges_are_fair": "judge_watch",
    "one_policy_spoke": "baseline_state_actions",
    "enough_can_be_replayed": "baseline_state_actions",
    "every_split_has_samples": "baseline_state_actions",
    "promise_is_kept": "next_window_results",
    "policy_keeps_its_variables": "updated_policy",
    "updater_is_usable": "updated_policy",
    "guard_stopped_nothing": "updated_policy",
    "selection_is_scored": "updated_policy",
    "replays_are_scored": "validation_results",
    "no_slice_loses": "validation_results",
    "error_budget_is_left": "validation_results",
    "candidate_is_better": "validation_results",
    "promotion_rests_on_evidence": "promoted_policy",
    "approved_policy_is_in_force": "promoted_policy",
    "published_where_asked": "promoted_policy",
}
BLOCKING = {
    "calls_can_be_replayed",
    "unscored_share_is_low",
    "policy_keeps_its_variables",
    "selection_is_scored",
    "replays_are_scored",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, dg.ExecuteInProcessResult]]:
    with desk(tmp_path_factory.mktemp("checks")) as (found, _):
        found.write()
        yield found, found.run()


def test_every_claim_is_looked_at_and_holds_in_a_good_window(ran: tuple[Desk, dg.ExecuteInProcessResult]) -> None:
    found = checks(ran[1])
    assert {name: check.asset_key.path[-1] for name, check in found.items()} == CLAIMS
    assert {name for name, check in found.items() if not check.passed} == set()
    assert all(check.description for check in found.values())


def test_results_land_on_their_window(ran: tuple[Desk, dg.ExecuteInProcessResult]) -> None:
    assert {check.partition for check in checks(ran[1]).values()} == {FIRST}
    instance = ran[0].instance
    for name, stage in CLAIMS.items():
        key = dg.AssetCheckKey(dg.AssetKey([NAME, stage]), name)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        assert record.partition == FIRST


def test_claims_say_what_they_mean_and_whether_they_block(ran: tuple[Desk, dg.ExecuteInProcessResult]) -> None:
    graph = ran[0].definitions.resolve_asset_graph()
    for name, stage in CLAIMS.items():
        node = graph.get(dg.AssetCheckKey(dg.AssetKey([NAME, stage]), name))
        assert len(node.description or "") > 30
        assert node.blocking == (name in BLOCKING)
    severities = {name: check.severity for name, check in checks(ran[1]).items()}
    assert {name for name, severity in severities.items() if severity == AssetCheckSeverity.ERROR} == BLOCKING


def test_a_window_of_another_policy_is_noticed(tmp_path: Path) -> None:
    """The application still speaks under the old prompt in the week after another came into force."""
    with desk(tmp_path) as (found, _):
        found.put_in_force("Be brief.", WEEKS[0].end)
        found.write(1)
        result = found.run(SECOND, *STAGES[: STAGES.index("baseline_state_actions") + 1])
    assert result.success
    spoke = checks(result)["one_policy_spoke"]
    assert (spoke.passed, spoke.severity) == (False, AssetCheckSeverity.WARN)
    assert "0%" in str(spoke.description)
    assert found.document("baseline_state_actions", StateActions, SECOND).policy_version == 1


def test_a_window_too_small_for_every_split_says_so(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(conversations=2)
        result = found.run()
    assert result.success
    split = checks(result)["every_split_has_samples"]
    assert not split.passed
    assert ": 0" in str(split.description)
    better = checks(result)["candidate_is_better"]
    assert not better.passed
    assert str(better.description).startswith("inconclusive")


def test_a_candidate_that_obeys_a_note_is_reported(tmp_path: Path) -> None:
    with desk(tmp_path) as (found, _):
        found.write(injected=True)
        result = found.run()
    assert result.success
    stopped = checks(result)["guard_stopped_nothing"]
    assert not stopped.passed
    assert "URL" in str(stopped.description)
    assert stopped.metadata["candidates_stopped_by_guard"].value != 0


def test_samples_that_lack_a_variable_of_the_policy_are_named(tmp_path: Path) -> None:
    """A policy with variables came into force, while the traces record none: nothing can be replayed."""
    with desk(tmp_path) as (found, _):
        found.write()
        found.put_in_force("Help {customer}.", WEEKS[0].start, "customer")
        result = found.run()
    assert result.success
    state = found.document("baseline_state_actions", StateActions)
    assert (state.samples, state.policy_share) == ((), 0.0)
    assert "customer" in state.skipped[0]
    assert not checks(result)["every_split_has_samples"].passed
    assert set(state.left_out) == {"variables_unknown"}
    enough = checks(result)["enough_can_be_replayed"]
    assert (enough.passed, enough.description) == (False, state.refusal)
    assert str(state.refusal) in found.document("updated_policy", PolicyUpdate).reason


def test_another_call_of_the_application_is_named_and_left_out(tmp_path: Path) -> None:
    title = Actions(
        system_prompt="Write a headline of at most eight words for the text below, without a full stop.",
        model="simulated-application",
    )
    with desk(tmp_path) as (found, _):
        found.write(0, title, conversations=12)
        written = found.folder / "traces" / f"traces-{FIRST}.parquet"
        rows = pq.read_table(written).to_pylist()
        ids = ("context.span_id", "context.trace_id", "attributes.session.id")
        named = [{**row, **{key: f"title {row[key]}" for key in ids}} for row in rows]
        pq.write_table(pa.Table.from_pylist(named, pq.read_schema(written)), written.with_stem("titles"))
        found.write()
        result = found.run(FIRST, *STAGES[: STAGES.index("baseline_state_actions") + 1])
    assert result.success
    state = found.document("baseline_state_actions", StateActions)
    assert set(state.left_out) == {"another_call"}
    spoke = checks(result)["one_policy_spoke"]
    assert spoke.passed
    assert "“Write a headline of at most eight words for the text below,…” (text as sent, another call)" in str(
        spoke.description
    )
    assert "another call of the application" in str(checks(result)["enough_can_be_replayed"].description)
    assert state.actions != title


UNUSABLE: list[tuple[Body | Reply, str]] = [
    (completion("<think>I should look at the failures first."), "not of the form asked for: '<think>I should"),
    (completion("I'm sorry, but I can't help with that."), "I can't help with that."),
    (completion('{"thoughts": "", "edits": [', finish_reason="length"), "cut off at the token limit"),
    (refusal(400, "the maximum context length is 8192 tokens", code="context_length_exceeded"), "maximum context"),
]


def test_an_updater_of_whose_answers_none_can_be_used_fails_its_check(tmp_path: Path) -> None:
    """The window runs once, and its search again for each cause."""
    script = [UNUSABLE[0][0]]

    def answer(body: Body, number: int) -> Body | Reply:
        return script[-1] if body["model"] == "simulated-optimizer" else simulated(body, number)

    with desk(tmp_path, answer) as (found, _):
        found.write(conversations=24)
        assert found.run().success
        report = found.folder / ".sia" / "reports" / NAME / f"{FIRST}.html"
        assert "no answer of the proposing model could be used" in report.read_text(encoding="utf-8")
        for reply, cause in UNUSABLE:
            script.append(reply)
            (found.folder / ".sia" / "completions.sqlite").unlink()
            result = found.run(FIRST, "updated_policy")
            assert result.success
            usable = checks(result)["updater_is_usable"]
            assert (usable.passed, usable.severity) == (False, AssetCheckSeverity.WARN)
            assert str(usable.description).startswith("0 of ")
            assert " answers of the updater could be used. The first, edits-1: " in str(usable.description)
            assert cause in str(usable.description)
