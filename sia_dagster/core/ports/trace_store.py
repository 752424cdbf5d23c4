"""The port of a trace store: spans out, evaluations back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import SpanEvaluation, WriteReport
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    import pyarrow as pa

from sia_dagster.core.config.loop import LoopConfig


class SpanQuery(Value):
    """Which spans of a trace store a loop reads."""

    window: TimeWindow
    where: str = ""
    """A condition in the store's own columns (`name = 'ChatCompletion'`)."""
    sample_limit: int = 200
    """At most this many calls carry their text (`sampled`), chosen by a hash of the span's id."""
    recorded: tuple[str, ...] | None = None
    """Whose scores are read that the store's own evaluations gave (`eval.<name>.*`); None: all. A loop reads those of
    its platform evaluators alone: what it wrote back itself must not change what it reads."""
    annotated: tuple[str, ...] | None = None
    """Under which names people's annotations are read (`annotation.<name>.*`); None: all."""


class TraceSource(Protocol):
    """Where the application's spans are."""

    def spans(self, query: SpanQuery) -> "Iterator[pa.RecordBatch]":
        """Yield the LLM spans that started in `[window.start, window.end)`, oldest first.

        Batches have the schema `core.openinference.schema.SPAN_SCHEMA`. Raises TraceError.
        """

    def unreadable(self) -> "Mapping[str, int]":
        """How many records stand in no window, since they do not say which span they are or when it started.

        By file or by what else names the place. Raises TraceError.
        """


ReadStoredWindow = Callable[[str], Sequence[Mapping[str, Any]] | None]
"""Reads the rows of a window's sampled calls by its key; None where they were not stored.

Raises TraceError for a damaged file, TracesUnavailable where the storage does not answer.
"""


class EvaluationStore(Protocol):
    """Where a window's evaluations go back to: the trace store that the spans came from."""

    def write(self, evaluations: "Sequence[SpanEvaluation]", *, now: datetime) -> "WriteReport":
        """Put the evaluations on their spans and read what was taken. The same call again changes nothing.

        `now` tells spans that are too old to be updated from unknown ones. Evaluations that the store cannot take are
        cut or left out, and named in the report. Raises WriteBackError where nothing could be sent at all.
        """


def span_query(loop: LoopConfig, window: TimeWindow) -> SpanQuery:
    """Which spans, and what was said of them, the loop reads of a window."""
    return SpanQuery(
        window=window,
        where=loop.traces.where,
        sample_limit=loop.sample_limit,
        recorded=tuple(evaluator.name for evaluator in loop.evaluators if evaluator.kind == "platform"),
        annotated=tuple(evaluator.name for evaluator in loop.evaluators),
    )
