"""Any callable as an evaluator of logged answers: rows, errors, and the file that keeps them."""

import asyncio
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from sia_dagster.core.errors import ConfigError, EvaluatorError, TraceError, TraceFileError
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.demo.server import SimulatedProvider
from sia_dagster.demo.traffic import WeekPlan, week_windows, write_traffic
from sia_dagster.runners import LLMConfig, LocalTracesConfig, WorkflowOrchestrator, llm_classify
from sia_dagster.runners.frames import samples_frame

WEEK = week_windows()[0]
TELEMETRY: dict[str, Any] = {"start_time": WEEK.start, "end_time": WEEK.end, "limit": 12}
COLUMNS = ["context.span_id", *(f"eval.polite.{what}" for what in ("label", "score", "explanation", "error"))]
Run = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    write_traffic(folder, WEEK, None, WeekPlan(conversations=20, errors=1))
    return folder


@pytest.fixture
def orchestrator(traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkflowOrchestrator:
    monkeypatch.chdir(tmp_path)
    return WorkflowOrchestrator(traces, llm=LLMConfig(), storage="storage")


@pytest.fixture
def run(orchestrator: WorkflowOrchestrator) -> Run:
    def with_defaults(evaluator: Any, *, telemetry: dict[str, Any] | None = None, **given: Any) -> pd.DataFrame:
        return orchestrator.run_eval_pipeline(
            evaluator=evaluator,
            evaluator_name=given.pop("name", "polite"),
            get_telemetry_kwargs={**TELEMETRY, **(telemetry or {})},
            **given,
        )

    return with_defaults


def kept(name: str = "polite") -> pd.DataFrame:
    return pd.read_parquet(Path("storage") / "evaluations" / f"{name}.parquet")


class Prompt:
    """A callable object: whether the answer names a time."""

    def __call__(self, sample: Sample, word: str = "within") -> bool:
        return word in sample.output.casefold()


async def promptly(sample: Sample, word: str = "within") -> bool:
    await asyncio.sleep(0)
    return word in sample.output.casefold()


def fails_at(sample: Sample, *, span: str) -> float:
    if sample.span_id == span:
        raise ValueError("no such order")
    return 250.5


def one_score(dataframe: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"score": 1.0}, index=dataframe.index)


def test_a_row_for_each_span_in_the_seeds_columns(run: Run) -> None:
    table = run(lambda sample: len(sample.output))
    assert list(table.columns) == COLUMNS
    assert len(table) == table["context.span_id"].nunique() == 12
    assert table["eval.polite.score"].min() > 20
    assert table["eval.polite.error"].isna().all()
    assert table["eval.polite.score"].dtype == np.float64


@pytest.mark.parametrize(
    "evaluator",
    [Prompt(), promptly, partial(promptly, word="within"), lambda sample: "within" in sample.output.casefold()],
    ids=["object", "async", "partial", "lambda"],
)
def test_any_callable_of_a_sample_will_do(run: Run, evaluator: Any) -> None:
    table = run(evaluator)
    assert set(table["eval.polite.score"]) == {0.0, 1.0}
    assert table["eval.polite.label"].tolist() == ["true" if score else "false" for score in table["eval.polite.score"]]


@pytest.mark.parametrize("evaluator", [Prompt(), promptly], ids=["sync", "async"])
def test_keyword_arguments_reach_it(run: Run, evaluator: Any) -> None:
    assert run(evaluator, evaluator_kwargs={"word": "zebra"})["eval.polite.score"].sum() == 0


