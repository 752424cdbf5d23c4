"""A validation as experiments, through the unpatched client and a server that speaks its wire."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_dagster.adapters.arize.experiments import (
    LONGEST_EXPLANATION,
    MOST_BYTES,
    MOST_ITEMS,
    ArizeExperiments,
    batches,
    experiment_rows,
    run_key,
)
from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow, Verdict
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster_tests.fakes.arize_rest import SPACE, ArizeRest, Json

START = datetime(2026, 11, 9, tzinfo=UTC)
WINDOW = TimeWindow(key="2026-11-09", start=START, end=START + timedelta(weeks=1))
OLD, NEW = Actions(system_prompt="Be kind.", model="small"), Actions(system_prompt="Be brief.", model="small")


def experiments_of(server: ArizeRest, **connection: Any) -> ArizeExperiments:
    return ArizeExperiments(server.connection(**connection), wait=lambda _: None)


def outcome(text: str, score: float | None = 1.0, **said: Any) -> ArmOutcome:
    found = {"name": "correctness", "label": "correct", "score": score, "explanation": "as it says", **said}
    return ArmOutcome(output=text, evals=(EvalMetrics(**found),))


def row(number: int, repeat: int = 0, **changes: Any) -> ValidationRow:
    found: Json = {
        "span_id": f"s{number:05d}",
        "conversation_id": f"c{number // 2}",
        "repeat": repeat,
        "request": f"What is {number}?",
        "baseline": outcome(f"old {number}", 0.0, label="incorrect"),
        "candidate": outcome(f"new {number} {repeat}"),
    }
    return ValidationRow(**{**found, **changes})


def report(*rows: ValidationRow, verdict: Verdict = "accept") -> ValidationReport:
    return ValidationReport(
        loop="desk", window=WINDOW, verdict=verdict, reasons=("because",), baseline=OLD, candidate=NEW, rows=rows
    )


def content(server: ArizeRest) -> object:
    """Everything that a user of the platform sees."""
    datasets = {d.name: d.examples for d in server.datasets.values()}
    return datasets, {e.name: e.runs for e in server.experiments.values()}


def test_both_policies_are_experiments_on_the_windows_dataset(server: ArizeRest) -> None:
    done = experiments_of(server).publish_validation(report(row(1), row(2)))
    dataset = server.datasets["desk-2026-11-09"]
    assert dataset.space_id == SPACE
    assert [{k: v for k, v in e.items() if k != "id"} for e in dataset.examples] == [
        {"span_id": "s00001", "conversation_id": "c0", "input": "What is 1?"},
        {"span_id": "s00002", "conversation_id": "c1", "input": "What is 2?"},
    ]
    old, new = (server.experiments[name] for name in done.experiments)
    assert old.name.startswith("desk-2026-11-09-baseline-")
    assert new.name.startswith("desk-2026-11-09-candidate-accept-")
    assert old.dataset_id == new.dataset_id == dataset.id
    assert [run["example_id"] for run in new.runs] == [run["example_id"] for run in old.runs]
    assert (done.dataset, done.runs, done.added) == ("desk-2026-11-09", 4, 4)


def test_a_run_carries_output_policy_and_evaluations(server: ArizeRest) -> None:
    done = experiments_of(server).publish_validation(report(row(1)))
    run = server.experiments[done.experiments[1]].runs[0]
    example_id = server.datasets[done.dataset].examples[0]["id"]
    assert {k: v for k, v in run.items() if k != "id"} == {
        "example_id": example_id,
        "output": "new 1 0",
        "span_id": "s00001",
        "conversation_id": "c0",
        "repeat": 0,
        "policy": "candidate",
        "policy_fingerprint": NEW.fingerprint,
        "model": "small",
        "eval.correctness.label": "correct",
        "eval.correctness.score": 1.0,
        "eval.correctness.explanation": "as it says",
    }


def test_twice_changes_nothing(server: ArizeRest) -> None:
    found = report(row(1), row(2))
    first = experiments_of(server).publish_validation(found)
    before, changes = content(server), list(server.changes)
    second = experiments_of(server).publish_validation(found)
    assert (content(server), server.changes) == (before, changes)
    assert second == first.model_copy(update={"added": 0})


def test_rows_in_another_order_are_the_same_experiment() -> None:
    assert experiment_rows(report(row(1), row(2)), "candidate") == experiment_rows(report(row(2), row(1)), "candidate")


def test_other_results_of_the_same_window_are_experiments_beside_the_first(server: ArizeRest) -> None:
    first = experiments_of(server).publish_validation(report(row(1)))
    again = report(row(1, candidate=outcome("another")), row(7), verdict="reject")
    second = experiments_of(server).publish_validation(again)
    assert set(first.experiments).isdisjoint(second.experiments)
    assert len(server.experiments) == 4
    assert second.experiments[1].startswith("desk-2026-11-09-candidate-reject-")
    assert [e["span_id"] for e in server.datasets["desk-2026-11-09"].examples] == ["s00001", "s00007"]


def test_repeats_are_runs_of_one_example(server: ArizeRest) -> None:
    done = experiments_of(server).publish_validation(report(row(1), row(1, 1), row(1, 2)))
    assert len(server.datasets[done.dataset].examples) == 1
    runs = server.experiments[done.experiments[1]].runs
    assert [run["repeat"] for run in runs] == [0, 1, 2]
    assert len({run["example_id"] for run in runs}) == 1


def test_nothing_replayed_is_nothing_sent(server: ArizeRest) -> None:
    done = experiments_of(server).publish_validation(report())
    assert (done.experiments, done.runs, server.requests) == ((), 0, [])


def test_what_failed_stands_there_with_its_error(server: ArizeRest) -> None:
    silent = EvalMetrics(name="correctness", error="the judge said neither")
    done = experiments_of(server).publish_validation(
        report(
            row(1, candidate=ArmOutcome(error="timed out")), row(2, candidate=ArmOutcome(output="new", evals=(silent,)))
        )
    )
    failed, unscored = server.experiments[done.experiments[1]].runs
    assert (failed["output"], failed["error"]) == ("", "timed out")
    assert unscored["eval.correctness.metadata.error"] == "the judge said neither"
    assert unscored.get("eval.correctness.score") is None


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_is_left_out(score: float | None) -> None:
    run = experiment_rows(report(row(1, candidate=outcome("x", score, label=None))), "candidate").runs[0]
    assert not [name for name in run if name.startswith("eval.")]


def test_a_long_explanation_is_cut_with_a_mark() -> None:
    run = experiment_rows(report(row(1, candidate=outcome("x", explanation="y" * 10_001))), "candidate").runs[0]
    assert len(run["eval.correctness.explanation"]) == LONGEST_EXPLANATION
    assert run["eval.correctness.explanation"].endswith("[...]")


def test_a_report_without_policies_has_runs_without_them() -> None:
    bare = report(row(1)).model_copy(update={"candidate": None})
    run = experiment_rows(bare, "candidate").runs[0]
    assert (run["policy_fingerprint"], run["model"]) == ("", "")


def test_more_rows_than_a_request_carries_all_arrive_once(server: ArizeRest) -> None:
    rows = [row(number) for number in range(2 * MOST_ITEMS + 5)]
    done = experiments_of(server).publish_validation(report(*rows))
    assert [e["span_id"] for e in server.datasets[done.dataset].examples] == [r.span_id for r in rows]
    for name in done.experiments:
        assert [run["span_id"] for run in server.experiments[name].runs] == [r.span_id for r in rows]
    assert done.added == 2 * len(rows)


@given(st.lists(st.integers(1, 3 * MOST_BYTES // 4), max_size=4))
@settings(max_examples=30)
def test_batches_keep_order_and_fit(sizes: list[int]) -> None:
    items = [{"n": number, "text": "x" * size} for number, size in enumerate(sizes)]
    found = list(batches(items))
    assert [item for batch in found for item in batch] == items
    assert all(sum(len(str(item["text"])) for item in batch) <= MOST_BYTES for batch in found)


def test_no_batch_has_more_items_than_allowed() -> None:
    assert [len(batch) for batch in batches([{"n": 0}] * (MOST_ITEMS + 1))] == [MOST_ITEMS, 1]


@pytest.mark.parametrize("repeat", [2, 2.0, "2", "2.0"])
def test_a_run_is_known_again_in_whatever_type_the_platform_keeps_its_repeat(repeat: object) -> None:
    assert run_key({"span_id": "s", "repeat": repeat}) == ("s", 2)
    assert run_key({"span_id": "s"}) == ("s", 0)


CALLS = [
    ("POST /v2/datasets$", 2),
    ("POST /v2/datasets/.*/examples$", MOST_ITEMS + 2),
    ("POST /v2/experiments$", 2),
    ("POST /v2/experiments/.*/runs$", MOST_ITEMS + 2),
    ("GET /v2/datasets$", 2),
    ("GET /v2/experiments$", 2),
    ("POST .*/search$", 2),
]
"""Each call, and how many rows it takes until it is made."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("route", "rows"), CALLS)
def test_a_lost_answer_leaves_nothing_twice(server: ArizeRest, route: str, rows: int, *, after: bool) -> None:
    found = report(*(row(number) for number in range(rows)))
    server.fail(route, status=503, after=after)
    done = experiments_of(server).publish_validation(found)
    assert len(server.datasets[done.dataset].examples) == rows
    assert [len(server.experiments[name].runs) for name in done.experiments] == [rows] * 2
    assert done.added == 2 * rows


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("route", "rows"), CALLS)
def test_cut_short_anywhere_it_is_completed_later(server: ArizeRest, route: str, rows: int, *, after: bool) -> None:
    found = report(*(row(number) for number in range(rows)))
    server.fail(route, status=403, after=after)
    with pytest.raises(PublishError, match="role in the space"):
        experiments_of(server).publish_validation(found)
    done = experiments_of(server).publish_validation(found)
    assert len(server.datasets[done.dataset].examples) == rows
    assert [len(server.experiments[name].runs) for name in done.experiments] == [rows] * 2


