"""An Arize store on loopback: the Flight half of its wire, spoken to by the unpatched `arize` client.

```python
with ArizeFlight() as store:
    store.add_rows(rows)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    ...  # ArizeTraces(store.connection())
assert store.evaluations["a1"] == {"eval.helpful.score": 1.0}
```
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import flight
from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_client import ArizeConnection

Row = dict[str, Any]


SPACE, PROJECT, KEY = "U3BhY2U6MTIz", "message_desk", "ak-5f1e0c77-secret"
"""Space and key are those of the REST half, so that one configuration reaches both."""


TRACES: Mapping[str, Any] = {
    "source": "arize",
    "project": PROJECT,
    "space_id": SPACE,
    "where": "name = 'ChatCompletion'",
    "max_attempts": 1,
}
"""A loop's section that leads here."""


NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


UPDATABLE = timedelta(days=31)


_TIMES = ("start_time", "end_time", "time")


_EQUALS = re.compile(r"\s*([\w.]+)\s*=\s*'([^']*)'\s*")


_UNKNOWN_MODEL = "model does not exist or denied access"


@dataclass
class Manners:
    """How the store behaves; changed between calls."""

    counts: bool = True
    """Whether `total_records` is told; -1 otherwise."""
    refuses_unknown_columns: bool = False
    """Whether a projected column that no span has is an error; it is left out otherwise."""
    lacks: tuple[str, ...] = ()
    """Columns that no export has."""
    nulls: tuple[str, ...] = ()
    """Columns that say nothing, and have no type either."""
    naive_times: bool = False
    """Times as timestamps without a zone, not as integers."""
    loose: timedelta = timedelta(0)
    """How far from the asked hours spans may have started."""
    batch_rows: int = 1000
    pause: float = 0.0
    """Seconds before each batch."""
    forgets: int = 0
    """How many updated records an answer does not mention."""


class _Headers(flight.ServerMiddleware):  # type: ignore[misc]
    """Nothing to say after a call began."""