def test_what_it_raises_is_the_error_of_its_row_alone(run: Run) -> None:
    first = run(Prompt())["context.span_id"][0]
    table = run(fails_at, evaluator_kwargs={"span": first}).set_index("context.span_id")
    assert table.loc[first, "eval.polite.error"] == f"{__name__}:fails_at raised ValueError: no such order"
    assert np.isnan(table.loc[first, "eval.polite.score"])
    assert set(table.drop(first)["eval.polite.score"]) == {250.5}


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (3, [None, 3.0, None, None]),
        (-2.5, [None, -2.5, None, None]),
        ("4", ["4", 4.0, None, None]),
        (EvalMetrics(name="x", label="fine", score=0.5, explanation="Why."), ["fine", 0.5, "Why.", None]),
    ],
)
def test_what_it_returns_is_read_as_in_the_loop(run: Run, result: Any, sentence: list[Any]) -> None:
    table = run(lambda sample: result, telemetry={"limit": 1})
    assert [None if pd.isna(cell) else cell for cell in table.iloc[0, 1:]] == sentence


@pytest.mark.parametrize("result", [float("nan"), float("inf"), None, ["a"], "excellent"])
def test_what_is_no_score_is_an_error(run: Run, result: Any) -> None:
    table = run(lambda sample: result, telemetry={"limit": 1})
    assert table["eval.polite.error"][0]
    assert table["eval.polite.score"].isna().all()


def test_a_callable_without_a_signature_is_one_of_a_sample(run: Run) -> None:
    with pytest.raises(ValueError, match="no signature"):
        signature(max)
    table = run(max, telemetry={"limit": 1})
    assert "a score is a bool, a number, a text or EvalMetrics" in table["eval.polite.error"][0]


def test_a_judge_over_a_dataframe_sees_what_its_template_names(orchestrator: WorkflowOrchestrator) -> None:
    with SimulatedProvider() as provider:
        judge = partial(
            llm_classify, template="correctness", model="simulated-judge", rails={"correct": 1, "incorrect": 0}
        )
        table = orchestrator.run_eval_pipeline(
            evaluator=judge,
            evaluator_name="correctness",
            evaluator_kwargs={"base_url": provider.base_url},
            get_telemetry_kwargs=TELEMETRY,
        )
        assert provider.calls["simulated-judge"] == 12
    assert set(table["eval.correctness.label"]) == {"correct", "incorrect"}
    assert table["eval.correctness.explanation"].notna().all()
    assert table["eval.correctness.error"].isna().all()


def test_rows_are_matched_by_the_index_in_whatever_order(run: Run) -> None:
    def backwards(dataframe: pd.DataFrame) -> pd.DataFrame:
        judged = pd.DataFrame({"score": dataframe["output"].str.len()}, index=dataframe.index)
        return judged.iloc[::-1]

    assert_frame_equal(run(backwards), run(lambda sample: float(len(sample.output))), check_dtype=False)


def test_an_evaluator_may_write_into_the_frame_it_was_given(run: Run) -> None:
    def in_place(dataframe: pd.DataFrame, good: str) -> pd.DataFrame:
        dataframe["label"] = good
        return dataframe

    assert set(run(in_place, evaluator_kwargs={"good": "fine"})["eval.polite.label"]) == {"fine"}


def test_a_callable_of_a_dataframe_may_be_async(run: Run) -> None:
    async def later(dataframe: pd.DataFrame) -> pd.DataFrame:
        await asyncio.sleep(0)
        return one_score(dataframe)

    assert run(later)["eval.polite.score"].sum() == 12


def test_cells_come_out_in_the_tables_types(run: Run) -> None:
    def mixed(dataframe: pd.DataFrame) -> pd.DataFrame:
        given = pd.DataFrame(index=dataframe.index)
        given["label"] = pd.Series([pd.NA, 7, *["ok"] * 10], dtype=object)
        given["score"] = pd.Series([None, np.int64(3), "high", float("inf"), True, *[0.5] * 7], dtype=object)
        return given

    table = run(mixed)
    assert table["eval.polite.label"][:3].tolist() == [None, "7", "ok"]
    assert table["eval.polite.score"][1] == 3.0
    assert table["eval.polite.score"][4] == 1.0
    assert table["eval.polite.error"][2] == "the score 'high' is not a number"
    assert "inf" in table["eval.polite.error"][3]
    assert table["eval.polite.score"].isna().tolist()[:5] == [True, False, True, True, False]


