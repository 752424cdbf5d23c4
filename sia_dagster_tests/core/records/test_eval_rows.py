"""The rows of `eval_results` hold every evaluation, and give it back."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.core.records.eval_rows import EVAL_RESULT_COLUMNS, eval_result_rows, evals_from_rows
from sia_dagster.core.records.evaluation import EvalMetrics

METRICS = st.builds(
    EvalMetrics,
    name=st.sampled_from(["correctness", "csat"]),
    label=st.none() | st.text(),
    score=st.none() | st.floats(allow_nan=False),
    explanation=st.none() | st.text(),
    error=st.none() | st.text(),
    fingerprint=st.text(),
    source=st.sampled_from(["llm_classify", "code", "platform"]),
    attempts=st.integers(0, 9),
    cost_usd=st.none() | st.floats(allow_nan=False),
)

EVALS = st.dictionaries(st.text(), st.lists(METRICS, min_size=1, max_size=3).map(tuple), max_size=4)


@given(EVALS)
def test_rows_and_back_lose_nothing(evals: dict[str, tuple[EvalMetrics, ...]]) -> None:
    rows = eval_result_rows(evals)
    assert all(list(row) == list(EVAL_RESULT_COLUMNS) for row in rows)
    assert [row["span_id"] for row in rows] == sorted(row["span_id"] for row in rows)
    assert evals_from_rows(rows) == evals


def test_a_table_turns_nothing_into_nan_and_back() -> None:
    evals = {"a": (EvalMetrics(name="e", error="why"),), "b": (EvalMetrics(name="e", score=1.0, cost_usd=0.5),)}
    table = pd.DataFrame(eval_result_rows(evals), columns=list(EVAL_RESULT_COLUMNS))
    assert evals_from_rows(table.to_dict("records")) == evals
    nullable = table.convert_dtypes()
    nullable["attempts"] = pd.array([None, 0], dtype="Int64")
    assert nullable["score"].isna().tolist() == [True, False]
    assert evals_from_rows(nullable.astype(object).to_dict("records")) == evals


def test_a_row_that_an_evaluator_does_not_apply_to_says_so_in_the_table() -> None:
    evals = {"a": (EvalMetrics(name="has_code", not_applicable=True, fingerprint="f"),)}
    (row,) = eval_result_rows(evals)
    assert (row["label"], row["score"], row["error"]) == ("not_applicable", None, None)
    assert evals_from_rows([row]) == evals
