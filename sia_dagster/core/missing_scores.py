"""Scores that were missing when a holdout was looked at: they stay missing, whatever is answered later.

A window that is run again asks anew for what had failed. With those answers it would be a second verdict on nearly the
same evidence; without them it is the one that was taken.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from sia_dagster.core.evidence import Arm, MissingScore
from sia_dagster.core.models import EvalMetrics
from sia_dagster.core.results import ArmOutcome, ValidationRow

TOO_LATE = "it had no score when this holdout was looked at, and what came later does not count"


def missing_scores(rows: Sequence[ValidationRow], evaluators: Collection[str]) -> tuple[MissingScore, ...]:
    """Those of `evaluators` that are missing in `rows`, in their order."""
    return tuple(missing for row in rows for missing in _missing(row, evaluators))


def without_late_scores(rows: Sequence[ValidationRow], missing: Collection[MissingScore]) -> tuple[ValidationRow, ...]:
    """The rows, with an error in place of every score that is `missing`."""
    gone = defaultdict[tuple[str, int], set[tuple[Arm, str]]](set)
    for each in missing:
        gone[each.span_id, each.repeat].add((each.arm, each.evaluator))
    return tuple(_cut(row, late) if (late := gone.get((row.span_id, row.repeat))) else row for row in rows)


def _missing(row: ValidationRow, evaluators: Collection[str]) -> Iterator[MissingScore]:
    for arm, outcome in _arms(row).items():
        for evaluator in evaluators:
            if outcome.score(evaluator) is None:
                yield MissingScore(span_id=row.span_id, repeat=row.repeat, arm=arm, evaluator=evaluator)


def _cut(row: ValidationRow, late: Collection[tuple[Arm, str]]) -> ValidationRow:
    cut: dict[str, ArmOutcome] = {}
    for arm, outcome in _arms(row).items():
        evals = tuple(_unsaid(said) if (arm, said.name) in late else said for said in outcome.evals)
        cut[arm] = outcome.model_copy(update={"evals": evals})
    return row.model_copy(update=cut)


def _unsaid(said: EvalMetrics) -> EvalMetrics:
    return said.model_copy(update={"score": None, "label": None, "error": said.error or TOO_LATE})


def _arms(row: ValidationRow) -> dict[Arm, ArmOutcome]:
    return {"baseline": row.baseline, "candidate": row.candidate}
