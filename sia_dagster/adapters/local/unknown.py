"""Names what a record is that no form reads, and what its owner can do."""

from collections.abc import Callable
from typing import NamedTuple

from sia_dagster.core.records.value import JsonObject


class Known(NamedTuple):
    """A form of record that is not read."""

    tells: Callable[[JsonObject], bool]
    sentence: str
    """What it is, and what its owner can do."""


def _has(*names: str) -> Callable[[JsonObject], bool]:
    """Tells a record by keys that it must all have."""
    wanted = frozenset(names)
    return lambda record: wanted <= record.keys()


def _is_delta(record: JsonObject) -> bool:
    return "commitInfo" in record or record.keys() in ({"protocol"}, {"metaData"}, {"add"}, {"remove"}, {"txn"})


def _is_fine_tuning(record: JsonObject) -> bool:
    chats = {"messages", "tools", "functions", "parallel_tool_calls"}
    return ("messages" in record and record.keys() <= chats) or record.keys() == {"prompt", "completion"}


def _is_langfuse_trace(record: JsonObject) -> bool:
    return {"id", "timestamp"} <= record.keys() and bool({"bookmarked", "htmlPath"} & record.keys())


def _is_weave(record: JsonObject) -> bool:
    return {"op_name", "inputs"} <= record.keys() and "started_at" in record


def _is_opik_trace(record: JsonObject) -> bool:
    opik = {"error_info", "total_estimated_cost", "created_by", "last_updated_at", "span_count", "thread_id"}
    return {"id", "input", "start_time"} <= record.keys() and len(opik & record.keys()) > 1 and "type" not in record


def _is_datadog(record: JsonObject) -> bool:
    meta = record.get("meta")
    return isinstance(meta, dict) and ("span.kind" in meta or ("ml_app" in record and "input" in meta))


