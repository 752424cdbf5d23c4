"""One window through the real job: what is stored, where, and what people see of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sia_dagster.adapters.files.span_table import read_sampled
from sia_dagster.core.openinference.schema import SPAN_COLUMNS, SPAN_SCHEMA
from sia_dagster.core.records.eval_rows import EVAL_RESULT_COLUMNS
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.defs.names import STAGES
from sia_dagster.defs.progress_log import listen
from sia_dagster.defs.table_types import EVAL_RESULTS_TYPE, eval_results_frame
from simulation.loops import FIRST, NAME, WEEKS, Desk, desk, materialization, materialized, metadata
from simulation.servers import ScriptedServer

Run = tuple[Desk, dg.ExecuteInProcessResult, ScriptedServer]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with desk(tmp_path_factory.mktemp("desk")) as (found, server):
        found.write(errors=2)
        yield found, found.run(), server


def spent_in(run: Run, stage: str) -> list[Any]:
    """The ledger's lines of a stage; none where it asked no model."""
    spend = shown(run, stage).get("spend")
    return list(spend.records) if spend else []


def shown(run: Run, stage: str) -> dict[str, Any]:
    return metadata(run[1], stage)


def test_all_stages_are_stored_under_their_window(run: Run) -> None:
    found, result, _ = run
    assert result.success
    assert materialized(result) == set(STAGES)
    stored = {p.relative_to(found.folder / ".sia" / "assets") for p in (found.folder / ".sia/assets").rglob("*.*")}
    assert stored == {
        Path(NAME, "traces", f"{FIRST}.parquet"),
        Path(NAME, "eval_results", f"{FIRST}.parquet"),
        Path(NAME, "judge_watch", f"{FIRST}.json"),
        Path(NAME, "baseline_state_actions", f"{FIRST}.json"),
        Path(NAME, "next_window_results", f"{FIRST}.json"),
        Path(NAME, "updated_policy", f"{FIRST}.json"),
        Path(NAME, "validation_results", f"{FIRST}.json"),
        Path(NAME, "promoted_policy", f"{FIRST}.json"),
    }
    assert {materialization(result, stage).partition for stage in STAGES} == {FIRST}


def test_traces_hold_every_call_and_the_text_of_the_sampled_ones(run: Run) -> None:
    found, _, _ = run
    rows = found.rows("traces")
    assert list(rows[0]) == SPAN_SCHEMA.names
    assert all(WEEKS[0].start <= row["start_time"] < WEEKS[0].end for row in rows)
    assert [row["start_time"] for row in rows] == sorted(row["start_time"] for row in rows)
    failed = [row for row in rows if row["status"] == "ERROR"]
    assert len(failed) == 2
    assert {row["span_id"] for row in rows if not row["sampled"]} == {row["span_id"] for row in failed}
    assert {row["span_id"] for row in read_sampled(found.file("traces")).rows} == {
        row["span_id"] for row in rows if row["sampled"]
    }
    assert shown(run, "traces") | {
        "dagster/row_count": len(rows),
        "calls": len(rows),
        "calls_sampled": len(rows) - 2,
        "error_share": round(2 / len(rows), 6),
        "records_unreadable": 0,
    } == shown(run, "traces")


