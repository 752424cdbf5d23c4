"""Writes evaluations back to the spans of an Arize project: cut to what it holds, each (span, evaluator) once."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.arize_faults import Fault, explain
from sia_dagster.adapters.arize.flight_retries import Wait, wait_for_real, with_retries
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.span_evaluations import NotTaken, SpanEvaluation, WriteReport
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    import pandas as pd

UPDATABLE = timedelta(days=31)
"""The age up to which the store updates spans, as its users report; older ones are sent all the same."""
_ALL_ALIKE = {"key", "space", "project", "network", "tls", "silent", "broken", "disk"}
"""Faults that would fail every other batch too."""
LONGEST_LABEL = 100
LONGEST_EXPLANATION = 10_000
BATCH_ROWS = 10_000
MARK = " [cut]"
"""Ends a cut explanation; a cut label ends in an ellipsis."""
_NAME = re.compile(r"[A-Za-z0-9_ ]+")


class Prepared(Value):
    """Evaluations that can be sent and those that cannot; together every (span, evaluator) once."""

    rows: tuple[SpanEvaluation, ...] = ()
    """Sorted by evaluator, then span."""
    shortened: frozenset[tuple[str, str]] = frozenset()
    """(evaluator, span) of rows with cut text."""
    not_taken: tuple[NotTaken, ...] = ()


def prepare(evaluations: Iterable[SpanEvaluation]) -> Prepared:
    """The evaluations in the form that the store takes; of repeated ones the last."""
    rows: list[SpanEvaluation] = []
    shortened: set[tuple[str, str]] = set()
    not_taken: list[NotTaken] = []
    last = {(evaluation.evaluator, evaluation.span_id): evaluation for evaluation in evaluations}
    for key, evaluation in sorted(last.items()):
        cut = evaluation.model_copy(
            update={
                "label": _cut(evaluation.label, LONGEST_LABEL, "…"),
                "explanation": _cut(evaluation.explanation, LONGEST_EXPLANATION, MARK),
            }
        )
        if reason := _unfit(cut):
            not_taken.append(refused(evaluation, reason))
            continue
        rows.append(cut)
        if any(map(_is_longer, (evaluation.label, evaluation.explanation), (cut.label, cut.explanation))):
            shortened.add(key)
    return Prepared(rows=tuple(rows), shortened=frozenset(shortened), not_taken=tuple(not_taken))


def refused(evaluation: SpanEvaluation, reason: str) -> NotTaken:
    """The evaluation as one that the store has not taken."""
    return NotTaken(span_id=evaluation.span_id, evaluator=evaluation.evaluator, reason=reason)


def batches(rows: Sequence[SpanEvaluation], size: int = BATCH_ROWS) -> Iterator[Sequence[SpanEvaluation]]:
    """Batches of at most `size` rows of one evaluator, in the order of `rows`.

    One evaluator a batch: in a frame of several, a span without a result of one of them would get empty cells under its
    name, which may overwrite a stored result.
    """
    first = 0
    for index, row in enumerate(rows):
        if index - first == size or row.evaluator != rows[first].evaluator:
            yield rows[first:index]
            first = index
    if rows:
        yield rows[first:]


def frame(rows: Sequence[SpanEvaluation]) -> "pd.DataFrame":
    """A batch as a data frame for the package; empty columns are left out, since they would have no type."""
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


def _unfit(evaluation: SpanEvaluation) -> str:
    """Why the store would refuse the evaluation or silently drop it; empty if it takes it."""
    if not evaluation.span_id:
        return "it names no span"
    if not _NAME.fullmatch(evaluation.evaluator):
        return "Arize drops evaluations whose name holds more than letters, digits, underscores and spaces; rename it"
    if evaluation.score is not None and not math.isfinite(evaluation.score):
        return f"its score {evaluation.score} is not a finite number"
    if evaluation.score is None and evaluation.label is None:
        return "it has neither a score nor a label"
    return ""


def _cut(text: str | None, longest: int, mark: str) -> str | None:
    """The text in at most `longest` characters; None for an empty one."""
    whole = storable(text or "")
    return (whole if len(whole) <= longest else whole[: longest - len(mark)] + mark) or None


def _is_longer(before: str | None, after: str | None) -> bool:
    return len(before or "") > len(after or "")


class ArizeEvaluations:
    """Implements `EvaluationStore`: an evaluation of the same name on the same span is replaced."""

    def __init__(self, settings: ArizeConnection, *, wait: Wait = wait_for_real, batch_rows: int = BATCH_ROWS) -> None:
        """`batch_rows`: evaluations in one request, at most BATCH_ROWS."""
        self._settings, self._wait, self._batch_rows = settings, wait, min(batch_rows, BATCH_ROWS)

    def write(self, evaluations: Sequence[SpanEvaluation], *, now: datetime) -> WriteReport:
        """Send the evaluations batch by batch and account for each of them.

        Every (span, evaluator) is sent once, with the last evaluation given. Spans that the store does not find are
        `too_old` if they started more than UPDATABLE before `now`, else `unmatched`. A batch that finally fails is
        `not_taken`, and so are the batches after it if they would fail the same way; earlier batches stay written.
        Raises WriteBackError if no batch was taken, ConfigError if the package is missing.
        """
        prepared = prepare(evaluations)
        sent = self._sent(prepared)
        if sent and not any(batch.fault is None for batch in sent):
            raise WriteBackError(f"no evaluation was written back: {sent[0].fault}")
        return _report(prepared, sent, now)

    def _sent(self, prepared: Prepared) -> list["_Batch"]:
        """Each batch with its result; after a fault of the whole connection no other batch is tried."""
        done: list[_Batch] = []
        stopped: Fault | None = None
        for rows in batches(prepared.rows, self._batch_rows):
            answer = stopped or self._put(rows)
            if isinstance(answer, Fault):
                done.append(_Batch(rows=tuple(rows), fault=explain(answer, self._settings)))
                stopped = answer if answer.kind in _ALL_ALIKE else None
            else:
                done.append(_read(rows, answer))
        return done

    def _put(self, rows: Sequence[SpanEvaluation]) -> dict[str, Any] | Fault:
        client, table = open_client(self._settings), frame(rows)

        def call() -> dict[str, Any]:
            return dict(
                client.spans.update_evaluations(
                    space_id=self._settings.space_id, project_name=self._settings.project, dataframe=table
                )
            )

        return with_retries(call, self._settings, wait=self._wait)


class _Batch(Value):
    """Rows of one evaluator and the result of sending them."""

    rows: tuple[SpanEvaluation, ...]
    updated: int = 0
    missing: frozenset[str] = Field(default=frozenset())
    """Span ids that the store did not find."""
    fault: str | None = None
    """Why the batch was not taken."""


def _read(rows: Sequence[SpanEvaluation], answer: dict[str, Any]) -> _Batch:
    """The store's answer, in which integers are texts and zero or empty fields are missing."""
    missing = frozenset(answer.get("unmatched_ids", ())) & {row.span_id for row in rows}
    return _Batch(rows=tuple(rows), updated=int(answer.get("records_updated", 0)), missing=missing)