def test_samples_that_cannot_be_read_back_yet_are_told(server: ArizeRest) -> None:
    empty = b'{"examples": [], "pagination": {"has_more": false}}'
    server.fail("examples/search", status=200, body=empty, times=2)
    with pytest.raises(PublishError, match=r"1 of 1 samples .* cannot be read back yet"):
        experiments_of(server).publish_validation(report(row(1)))


def test_an_unknown_space_is_named_with_its_variable(server: ArizeRest) -> None:
    with pytest.raises(PublishError, match="ARIZE_SPACE_ID"):
        experiments_of(server, space_id="nowhere").publish_validation(report(row(1)))


def test_an_example_of_somebody_else_in_the_dataset_does_no_harm(server: ArizeRest) -> None:
    experiments_of(server).publish_validation(report(row(1)))
    server.datasets["desk-2026-11-09"].examples.insert(0, {"id": "by-hand", "question": "?"})
    done = experiments_of(server).publish_validation(report(row(1), row(2)))
    assert [run["span_id"] for run in server.experiments[done.experiments[0]].runs] == ["s00001", "s00002"]


def test_nothing_of_the_client_is_printed(server: ArizeRest, capfd: pytest.CaptureFixture[str]) -> None:
    experiments_of(server).publish_validation(report(row(1)))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
