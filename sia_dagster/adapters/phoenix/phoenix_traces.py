"""Traces in a Phoenix server: a project's LLM spans, page by page, as rows with the columns of Arize's export."""

import hashlib
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sia_dagster.adapters.local.columns import EMPTY_TEXTS
from sia_dagster.adapters.local.conventions import to_openinference
from sia_dagster.adapters.local.forms import FormError
from sia_dagster.adapters.local.forms.span_attributes import flat
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.adapters.local.window_calls import FAILED, REPEATED, UNANSWERED
from sia_dagster.adapters.phoenix.annotations import read_annotations
from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection, PhoenixServer, Wait, open_server
from sia_dagster.adapters.phoenix.phoenix_condition import phoenix_condition
from sia_dagster.adapters.phoenix.phoenix_faults import BrokenReply
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    import pyarrow as pa
    from phoenix.client import Client

_BATCH = 100
"""Calls whose text and annotations one request asks for; Phoenix's own limit for annotations."""
_OUTPUTS = ("attributes.llm.output_messages", "attributes.output.value")
_ATTRIBUTE = "attributes."
FACTS = (
    *("context.trace_id", "parent_id", "name", "span_kind", "start_time", "end_time", "status_code"),
    *("attributes.session.id", "attributes.user.id", "attributes.llm.model_name"),
    *("attributes.llm.token_count.prompt", "attributes.llm.token_count.completion"),
)
"""Columns that are read of every call: without text this is ten times faster."""
TEXTS = (
    *("attributes.llm.input_messages", "attributes.llm.output_messages", "attributes.input.value"),
    *("attributes.output.value", "attributes.llm.invocation_parameters", "attributes.llm.tools"),
    *("attributes.llm.prompt_template.template", "attributes.llm.prompt_template.variables", "attributes.tag.tags"),
)
"""Columns that are read of the calls that are used."""
FOREIGN = ("attributes.gen_ai", "attributes.ai", "attributes.llm.request", "attributes.traceloop")
"""Attributes of other conventions, each with all that is below it; read with the text.

Phoenix gives such spans the kind LLM by their model, and converts those messages alone that have parts.
"""
_SESSIONS = ("attributes.ai.telemetry.metadata.sessionId", "attributes.traceloop.association.properties.session_id")
_USERS = ("attributes.ai.telemetry.metadata.userId", "attributes.traceloop.association.properties.user_id")

PAGE_ROWS = 20_000
_SMALLEST = timedelta(microseconds=1)


class PhoenixTraces:
    """The trace source `phoenix`. `where` is Phoenix's own filter: a Python expression over a span.

    The window is first copied to a temporary folder: nothing is yielded of a window that could not be read completely.
    Text and annotations are read for the calls that are used, the other columns for all calls.
    """

    def __init__(self, connection: PhoenixConnection, *, wait: Wait | None = None, page_rows: int = PAGE_ROWS) -> None:
        """`wait` waits between attempts; by default the thread sleeps."""
        self._connection, self._wait, self._page_rows = connection, wait, page_rows

    def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> "Iterator[pa.RecordBatch]":
        """As TraceSource says; `sampled` are the spans that `LocalTraces` would choose.

        Raises TraceError if there is no such project or Phoenix cannot read the condition; TracesUnavailable if it
        refuses the key or does not answer. Phoenix takes an unknown name for an attribute, so that a misspelt condition
        finds nothing instead of failing.
        """
        with tempfile.TemporaryDirectory(prefix="sia-phoenix-") as name:
            folder = Path(name)
            opened = open_server(self._connection, error=TraceError, unavailable=TracesUnavailable, wait=self._wait)
            with opened as server:
                copied = self._copy(server, query, folder)
            if copied.calls:
                count = FunnelCount()
                yield from LocalTraces(folder).spans(query.model_copy(update={"where": ""}), count)
                if funnel:
                    _add(funnel, count, copied)

    def probe(self, query: SpanQuery) -> None:
        """Ask for one call of the window, to check server, key, project and filter.

        Raises TraceError that names the setting at fault.
        """
        with open_server(self._connection, error=TraceError, wait=self._wait) as server:
            pages = SpanPages(server, query.window, query.where)
            server.project_id()
            pages.probe()

    def _copy(self, server: PhoenixServer, query: SpanQuery, folder: Path) -> "_Copied":
        """Write the window's calls, and with text those that are used."""
        pages = SpanPages(server, query.window, query.where)
        project_id = server.project_id()
        calls, silent, usable, parents = 0, 0, list[str](), dict[str, str]()
        with (folder / "calls.jsonl").open("w", encoding="utf-8") as file:
            for rows in pages.facts(self._page_rows):
                calls += len(rows)
                usable += [row["context.span_id"] for row in rows if not _is_error(row)]
                parents |= {row["context.span_id"]: row["parent_id"] for row in rows if row.get("parent_id")}
                _write(file, rows)
        # Two instrumentors recorded one call: its text is that of the outer span.
        inner = {parent for parent, children in Counter(parents.values()).items() if children == 1} & {*usable}
        usable = [span_id for span_id in usable if parents.get(span_id) not in inner]
        usable.sort(key=lambda span_id: hashlib.md5(span_id.encode(), usedforsecurity=False).digest())
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
            missing = query.sample_limit
            for batch in _batches(usable):
                rows = pages.texts(batch)
                annotations = read_annotations(server, project_id, [row["context.span_id"] for row in rows])
                _write(file, (row | annotations.get(row["context.span_id"], {}) for row in rows))
                answered = sum(map(_has_output, rows))
                missing, silent = missing - answered, silent + len(rows) - answered
                if missing <= 0:
                    break
        return _Copied(calls, silent)


