"""The rows of the table `eval_results`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.value import JsonObject

NOT_APPLICABLE = "not_applicable"
"""The label of a row to which the evaluator does not apply."""
EVAL_RESULT_COLUMNS: Mapping[str, str] = {
    "span_id": "The span whose output was judged.",
    "evaluator": "The evaluator's name.",
    "fingerprint": "Of template, rails, model and code: two scores compare only under one fingerprint.",
    "label": "What the evaluator called the output; empty without a label, not_applicable where it does not apply.",
    "score": "Higher is better, within the evaluator's range; empty where there is an error or it does not apply.",
    "explanation": "Why, in the evaluator's words.",
    "error": "Why there is no score; empty where there is one, and where the evaluator does not apply to the output.",
    "source": "llm_classify (a judge), code (a function) or platform (recorded in the trace).",
    "attempts": "Attempts of the model call that gave this answer; 0 where no model was asked.",
    "cost_usd": "What the answer cost when it was paid for; empty where no model was asked or its price is unknown.",
}
"""The columns of `eval_results`, one row a (span, evaluator), and what each holds."""


def eval_result_rows(evals: Mapping[str, Sequence[EvalMetrics]]) -> list[JsonObject]:
    """The rows of evaluations by span id, with the keys of EVAL_RESULT_COLUMNS: by span id, then as they are given."""
    return [_row(span_id, metrics) for span_id in sorted(evals) for metrics in evals[span_id]]


def evals_from_rows(rows: Iterable[Mapping[Any, Any]]) -> dict[str, tuple[EvalMetrics, ...]]:
    """The evaluations by span id that `eval_result_rows` takes; a span's rows keep their order, NaN or NA is None.

    A row that has the label `not_applicable`, and neither a score nor an error, is one to which a function does not
    apply.
    """
    evals: dict[str, list[EvalMetrics]] = {}
    for row in rows:
        cells = {name: _cell(row[name]) for name in EVAL_RESULT_COLUMNS}
        span_id, name, attempts = cells.pop("span_id"), cells.pop("evaluator"), cells.pop("attempts")
        silent = cells["label"] == NOT_APPLICABLE and cells["score"] is None and not cells["error"]
        cells |= {"label": None} if silent else {}
        metrics = EvalMetrics(name=name, attempts=int(attempts or 0), not_applicable=silent, **cells)
        evals.setdefault(span_id, []).append(metrics)
    return {span_id: tuple(metrics) for span_id, metrics in evals.items()}


def _row(span_id: str, metrics: EvalMetrics) -> JsonObject:
    cells = {"span_id": span_id, "evaluator": metrics.name, **metrics.model_dump(exclude={"name"})}
    cells |= {"label": NOT_APPLICABLE} if metrics.not_applicable else {}
    return {name: cells[name] for name in EVAL_RESULT_COLUMNS}


def _cell(value: Any) -> Any:
    """None for a table's missing values. pandas' NA is recognised by its name: this package does not import pandas."""
    missing = (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in {"NAType", "NaTType"}
    return None if missing else value
