"""The Python entry point over Arize's wire: found by the variables that users have set, evaluations put back."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import flight

from sia_dagster.adapters.arize.evaluations import ArizeEvaluations
from sia_dagster.core.errors import ConfigError, TraceError, WriteBackError
from sia_dagster.core.records.sample import Sample
from sia_dagster.demo.application import BASE_POLICY
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WeekPlan, week_windows, write_traffic
from sia_dagster.runners import ArizeTracesConfig, LLMConfig, Models, WorkflowOrchestrator, llm_classify
from sia_dagster.runners.eval_pipeline import EvalPipeline
from simulation.arize_flight import KEY, PROJECT, SPACE, ArizeFlight

WEEK = week_windows()[0]
OTHER = "another_project"
TELEMETRY: dict[str, Any] = {"model_id": PROJECT, "start_time": WEEK.start, "end_time": WEEK.end, "limit": 20}
NAMES = ("ARIZE_SPACE_ID", "ARIZE_MODEL_ID", "ARIZE_API_KEY", "SIA_TRACES", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@dataclass(frozen=True)
class Account:
    """A space with two projects, its variables set, and the simulated provider."""

    store: ArizeFlight
    provider: SimulatedProvider

    def orchestrator(self, **given: Any) -> WorkflowOrchestrator:
        settings = {
            "llm": LLMConfig(base_url=self.provider.base_url),
            "models": Models(judge="simulated-judge", updater="simulated-optimizer"),
        }
        return WorkflowOrchestrator(**{**settings, **given})

    def scores(self, name: str) -> dict[str, Any]:
        return {span: evaluation[name] for span, evaluation in self.store.evaluations.items() if name in evaluation}

    def drop(self, *span_ids: str) -> None:
        table = self.store.tables[PROJECT]
        kept = pc.invert(pc.is_in(table["context.span_id"], pa.array(span_ids, pa.string())))
        self.store.tables[PROJECT] = table.filter(kept)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with ArizeFlight(now=WEEK.end) as store, SimulatedProvider() as provider:
        there = {"ARIZE_SPACE_ID": SPACE, "ARIZE_MODEL_ID": PROJECT, "ARIZE_API_KEY": KEY}
        for name, value in {**store.environment, **there}.items():
            monkeypatch.setenv(name, value)
        for project, conversations in ((PROJECT, 60), (OTHER, 12)):
            file = write_traffic(tmp_path / project, WEEK, None, WeekPlan(conversations=conversations))
            store.receive(file, project=project)
        yield Account(store, provider)


def is_brief(sample: Sample) -> bool:
    return len(sample.output.split()) <= 80


def run(account: Account, evaluator: Any = is_brief, **changes: Any) -> pd.DataFrame:
    given = {"evaluator_name": "brief", "get_telemetry_kwargs": TELEMETRY, "upsert": True, **changes}
    return account.orchestrator().run_eval_pipeline(evaluator=evaluator, **given)


def run_at(account: Account, now: datetime, evaluator: Any) -> pd.DataFrame:
    """As `run` at another time than today's."""
    store = ArizeEvaluations(account.store.connection())
    spans = account.orchestrator().spans
    pipeline = EvalPipeline(name="brief", storage=Path("storage"), spans=spans, store=store, clock=lambda: now)
    return pipeline.run(evaluator, TELEMETRY, upsert=True)


def test_the_loop_runs_from_the_variables_alone(account: Account) -> None:
    results = account.orchestrator().run_complete_workflow(
        start_date=WEEK.start.date(),
        end_date=WEEK.end.date(),
        evaluator_names=["correctness", "helpfulness"],
        limit=50,
        checkpoint=True,
    )
    baseline = results["baseline_state_actions"]
    assert len(baseline.samples) == 50
    assert baseline.actions == BASE_POLICY
    assert results["updated_actions"] == results["updated_validation_results"].candidate
    assert {c.evaluator for c in results["updated_validation_results"].comparisons} == {"correctness", "helpfulness"}
    assert sorted(file.name for file in Path(".sia/checkpoints").rglob("*.json")) == [
        *("baseline_state_actions.json", "updated_policy.json", "validation_results.json")
    ]
    query = account.store.seen.queries[-1]
    assert (query["spaceId"], query["modelId"]) == (SPACE, PROJECT)
    assert "attributes.llm.input_messages" in query["projectedColumns"]
    assert "events" not in query["projectedColumns"]
    # The loop from Python reads: nothing goes back unasked.
    assert account.store.seen.puts == []