@pytest.mark.parametrize(
    ("evaluator", "sentence"),
    [
        (lambda dataframe: dataframe.assign(score=1).head(3), "returned 3 rows for 12; it must keep the index"),
        (lambda dataframe: pd.concat([one_score(dataframe)] * 2), "it must keep the index"),
        (lambda dataframe: [1.0] * len(dataframe), "returned list; it must return a DataFrame"),
        (lambda dataframe: dataframe, "none of the columns label, score, explanation, error"),
    ],
)
def test_a_result_that_does_not_fit_the_frame_is_refused(run: Run, evaluator: Any, sentence: str) -> None:
    with pytest.raises(EvaluatorError) as raised:
        run(evaluator)
    assert str(raised.value).startswith("polite: the evaluator returned")
    assert sentence in str(raised.value)


def test_the_frame_has_the_columns_of_an_export(run: Run) -> None:
    seen: list[pd.DataFrame] = []

    def look(dataframe: pd.DataFrame) -> pd.DataFrame:
        seen.append(dataframe.copy())
        return one_score(dataframe)

    run(look)
    (row,) = seen[0].head(1).to_dict("records")
    roles = [message["message.role"] for message in row["attributes.llm.input_messages"]]
    assert roles[:2] == ["system", "user"]
    assert row["attributes.llm.output_messages"][0]["message.content"] == row["output"]
    assert row["attributes.llm.model_name"] == "simulated-application"
    assert row["attributes.output.value"] == row["output"]
    assert row["messages"].endswith(f"user: {row['input']}")
    assert row["system_prompt"].startswith("You answer customers' messages")
    assert {"context.span_id", "context.trace_id", "start_time", "attributes.input.value"} <= set(row)


def test_a_sample_without_a_system_prompt_has_none_in_the_frame() -> None:
    sample = Sample(
        span_id="s", trace_id="t", conversation_id="c", start_time=WEEK.start, split="train",
        messages=(Message(role="user", content="Hello?"),), output="Hello.",
    )  # fmt: skip
    (row,) = samples_frame([sample]).to_dict("records")
    assert [message["message.role"] for message in row["attributes.llm.input_messages"]] == ["user"]
    assert (row["system_prompt"], row["input"], row["output"]) == ("", "Hello?", "Hello.")


@pytest.mark.parametrize("evaluator", [Prompt(), one_score], ids=["sample", "dataframe"])
def test_an_empty_window_gives_an_empty_table_and_keeps_nothing(run: Run, evaluator: Any) -> None:
    table = run(evaluator, telemetry={"start_time": "2020-01-01", "end_time": "2020-01-02"}, upsert=True)
    assert list(table.columns) == COLUMNS
    assert table.empty
    assert table["eval.polite.score"].dtype == np.float64
    assert not Path("storage").exists()


@pytest.mark.parametrize("name", ["my-eval", "my.eval", "", "../up"])
def test_a_name_that_trace_stores_would_drop_is_refused(run: Run, name: str) -> None:
    with pytest.raises(ConfigError, match="must be letters, digits and underscores"):
        run(Prompt(), name=name)