def _report(prepared: Prepared, sent: Sequence[_Batch], now: datetime) -> WriteReport:
    """The report, which accounts for every evaluation."""
    missing = {row.span_id: row.started for batch in sent for row in batch.rows if row.span_id in batch.missing}
    old = {span for span, started in missing.items() if started < now - UPDATABLE}
    lost = [refused(row, batch.fault) for batch in sent if batch.fault for row in batch.rows]
    return WriteReport(
        offered=len(prepared.rows) + len(prepared.not_taken),
        updated=sum(batch.updated for batch in sent),
        shortened=sum(_shortened(batch, prepared) for batch in sent),
        unmatched=tuple(sorted(missing.keys() - old)),
        too_old=tuple(sorted(old)),
        not_taken=tuple(sorted([*prepared.not_taken, *lost], key=_place)),
        faults=tuple(dict.fromkeys(sentence for batch in sent for sentence in _sentences(batch))),
    )


def _shortened(batch: _Batch, prepared: Prepared) -> int:
    taken = [row for row in batch.rows if not batch.fault and row.span_id not in batch.missing]
    return sum((row.evaluator, row.span_id) in prepared.shortened for row in taken)


def _sentences(batch: _Batch) -> list[str]:
    """What went wrong with a batch: a fault, or an answer that does not account for all rows."""
    if batch.fault:
        return [batch.fault]
    answered = batch.updated + len(batch.missing)
    if answered == len(batch.rows):
        return []
    name = batch.rows[0].evaluator
    return [
        f"{len(batch.rows)} evaluations {name!r} were sent, but Arize answered for {answered}; write them again, and "
        "look at the spans in Arize if this happens again"
    ]


def _place(entry: NotTaken) -> tuple[str, str]:
    return entry.span_id, entry.evaluator
