"""Traces in Arize: a window is exported to a Parquet file, which the local trace source reads."""

import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.arize.arize_client import ArizeConnection, keep_from_log, open_client
from sia_dagster.adapters.arize.arize_faults import Fault, explain
from sia_dagster.adapters.arize.flight_retries import Wait, wait_for_real, with_retries
from sia_dagster.adapters.config.condition_values import condition_values
from sia_dagster.adapters.local.columns import TEXTS
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.core.errors import TraceError, TraceFileError, TracesUnavailable
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount

if TYPE_CHECKING:
    import pyarrow as pa

PROBE_SECONDS = 30.0
"""How long a probe waits for the store to send something."""
_LOG = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FACTS = (
    "context.span_id",
    "context.trace_id",
    "parent_id",
    "name",
    "start_time",
    "end_time",
    "latency_ms",
    "status_code",
    "attributes.openinference.span.kind",
    "attributes.session.id",
    "attributes.user.id",
    "attributes.llm.model_name",
    "attributes.llm.token_count.prompt",
    "attributes.llm.token_count.completion",
)

_FIELDS = {"eval": ("label", "score", "explanation"), "annotation": ("label", "score", "text")}


class ArizeTraces:
    """Spans of one project; `where` is in Arize's filter language (`name = 'ChatCompletion'`)."""

    def __init__(self, settings: ArizeConnection, *, wait: Wait = wait_for_real) -> None:
        """Nothing is contacted yet; `wait` waits between attempts."""
        self._settings, self._wait = settings, wait

    def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the window's LLM spans, oldest first, ties by span id, each span once even if it is exported twice.

        The store filters by whole hours and `where`; the exact window is cut out here. The whole window is on the local
        disk before the first batch, so a broken stream is requested again and never read in part. A window without
        spans gives no batch. Raises TraceError that names the setting to change; TracesUnavailable if the store could
        not answer.
        """
        with tempfile.TemporaryDirectory(prefix="sia-arize-", ignore_cleanup_errors=True) as folder:
            file = self._exported(query, Path(folder))
            if file is None:
                return
            try:
                yield from LocalTraces(file).spans(query.model_copy(update={"where": ""}), funnel)
            except TraceFileError as error:
                # The file is removed before anybody reads this, so its path is left out.
                reason = str(error).removeprefix(f"{error.path}: ")
                raise TraceError(
                    f"the spans of the Arize project {self._settings.project!r} cannot be read: {reason}; check that "
                    "the project holds OpenInference traces"
                ) from error

    def probe(self, query: SpanQuery) -> None:
        """Ask once for the ids of the window's last hour, to check key, space, project and filter.

        Raises TraceError that names the setting at fault.
        """
        end = _hour_from(query.window.end)
        seconds = min(PROBE_SECONDS, self._settings.timeout_seconds)
        settings = self._settings.model_copy(update={"timeout_seconds": seconds, "max_attempts": 1})
        with tempfile.TemporaryDirectory(prefix="sia-arize-", ignore_cleanup_errors=True) as folder:
            request = {"start_time": end - _HOUR, "end_time": end}
            export = _Export(settings, Path(folder), request, query.where, self._wait)
            answer = export.run(["context.span_id", "start_time"])
        if isinstance(answer, Fault):
            raise TraceError(explain(answer, settings, query.where))

    def _exported(self, query: SpanQuery, folder: Path) -> Path | None:
        """A file that holds at least the window's spans; None if there are none."""
        start, end = _hour_before(query.window.start), _hour_from(query.window.end)
        request = {"start_time": start, "end_time": end}
        export = _Export(self._settings, folder, request, query.where, self._wait)
        columns = export_columns(query)
        answer = export.run(columns)
        if columns and isinstance(answer, Fault) and answer.kind == "request":
            # A project may lack a column, such as that of sessions: then all its columns are requested.
            _LOG.debug("Arize refuses the columns or the filter (%s); requesting all columns", answer.reason)
            answer = export.run(None)
        if isinstance(answer, Fault):
            kind = TracesUnavailable if answer.unanswered else TraceError
            raise kind(explain(answer, self._settings, query.where))
        return answer if answer.exists() and _rows(answer) else None


class _Export:
    """One export from the store, with a new file in a folder for each attempt."""

    def __init__(
        self, settings: ArizeConnection, folder: Path, request: dict[str, Any], where: str, wait: Wait
    ) -> None:
        """The variables of `where` are read now. Raises TraceError where one cannot be used."""
        self._client = open_client(settings)
        self._settings, self._folder, self._wait = settings, folder, wait
        self._values = condition_values(where)
        self._request = {"space_id": settings.space_id, "project_name": settings.project, **request}
        self._request["where"] = self._values.plain()
        keep_from_log(self._values)
        self._numbers = count()
        self._file = folder

    def run(self, columns: list[str] | None) -> Path | Fault:
        """The last attempt's file, which does not exist if the store has no spans; or the fault."""

        def call() -> Path:
            # An abandoned attempt may still write to its own file.
            file = self._file = self._folder / f"spans-{next(self._numbers)}.parquet"
            self._client.spans.export_to_parquet(path=str(file), columns=columns, **self._request)
            return file

        try:
            answer = with_retries(call, self._settings, wait=self._wait, progress=self._size)
        except Exception as error:
            if self._values.shown(str(error)) == str(error):
                raise
            # Without the cause, whose text holds a value.
            raise TraceError(f"the export failed ({type(error).__name__}): {self._values.shown(str(error))}") from None
        if isinstance(answer, Fault):
            return answer.model_copy(update={"reason": self._values.shown(answer.reason)})
        return answer

    def _size(self) -> int:
        return self._file.stat().st_size if self._file.is_file() else 0


def _rows(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _hour_before(moment: datetime) -> datetime:
    """The full hour at or before `moment`, in UTC."""
    return moment.astimezone(UTC) - (moment - _EPOCH) % _HOUR


def _hour_from(moment: datetime) -> datetime:
    """The full hour at or after `moment`, in UTC."""
    return moment.astimezone(UTC) + (_EPOCH - moment) % _HOUR


def export_columns(query: SpanQuery) -> list[str] | None:
    """The columns to export: what the mapping reads, and evaluations of the query's names. None exports all columns.

    A request names columns one by one, without patterns, so only evaluations of known names can be requested. If the
    names are unknown, all columns are exported: slower, since events and metadata weigh as much as the messages, but no
    score is missed.
    """
    if query.recorded is None or query.annotated is None:
        return None
    names = {"eval": query.recorded, "annotation": query.annotated}
    evaluations = [
        f"{prefix}.{name}.{field}"
        for prefix, fields in _FIELDS.items()
        for name in sorted(set(names[prefix]))
        for field in fields
    ]
    return [*_FACTS, *TEXTS.values(), *evaluations]