class _Copied(NamedTuple):
    """What was written: the window's calls, and those whose text was read and holds no answer."""

    calls: int
    silent: int


def _add(funnel: FunnelCount, count: FunnelCount, copied: _Copied) -> None:
    """Count a copied window: calls with text were written twice, and only their answers are known."""
    funnel.read(copied.calls, "Phoenix")
    left = copied.calls - count.sampled - copied.silent
    for loss in count.result().losses:
        if loss.reason == FAILED or (loss.step == "double" and loss.reason != REPEATED):
            funnel.lost(loss.step, loss.reason, loss.example, loss.records)
            left -= loss.records
    funnel.lost("answer", UNANSWERED, "", copied.silent)
    funnel.lost("limit", "not sampled", "", left)
    funnel.sampled = count.sampled


def _is_error(row: JsonObject) -> bool:
    return str(row.get("status_code", "")).upper().endswith("ERROR")


def _has_output(row: JsonObject) -> bool:
    """Whether the row holds an answer, by the rule of `LocalTraces`."""
    return any(row.get(name) and str(row[name]) not in EMPTY_TEXTS for name in _OUTPUTS)


def _batches(span_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (span_ids[start : start + _BATCH] for start in range(0, len(span_ids), _BATCH))


def _write(file: IO[str], rows: Iterable[JsonObject]) -> None:
    file.writelines(json.dumps(row) + "\n" for row in rows)


class SpanPages:
    """The queries on one project and window, under the loop's condition."""

    def __init__(self, server: PhoenixServer, window: TimeWindow, where: str) -> None:
        """`where` is a Python expression over a span, in Phoenix's filter language (`name == 'ChatCompletion'`).

        Its variables are read now. Raises TraceError where it is none.
        """
        self._server, self._window = server, window
        llm = "span_kind == 'LLM'"
        condition, server.condition = phoenix_condition(where)
        self._condition = f"({llm}) and ({condition})" if condition else llm

    def facts(self, page_rows: int = PAGE_ROWS) -> Iterator[list[JsonObject]]:
        """All calls without text, newest page first; rows within a page are in the server's order.

        Phoenix has no pages for a query, only a limit. A period with more rows than a page is split in halves; if it
        cannot be split, the limit is raised.
        """
        spans = [(self._window.start, self._window.end, page_rows)]
        while spans:
            start, end, limit = spans.pop()
            part = TimeWindow(key=self._window.key, start=start, end=end)
            rows = self._rows(part, self._condition, (*FACTS, *_SESSIONS, *_USERS), limit + 1)
            if len(rows) <= limit:
                yield [_with_ids(row) for row in rows]
            elif end - start > _SMALLEST:
                middle = start + (end - start) / 2
                spans += [(start, middle, limit), (middle, end, limit)]
            else:
                spans.append((start, end, 2 * limit))

    def texts(self, span_ids: Sequence[str]) -> list[JsonObject]:
        """These calls with text, in the order of the ids; ids that no longer exist are left out."""
        condition = f"span_kind == 'LLM' and span_id in {list(span_ids)!r}"
        rows = self._rows(self._window, condition, (*FACTS, *_SESSIONS, *_USERS, *TEXTS, *FOREIGN), len(span_ids) + 1)
        rows = [_as_texts(_converted(row)) for row in rows]
        order = {span_id: place for place, span_id in enumerate(span_ids)}
        return sorted(rows, key=lambda row: order[row["context.span_id"]])

    def probe(self) -> None:
        """Ask for one call, to check the condition. Raises the session's error."""
        self._rows(self._window, self._condition, ("name",), 1)

    def _rows(self, window: TimeWindow, condition: str, columns: Sequence[str], limit: int) -> list[JsonObject]:
        """One request, at most `limit` rows."""
        from phoenix.client.types.spans import SpanQuery

        query = SpanQuery().where(condition).select(*(c.removeprefix(_ATTRIBUTE) for c in columns))

        def question(client: "Client") -> list[JsonObject]:
            frame = client.spans.get_spans_dataframe(
                query=query,
                start_time=window.start,
                end_time=window.end,
                limit=limit,
                project_identifier=self._server.project,
                timeout=self._server.timeout,
            ).reset_index()
            # The client gives an empty table for any other reply, and for one that was cut off.
            if missing := [name for name in columns if name.removeprefix(_ATTRIBUTE) not in frame.columns]:
                raise BrokenReply(f"the reply lacks the columns {missing}")
            names = {name: name.removeprefix(_ATTRIBUTE) for name in ("context.span_id", *columns)}
            return [_record(row, names) for row in frame.to_dict("records")]

        return self._server.ask(question)


def _record(row: Any, names: dict[str, str]) -> JsonObject:
    values = {name: row[key] for name, key in names.items()}
    return {name: _plain(value) for name, value in values.items() if not _is_missing(value)}


def _with_ids(row: JsonObject) -> JsonObject:
    """The row with the session and user that other conventions name, where OpenInference's are missing."""
    for name, others in (("attributes.session.id", _SESSIONS), ("attributes.user.id", _USERS)):
        there = [row.pop(other) for other in others if other in row]
        if there and not row.get(name):
            row[name] = there[0]
    return row


def _converted(row: JsonObject) -> JsonObject:
    """The row with the messages, tools and settings of other conventions; as Phoenix has it where they are broken."""
    foreign = {name: row.pop(name) for name in FOREIGN if name in row}
    row = _with_ids(row)
    if not foreign:
        return row
    names = {name.removeprefix(_ATTRIBUTE): name for name in (*FACTS, *TEXTS) if name.startswith(_ATTRIBUTE)}
    recorded = {short: row.pop(name) for short, name in names.items() if name in row}
    try:
        found = to_openinference(flat({name.removeprefix(_ATTRIBUTE): v for name, v in foreign.items()}) | recorded)
    except FormError:
        found = recorded
    return row | {names[short]: value for short, value in found.items() if short in names}


def _as_texts(row: JsonObject) -> JsonObject:
    """The row with JSON text for nested values: those of converted spans are nested otherwise than Phoenix's."""
    nested = {name: json.dumps(row[name]) for name in TEXTS if isinstance(row.get(name), (dict, list))}
    return row | nested


def _plain(value: Any) -> Any:
    """The value as JSON holds it; times become text."""
    return storable(json.loads(json.dumps(value, default=str)))


def _is_missing(value: Any) -> bool:
    """Whether the span lacks the value. Phoenix's client makes the text `None` of it where another span has a text."""
    return value is None or value == "None" or (isinstance(value, float) and not math.isfinite(value))
