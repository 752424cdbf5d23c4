"""A person decides in the Launchpad: what the asset records, what its checks say, and who is told."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetCheckSeverity

from sia_dagster.adapters.files.registry_files import DecisionFiles
from sia_dagster.core.records.gate import TrafficCost
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyDecision, Promotion
from sia_dagster.core.records.report import ValidationReport, Verdict
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster_tests.worlds import verdicts
from simulation.loops import FIRST, NAME, SECOND, WEEKS, Desk, checks, failure, loop_config, metadata

NEW: Actions = BASE_POLICY.model_copy(update={"system_prompt": BASE_POLICY.system_prompt + " Name the order."})


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Desk]:
    """A loop that promotes by itself, whose first window was decided as it closed; nothing is asked of a model."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Desk(tmp_path, "http://127.0.0.1:9/v1", loop_config(), instance=instance)


def decided(found: Desk, verdict: Verdict = "accept") -> ValidationReport:
    report = verdicts.report(WEEKS[0], BASE_POLICY, NEW, loop=NAME, verdict=verdict)
    verdicts.store(found.folder, report)
    return report


def decisions(found: Desk) -> tuple[PolicyDecision, ...]:
    return DecisionFiles(found.folder / ".sia", NAME).decisions()


def run(found: Desk, **config: object) -> dg.ExecuteInProcessResult:
    result = found.run(FIRST, "promoted_policy", config=dict(config))
    assert result.success
    return result


def test_the_job_promotes_an_accepted_window_and_decides_nothing_in_a_persons_name(found: Desk) -> None:
    decided(found)
    result = run(found)
    (version,) = found.versions
    assert (version.by, version.actions, version.at) == ("auto", NEW, WEEKS[0].end)
    assert decisions(found) == ()
    assert metadata(result, "promoted_policy")["override"] is False


def test_a_rejection_is_recorded_and_the_job_leaves_the_window_alone(found: Desk) -> None:
    decided(found)
    result = run(found, decision="reject", approved_by="Bo", note="too curt")
    (decision,) = decisions(found)
    assert (decision.kind, decision.by, decision.note, decision.at) == ("reject", "Bo", "too curt", WEEKS[0].end)
    assert {name: metadata(result, "promoted_policy")[name] for name in ("promoted", "decision", "decided_by")} == {
        "promoted": False,
        "decision": "reject",
        "decided_by": "Bo",
    }
    assert all(check.passed for check in checks(result).values())
    by_itself = run(found)
    assert found.versions == ()
    assert checks(by_itself)["approved_policy_is_in_force"].passed
    assert "Bo rejected the candidate" in found.document("promoted_policy", Promotion).reason


def test_an_override_is_a_failed_check_that_names_who_and_why(found: Desk) -> None:
    decided(found, "inconclusive")
    result = run(found, approved_by="Ada", note="the shop opens tomorrow", override=True)
    (version,) = found.versions
    assert (version.override, version.by, version.note) == (True, "Ada", "the shop opens tomorrow")
    check = checks(result)["promotion_rests_on_evidence"]
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert "Ada put version 1 in force past the gate" in str(check.description)
    assert "the shop opens tomorrow" in str(check.description)
    assert [each.kind for each in decisions(found)] == ["override"]


@pytest.mark.parametrize("config", [{}, {"approved_by": "Ada"}, {"note": "why", "override": True}])
def test_nothing_passes_a_failed_gate_without_a_signed_override(found: Desk, config: dict[str, object]) -> None:
    decided(found, "inconclusive")
    result = run(found, **config)
    assert (found.versions, decisions(found)) == ((), ())
    assert "the verdict is inconclusive" in metadata(result, "promoted_policy")["reason"]
    assert not checks(result)["approved_policy_is_in_force"].passed


def test_a_document_that_was_edited_to_accept_promotes_nothing(found: Desk) -> None:
    decided(found, "reject")
    file = found.file("validation_results")
    file.write_text(file.read_text(encoding="utf-8").replace('"reject"', '"accept"'), encoding="utf-8")
    result = run(found, approved_by="Ada", note="looks fine")
    assert found.versions == ()
    check = checks(result)["approved_policy_is_in_force"]
    assert not check.passed
    assert "according to the looks ledger, this window's holdout gave reject" in str(check.description)


def test_another_windows_verdict_promotes_nothing(found: Desk) -> None:
    """A document that was copied, or restored to the wrong place: its look and its numbers agree with each other."""
    decided(found)
    found.file("validation_results").rename(found.file("validation_results", SECOND))
    result = found.run(SECOND, "promoted_policy", config={"approved_by": "Ada", "note": "looks fine"})
    assert not result.success
    stage, text = failure(result)
    assert stage == "promoted_policy"
    assert f"window {SECOND}: the stored verdict is that of loop {NAME}, window {FIRST}" in text
    assert (found.versions, decisions(found)) == ((), ())


@pytest.mark.parametrize(("most", "in_force"), [(0.001, False), (5.0, True)])
def test_a_cost_that_was_bounded_since_the_verdict_counts(found: Desk, most: float, in_force: bool) -> None:
    """At the price of the configuration: a dollar for a million tokens."""
    cost = {"calls_a_week": 10_000.0, "baseline_prompt_tokens": 20, "candidate_prompt_tokens": 25}
    week = TrafficCost(**cost, baseline_completion_tokens=9, candidate_completion_tokens=9)
    verdicts.store(
        found.folder, verdicts.report(WEEKS[0], BASE_POLICY, NEW, loop=NAME).model_copy(update={"cost": week})
    )
    bounded = found.with_loop(policy={"model": "simulated-optimizer", "max_extra_usd_a_week": most})
    result = run(bounded, approved_by="Ada", note="read it")
    assert bool(found.versions) == in_force
    text = metadata(result, "promoted_policy")["reason"]
    assert ("policy.max_extra_usd_a_week allows 0.00" in text) != in_force


def test_a_repeated_run_of_the_asset_writes_the_same_bytes(found: Desk) -> None:
    decided(found)
    run(found, approved_by="Ada", note="read it")
    first = found.file("promoted_policy").read_bytes()
    run(found, approved_by="Bo")
    assert found.file("promoted_policy").read_bytes() == first
    assert len(decisions(found)) == 1
