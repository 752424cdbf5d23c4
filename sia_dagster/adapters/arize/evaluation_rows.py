"""Evaluations as Arize can hold them: cut, left out with a reason, each (span, evaluator) once."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sia_dagster.core.records.span_evaluations import NotTaken, SpanEvaluation
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    import pandas as pd

LONGEST_LABEL = 100
LONGEST_EXPLANATION = 10_000
BATCH_ROWS = 10_000
MARK = " [cut]"
"""Ends an explanation of which a part is missing; a label ends in an ellipsis then."""
_NAME = re.compile(r"[A-Za-z0-9_ ]+")


class Prepared(Value):
    """What can be sent and what cannot; together every (span, evaluator) that was offered, once."""

    rows: tuple[SpanEvaluation, ...] = ()
    """By evaluator, then span."""
    shortened: frozenset[tuple[str, str]] = frozenset()
    """(evaluator, span) of rows that lost a part of their text."""
    not_taken: tuple[NotTaken, ...] = ()


def prepare(evaluations: Iterable[SpanEvaluation]) -> Prepared:
    """The evaluations as the store takes them; of a repeated one the last."""
    rows: list[SpanEvaluation] = []
    shortened: set[tuple[str, str]] = set()
    not_taken: list[NotTaken] = []
    last = {(evaluation.evaluator, evaluation.span_id): evaluation for evaluation in evaluations}
    for key, evaluation in sorted(last.items()):
        said = evaluation.model_copy(
            update={
                "label": _cut(evaluation.label, LONGEST_LABEL, "…"),
                "explanation": _cut(evaluation.explanation, LONGEST_EXPLANATION, MARK),
            }
        )
        if reason := _unfit(said):
            not_taken.append(refused(evaluation, reason))
            continue
        rows.append(said)
        if any(map(_is_longer, (evaluation.label, evaluation.explanation), (said.label, said.explanation))):
            shortened.add(key)
    return Prepared(rows=tuple(rows), shortened=frozenset(shortened), not_taken=tuple(not_taken))


def refused(evaluation: SpanEvaluation, reason: str) -> NotTaken:
    """The evaluation as one that the store does not have."""
    return NotTaken(span_id=evaluation.span_id, evaluator=evaluation.evaluator, reason=reason)


def batches(rows: Sequence[SpanEvaluation], size: int = BATCH_ROWS) -> Iterator[Sequence[SpanEvaluation]]:
    """At most `size` rows of one evaluator at a time, as `rows` are sorted.

    One evaluator a batch: in a frame of several, a span that one of them says nothing of would be sent empty cells
    under its name, over what may stand there.
    """
    first = 0
    for index, row in enumerate(rows):
        if index - first == size or row.evaluator != rows[first].evaluator:
            yield rows[first:index]
            first = index
    if rows:
        yield rows[first:]


def frame(rows: Sequence[SpanEvaluation]) -> "pd.DataFrame":
    """A batch as the package takes it; a column that says nothing is left out, since it would have no type."""
    import pandas as pd

    columns: dict[str, pd.Series[str] | pd.Series[float]] = {
        "context.span_id": pd.Series([row.span_id for row in rows], dtype=object)
    }
    name = f"eval.{rows[0].evaluator}"
    if any(row.score is not None for row in rows):
        columns[f"{name}.score"] = pd.Series([row.score for row in rows], dtype="float64")
    for field in ("label", "explanation"):
        texts = [getattr(row, field) for row in rows]
        if any(text is not None for text in texts):
            columns[f"{name}.{field}"] = pd.Series(texts, dtype=object)
    return pd.DataFrame(columns)


def _unfit(said: SpanEvaluation) -> str:
    """Why the store would not take it, or would drop it without a word; empty where it will do."""
    if not said.span_id:
        return "it names no span"
    if not _NAME.fullmatch(said.evaluator):
        return "Arize drops evaluations whose name holds more than letters, digits, underscores and spaces; rename it"
    if said.score is not None and not math.isfinite(said.score):
        return f"its score {said.score} is no finite number"
    if said.score is None and said.label is None:
        return "it has neither a score nor a label"
    return ""


def _cut(text: str | None, longest: int, mark: str) -> str | None:
    """The text in at most `longest` characters; None for an empty one."""
    whole = storable(text or "")
    return (whole if len(whole) <= longest else whole[: longest - len(mark)] + mark) or None


def _is_longer(before: str | None, after: str | None) -> bool:
    return len(before or "") > len(after or "")