@pytest.mark.parametrize(
    ("telemetry", "sentence"),
    [
        ({"start_time": "2026-09-14"}, "takes start_time and end_time"),
        ({}, "it has nothing"),
        ({**TELEMETRY, "modelid": "x"}, "it has end_time, limit, modelid, start_time"),
        ({**TELEMETRY, "limit": 0}, "limit is 0; it must be at least 1"),
        ({**TELEMETRY, "limit": "all"}, "sample_limit: should be a valid integer"),
        ({**TELEMETRY, "end_time": "2026-09-01"}, "the window is empty"),
    ],
)
def test_telemetry_that_cannot_be_used_is_named(
    orchestrator: WorkflowOrchestrator, telemetry: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        orchestrator.run_eval_pipeline(evaluator=Prompt(), evaluator_name="polite", get_telemetry_kwargs=telemetry)
    assert sentence in str(raised.value)


def test_a_condition_and_a_model_id_may_be_given(run: Run, traces: Path) -> None:
    assert len(run(Prompt(), telemetry={"model_id": "message_desk", "where": "name = 'ChatCompletion'"})) == 12
    assert run(Prompt(), telemetry={"where": "name = 'nothing has this name'"}).empty
    with pytest.raises(TraceError):
        run(Prompt(), telemetry={"where": "no_such_column = 1"})
    own = WorkflowOrchestrator(LocalTracesConfig(source="local", path=str(traces), where="name = 'nothing'"))
    table = own.run_eval_pipeline(evaluator=Prompt(), evaluator_name="polite", get_telemetry_kwargs=TELEMETRY)
    assert table.empty


def test_what_cannot_be_called_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="evaluator is a str; give a callable"):
        run("is_polite")


def test_it_works_inside_a_running_loop_as_in_a_notebook(run: Run) -> None:
    async def cell() -> list[pd.DataFrame]:
        return [run(promptly), run(one_score)]

    assert [len(table) for table in asyncio.run(cell())] == [12, 12]


def test_without_upsert_nothing_is_kept(run: Run) -> None:
    run(Prompt())
    assert not Path("storage").exists()


def test_kept_rows_are_the_table_ordered_by_span(run: Run) -> None:
    table = run(Prompt(), upsert=True)
    expected = table.sort_values("context.span_id").reset_index(drop=True)
    assert_frame_equal(kept(), expected)
    assert kept()["context.span_id"].is_monotonic_increasing


def test_a_second_upsert_keeps_one_row_a_span_the_newest(run: Run) -> None:
    run(lambda sample: 1, upsert=True, telemetry={"limit": 12})
    few = run(fails_at, evaluator_kwargs={"span": "none"}, upsert=True, telemetry={"limit": 5})
    table = kept()
    assert len(table) == table["context.span_id"].nunique() == 12
    newest = set(few["context.span_id"])
    scores = table.set_index("context.span_id")["eval.polite.score"]
    assert {span for span, score in scores.items() if score == 250.5} == newest
    assert set(scores.drop(list(newest))) == {1.0}


def test_the_same_rows_give_the_same_bytes(run: Run) -> None:
    path = Path("storage") / "evaluations" / "polite.parquet"
    run(Prompt(), upsert=True)
    first = path.read_bytes()
    run(Prompt(), upsert=True)
    assert path.read_bytes() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["polite.parquet"]


def test_a_row_that_newly_fails_loses_its_old_score(run: Run) -> None:
    table = run(lambda sample: 1, upsert=True)
    failed = table["context.span_id"][0]
    run(fails_at, evaluator_kwargs={"span": failed}, upsert=True)
    row = kept().set_index("context.span_id").loc[failed]
    assert np.isnan(row["eval.polite.score"])
    assert "no such order" in row["eval.polite.error"]


@pytest.mark.parametrize("content", [b"not parquet", b""], ids=["text", "empty"])
def test_a_file_that_is_none_of_ours_is_named_and_left(run: Run, content: bytes) -> None:
    path = Path("storage") / "evaluations" / "polite.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(TraceFileError, match="is not a file of evaluations") as raised:
        run(Prompt(), upsert=True)
    assert "polite.parquet" in str(raised.value)
    assert path.read_bytes() == content


def test_a_parquet_file_of_something_else_is_named_and_left(run: Run) -> None:
    path = Path("storage") / "evaluations" / "polite.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(TraceFileError, match="is not a file of evaluations"):
        run(Prompt(), upsert=True)
    assert list(kept().columns) == ["a"]
