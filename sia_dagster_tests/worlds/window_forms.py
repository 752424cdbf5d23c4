"""One window's calls in the forms that other tools record and export them in.

The shapes are those of the recordings in `corpora/forms/`; `write_forms.py` writes the same window with the tools
themselves. Ids, times, sessions and users stay, so that a loop reads the same window.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]
"""A span of the demo in the columns of Arize's export."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_otlp(rows: Sequence[Row], folder: Path) -> None:
    """OpenInference's spans as a collector writes them: requests of OTLP JSON, a line each."""
    spans = [_otlp_span(row) for row in rows]
    requests = [
        {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans[start : start + 20]}]}]}
        for start in range(0, len(spans), 20)
    ]
    _write_lines(folder / "otlp.jsonl", requests)


def _otlp_span(row: Row) -> dict[str, Any]:
    attributes = dict(_flattened(row))
    return {
        "traceId": row["context.trace_id"],
        "spanId": row["context.span_id"],
        "parentSpanId": row["parent_id"] or "",
        "name": row["name"],
        "kind": 1,
        "startTimeUnixNano": str(row["start_time"]),
        "endTimeUnixNano": str(row["end_time"]),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        "status": {"code": 2 if row["status_code"] == "ERROR" else 1},
    }


def _flattened(row: Row) -> Iterator[tuple[str, str]]:
    """The texts among the attributes, with messages as instrumentors set them: an attribute for each field."""
    for column, value in row.items():
        name = column.removeprefix("attributes.")
        if isinstance(value, str) and name != column:
            yield name, value
        elif name.endswith("_messages"):
            for number, message in enumerate(value or ()):
                yield from _dotted(f"{name}.{number}", json.loads(message))


def _dotted(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    for key, inner in enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ():
        yield from _dotted(f"{name}.{key}", inner)


def write_phoenix_frame(rows: Sequence[Row], folder: Path) -> None:
    """OpenLLMetry's spans as Phoenix's `get_spans_dataframe` gives them, in Parquet.

    Attributes that Phoenix does not know have one column for all that share the first part of their names.
    """
    pq.write_table(pa.Table.from_pylist([_frame_row(row) for row in rows]), folder / "spans.parquet")


def _frame_row(row: Row) -> dict[str, Any]:
    """Phoenix takes each span that names no operation of GenAI for one of an unknown kind."""
    is_call = row["attributes.openinference.span.kind"] == "LLM"
    association = {"properties": {"session_id": row["attributes.session.id"], "user_id": row["attributes.user.id"]}}
    shared = ("context.span_id", "context.trace_id", "parent_id", "status_code", "status_message")
    return {name: row[name] for name in shared} | {
        "name": "openai.chat" if is_call else f"{row['name']}.task",
        "span_kind": "LLM" if is_call else "UNKNOWN",
        "attributes.openinference.span.kind": "LLM" if is_call else "UNKNOWN",
        "start_time": _moment(row["start_time"]),
        "end_time": _moment(row["end_time"]),
        "attributes.llm.model_name": row["attributes.llm.model_name"],
        "attributes.traceloop": {"association": association, "span": {"kind": None if is_call else "task"}},
        "attributes.gen_ai": _gen_ai(row) if is_call else None,
    }


def _gen_ai(row: Row) -> dict[str, Any]:
    asked, text = _request(row), _answer(row)
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}]
    messages = [{"role": message["role"], "parts": list(_parts(message["content"]))} for message in asked["messages"]]
    return {
        "operation": {"name": "chat"},
        "request": {"model": asked["model"], "temperature": asked["temperature"]},
        "input": {"messages": json.dumps(messages)},
        "output": {"messages": json.dumps(answered) if text else None},
    }


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for part in content:
        if part["type"] == "text":
            yield {"type": "text", "content": part["text"]}
        else:
            kind, _, data = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
            yield {"type": "blob", "modality": "image", "mime_type": kind, "content": data}


def write_langfuse(rows: Sequence[Row], folder: Path) -> None:
    """Langfuse's observations as its API lists them, with the settings that its wrapper of OpenAI adds."""
    _write_lines(folder / "observations.jsonl", [_observation(row) for row in rows])


def _observation(row: Row) -> dict[str, Any]:
    is_call = row["attributes.openinference.span.kind"] == "LLM"
    common = {
        "id": row["context.span_id"],
        "traceId": row["context.trace_id"],
        "parentObservationId": row["parent_id"],
        "type": "GENERATION" if is_call else row["attributes.openinference.span.kind"],
        "name": "OpenAI-generation" if is_call else row["name"],
        "startTime": _moment(row["start_time"]).isoformat(),
        "endTime": _moment(row["end_time"]).isoformat(),
        "level": "ERROR" if row["status_code"] == "ERROR" else "DEFAULT",
        "statusMessage": row["status_message"] or None,
        "sessionId": row["attributes.session.id"],
        "userId": row["attributes.user.id"],
        "metadata": {},
    }
    if not is_call:
        return common | {"input": row["attributes.input.value"], "output": None, "model": None}
    asked, text = _request(row), _answer(row)
    added = {"max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}
    return common | {
        "input": json.dumps(asked["messages"]),
        "output": json.dumps({"role": "assistant", "content": text}) if text else None,
        "model": asked["model"],
        "modelParameters": {"temperature": asked["temperature"], **added},
    }


def _request(row: Row) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(row["attributes.input.value"])
    return request


def _answer(row: Row) -> str:
    """The text of the answer; empty for a call that failed."""
    messages = row["attributes.llm.output_messages"] or ['{"message.content": ""}']
    return str(json.loads(messages[0])["message.content"])


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


WRITERS: Mapping[str, Callable[[Sequence[Row], Path], None]] = {
    "OTLP JSON": write_otlp,
    "Phoenix's frame of OpenLLMetry": write_phoenix_frame,
    "Langfuse": write_langfuse,
}
"""By the form's name."""
