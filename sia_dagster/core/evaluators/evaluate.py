"""The evaluation stage: every evaluator on every sample, and its rows as a table."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sia_dagster.core.errors import CallFailed, EvaluatorError
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.replay import map_rows

Evals = Mapping[str, Sequence[EvalMetrics]]
"""What was said of each output, by span id, in the order of the evaluators."""


EVAL_RESULT_COLUMNS: Mapping[str, str] = {
    "span_id": "The span whose output was judged.",
    "evaluator": "The evaluator's name.",
    "fingerprint": "Of template, rails, model and code: two scores compare only under one fingerprint.",
    "label": "What the evaluator called the output; empty where it gave no label.",
    "score": "Higher is better, within the evaluator's range; empty exactly where there is an error.",
    "explanation": "Why, in the evaluator's words.",
    "error": "Why there is no score; empty where there is one.",
    "source": "llm_classify (a judge), code (a function) or platform (recorded in the trace).",
    "attempts": "Attempts of the model call that gave this answer; 0 where no model was asked.",
    "cost_usd": "What the answer cost when it was paid for; empty where no model was asked or its price is unknown.",
}
"""The columns of `eval_results`, one row a (span, evaluator), and what stands in them."""


async def evaluate(
    samples: Sequence[Sample],
    evaluators: Sequence[Evaluator],
    *,
    draw: str,
    workers: int,
    progress: Progress | None = None,
) -> dict[str, tuple[EvalMetrics, ...]]:
    """Score every sample's output with every evaluator, `workers` at a time, by span id in the order of `samples`.

    A row that fails is a value with `error`; the rest stands. Raises what must stop the stage: EndpointRefused,
    SpendCapReached.
    """
    pairs = [(sample, evaluator) for sample in samples for evaluator in evaluators]
    rows: dict[int, EvalMetrics] = {}
    failed = 0

    async def work(pair: tuple[Sample, Evaluator]) -> EvalMetrics:
        return await score_row(pair[1], pair[0], draw)

    async for index, metrics in map_rows(pairs, work, workers=min(workers, len(pairs))):
        rows[index] = metrics
        failed += metrics.error is not None
        if progress:
            progress(Advance(done=len(rows), of=len(pairs), what="evaluations", failed=failed))
    width = len(evaluators)
    return {s.span_id: tuple(rows[i * width + j] for j in range(width)) for i, s in enumerate(samples)}


async def score_row(evaluator: Evaluator, sample: Sample, draw: str) -> EvalMetrics:
    """One evaluator's word on one sample; an error that is this row's alone becomes its value."""
    try:
        return await evaluator.score(sample, draw)
    except (EvaluatorError, CallFailed) as error:
        constant = evaluator.constant
        return EvalMetrics(name=constant.name, fingerprint=constant.fingerprint, source=constant.kind, error=str(error))


def eval_result_rows(evals: Evals) -> list[JsonObject]:
    """The rows of `eval_results` with the keys of EVAL_RESULT_COLUMNS: by span id, then in the evaluators' order."""
    return [_row(span_id, metrics) for span_id in sorted(evals) for metrics in evals[span_id]]


def evals_from_rows(rows: Iterable[Mapping[Any, Any]]) -> dict[str, tuple[EvalMetrics, ...]]:
    """What `eval_result_rows` was made of; rows of one span keep their order, and NaN or NA is None."""
    evals: dict[str, list[EvalMetrics]] = {}
    for row in rows:
        cells = {name: _cell(row[name]) for name in EVAL_RESULT_COLUMNS}
        span_id, name, attempts = cells.pop("span_id"), cells.pop("evaluator"), cells.pop("attempts")
        metrics = EvalMetrics(name=name, attempts=int(attempts or 0), **cells)
        evals.setdefault(span_id, []).append(metrics)
    return {span_id: tuple(metrics) for span_id, metrics in evals.items()}


def worst_unscored_share(evals: Evals) -> tuple[str, float]:
    """The evaluator with the largest share of rows without a score, and that share; the first of equals.

    Scores that the platform recorded are left out: people and platforms annotate a few calls, which is no failure.
    `("", 0.0)` without rows.
    """
    asked = {span: tuple(m for m in row if m.source != "platform") for span, row in evals.items()}
    shares = unscored_shares(asked)
    name = max(shares, key=lambda evaluator: shares[evaluator], default="")
    return name, shares.get(name, 0.0)


def check_fingerprints(said: Iterable[tuple[str, str]], constants: Sequence[EvalConstant]) -> None:
    """Raise EvaluatorError if an evaluator is not the one that `said` (name, fingerprint) comes from.

    Scores of a changed template, rails, model or function do not compare with those of the new one.
    """
    now = {constant.name: constant.fingerprint for constant in constants}
    if changed := sorted({name for name, fingerprint in said if now.get(name) != fingerprint}):
        raise EvaluatorError(
            f"{', '.join(changed)} changed since this window was evaluated: materialise it again from eval_results on"
        )


def unscored_shares(evals: Evals) -> dict[str, float]:
    """The share of rows without a score by evaluator, in the evaluators' order."""
    by_name: dict[str, list[EvalMetrics]] = {}
    for row in evals.values():
        for metrics in row:
            by_name.setdefault(metrics.name, []).append(metrics)
    return {name: _share(metrics) for name, metrics in by_name.items()}


def _share(metrics: Sequence[EvalMetrics]) -> float:
    return sum(m.score is None for m in metrics) / len(metrics) if metrics else 0.0


def _row(span_id: str, metrics: EvalMetrics) -> JsonObject:
    cells = {"span_id": span_id, "evaluator": metrics.name, **metrics.model_dump(exclude={"name"})}
    return {name: cells[name] for name in EVAL_RESULT_COLUMNS}


def _cell(value: Any) -> Any:
    """None for what tables put where nothing is. pandas' NA is known by its name: this package does not import it."""
    missing = (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in {"NAType", "NaTType"}
    return None if missing else value