def test_traces_given_go_before_the_variables(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_MODEL_ID", "not-there")
    monkeypatch.setenv("SIA_TRACES", "not-there-either/")
    traces = ArizeTracesConfig(source="arize", space_id=SPACE, project=OTHER, where="name = 'ChatCompletion'")
    baseline = account.orchestrator(traces=traces).validate_baseline(
        start_date=WEEK.start, end_date=WEEK.end, evaluator_names=["correctness"], limit=5
    )
    assert len(baseline.samples) == 5
    query = account.store.seen.queries[-1]
    assert (query["modelId"], query["filterExpression"]) == (OTHER, "name = 'ChatCompletion'")


@pytest.mark.parametrize("name", ["ARIZE_SPACE_ID", "ARIZE_MODEL_ID", "ARIZE_API_KEY"])
def test_a_variable_that_is_missing_is_named(account: Account, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=name) as raised:
        account.orchestrator()
    assert KEY not in str(raised.value)


def test_a_key_with_a_line_break_is_told_and_not_shown(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIZE_API_KEY", f"{KEY}\n")
    with pytest.raises(ConfigError, match=r"traces\.api_key: the value of ARIZE_API_KEY holds .* line break") as raised:
        account.orchestrator()
    assert KEY not in str(raised.value)


def test_neither_orchestrator_nor_results_show_the_key(account: Account) -> None:
    orchestrator = account.orchestrator()
    assert KEY not in repr(orchestrator) + repr(vars(orchestrator))


def test_upsert_puts_evaluations_on_their_spans(account: Account) -> None:
    table = run(account)
    assert len(table) == 20
    expected = dict(zip(table["context.span_id"], table["eval.brief.score"], strict=True))
    assert account.scores("eval.brief.score") == expected
    assert set(expected.values()) <= {0.0, 1.0}
    report = table.attrs["write_report"]
    assert (report["offered"], report["updated"], report["faults"]) == (20, 20, ())
    kept = pd.read_parquet(".sia/evaluations/brief.parquet")
    assert set(kept["context.span_id"]) == set(expected)


def test_a_second_upsert_changes_nothing(account: Account) -> None:
    run(account)
    before = {span: dict(evaluation) for span, evaluation in account.store.evaluations.items()}
    file = Path(".sia/evaluations/brief.parquet")
    kept = file.read_bytes()
    run(account)
    assert account.store.evaluations == before
    assert file.read_bytes() == kept


def test_without_upsert_nothing_goes_back(account: Account) -> None:
    table = run(account, upsert=False)
    assert len(table) == 20
    assert "write_report" not in table.attrs
    assert account.store.seen.puts == []


def test_a_judge_with_its_kwargs_puts_label_score_and_explanation_back(account: Account) -> None:
    kwargs = {
        "template": "correctness",
        "model": "simulated-judge",
        "rails": {"correct": 1, "incorrect": 0},
        "base_url": account.provider.base_url,
    }
    table = run(account, llm_classify, evaluator_name="correctness", evaluator_kwargs=kwargs)
    evaluation = account.store.evaluations[table["context.span_id"][0]]
    assert evaluation["eval.correctness.label"] in {"correct", "incorrect"}
    assert evaluation["eval.correctness.score"] == float(evaluation["eval.correctness.label"] == "correct")
    assert evaluation["eval.correctness.explanation"]


def test_another_project_is_read_and_written_where_model_id_names_it(account: Account) -> None:
    table = run(account, get_telemetry_kwargs={**TELEMETRY, "model_id": OTHER, "limit": 200})
    assert set(table["context.span_id"]) <= set(account.store.tables[OTHER]["context.span_id"].to_pylist())
    assert len(account.scores("eval.brief.score")) == len(table)
    with pytest.raises(TraceError, match="no project 'nowhere'"):
        run(account, get_telemetry_kwargs={**TELEMETRY, "model_id": "nowhere"})


def test_without_model_id_it_is_the_project_of_the_variables(account: Account) -> None:
    telemetry = {name: value for name, value in TELEMETRY.items() if name != "model_id"}
    assert len(run(account, get_telemetry_kwargs=telemetry)) == 20
    assert account.store.seen.queries[-1]["modelId"] == PROJECT


def test_rows_that_failed_are_kept_and_do_not_go_back(account: Account) -> None:
    def fails_at_times(sample: Sample) -> float:
        if sample.span_id < middle:
            raise ValueError("no such order")
        return 0.25

    middle = sorted(run(account, upsert=False)["context.span_id"])[10]
    table = run(account, fails_at_times)
    assert table["eval.brief.error"].notna().sum() == 10
    assert set(account.scores("eval.brief.score").values()) == {0.25}
    assert len(account.store.evaluations) == 10
    assert table.attrs["write_report"]["offered"] == 10


def test_what_the_store_did_not_take_is_in_the_report_and_the_log(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    ids = list(run(account, upsert=False)["context.span_id"])

    def meanwhile_deleted(sample: Sample) -> float:
        account.drop(*ids[:3])
        return 1.0

    with caplog.at_level(logging.WARNING, logger="sia_dagster"):
        table = run_at(account, WEEK.end, meanwhile_deleted)
    assert table.attrs["write_report"]["unmatched"] == tuple(sorted(ids[:3]))
    (logged,) = [record.getMessage() for record in caplog.records if record.name.startswith("sia_dagster")]
    assert "brief: 17 of 20 evaluations are in the trace store" in logged
    assert "3 spans are unknown to the store" in logged


def test_what_is_too_old_to_be_updated_is_in_the_log_as_well(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    account.store.now = WEEK.end + timedelta(days=365)
    with caplog.at_level(logging.WARNING, logger="sia_dagster"):
        table = run_at(account, account.store.now, is_brief)
    assert len(table.attrs["write_report"]["too_old"]) == 20
    (logged,) = [record.getMessage() for record in caplog.records if record.name.startswith("sia_dagster")]
    assert logged == "brief: 0 of 20 evaluations are in the trace store; 20 spans are too old to be updated."


def test_a_store_that_takes_nothing_is_an_error_after_the_rows_are_kept(account: Account) -> None:
    account.store.fail("put", flight.FlightUnauthenticatedError("the key was withdrawn"), times=10)
    with pytest.raises(WriteBackError, match="no evaluation was written back"):
        run(account)
    assert len(pd.read_parquet(".sia/evaluations/brief.parquet")) == 20
    assert account.store.evaluations == {}


def test_half_an_emoji_goes_back_as_the_text_that_it_is_not(account: Account) -> None:
    def half(dataframe: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"label": "a \ud83d", "score": 1, "explanation": "\ude00"}, index=dataframe.index)

    table = run(account, half)
    assert set(table["eval.brief.label"]) == {"a \ufffd"}
    assert set(account.scores("eval.brief.label").values()) == {"a \ufffd"}
