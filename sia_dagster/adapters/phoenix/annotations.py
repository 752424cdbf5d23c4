"""Annotations of spans in Phoenix: evaluations written back, and annotations of others read as columns."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.adapters.phoenix.phoenix_faults import BrokenReply
from sia_dagster.core.errors import WriteBackError
from sia_dagster.core.records.evaluation import EvaluatorKind
from sia_dagster.core.records.span_evaluations import NotTaken, SpanEvaluation, WriteReport
from sia_dagster.core.records.value import JsonObject, Value
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    from phoenix.client import Client
    from phoenix.client.resources.spans import SpanAnnotationData

BATCH = 500
"""Annotations in one request; the server stores all of them or none."""
LONGEST_LABEL, LONGEST_EXPLANATION = 100, 10_000
"""Characters, as in other trace stores: longer texts are a judge's mistake and slow the pages that show them."""
_KINDS: Mapping[EvaluatorKind, Literal["LLM", "CODE"]] = {"llm_classify": "LLM", "code": "CODE", "platform": "CODE"}
_RESERVED = "note"
_MARK = " …"
Item = TypeVar("Item")
OURS = "sia_dagster"
"""Identifies our annotations: an evaluator's new one replaces its old one, and nobody else's changes."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\s]")
_FIELDS = ("label", "score", "explanation")


class PhoenixAnnotations:
    """Implements EvaluationStore: judges write annotations of the kind LLM, functions of the kind CODE."""

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None) -> None:
        """`wait` waits between attempts; by default the thread sleeps."""
        self._connection, self._wait = connection, wait

    def write(self, evaluations: Sequence[SpanEvaluation], *, now: datetime) -> WriteReport:
        """As EvaluationStore says. Phoenix updates spans of any age, so `now` is ignored.

        A batch is stored completely or not at all. After the first failed batch no other is sent, and the report names
        what is missing; raises WriteBackError if it was the first.
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
    """The result of sending batches."""

    updated: int = 0
    shortened: int = 0
    left: tuple[NotTaken, ...] = ()
    faults: tuple[str, ...] = ()


def _known(server: PhoenixServer, span_ids: Sequence[str]) -> set[str]:
    """The spans that the project has: one unknown span would fail its whole batch. Raises WriteBackError."""
    server.project_id()
    return {span_id for batch in _batches(span_ids) for span_id in _known_of(server, batch)}


def _known_of(server: PhoenixServer, batch: Sequence[str]) -> list[str]:
    from phoenix.client.types.spans import SpanQuery

    query = SpanQuery().where(f"span_id in {list(batch)!r}").select("name")

    def question(client: "Client") -> list[str]:
        frame = client.spans.get_spans_dataframe(
            query=query, limit=BATCH + 1, project_identifier=server.project, timeout=server.timeout
        )
        # The client gives an empty table for any other reply.
        if "name" not in frame.columns:
            raise BrokenReply("the reply names no spans")
        return [str(span_id) for span_id in frame.index]

    return server.ask(question)


def _send(server: PhoenixServer, evaluations: Sequence[SpanEvaluation]) -> _Sent:
    """Write batch after batch until one fails. Raises WriteBackError if that is the first."""
    updated = shortened = 0
    for batch in _batches(evaluations):
        try:
            _store(server, [_annotation(e) for e in batch])
        except WriteBackError as error:
            if not updated:
                raise
            reason = "its batch or one before it was not stored; materialise the asset again"
            left = [NotTaken(span_id=e.span_id, evaluator=e.evaluator, reason=reason) for e in evaluations[updated:]]
            return _Sent(updated=updated, shortened=shortened, left=tuple(left), faults=(str(error),))
        updated += len(batch)
        shortened += sum(map(_is_cut, batch))
    return _Sent(updated=updated, shortened=shortened)


def _store(server: PhoenixServer, annotations: Sequence["SpanAnnotationData"]) -> None:
    server.ask(lambda client: client.spans.log_span_annotations(span_annotations=annotations, sync=True))


def _annotation(evaluation: SpanEvaluation) -> "SpanAnnotationData":
    result: dict[str, Any] = {
        "label": _cut(evaluation.label, LONGEST_LABEL),
        "score": None if evaluation.score is None else float(evaluation.score),
        "explanation": _cut(evaluation.explanation, LONGEST_EXPLANATION),
    }
    return {
        "span_id": evaluation.span_id,
        "name": evaluation.evaluator,
        "annotator_kind": _KINDS[evaluation.kind],
        "identifier": OURS,
        "result": {key: value for key, value in result.items() if value is not None},  # type: ignore[typeddict-item]
    }


def _why_not(evaluation: SpanEvaluation) -> str | None:
    """Why the evaluation cannot be stored; None if it can."""
    if evaluation.evaluator == _RESERVED:
        return f"Phoenix reserves the name {_RESERVED!r} for notes; rename the evaluator"
    if evaluation.score is not None and not math.isfinite(evaluation.score):
        return f"its score {evaluation.score} is not a finite number"
    if evaluation.score is None and not evaluation.label:
        return "it has neither a label nor a score"
    return None


def _cut(text: str | None, longest: int) -> str | None:
    """The text, cut with a mark if it is too long; None for an empty one."""
    whole = storable(text or "")
    return (whole if len(whole) <= longest else whole[: longest - len(_MARK)] + _MARK) or None


def _is_cut(evaluation: SpanEvaluation) -> bool:
    return len(evaluation.label or "") > LONGEST_LABEL or len(evaluation.explanation or "") > LONGEST_EXPLANATION


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def read_annotations(server: PhoenixServer, project_id: str, span_ids: Sequence[str]) -> dict[str, JsonObject]:
    """Columns by span id: `eval.<name>.<field>` of models and code, `annotation.<name>.<field>` of people.

    Characters that no evaluator's name can have become `_` (`user-feedback` is `annotation.user_feedback`). Of several
    annotations with one name the last changed counts. Notes and the loop's own annotations are left out, so that the
    same window read again is the same. Raises the session's error.
    """

    def question(client: "Client") -> dict[str, JsonObject]:
        return columns_of(
            client.spans.get_span_annotations(span_ids=span_ids, project_identifier=project_id, timeout=server.timeout)
        )

    return server.ask(question)


def columns_of(annotations: Iterable[Mapping[str, Any]]) -> dict[str, JsonObject]:
    """The annotations as columns by span id, as `read_annotations` describes them."""
    columns: dict[str, JsonObject] = {}
    for annotation in sorted((a for a in annotations if a.get("identifier") != OURS), key=_age):
        result: Mapping[str, Any] = annotation.get("result") or {}
        kind = "annotation" if annotation["annotator_kind"] == "HUMAN" else "eval"
        name = _NOT_IN_NAMES.sub("_", annotation["name"])
        row = columns.setdefault(str(annotation["span_id"]), {})
        row |= {f"{kind}.{name}.{field}": storable(result.get(field)) for field in _FIELDS}
    return columns


def _age(annotation: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Sort key: oldest first, after annotations whose name had to be changed."""
    written = not _NOT_IN_NAMES.search(annotation["name"])
    return written, str(annotation.get("updated_at") or ""), str(annotation.get("id") or "")