_ERROR_KEYS = {"error", "errors", "message", "detail", "status", "code", "data", "request_id", "type"}
_RE_EXPORT = "send its spans to a collector or to Phoenix with OpenTelemetry, or export them as OTLP JSON"
_KNOWN: tuple[Known, ...] = (
    Known(_is_delta, "it belongs to the log of a Delta table, whose Parquet files are read beside it"),
    Known(
        lambda r: "format-version" in r and "table-uuid" in r,
        "it is the metadata of an Iceberg table; name the folder with its Parquet files (`data/`)",
    ),
    Known(
        lambda r: "partitionToWriteStats" in r or "operationType" in r,
        "it belongs to the timeline of a Hudi table; name the folder with its Parquet files",
    ),
    Known(
        lambda r: isinstance(r.get("entries"), list) and bool(r["entries"]) and "url" in str(r["entries"][0])[:200],
        "it is the manifest of an unload, which lists files; the files themselves are read beside it",
    ),
    Known(
        lambda r: isinstance(r.get("files"), list) and ("exportId" in r or "export_id" in r or "projectId" in r),
        "it is the manifest of an export, which lists files; the files themselves are read beside it",
    ),
    Known(_has("traceID", "spans", "processes"), f"it is a trace of Jaeger, which cuts long attributes; {_RE_EXPORT}"),
    Known(_has("traceID", "spanID", "operationName"), f"it is a span of Jaeger; {_RE_EXPORT}"),
    Known(_has("traceId", "id", "localEndpoint"), f"it is a span of Zipkin; {_RE_EXPORT}"),
    Known(_has("trace_id", "span_id", "service", "resource", "meta"), f"it is a span of Datadog; {_RE_EXPORT}"),
    Known(_is_datadog, f"it is a span of Datadog LLM Observability; {_RE_EXPORT}"),
    Known(_is_weave, f"it is a call of W&B Weave; {_RE_EXPORT}"),
    Known(
        _is_opik_trace,
        "it is a trace of Opik without its spans; export the spans (`Opik.search_spans`, or `/v1/private/spans`)",
    ),
    Known(
        _has("request_id", "prompt_input_variables"),
        "it is a request of PromptLayer; write its `request_kwargs`, `request_response` and `request_start_time` as "
        "`request`, `response` and `created`",
    ),
    Known(
        _has("custom_id", "method", "url", "body"),
        "it is a request of OpenAI's batches, without an answer; join it by `custom_id` to the output file and write "
        "`request`, `response` and `created`",
    ),
    Known(
        _has("custom_id", "response"),
        "it is an answer of OpenAI's batches, without its request; join it by `custom_id` to the input file and write "
        "`request`, `response` and `created`",
    ),
    Known(
        _has("custom_id", "result"),
        "it is an answer of Anthropic's batches, without its request; join it by `custom_id` to the requests and write "
        "`request`, `response` and `created`",
    ),
    Known(
        _is_fine_tuning,
        "it has the form of a file for fine-tuning: a chat without a time; if it is a log of calls, add `created` "
        "(seconds since 1970, or ISO 8601) to each record",
    ),
    Known(
        lambda r: {"role", "content"} <= r.keys() and "messages" not in r and "choices" not in r,
        "it is one message of a chat; write a record for each call, with the chat so far as `messages`, and `created`",
    ),
    Known(
        lambda r: isinstance(r.get("conversations"), list) and "messages" not in r,
        "it is a conversation in the form of ShareGPT; write its turns as `messages` with `role` and `content`, and "
        "add `created`",
    ),
    Known(_has("mapping", "create_time"), "it is a conversation of ChatGPT's export, no call of an application"),
    Known(
        lambda r: r.get("object") in ("chat.completion", "response") and "messages" not in r and "input" not in r,
        "it is a response of OpenAI without its request; write both as `request` and `response`, with `created`",
    ),
    Known(
        lambda r: r.get("object") == "chat.completion.chunk",
        "it is a part of a stream; write the whole answer with its request as `request`, `response` and `created`",
    ),
    Known(
        _is_langfuse_trace,
        "it is a trace of Langfuse without its observations; export *enriched observations*, or read each trace from "
        "`/api/public/traces/{id}`",
    ),
    Known(
        lambda r: {"trace_id", "name", "value"} <= r.keys() and bool({"data_type", "observation_id"} & r.keys()),
        "it is a score of Langfuse; scores are read where they stand in a trace (`/api/public/traces/{id}`)",
    ),
    Known(
        lambda r: {"info", "data"} <= r.keys() or ({"trace_id", "request_preview"} <= r.keys()),
        "it is a trace of MLflow without its spans; export it with `search_traces(include_spans=True)`",
    ),
    Known(
        lambda r: {"logEvents", "logGroup"} <= r.keys() or {"messageType", "logEvents"} <= r.keys(),
        "it is a batch of CloudWatch's logs; write each event's `message` as a line",
    ),
    Known(
        lambda r: r.keys() >= {"name", "version"} and bool({"dependencies", "scripts", "devDependencies"} & r.keys()),
        "it is a package.json, no trace",
    ),
    Known(
        lambda r: "$schema" in r or "openapi" in r or "cells" in r or "nbformat" in r,
        "it is a schema, a description of an API or a notebook, no trace",
    ),
    Known(
        lambda r: bool({"error", "errors", "detail"} & r.keys()) and r.keys() <= _ERROR_KEYS,
        "it is an API's error message, no trace; export again",
    ),
)
"""In this order; the first that tells a record names it."""
_SHOWN = 6


def what_it_is(record: JsonObject) -> str:
    """A sentence for people: the tool's name where its keys tell it, else the keys."""
    if not record:
        return "it is an empty object"
    if sentence := _known(record):
        return sentence
    keys = ", ".join(str(key)[:30] for key in list(record)[:_SHOWN])
    return f"it is of no form that is read (its keys: {keys}{', ...' if len(record) > _SHOWN else ''})"


def is_known(record: JsonObject) -> bool:
    """Whether the record is of a form that is known and not read, so that no other form may take it for its own."""
    return bool(_known(record))


def _known(record: JsonObject) -> str:
    return next((known.sentence for known in _KNOWN if _tells(known, record)), "")


def _tells(known: Known, record: JsonObject) -> bool:
    try:
        return bool(known.tells(record))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        return False