def test_eval_results_hold_one_row_a_span_and_evaluator(run: Run) -> None:
    found, _, _ = run
    rows, sampled = found.rows("eval_results"), read_sampled(found.file("traces")).rows
    assert list(rows[0]) == list(EVAL_RESULT_COLUMNS)
    assert {(row["span_id"], row["evaluator"]) for row in rows} == {
        (span["span_id"], name) for span in sampled for name in ("correctness", "is_brief")
    }
    assert len(rows) == 2 * len(sampled)
    judged = [row for row in rows if row["evaluator"] == "correctness"]
    assert {(row["label"], row["score"]) for row in judged} == {("correct", 1.0), ("incorrect", 0.0)}
    assert all(row["explanation"] and row["cost_usd"] > 0 and row["attempts"] == 1 for row in judged)
    assert {row["source"] for row in rows} == {"llm_classify", "code"}
    seen = shown(run, "eval_results")
    assert seen["dagster/row_count"] == len(rows)
    assert seen["score/correctness"] == pytest.approx(sum(r["score"] for r in judged) / len(judged), abs=1e-6)
    assert seen["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in judged))
    assert (seen["unscored"], seen["spans_skipped"]) == (0, 0)


def test_documents_are_what_their_models_say(run: Run) -> None:
    found, _, _ = run
    state = found.document("baseline_state_actions", StateActions)
    update = found.document("updated_policy", PolicyUpdate)
    report = found.document("validation_results", ValidationReport)
    promotion = found.document("promoted_policy", Promotion)
    assert {part.window for part in (state, update, report, promotion)} == {WEEKS[0]}
    assert {part.loop for part in (state, update, report, promotion)} == {NAME}
    assert (state.policy_version, state.policy_share) == (None, 1.0)
    assert state.actions == update.baseline == report.baseline
    assert update.changed
    assert report.candidate == update.candidate
    assert {row.span_id for row in report.rows} == {sample.span_id for sample in state.of("holdout")}
    assert promotion.promoted
    assert promotion.promoted.actions == report.candidate
    assert promotion.promoted.by == "auto"
    assert found.versions == (promotion.promoted,)


def test_sentences_keep_where_they_are_from_when_they_come_into_force(run: Run) -> None:
    found, _, _ = run
    update = found.document("updated_policy", PolicyUpdate)
    promoted = found.document("promoted_policy", Promotion).promoted
    assert promoted is not None
    assert promoted.provenance == update.provenance
    assert update.provenance
    for origin in promoted.provenance:
        assert origin.text in promoted.actions.system_prompt
        assert (origin.window, origin.strategy) == (FIRST, "edits")
        assert origin.samples
        assert 0 < origin.mended <= origin.probed
    assert "<mark>" in Path(shown(run, "validation_results")["report"]).read_text(encoding="utf-8")


def test_what_each_strategy_used_can_be_read(run: Run) -> None:
    seen = shown(run, "updated_policy")
    (used,) = seen["strategies"].records
    assert used.data["strategy"] == "edits"
    assert used.data["why it ended"]
    assert seen["search_calls"] == int(used.data["all answers"]) == seen["model_calls"]
    assert seen["search_cost_usd"] >= seen["cost_usd"], "an answer that another stage paid for counts, too"


def test_numbers_are_numbers_so_that_they_plot(run: Run) -> None:
    found, _, _ = run
    report = found.document("validation_results", ValidationReport)
    validated = shown(run, "validation_results")
    assert report.primary
    for name in ("difference", "ci_low", "ci_high", "p_value"):
        assert validated[f"correctness/{name}"] == pytest.approx(getattr(report.primary, name), abs=1e-6)
    assert validated["correctness/baseline"] == pytest.approx(report.primary.baseline_mean, abs=1e-6)
    for stage in ("eval_results", "updated_policy", "validation_results"):
        seen = shown(run, stage)
        assert isinstance(seen["cost_usd"], float)
        assert seen["cost_usd"] > 0
        assert all(isinstance(seen[name], int) and seen[name] > 0 for name in ("tokens", "model_calls"))


def test_every_paid_call_is_counted_once(run: Run) -> None:
    _, _, server = run
    stages = ("eval_results", "judge_watch", "next_window_results", "updated_policy", "validation_results")
    paid = sum(shown(run, stage)["model_calls_paid_in_this_run"] for stage in stages)
    assert paid == len(server.requests)
    spent = {record.data["stage and model"] for stage in stages for record in spent_in(run, stage)}
    assert spent == {
        "judge simulated-judge",
        "judge/probe simulated-judge",
        "replay simulated-application",
        "replay/probe simulated-application",
        "update simulated-optimizer",
    }


@pytest.mark.parametrize(("stage", "columns"), [("traces", SPAN_COLUMNS), ("eval_results", EVAL_RESULT_COLUMNS)])
def test_every_column_is_described(run: Run, stage: str, columns: dict[str, str]) -> None:
    schema = shown(run, stage)["dagster/column_schema"]
    assert {column.name: column.description for column in schema.columns} == dict(columns)


@pytest.mark.parametrize(
    ("stage", "name", "text"),
    [
        ("baseline_state_actions", "policy_in_force", "customers' messages"),
        ("updated_policy", "prompt_diff", "+"),
        ("updated_policy", "prompt_diff", "model, parameters, examples and tools stay"),
        ("updated_policy", "edits", "Add"),
        ("updated_policy", "candidates_tried", "chosen for validation"),
        ("updated_policy", "sentences_of_the_loop", "samples mended"),
        ("validation_results", "comparison", "correctness"),
        ("validation_results", "worst_samples", "order"),
        ("validation_results", "most_improved_samples", "order"),
        ("validation_results", "reasons", "correctness rose"),
    ],
)
def test_what_happened_can_be_read(run: Run, stage: str, name: str, text: str) -> None:
    entry = materialization(run[1], stage).metadata[name]
    assert isinstance(entry, dg.MarkdownMetadataValue)
    assert text in str(entry.value)


def test_the_report_is_where_the_metadata_says(run: Run) -> None:
    report = Path(shown(run, "validation_results")["report"])
    assert report == run[0].folder / ".sia" / "reports" / NAME / f"{FIRST}.html"
    assert "accept" in report.read_text(encoding="utf-8")


def test_every_asset_says_what_it_is(run: Run) -> None:
    assets = run[0].definitions.resolve_asset_graph()
    for stage in STAGES:
        node = assets.get(dg.AssetKey([NAME, stage]))
        assert len(node.description or "") > 40
        assert node.kinds
        assert node.tags["sia/loop"] == NAME
        assert node.group_name == NAME
        assert isinstance(node.partitions_def, dg.TimeWindowPartitionsDefinition)


def test_a_listener_hears_how_far_each_stage_is(run: Run) -> None:
    """What the command's bar shows; the log gets a line at each tenth of the way."""
    found, _, _ = run
    progress: list[tuple[int, int, str]] = []
    with listen(lambda step: progress.append((step.done, step.of, step.what))):
        assert found.run().success
    ends = {what: (done, of) for done, of, what in progress}
    replays = {"probe replay", "holdout replay", "noise replay", "noise judging"}
    assert set(ends) == {"evaluations", "judgements of judges", *replays}
    assert all(done == of for done, of in ends.values())
    silent = len(progress)
    assert found.run(FIRST, "eval_results").success
    assert len(progress) == silent


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "guessed"}, "source"),
        ({"attempts": -1}, "attempts"),
        ({"span_id": None}, "span_id"),
        ({"score": "high"}, "score"),
    ],
)
def test_what_is_no_eval_result_is_refused(change: dict[str, Any], message: str) -> None:
    metrics = EvalMetrics(name="is_brief", score=1.0, source="code")
    frame = eval_results_frame({"a": (metrics,), "b": (metrics.model_copy(update={"score": None, "error": "hung"}),)})
    fine = dg.check_dagster_type(EVAL_RESULTS_TYPE, frame)
    bad = dg.check_dagster_type(EVAL_RESULTS_TYPE, frame.assign(**change))
    assert (fine.success, bad.success) == (True, False)
    assert message in str(bad.description)


def test_a_protected_passage_that_the_policy_lacks_is_named(tmp_path: Path) -> None:
    there, gone = "Be polite", "Never promise a refund."
    policy = {"model": "simulated-optimizer", "candidates": 1, "protected": [there, gone]}
    with desk(tmp_path, policy=policy) as (found, _):
        found.write(conversations=12)
        shown_now = metadata(found.run(), "updated_policy")
    assert [record.data for record in shown_now["protected_but_not_there"].records] == [{"passage": gone}]
