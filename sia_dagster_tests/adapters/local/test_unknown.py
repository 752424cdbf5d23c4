"""A record that is not read is named by its tool, with the way out, and no form takes it for its own."""

from typing import Any

import pytest

from sia_dagster.adapters.local.forms import form_of
from sia_dagster.adapters.local.unknown import what_it_is

CHAT = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "Yes."}]
NAMED: list[tuple[dict[str, Any], str]] = [
    ({"commitInfo": {"timestamp": 1}}, "log of a Delta table"),
    ({"add": {"path": "part-0.parquet"}}, "log of a Delta table"),
    ({"format-version": 2, "table-uuid": "1", "location": "s3://"}, "Iceberg"),
    ({"partitionToWriteStats": {}, "operationType": "UPSERT"}, "Hudi"),
    ({"entries": [{"url": "s3://bucket/0000_part_00", "meta": {"content_length": 1}}]}, "manifest of an unload"),
    ({"exportId": "1", "files": [{"path": "observations_v2/1.jsonl"}]}, "manifest of an export"),
    ({"traceID": "1", "spans": [{"spanID": "2"}], "processes": {}}, "Jaeger"),
    ({"traceID": "1", "spanID": "2", "operationName": "chat", "tags": []}, "Jaeger"),
    ({"traceId": "1", "id": "2", "name": "chat", "timestamp": 1, "localEndpoint": {}}, "Zipkin"),
    ({"trace_id": 1, "span_id": 2, "service": "a", "resource": "b", "meta": {}}, "Datadog"),
    ({"span_id": "1", "ml_app": "a", "meta": {"input": {}, "span.kind": "llm"}}, "Datadog LLM Observability"),
    ({"id": "1", "op_name": "openai.chat", "inputs": {}, "output": {}, "started_at": "2026-11-09"}, "W&B Weave"),
    ({"id": "1", "input": {}, "output": {}, "start_time": "2026", "last_updated_at": "2026", "thread_id": "1"}, "Opik"),
    ({"request_id": 1, "prompt_input_variables": {}, "request_response": {}}, "PromptLayer"),
    ({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": CHAT}}, "batches"),
    ({"id": "batch_req_1", "custom_id": "1", "response": {"body": {}}, "error": None}, "batches"),
    ({"custom_id": "1", "result": {"type": "succeeded", "message": {}}}, "Anthropic's batches"),
    ({"messages": CHAT}, "fine-tuning"),
    ({"messages": CHAT, "tools": []}, "fine-tuning"),
    ({"prompt": "What?", "completion": "Yes."}, "fine-tuning"),
    ({"id": "1", "object": "chat.completion", "created": 1, "choices": []}, "response of OpenAI without its request"),
    ({"id": "1", "object": "chat.completion.chunk", "created": 1, "choices": []}, "part of a stream"),
    ({"id": "1", "timestamp": "2026", "input": "a", "output": "b", "bookmarked": False}, "trace of Langfuse"),
    ({"id": "1", "trace_id": "1", "name": "tone", "value": 1, "data_type": "NUMERIC"}, "score of Langfuse"),
    ({"info": {"trace_id": "tr-1"}, "data": {"request": "{}"}}, "trace of MLflow without its spans"),
    ({"messageType": "DATA_MESSAGE", "logGroup": "a", "logEvents": [{"message": "{}"}]}, "CloudWatch"),
    ({"name": "app", "version": "1.0.0", "scripts": {}, "dependencies": {}}, "package.json"),
    ({"nbformat": 4, "cells": [], "metadata": {}}, "notebook"),
    ({"role": "user", "content": "What?", "timestamp": "2026-11-09", "session_id": "1"}, "one message of a chat"),
    ({"id": "1", "conversations": [{"from": "human", "value": "What?"}]}, "ShareGPT"),
    ({"title": "a", "create_time": 1.5, "mapping": {}}, "ChatGPT's export"),
    ({"error": {"message": "Unauthorized"}}, "error message"),
    ({}, "an empty object"),
    ({"a": 1, "b": 2}, "its keys: a, b"),
]


@pytest.mark.parametrize(("record", "words"), NAMED)
def test_a_record_is_named(record: dict[str, Any], words: str) -> None:
    assert form_of(record) is None
    assert words in what_it_is(record)


VALUES: list[Any] = [None, 1, "text", [], [1], {}]


def test_a_known_key_of_another_type_is_only_unknown() -> None:
    for key in ("entries", "files", "meta", "errors", "object", "input", "data", "info"):
        for value in VALUES:
            assert what_it_is({key: value, "other": 1}).startswith("it is")
