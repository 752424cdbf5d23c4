"""Evaluations as annotations of spans in Phoenix."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.adapters.phoenix.phoenix_faults import BrokenReply
from sia_dagster.adapters.phoenix.said import OURS
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.evaluation import EvaluatorKind
from sia_dagster.core.records.span_evaluations import NotTaken, SpanEvaluation, WriteReport
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    from phoenix.client import Client
    from phoenix.client.resources.spans import SpanAnnotationData

BATCH = 500
"""Annotations a request; the server stores all of them or none."""
LONGEST_LABEL, LONGEST_EXPLANATION = 100, 10_000
"""Characters, as in other trace stores: what is longer is a mistake of a judge and slows the pages that show it."""
_KINDS: Mapping[EvaluatorKind, Literal["LLM", "CODE"]] = {"llm_classify": "LLM", "code": "CODE", "platform": "CODE"}
_RESERVED = "note"
_MARK = " …"
Item = TypeVar("Item")


class PhoenixAnnotations:
    """Plays EvaluationStore: judges write annotations of the kind LLM, functions of the kind CODE."""

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None) -> None:
        """`wait` waits between attempts; in its place the thread sleeps."""
        self._connection, self._wait = connection, wait

    def write(self, evaluations: Sequence[SpanEvaluation], *, now: datetime) -> WriteReport:
        """As EvaluationStore says. Phoenix updates spans of any age, so `now` is not looked at.

        A batch is taken whole or not at all. After the first that fails, the rest is not sent, and the report names
        what is missing; raises WriteBackError where that was the first.
        """
        latest = {(e.span_id, e.evaluator): e for e in evaluations}
        offered = [latest[key] for key in sorted(latest)]
        with open_server(self._connection, error=WriteBackError, wait=self._wait) as server:
            known = _known(server, sorted({e.span_id for e in offered}))
            found = [e for e in offered if e.span_id in known]
            refused = [
                NotTaken(span_id=e.span_id, evaluator=e.evaluator, reason=r) for e in found if (r := _why_not(e))
            ]
            sent = _send(server, [e for e in found if not _why_not(e)])
        return WriteReport(
            offered=len(offered),
            updated=sent.updated,
            shortened=sent.shortened,
            unmatched=tuple(sorted({e.span_id for e in offered} - known)),
            not_taken=tuple(sorted((*refused, *sent.left), key=lambda left: (left.span_id, left.evaluator))),
            faults=sent.faults,
        )


class _Sent(Value):
    """What came of the batches."""

    updated: int = 0
    shortened: int = 0
    left: tuple[NotTaken, ...] = ()
    faults: tuple[str, ...] = ()


def _known(server: PhoenixServer, span_ids: Sequence[str]) -> set[str]:
    """Which of the spans the project has: an unknown one would keep its whole batch out. Raises WriteBackError."""
    server.project_id()
    return {span_id for batch in _batches(span_ids) for span_id in _known_of(server, batch)}


def _known_of(server: PhoenixServer, batch: Sequence[str]) -> list[str]:
    from phoenix.client.types.spans import SpanQuery

    query = SpanQuery().where(f"span_id in {list(batch)!r}").select("name")

    def question(client: "Client") -> list[str]:
        frame = client.spans.get_spans_dataframe(
            query=query, limit=BATCH + 1, project_identifier=server.project, timeout=server.timeout
        )
        # The client makes an empty table of whatever is no answer.
        if "name" not in frame.columns:
            raise BrokenReply("the reply names no spans")
        return [str(span_id) for span_id in frame.index]

    return server.ask(question)


def _send(server: PhoenixServer, evaluations: Sequence[SpanEvaluation]) -> _Sent:
    """Write batch after batch until one fails. Raises WriteBackError where that is the first."""
    updated = shortened = 0
    for batch in _batches(evaluations):
        try:
            _store(server, [_annotation(e) for e in batch])
        except WriteBackError as error:
            if not updated:
                raise
            reason = "its batch or one before it did not arrive; materialise the asset again"
            left = [NotTaken(span_id=e.span_id, evaluator=e.evaluator, reason=reason) for e in evaluations[updated:]]
            return _Sent(updated=updated, shortened=shortened, left=tuple(left), faults=(str(error),))
        updated += len(batch)
        shortened += sum(map(_is_cut, batch))
    return _Sent(updated=updated, shortened=shortened)


def _store(server: PhoenixServer, annotations: Sequence["SpanAnnotationData"]) -> None:
    server.ask(lambda client: client.spans.log_span_annotations(span_annotations=annotations, sync=True))


def _annotation(evaluation: SpanEvaluation) -> "SpanAnnotationData":
    said: dict[str, Any] = {
        "label": _cut(evaluation.label, LONGEST_LABEL),
        "score": None if evaluation.score is None else float(evaluation.score),
        "explanation": _cut(evaluation.explanation, LONGEST_EXPLANATION),
    }
    return {
        "span_id": evaluation.span_id,
        "name": evaluation.evaluator,
        "annotator_kind": _KINDS[evaluation.kind],
        "identifier": OURS,
        "result": {key: value for key, value in said.items() if value is not None},  # type: ignore[typeddict-item]
    }


def _why_not(evaluation: SpanEvaluation) -> str | None:
    """Why an evaluation cannot be stored; None if it can."""
    if evaluation.evaluator == _RESERVED:
        return f"Phoenix keeps the name {_RESERVED!r} for notes; rename the evaluator"
    if evaluation.score is not None and not math.isfinite(evaluation.score):
        return f"its score is {evaluation.score}, which is no number that can be stored"
    if evaluation.score is None and not evaluation.label:
        return "it has neither a label nor a score"
    return None


def _cut(text: str | None, longest: int) -> str | None:
    """The text, cut with a mark where it is longer; None for an empty one."""
    whole = storable(text or "")
    return (whole if len(whole) <= longest else whole[: longest - len(_MARK)] + _MARK) or None


def _is_cut(evaluation: SpanEvaluation) -> bool:
    return len(evaluation.label or "") > LONGEST_LABEL or len(evaluation.explanation or "") > LONGEST_EXPLANATION


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
