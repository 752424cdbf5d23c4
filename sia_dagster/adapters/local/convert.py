"""Converts files of any form to one Parquet file with the columns of an OpenInference export."""

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sia_dagster.adapters.local.call_texts import COLUMNS, NO_TEXTS, call_texts, is_answered, text_of
from sia_dagster.adapters.local.columns import ANSWERED
from sia_dagster.adapters.local.conventions import to_openinference
from sia_dagster.adapters.local.forms import BAD_SHAPES, Form, FormError, Span
from sia_dagster.adapters.local.kinds import LLM as LLM_KIND
from sia_dagster.adapters.local.kinds import is_call, not_a_call, recorded_kind
from sia_dagster.adapters.local.reading import Broken, NoRecords, Record, microseconds, read_records, unwrapped
from sia_dagster.adapters.local.reading.records import TOO_DEEP
from sia_dagster.adapters.local.smallest_hashes import SmallestHashes
from sia_dagster.adapters.local.source_files import TraceFile
from sia_dagster.adapters.local.unknown import what_it_is
from sia_dagster.core.openinference.attributes import load_object
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import count

if TYPE_CHECKING:
    import pyarrow as pa

_OBJECTS: Final = 100_000
"""New objects after which Python looks for unreachable ones."""
_ROWS, _BYTES = 4096, 32 << 20
"""A row group is written when either is reached."""
_TIMES: Final = ("start_time", "end_time")
_COUNTS: Final = ("llm.token_count.prompt", "llm.token_count.completion")
_SPAN: Final = ("context.span_id", "context.trace_id", "parent_id", "name", "status_code", "latency_ms")
_NAMES: Final = ("llm.model_name", "session.id", "user.id", "metadata.user_id")
_ATTRIBUTES: Final = tuple(f"attributes.{name}" for name in ("openinference.span.kind", *_NAMES, *_COUNTS))
STAGED: Final = (*_SPAN, *_TIMES, *_ATTRIBUTES, ANSWERED, *COLUMNS)
"""The columns of the Parquet file; those that `traces.where` names follow."""


