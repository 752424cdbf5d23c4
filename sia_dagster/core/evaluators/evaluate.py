"""The evaluation stage: every evaluator on every sample."""

from collections.abc import Iterable, Mapping, Sequence

from sia_dagster.core.errors import CallFailed, EvaluatorError
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.replay import map_rows

Evals = Mapping[str, Sequence[EvalMetrics]]
"""The evaluations of each output, by span id, in the order of the evaluators."""


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
    """One evaluator's result for one sample; an error that concerns this row alone becomes its value."""
    try:
        return await evaluator.score(sample, draw)
    except (EvaluatorError, CallFailed) as error:
        constant = evaluator.constant
        return EvalMetrics(name=constant.name, fingerprint=constant.fingerprint, source=constant.kind, error=str(error))


def worst_unscored_share(evals: Evals) -> tuple[str, float]:
    """The evaluator with the largest share of rows without a score, and that share; the first of equals.

    Scores that the platform recorded are left out: people and platforms annotate a few calls, which is no failure. So
    are rows to which the evaluator does not apply.
    `("", 0.0)` without rows.
    """
    missing: dict[str, list[bool]] = {}
    for metrics in (m for row in evals.values() for m in row if m.source != "platform" and not m.not_applicable):
        missing.setdefault(metrics.name, []).append(metrics.score is None)
    shares = {name: sum(rows) / len(rows) for name, rows in missing.items()}
    name = max(shares, key=lambda evaluator: shares[evaluator], default="")
    return name, shares.get(name, 0.0)


def check_fingerprints(recorded: Iterable[tuple[str, str]], constants: Sequence[EvalConstant]) -> None:
    """Raise EvaluatorError if an evaluator's fingerprint is not the `recorded` one (pairs of name and fingerprint).

    Scores of a changed template, rails, model or function are not comparable with those of the new one.
    """
    now = {constant.name: constant.fingerprint for constant in constants}
    if changed := sorted({name for name, fingerprint in recorded if now.get(name) != fingerprint}):
        raise EvaluatorError(
            f"{', '.join(changed)} changed since this window was evaluated: materialise it again from eval_results on"
        )
