"""A project's LLM spans, page by page, as rows with the columns of Arize's export."""

import json
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sia_dagster.adapters.phoenix.phoenix_client import PhoenixServer
from sia_dagster.adapters.phoenix.phoenix_faults import BrokenReply
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

if TYPE_CHECKING:
    from phoenix.client import Client

_ATTRIBUTE = "attributes."
FACTS = (
    *("context.trace_id", "name", "span_kind", "start_time", "end_time", "status_code"),
    *("attributes.session.id", "attributes.user.id", "attributes.llm.model_name"),
    *("attributes.llm.token_count.prompt", "attributes.llm.token_count.completion"),
)
"""What is read of every call. Ids and numbers alone: ten times faster than all."""
TEXTS = (
    *("attributes.llm.input_messages", "attributes.llm.output_messages", "attributes.input.value"),
    *("attributes.output.value", "attributes.llm.invocation_parameters", "attributes.llm.tools"),
    *("attributes.llm.prompt_template.template", "attributes.llm.prompt_template.variables", "attributes.tag.tags"),
)
"""What is read of the calls that are used."""

PAGE_ROWS = 20_000
_SMALLEST = timedelta(microseconds=1)


class SpanPages:
    """What is asked of one project in one window, under the loop's condition."""

    def __init__(self, server: PhoenixServer, window: TimeWindow, where: str) -> None:
        """`where` is Phoenix's: a Python expression over a span (`name == 'ChatCompletion'`)."""
        self._server, self._window = server, window
        llm = "span_kind == 'LLM'"
        self._condition = f"({llm}) and ({where.strip()})" if where.strip() else llm

    def facts(self, page_rows: int = PAGE_ROWS) -> Iterator[list[JsonObject]]:
        """All calls without their text, newest page first; rows within a page as the server gives them.

        Phoenix has no pages for a query, only a limit. A span of time that holds more than a page is asked for in
        halves; one that cannot be halved, with a greater limit.
        """
        spans = [(self._window.start, self._window.end, page_rows)]
        while spans:
            start, end, limit = spans.pop()
            part = TimeWindow(key=self._window.key, start=start, end=end)
            rows = self._rows(part, self._condition, FACTS, limit + 1)
            if len(rows) <= limit:
                yield rows
            elif end - start > _SMALLEST:
                middle = start + (end - start) / 2
                spans += [(start, middle, limit), (middle, end, limit)]
            else:
                spans.append((start, end, 2 * limit))

    def texts(self, span_ids: Sequence[str]) -> list[JsonObject]:
        """Those calls with their text, in the order of the ids; ids that are unknown by now are left out."""
        condition = f"span_kind == 'LLM' and span_id in {list(span_ids)!r}"
        rows = self._rows(self._window, condition, (*FACTS, *TEXTS), len(span_ids) + 1)
        order = {span_id: place for place, span_id in enumerate(span_ids)}
        return sorted(rows, key=lambda row: order[row["context.span_id"]])

    def probe(self) -> None:
        """Ask for one call: whether the condition can be asked. Raises the session's error."""
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
            # The client makes an empty table of whatever is no answer, and of an answer that was cut off.
            if missing := [name for name in columns if name.removeprefix(_ATTRIBUTE) not in frame.columns]:
                raise BrokenReply(f"the reply lacks {missing}")
            names = {name: name.removeprefix(_ATTRIBUTE) for name in ("context.span_id", *columns)}
            return [_record(row, names) for row in frame.to_dict("records")]

        return self._server.ask(question)


def _record(row: Any, names: dict[str, str]) -> JsonObject:
    values = {name: row[key] for name, key in names.items()}
    return {name: _plain(value) for name, value in values.items() if not _is_missing(value)}


def _plain(value: Any) -> Any:
    """Times as text, all else as JSON has it."""
    return storable(json.loads(json.dumps(value, default=str)))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