class _Key(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Lets in who brings the key, as the client sends it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[Mapping[str, Any]] = []

    def start_call(self, _info: flight.CallInfo, headers: Mapping[str, Any]) -> _Headers:
        self.seen.append(headers)
        tokens = [t.decode() if isinstance(t, bytes) else t for t in headers.get("auth-token-bin", [])]
        if tokens != [self.key]:
            raise flight.FlightUnauthenticatedError(f"invalid api key {''.join(tokens)}")
        return _Headers()


@dataclass
class _Fault:
    rpc: str
    error: Exception | None
    """None hangs until the store closes."""
    after: int
    """Batches or calls that pass before."""
    times: int


@dataclass
class _Seen:
    queries: list[Row] = field(default_factory=list)
    """The descriptors of GetFlightInfo, in order."""
    puts: list[pa.Table] = field(default_factory=list)
    """Every write, whether it was taken or not."""


class ArizeFlight(flight.FlightServerBase):  # type: ignore[misc]
    """Spans of the projects of one space, in memory, with the evaluations that were put on them."""

    def __init__(self, *, key: str = KEY, space: str = SPACE, now: datetime = NOW) -> None:
        self._door = _Key(key)
        super().__init__("grpc://127.0.0.1:0", middleware={"key": self._door})
        self.space, self.now = space, now
        self.manners = Manners()
        self.tables: dict[str, pa.Table] = {}
        self.evaluations: dict[str, Row] = {}
        """By span id, the columns that were written."""
        self.seen = _Seen()
        self._faults: list[_Fault] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead the client here."""
        return {
            "ARIZE_FLIGHT_HOST": "127.0.0.1",
            "ARIZE_FLIGHT_PORT": str(self.port),
            "ARIZE_FLIGHT_SCHEME": "grpc+tcp",
        }

    @property
    def key(self) -> str:
        """The one key that is let in."""
        return self._door.key

    def connection(self, **changes: Any) -> ArizeConnection:
        """What the adapters are given: everything right, but for `changes`."""
        settings = {"space_id": self.space, "project": PROJECT, "api_key": SecretStr(self.key)}
        return ArizeConnection(**(settings | changes))

    @property
    def headers(self) -> Mapping[str, Any]:
        """Those of the last call."""
        return self._door.seen[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self.shutdown()
        self.wait()

    def add_table(self, spans: pa.Table, *, project: str = PROJECT) -> None:
        """Spans in the wire's own form: integer nanoseconds, JSON texts."""
        known = [self.tables[project]] if project in self.tables else []
        self.tables[project] = pa.concat_tables([*known, spans], promote_options="permissive").combine_chunks()

    def add_rows(self, rows: Sequence[Row], *, project: str = PROJECT) -> None:
        """Spans as a DataFrame export has them (`orient="records"`), or in the wire's form."""
        self.add_table(pa.Table.from_pylist([wire_row(row) for row in rows]), project=project)

    def receive(self, file: Path | None, *, project: str = PROJECT) -> None:
        """A week of the demo's application, as `write_traffic` leaves it."""
        assert file is not None, "a week without traffic"
        self.add_table(pq.read_table(file), project=project)

    def fail(self, rpc: str, error: Exception, *, after: int = 0, times: int = 1) -> None:
        """Let the next `times` calls of `rpc` (`info`, `get`, `put`) fail: `get` after that many batches of its stream,
        the others after that many calls that pass.
        """
        self._faults.append(_Fault(rpc, error, after, times))

    def hang(self, rpc: str, *, after: int = 0, times: int = 1) -> None:
        """As `fail`, but the answer never comes."""
        self._faults.append(_Fault(rpc, None, after, times))

    def get_flight_info(self, _context: object, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        query = json.loads(descriptor.command)
        self.seen.queries.append(query)
        self._maybe_fail("info")
        found = self._found(query)
        ticket = flight.FlightEndpoint(descriptor.command, [])
        records = found.num_rows if self.manners.counts else -1
        return flight.FlightInfo(found.schema, descriptor, [ticket], records, -1)

    def do_get(self, _context: object, ticket: flight.Ticket) -> flight.GeneratorStream:
        found = self._found(json.loads(ticket.ticket))
        return flight.GeneratorStream(found.schema, self._batches(found))

    def do_put(
        self,
        _context: object,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        request = json.loads(descriptor.command)["writeSpanEvaluationRequest"]
        self._check(request["spaceId"], request["externalModelId"])
        assert b"arize-schema" in reader.schema.metadata
        rows = reader.read_all()
        self.seen.puts.append(rows)
        self._maybe_fail("put")
        with self._lock:
            unmatched = self._put(request["externalModelId"], rows)
        writer.write(pa.py_buffer(self._answer(rows.num_rows - len(unmatched), unmatched)))

    def _batches(self, found: pa.Table) -> Iterator[pa.RecordBatch]:
        fault = self._next_fault("get", passing=False)
        for number, batch in enumerate(found.to_batches(max_chunksize=self.manners.batch_rows)):
            if fault and number == fault.after:
                self._raise(fault)
            self._closing.wait(self.manners.pause)
            yield batch

    def _maybe_fail(self, rpc: str) -> None:
        if fault := self._next_fault(rpc, passing=True):
            self._raise(fault)

    def _next_fault(self, rpc: str, *, passing: bool) -> _Fault | None:
        """The fault of this call, if one is due; `passing`: calls count towards `after`."""
        fault = next((f for f in self._faults if f.rpc == rpc and f.times), None)
        if fault and passing and fault.after:
            fault.after -= 1
            return None
        if fault:
            fault.times -= 1
        return fault

    def _raise(self, fault: _Fault) -> None:
        if fault.error is None:
            self._closing.wait()
            raise flight.FlightCancelledError("the store closed")
        raise fault.error

    def _check(self, space: str, project: str) -> None:
        if space != self.space:
            raise flight.FlightUnauthorizedError(f"space {space} not found or access denied")
        if project not in self.tables:
            raise flight.FlightServerError(_UNKNOWN_MODEL)

    def _found(self, query: Row) -> pa.Table:
        """The rows that a query asks for, as they go over the wire."""
        self._check(query["spaceId"], query["modelId"])
        assert query["environment"] == "TRACING"
        spans = self.tables[query["modelId"]]
        nanoseconds = pc.cast(spans["start_time"], pa.int64())
        start, end = (_nanoseconds(query[name]) for name in ("startTime", "endTime"))
        loose = self.manners.loose // timedelta(microseconds=1) * 1000
        within = pc.and_(pc.greater_equal(nanoseconds, start - loose), pc.less(nanoseconds, end + loose))
        spans = spans.filter(pc.and_(within, _condition(spans, query.get("filterExpression", ""))))
        return self._projected(self._shaped(self._with_evaluations(spans)), query.get("projectedColumns", []))

    def _with_evaluations(self, spans: pa.Table) -> pa.Table:
        """Every evaluation that the store has is a column of every export."""
        for name in sorted({column for said in self.evaluations.values() for column in said}):
            values = [self.evaluations.get(span, {}).get(name) for span in spans["context.span_id"].to_pylist()]
            kind = pa.float64() if name.endswith(".score") else pa.string()
            if name in spans.column_names:
                spans = spans.drop_columns([name])
            spans = spans.append_column(name, pa.array(values, kind))
        return spans

    def _shaped(self, spans: pa.Table) -> pa.Table:
        spans = spans.drop_columns([name for name in self.manners.lacks if name in spans.column_names])
        changes: dict[str, Callable[[pa.ChunkedArray], pa.Array]] = {
            name: lambda column: pa.nulls(len(column)) for name in self.manners.nulls
        }
        if self.manners.naive_times:
            changes |= {name: lambda column: pc.cast(column, pa.timestamp("ns")) for name in _TIMES}
        for name, change in changes.items():
            if name in spans.column_names:
                index = spans.column_names.index(name)
                spans = spans.set_column(index, name, change(spans[name]))
        return spans

    def _projected(self, spans: pa.Table, names: Sequence[str]) -> pa.Table:
        if not names:
            return spans
        unknown = [name for name in names if name not in spans.column_names]
        if unknown and self.manners.refuses_unknown_columns:
            raise pa.ArrowInvalid(f"unknown column {unknown[0]}")
        return spans.select([name for name in names if name in spans.column_names])

    def _put(self, project: str, rows: pa.Table) -> list[str]:
        """Merge the evaluations into the spans; the ids of those that are not there or too old."""
        spans = self.tables[project]
        oldest = (self.now - UPDATABLE).timestamp() * 1e9
        starts = dict(zip(spans["context.span_id"].to_pylist(), spans["start_time"].to_pylist(), strict=True))
        unmatched = []
        for row in rows.to_pylist():
            span = row.pop("context.span_id")
            if starts.get(span, 0) < oldest:
                unmatched.append(span)
            else:
                self.evaluations.setdefault(span, {}).update(row)
        return unmatched

    def _answer(self, updated: int, unmatched: Sequence[str]) -> bytes:
        from arize._generated.protocol.flight import flight_pb2

        answer = flight_pb2.WriteSpanEvaluationResponse(
            records_updated=updated - self.manners.forgets, unmatched_ids=unmatched
        )
        return bytes(answer.SerializeToString())


def wire_row(row: Row) -> Row:
    """One span of a DataFrame export as it went over the wire: nanoseconds, JSON texts, lists of JSON texts."""
    return {name: _wire_value(name, value) for name, value in row.items()}


def _wire_value(name: str, value: Any) -> Any:
    if name in _TIMES and isinstance(value, int) and value < 10**15:
        return value * 10**6
    if isinstance(value, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in value]
    return json.dumps(value) if isinstance(value, dict) else value


def _nanoseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def _condition(spans: pa.Table, expression: str) -> Any:
    """`name = 'x'`, several joined by AND; anything else is an error, as an unknown column is."""
    kept = pa.array([True] * spans.num_rows)
    for part in re.split(r"\bAND\b", expression, flags=re.IGNORECASE) if expression else []:
        match = _EQUALS.fullmatch(part)
        if not match or match[1] not in spans.column_names:
            raise pa.ArrowInvalid(f"failed to parse filter expression {expression!r}")
        kept = pc.and_(kept, pc.fill_null(pc.equal(spans[match[1]], match[2]), fill_value=False))
    return kept