class Converter:
    """Reads files one after the other and writes the window's calls of a model to `target`."""

    def __init__(
        self, target: Path, query: SpanQuery, wanted: Collection[str], funnel: FunnelCount, *, all_texts: bool = False
    ) -> None:
        """`wanted` are the columns that the condition names, without case; `funnel` counts what is left out.

        Texts are written for the calls that may be sampled, as far as that is known before the condition is evaluated
        and doubles are found, or for all on request.
        """
        self._target, self._query, self._funnel = target, query, funnel
        is_known = not all_texts and not query.where.strip()
        self._smallest = SmallestHashes(_SPARE * (query.sample_limit + 1)) if is_known else None
        self._start, self._end = (round(m.timestamp() * 1e6) for m in (query.window.start, query.window.end))
        self._wanted = {name.casefold(): name for name in wanted if name not in STAGED}
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._writer: Any = None
        self._texts: set[str] = set()
        self._found: set[str] = set()
        self.names: dict[str, None] = {}
        """Columns of the records, for a person who writes a condition."""
        self._empty: list[str] = []
        self.problems: list[tuple[str, str]] = []
        """Files without any readable span, by name, and why."""
        self.spans = 0
        """Spans with an id and a start, of any window."""

    def read(self, file: TraceFile) -> None:
        """Convert one file. What cannot be read is counted, and never stops the others."""
        before, first, record = self.spans, "", None
        try:
            with _rare_collection():
                for record in read_records(file.path):
                    if isinstance(record.value, Broken):
                        problem = self._lost(file, record, record.value.reason)
                    else:
                        problem = self._shallow(file, record, record.value)
                    first = first or problem
        except (NoRecords, OSError) as error:
            first = first or (str(error).splitlines() or [type(error).__name__])[0]
            self._funnel.lost("file", first, file.name)
        if not first and record is None:
            self._empty.append(file.name)
        if first and self.spans == before:
            self.problems.append((file.name, first))

    def close(self) -> dict[str, str]:
        """Write what is left. Returns DuckDB's type of each column; {} if there was no call, and there is no file."""
        self._flush()
        if self._empty:
            self._funnel.note(f"{count(len(self._empty), 'file')} without records, such as {self._empty[0]}")
        if self._writer is None:
            return {}
        self._writer.close()
        wanted = {name: "DOUBLE" if name in self.numbers else "VARCHAR" for name in sorted(self._found)}
        return {name: _TYPES.get(name, "VARCHAR") for name in STAGED} | wanted

    @property
    def last_hash(self) -> str | None:
        """The greatest MD5 of an id up to which the texts are written; None where all are."""
        return self._smallest.greatest if self._smallest else None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of the condition that hold numbers alone."""
        return tuple(sorted(self._found - self._texts))

    def _shallow(self, file: TraceFile, record: Record, value: JsonObject) -> str:
        """As `_record`; a record that is nested too deep for what reads it costs itself alone."""
        try:
            return self._record(file, record, value)
        except RecursionError:
            return self._lost(file, record, TOO_DEEP)

    def _record(self, file: TraceFile, record: Record, value: JsonObject) -> str:
        """Read a record's spans; returns the first reason why one cannot be read."""
        first = ""
        for form, inner in unwrapped(value):
            known = self._spans(file, record, form, inner) if form else ""
            first = first or known or ("" if form else self._lost(file, record, what_it_is(inner)))
        return first

    def _spans(self, file: TraceFile, record: Record, form: Form, value: JsonObject) -> str:
        problem = ""
        try:
            for span in form.spans(value):
                if isinstance(span, FormError):
                    problem = self._lost(file, record, str(span))
                else:
                    problem = self._span(file, record, form, span) or problem
        except BAD_SHAPES as error:
            return self._lost(file, record, _reason(error))
        return problem

    def _lost(self, file: TraceFile, record: Record, reason: str) -> str:
        self._funnel.read(1)
        self._funnel.lost("record", reason, f"{file.name}, {record.place}")
        return reason

    def _span(self, file: TraceFile, record: Record, form: Form, span: Span) -> str:
        """Count a span, and keep it if it is a call of the window; returns why it belongs to no window."""
        self._funnel.read(1, form.name)
        for lacking in form.lacks:
            self._funnel.note(f"{form.name} holds no {lacking}")
        start = microseconds(span.start)
        if not span.span_id or start is None:
            recorded = "" if not span.span_id or span.start is None else f": {str(span.start)[:40]!r}"
            reason = "its start time cannot be read" if span.span_id else "it has no span id"
            self._funnel.lost("record", reason, f"{file.name}, {record.place}{recorded}")
            return reason
        self.spans += 1
        if not self._start <= start < self._end:
            self._funnel.lost("window", "it started in another window", span.span_id)
        else:
            try:
                attributes = to_openinference(span.attributes, span.events)
            except BAD_SHAPES as error:
                self._funnel.lost("record", _reason(error), f"{file.name}, {record.place}")
                return _reason(error)
            kind = recorded_kind(attributes.get("openinference.span.kind")) or recorded_kind(span.kind)
            if kind == LLM_KIND or (not kind and is_call(attributes)):
                self._add(span, start, attributes, file)
            else:
                self._funnel.lost("kind", not_a_call(kind), span.span_id)
        return ""

    def _add(self, span: Span, start: int, attributes: JsonObject, file: TraceFile) -> None:
        answered = is_answered(attributes)
        is_held = not self._smallest or (answered and self._smallest.take(span.span_id))
        texts = call_texts(attributes, span.columns, self._query) if is_held else NO_TEXTS
        row = (
            span.span_id,
            span.trace_id or None,
            span.parent_id or None,
            span.name or None,
            text_of(span.status if span.status is not None else attributes.get("otel.status_code")),
            _decimal(span.columns.get("latency_ms")),
            start,
            microseconds(span.end),
            LLM_KIND,
            *map(text_of, map(attributes.get, _NAMES)),
            *map(_integer, map(attributes.get, _COUNTS)),
            answered,
            *texts,
        )
        if self._wanted:
            found = self._of_condition(span, attributes, file)
            row += tuple(map(found.get, self._wanted.values()))
        self._rows.append(row)
        self._size += sum(len(text) for text in texts if text)
        if self._size > _BYTES or len(self._rows) >= _ROWS:
            self._flush()

    def _of_condition(self, span: Span, attributes: JsonObject, file: TraceFile) -> JsonObject:
        """What the condition names: the record's own columns, then attributes, then what its folders say."""
        there = {**file.partition, **{f"attributes.{n}": v for n, v in attributes.items()}, **span.columns}
        if len(self.names) < _MOST_NAMES:
            self.names |= dict.fromkeys(there)
        known = {name.casefold(): value for name, value in there.items() if value is not None}
        found: JsonObject = {}
        for folded, wanted in self._wanted.items():
            if (value := _held(known, folded)) is not None:
                found[wanted] = text_of(value)
                self._found.add(wanted)
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    self._texts.add(wanted)
        return found

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        names = (*STAGED, *self._wanted.values())
        schema = pa.schema([(name, _arrow_type(name)) for name in names])
        columns = [
            pa.array(values, field.type) for values, field in zip(zip(*self._rows, strict=True), schema, strict=True)
        ]
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._target, schema, compression="lz4", use_dictionary=False, write_statistics=False
            )
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        self._rows, self._size = [], 0


_GREATEST = 2**63 - 1
_SPARE = 4
"""Calls with text, as a multiple of the sample: doubles are found later."""
_MOST_NAMES = 500
"""Names of columns that are kept."""
_TYPES = {
    **dict.fromkeys(_TIMES, "TIMESTAMP WITH TIME ZONE"),
    **{f"attributes.{name}": "BIGINT" for name in _COUNTS},
    "latency_ms": "DOUBLE",
    ANSWERED: "BOOLEAN",
}


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Let Python look for unreachable objects seldom: a page of spans is thousands of objects, all of them in use.

    This takes a third of the time of OTLP JSON otherwise. Where collection is switched off, it stays so.
    """
    youngest, *older = gc.get_threshold()
    gc.set_threshold(max(youngest, _OBJECTS) if youngest else 0, *older)
    try:
        yield
    finally:
        gc.set_threshold(youngest, *older)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FormError) else f"its fields are of other types ({type(error).__name__})"


def _arrow_type(name: str) -> "pa.DataType":
    import pyarrow as pa

    types = {
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
        "BOOLEAN": pa.bool_(),
    }
    return types.get(_TYPES.get(name, ""), pa.string())


def _held(columns: JsonObject, name: str) -> Any:
    """The value of a dotted name in lower case: a column, or a field of one that is an object or its JSON text."""
    if name in columns:
        return columns[name]
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        value: Any = columns.get(".".join(parts[:length]))
        for part in parts[length:]:
            fields = {key.casefold(): field for key, field in load_object(value).items()}
            value = fields.get(part)
        if value is not None:
            return value
    return None


def _integer(value: Any) -> int | None:
    """The count; None for what is none, and for one that needs more than 64 bits."""
    try:
        found = None if value is None else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found is not None and abs(found) <= _GREATEST else None


def _decimal(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (ValueError, TypeError, OverflowError):
        return None
