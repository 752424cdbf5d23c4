"""Evaluations back on the spans of an Arize project, and what the store said of each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from sia_dagster.adapters.arize.arize_client import ArizeConnection, open_client
from sia_dagster.adapters.arize.arize_faults import Fault, explain
from sia_dagster.adapters.arize.evaluation_rows import BATCH_ROWS, Prepared, batches, frame, prepare, refused
from sia_dagster.adapters.arize.patience import Wait, patiently, wait_for_real
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.span_evaluations import NotTaken, SpanEvaluation, WriteReport
from sia_dagster.core.records.value import Value

UPDATABLE = timedelta(days=31)
"""How old a span may be that the store still updates, as its users report; an older one is sent all the same."""
_ALL_ALIKE = {"key", "space", "project", "network", "tls", "silent", "broken", "disk"}
"""Faults after which another batch would end no better."""


class ArizeEvaluations:
    """Plays `EvaluationStore`: an evaluation of the same name on the same span is replaced."""

    def __init__(self, settings: ArizeConnection, *, wait: Wait = wait_for_real, batch_rows: int = BATCH_ROWS) -> None:
        """`batch_rows`: at most BATCH_ROWS evaluations go out in one request."""
        self._settings, self._wait, self._batch_rows = settings, wait, min(batch_rows, BATCH_ROWS)

    def write(self, evaluations: Sequence[SpanEvaluation], *, now: datetime) -> WriteReport:
        """Send what the store can hold, a batch at a time, and reconcile its answers.

        Every (span, evaluator) is offered once, the last one given. Spans that the store does not find are
        `too_old` where they started more than UPDATABLE before `now`, else `unmatched`. A batch that fails for good
        is `not_taken`, with those after it if they would fail the same way; what was taken before stands. Raises
        WriteBackError if none was taken, ConfigError if the package is missing.
        """
        prepared = prepare(evaluations)
        sent = self._sent(prepared)
        if sent and not any(batch.fault is None for batch in sent):
            raise WriteBackError(f"no evaluation went back: {sent[0].fault}")
        return _report(prepared, sent, now)

    def _sent(self, prepared: Prepared) -> list["_Batch"]:
        """Each batch with its answer; those after a fault of the whole connection are not tried."""
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

        return patiently(call, self._settings, wait=self._wait)


class _Batch(Value):
    """Rows of one evaluator and what became of them."""

    rows: tuple[SpanEvaluation, ...]
    updated: int = 0
    missing: frozenset[str] = Field(default=frozenset())
    """Span ids that the store did not find."""
    fault: str | None = None
    """Why nothing was taken."""


def _read(rows: Sequence[SpanEvaluation], answer: dict[str, Any]) -> _Batch:
    """The store's answer: its integers are texts, and what is zero or empty is not in it."""
    missing = frozenset(answer.get("unmatched_ids", ())) & {row.span_id for row in rows}
    return _Batch(rows=tuple(rows), updated=int(answer.get("records_updated", 0)), missing=missing)


def _report(prepared: Prepared, sent: Sequence[_Batch], now: datetime) -> WriteReport:
    """Every evaluation accounted for."""
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
    """What went wrong with a batch: a fault, or an answer that leaves rows out."""
    if batch.fault:
        return [batch.fault]
    told = batch.updated + len(batch.missing)
    if told == len(batch.rows):
        return []
    name = batch.rows[0].evaluator
    return [
        f"{len(batch.rows)} evaluations {name!r} were sent and Arize answered for {told}; write them again, and look "
        "at the spans in Arize if it says so again"
    ]


def _place(entry: NotTaken) -> tuple[str, str]:
    return entry.span_id, entry.evaluator
