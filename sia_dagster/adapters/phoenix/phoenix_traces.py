"""Traces in a Phoenix server."""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.adapters.phoenix.said import read_annotations
from sia_dagster.adapters.phoenix.span_pages import PAGE_ROWS, SpanPages
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.openinference import EMPTY_TEXTS
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.value import JsonObject

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 100
"""Calls whose text and annotations are asked for at a time; Phoenix's own limit for annotations."""
_OUTPUTS = ("attributes.llm.output_messages", "attributes.output.value")


class PhoenixTraces:
    """The trace source `phoenix`. `where` is Phoenix's own filter: a Python expression over a span.

    The window is copied to a temporary folder first and read from there: nothing is yielded of a window that could
    not be read whole. Of all calls the facts are read, and the text and annotations of those alone that are used.
    """

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None, page_rows: int = PAGE_ROWS) -> None:
        """`wait` waits between attempts; in its place the thread sleeps."""
        self._connection, self._wait, self._page_rows = connection, wait, page_rows

    def spans(self, query: SpanQuery) -> "Iterator[pa.RecordBatch]":
        """As TraceSource says: `sampled` are those `LocalTraces` would choose of the same spans.

        Raises TraceError: no such project, a condition that Phoenix cannot read; TracesUnavailable: key refused, no
        answer. A name that Phoenix does not know is an attribute to it, so that a misspelt condition finds nothing
        instead of failing.
        """
        with tempfile.TemporaryDirectory(prefix="sia-phoenix-") as name:
            folder = Path(name)
            opened = open_server(self._connection, error=TraceError, unavailable=TracesUnavailable, wait=self._wait)
            with opened as server:
                calls = self._copy(server, query, folder)
            if calls:
                yield from LocalTraces(folder).spans(query.model_copy(update={"where": ""}))

    def unreadable(self) -> Mapping[str, int]:
        """None: a span without an id or a start never gets into Phoenix."""
        return {}

    def probe(self, query: SpanQuery) -> None:
        """Ask for one call of the window: are server, key, project and filter good.

        Raises TraceError that says which is not, and what to set.
        """
        with open_server(self._connection, error=TraceError, wait=self._wait) as server:
            pages = SpanPages(server, query.window, _checked(query.where))
            server.project_id()
            pages.probe()

    def _copy(self, server: PhoenixServer, query: SpanQuery, folder: Path) -> int:
        """Write the window's calls, and once more, with text, those that are used. How many calls there are."""
        pages = SpanPages(server, query.window, _checked(query.where))
        project_id = server.project_id()
        calls, usable = 0, list[str]()
        with (folder / "calls.jsonl").open("w", encoding="utf-8") as file:
            for rows in pages.facts(self._page_rows):
                calls += len(rows)
                usable += [row["context.span_id"] for row in rows if not _is_error(row)]
                _write(file, rows)
        usable.sort(key=lambda span_id: hashlib.md5(span_id.encode(), usedforsecurity=False).digest())
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
            wanted = query.sample_limit
            for batch in _batches(usable):
                rows = pages.texts(batch)
                said = read_annotations(server, project_id, [row["context.span_id"] for row in rows])
                _write(file, (row | said.get(row["context.span_id"], {}) for row in rows))
                wanted -= sum(map(_has_output, rows))
                if wanted <= 0:
                    break
        return calls


def _checked(where: str) -> str:
    """The condition, if it is one expression: pasted between brackets it then stays one. Raises TraceError."""
    try:
        compile(where.strip() or "True", "traces.where", "eval", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise TraceError(
            f"traces.where cannot be used: {where!r} is no Python expression over a span; write one such as "
            "name == 'ChatCompletion'"
        ) from error
    return where


def _is_error(row: JsonObject) -> bool:
    return str(row.get("status_code", "")).upper().endswith("ERROR")


def _has_output(row: JsonObject) -> bool:
    """Whether there is an answer, as `LocalTraces` sees it."""
    return any(row.get(name) and str(row[name]) not in EMPTY_TEXTS for name in _OUTPUTS)


def _batches(span_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (span_ids[start : start + _BATCH] for start in range(0, len(span_ids), _BATCH))


def _write(file: IO[str], rows: Iterable[JsonObject]) -> None:
    file.writelines(json.dumps(row) + "\n" for row in rows)
