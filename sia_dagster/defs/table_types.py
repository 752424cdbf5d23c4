"""The dagster-pandas type of `eval_results`, and its DataFrame."""

from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from sia_dagster.core.records.document import TABLE_FORMAT
from sia_dagster.core.records.eval_rows import EVAL_RESULT_COLUMNS, eval_result_rows
from sia_dagster.core.records.evaluation import EvalMetrics

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


_TEXT = ("span_id", "evaluator", "fingerprint", "label", "explanation", "error", "source")
EVAL_RESULT_TYPES = dict.fromkeys(_TEXT, "string") | {"score": "float", "attempts": "int", "cost_usd": "float"}
"""The columns' types, as Dagster shows them."""


def eval_results_frame(evals: dict[str, tuple[EvalMetrics, ...]]) -> "pd.DataFrame":
    """One row a (span, evaluator), with the same dtypes in every window, empty ones included."""
    import pandas as pd

    frame = pd.DataFrame(eval_result_rows(evals), columns=list(EVAL_RESULT_COLUMNS))
    dtypes = dict.fromkeys(_TEXT, "object") | {"score": "float64", "attempts": "int64", "cost_usd": "float64"}
    return frame.astype(dtypes)


def eval_results_schema() -> "pa.Schema":
    """The table's Arrow schema: the same in every window, whatever a column lacks, so that windows read together."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "float": pa.float64(), "int": pa.int64()}
    return pa.schema([(name, kinds[EVAL_RESULT_TYPES[name]]) for name in EVAL_RESULT_COLUMNS], metadata=TABLE_FORMAT)


@cache
def _pandas_type() -> dg.DagsterType:
    from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

    sources = {"llm_classify", "code", "platform"}
    frame: dg.DagsterType = create_dagster_pandas_dataframe_type(
        name="EvalResultsFrame",
        columns=[
            PandasColumn.string_column("span_id", non_nullable=True),
            PandasColumn.string_column("evaluator", non_nullable=True),
            PandasColumn.string_column("fingerprint", non_nullable=True),
            PandasColumn.exists("label"),
            PandasColumn.float_column("score", ignore_missing_vals=True),
            PandasColumn.exists("explanation"),
            PandasColumn.exists("error"),
            PandasColumn.categorical_column("source", categories=sources, of_types="object"),
            PandasColumn.integer_column("attempts", min_value=0, non_nullable=True),
            PandasColumn.float_column("cost_usd", min_value=0.0, ignore_missing_vals=True),
        ],
    )
    return frame


def _check(context: Any, value: object) -> dg.TypeCheck:
    return _pandas_type().type_check(context, value)


EVAL_RESULTS_TYPE = dg.DagsterType(
    name="EvalResults",
    type_check_fn=_check,
    description="A DataFrame with one row a (span, evaluator); checked by dagster-pandas, which loads with the first "
    "check so that importing the definitions stays quick.",
)
