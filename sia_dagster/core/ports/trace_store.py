"""The port of a trace store: spans out, evaluations back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.span_evaluations import SpanEvaluation, WriteReport
from sia_dagster.core.records.value import Value

if TYPE_CHECKING:
    import pyarrow as pa


class SpanQuery(Value):
    """Which spans of a trace store a loop reads."""

    window: TimeWindow
    where: str = ""
    """A condition in the store's own columns (`name = 'ChatCompletion'`). `${NAME}` is a variable of the environment,
    which a source fills in as it asks the store: its value is in no query, error or log."""
    sample_limit: int = 200
    """The most calls that are read with text (`sampled`), chosen by a hash of the span's id."""
    recorded: tuple[str, ...] | None = None
    """Names of the store's evaluations to read (`eval.<name>.*`); None: all. A loop reads those of its platform
    evaluators alone, so that its own write-back does not change what it reads."""
    annotated: tuple[str, ...] | None = None
    """Names of people's annotations to read (`annotation.<name>.*`); None: all."""


class TraceSource(Protocol):
    """The application's spans."""

    def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the LLM spans that started in `[window.start, window.end)`, oldest first.

        Batches have the schema `core.openinference.schema.SPAN_SCHEMA`. `funnel` counts what is left out; it is
        complete after the last batch. Raises TraceError.
        """


ReadStoredWindow = Callable[[str], Sequence[Mapping[str, Any]] | None]
"""Reads the rows of a window's sampled calls by its key; None where they were not stored.

Raises TraceError for a damaged file, TracesUnavailable where the storage does not answer.
"""


class EvaluationStore(Protocol):
    """Writes a window's evaluations back to the trace store that its spans came from."""

    def write(self, evaluations: Sequence[SpanEvaluation], *, now: datetime) -> WriteReport:
        """Write the evaluations to their spans and report what was taken. A repetition changes nothing.

        `now` distinguishes spans that are too old to be updated from unknown ones. Evaluations that the store cannot
        take are cut or left out, and named in the report. Raises WriteBackError if nothing could be sent.
        """


def span_query(loop: LoopConfig, window: TimeWindow) -> SpanQuery:
    """The spans and evaluations that the loop reads of a window."""
    return SpanQuery(
        window=window,
        where=loop.traces.where,
        sample_limit=loop.sample_limit,
        recorded=tuple(evaluator.name for evaluator in loop.evaluators if evaluator.kind == "platform"),
        annotated=tuple(evaluator.name for evaluator in loop.evaluators),
    )
