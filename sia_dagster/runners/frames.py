"""Samples and evaluations as DataFrames, in the columns of the field's exports."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.files.storage import StoragePath, write_atomically
from sia_dagster.core.errors import EvaluatorError, TraceFileError
from sia_dagster.core.evaluators.judge import sample_texts
from sia_dagster.core.openinference import message_attributes
from sia_dagster.core.records.sample import Message, Sample

if TYPE_CHECKING:
    import pandas as pd

SPAN_ID = "context.span_id"
EVALUATION_FIELDS = ("label", "score", "explanation", "error")
"""The fields of an evaluation, each a column."""


def samples_frame(samples: Sequence[Sample]) -> "pd.DataFrame":
    """Samples in the columns of an Arize export, and `input`, `output`, `system_prompt` and `messages` as text.

    The text columns are what the ready-made judges' templates name.
    """
    import pandas as pd

    texts = ("input", "output", "system_prompt", "messages")
    return pd.DataFrame([_attributes(sample) | sample_texts(sample, texts) for sample in samples])


def rows_of_result(name: str, result: Any, index: "pd.Index[Any]") -> list[dict[str, Any]]:
    """The rows that an evaluator of DataFrames returned, in the order of `index`, by which they are matched.

    Raises EvaluatorError for another index, or a result without a column of `label`, `score`, `explanation`, `error`.
    """
    import pandas as pd

    if not isinstance(result, pd.DataFrame):
        raise EvaluatorError(f"{name}: the evaluator returned {type(result).__name__}; it must return a DataFrame")
    if not result.index.is_unique or set(result.index) != set(index):
        raise EvaluatorError(
            f"{name}: the evaluator returned {len(result)} rows for {len(index)}; it must keep the index of the "
            "DataFrame that it was given"
        )
    known = [column for column in EVALUATION_FIELDS if column in result.columns]
    if not known:
        raise EvaluatorError(f"{name}: the evaluator returned none of the columns {', '.join(EVALUATION_FIELDS)}")
    return [_row(row) for row in result.loc[index, known].to_dict("records")]


def evaluations(name: str, samples: Sequence[Sample], results: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """A row for each span: its id and `eval.<name>.label`, `.score`, `.explanation`, `.error`."""
    import pandas as pd

    rows = [
        [sample.span_id, *(row.get(field) for field in EVALUATION_FIELDS)]
        for sample, row in zip(samples, results, strict=True)
    ]
    columns = [SPAN_ID, *(f"eval.{name}.{field}" for field in EVALUATION_FIELDS)]
    return _typed(pd.DataFrame(rows, columns=columns, dtype=object))


def keep_newest(path: StoragePath, table: "pd.DataFrame") -> None:
    """Add the rows to a Parquet file of evaluations, one a span: the newest stands.

    Ordered by span, so that the same rows give the same bytes. Raises TraceFileError for any other file.
    """
    import pandas as pd

    if path.exists():
        table = pd.concat([_typed(_read(path, list(table.columns))), table]).drop_duplicates(SPAN_ID, keep="last")
    write_atomically(path, _parquet(table.sort_values(SPAN_ID)))


def _attributes(sample: Sample) -> dict[str, Any]:
    system = [Message(role="system", content=sample.system_prompt)] if sample.system_prompt else []
    return {
        SPAN_ID: sample.span_id,
        "context.trace_id": sample.trace_id,
        "start_time": sample.start_time,
        "attributes.llm.model_name": sample.recorded_model,
        "attributes.llm.invocation_parameters": sample.parameters,
        "attributes.llm.input_messages": [message_attributes(message) for message in (*system, *sample.messages)],
        "attributes.llm.output_messages": [message_attributes(Message(role="assistant", content=sample.output))],
        "attributes.llm.prompt_template.variables": sample.variables,
        "attributes.input.value": sample.request,
        "attributes.output.value": sample.output,
    }


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """One row in our types; a score that is not a number becomes the row's error."""
    cells = {str(name): None if _is_missing(cell) else cell for name, cell in row.items()}
    score = cells.pop("score", None)
    fields: dict[str, Any] = {name: None if cell is None else str(cell) for name, cell in cells.items()}
    if score is None:
        return fields
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    return fields | ({"score": number} if math.isfinite(number) else {"error": f"the score {score!r} is not a number"})


def _is_missing(cell: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(cell) and pd.isna(cell))


def _read(path: StoragePath, columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    try:
        with path.open("rb") as file:
            return pd.read_parquet(file)[list(columns)]
    except (OSError, ValueError, KeyError) as error:
        raise TraceFileError(
            "this is not a file of evaluations; move it away, then run again", path=str(path)
        ) from error


def _typed(table: "pd.DataFrame") -> "pd.DataFrame":
    return table.astype({column: "float64" if column.endswith(".score") else object for column in table.columns})


def _parquet(table: "pd.DataFrame") -> bytes:
    """Parquet with explicit types: an empty column is text as well."""
    import pyarrow as pa

    fields = [(c, pa.float64() if c.endswith(".score") else pa.string()) for c in map(str, table.columns)]
    content: bytes = table.to_parquet(index=False, schema=pa.schema(fields))
    return content
