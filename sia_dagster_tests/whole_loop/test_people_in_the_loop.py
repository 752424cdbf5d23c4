"""People's annotations through the real job: beside the judge in UI and report, and never before a model."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sia_dagster.adapters.files.span_table import read_sampled
from sia_dagster.core.openinference.samples import samples_from_rows
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.replay.replay import ReplayPlan, replay
from sia_dagster_tests.worlds.search_world import BASELINE, WINDOW, Shop, in_shop, sample
from simulation.loops import CORRECTNESS, IS_BRIEF, Desk, desk, metadata
from simulation.servers import ScriptedServer

NOTE = "a note that only people may read"


CSAT = {"name": "csat", "kind": "platform"}


Run = tuple[Desk, dg.ExecuteInProcessResult, ScriptedServer]


def annotate(file: Path) -> None:
    """People call every second answer correct, and rate every fourth of them."""
    table = pq.read_table(file)
    rows = range(table.num_rows)
    columns = {
        "annotation.correctness.label": [("Correct", None, "incorrect", None)[n % 4] for n in rows],
        "annotation.correctness.text": [NOTE if n % 2 == 0 else None for n in rows],
        "annotation.csat.score": [1.0 if n % 4 == 0 else None for n in rows],
        "eval.csat.score": [0.5] * table.num_rows,
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, file)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with desk(tmp_path_factory.mktemp("desk")) as (found, server):
        found.write()
        for file in (found.folder / "traces").rglob("*.parquet"):
            annotate(file)
        with_people = found.with_loop(evaluators=[CORRECTNESS, IS_BRIEF, CSAT])
        yield with_people, with_people.run(), server


def test_the_asset_carries_kappa_and_counts_as_numbers(run: Run) -> None:
    assert run[1].success
    seen = metadata(run[1], "eval_results")
    annotated = [row for row in read_sampled(run[0].file("traces")).rows if "correctness" in (row["annotations"] or "")]
    assert annotated
    assert isinstance(seen["annotated_correctness"], int)
    assert 0 < seen["annotated_correctness"] <= len(annotated)
    assert isinstance(seen["kappa_correctness"], float)
    assert -1 <= seen["kappa_correctness"] <= 1
    assert "correctness and people agree on" in seen["judge_and_people"]
    assert {name for name in seen if name.startswith(("kappa_", "annotated_"))} == {
        "kappa_correctness",
        "annotated_correctness",
    }


def test_the_report_has_the_section(run: Run) -> None:
    report = Path(metadata(run[1], "validation_results")["report"]).read_text(encoding="utf-8")
    assert "<h2>Agreement with people</h2>" in report
    assert NOTE in report


def test_annotations_are_kept_with_the_samples(run: Run) -> None:
    state = run[0].document("baseline_state_actions", StateActions)
    said = [word for sample in state.samples for word in sample.annotations]
    assert {word.name for word in said} == {"correctness", "csat"}
    assert {word.explanation for word in said if word.name == "correctness"} == {NOTE}


def test_a_platform_score_is_peoples_where_they_gave_one(run: Run) -> None:
    rows = [row for row in run[0].rows("eval_results") if row["evaluator"] == "csat"]
    assert {(row["score"], row["explanation"]) for row in rows} == {(1.0, "annotated by people"), (0.5, None)}


def test_no_model_ever_reads_what_people_wrote(run: Run) -> None:
    assert run[2].requests
    assert NOTE not in json.dumps(run[2].requests)


def test_a_replayed_answer_has_no_score_of_people(run: Run) -> None:
    report = run[0].document("validation_results", ValidationReport)
    arms = [arm for row in report.rows for arm in (row.baseline, row.candidate)]
    assert arms
    assert [arm.score("csat") for arm in arms] == [None] * len(arms)


class Looks:
    """An evaluator that keeps what it was given."""

    constant = EvalConstant(name="looks", kind="code", fingerprint="f")

    def __init__(self) -> None:
        self.given: list[Sample] = []

    async def score(self, sample: Sample, draw: str) -> EvalMetrics:
        self.given.append(sample)
        return EvalMetrics(name="looks", score=1.0, explanation=draw)


def test_what_people_said_of_the_logged_answer_does_not_go_with_a_replayed_one(tmp_path: Path) -> None:
    word = EvalMetrics(name="looks", score=0.0, source="platform")
    logged, looks = sample(0, "holdout").model_copy(update={"annotations": (word,)}), Looks()

    async def work(chat: ChatModel) -> object:
        plan = ReplayPlan(scope="holdout", window=WINDOW.key, repeats=1, workers=1)
        return await replay([logged], [BASELINE], chat=chat, evaluators=[looks], plan=plan)

    with ScriptedServer(Shop()) as server:
        in_shop(server, tmp_path, work)
    assert [(given.span_id, given.annotations) for given in looks.given] == [(logged.span_id, ())]


def test_a_window_stored_without_the_column_still_loads(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.parquet"
    pq.write_table(pq.read_table(run[0].file("traces")).drop_columns(["annotations"]), file)
    old = samples_from_rows(read_sampled(file).rows)
    assert old.samples
    assert old.skipped == ()
    assert all(sample.annotations == () for sample in old.samples)
