"""An application's own logs are calls if they hold a request, an answer and a time; else it is said what is missing."""

from typing import Any

import pytest

from sia_dagster.adapters.local.forms import Span, form_of
from sia_dagster_tests.adapters.local.forms.test_recordings import CHAT, COOL
from sia_dagster_tests.worlds.form_calls import SECONDS, calls, read_records

SYSTEM = {"role": "system", "content": "You tell the weather."}
ASKED = {"role": "user", "content": "What is the weather in Ulm?"}
SAID = {"role": "assistant", "content": "It is sunny in Ulm."}
CHOICES = {"choices": [{"message": SAID}], "created": SECONDS, "model": "gpt-4o-mini"}
REQUEST = {"model": "gpt-4o-mini", "temperature": 0.2, "messages": [SYSTEM, ASKED]}
NAMED = {"model": "gpt-4o-mini", "temperature": 0.2}
ANTHROPIC = {"model": "gpt-4o-mini", "temperature": 0.2, "system": SYSTEM["content"], "messages": [ASKED]}
BLOCKS = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": SAID["content"]}]}
CONVERSE = {
    "system": [{"text": SYSTEM["content"]}],
    "messages": [{"role": "user", "content": [{"text": ASKED["content"]}]}],
    "inferenceConfig": {"temperature": 0.2},
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": SYSTEM["content"]}]},
    "contents": [{"role": "user", "parts": [{"text": ASKED["content"]}]}],
    "generationConfig": {"temperature": 0.2},
}
CANDIDATES = {"candidates": [{"content": {"role": "model", "parts": [{"text": SAID["content"]}]}}]}
STREAM = "".join(
    f'data: {{"object": "chat.completion.chunk", "choices": [{{"index": 0, "delta": {{"content": "{word}"}}}}]}}\n\n'
    for word in ("It is ", "sunny ", "in Ulm.")
)
INVOCATION = {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-11-09T08:00:00Z",
    "requestId": "00000000-0000-0000-0000-000000000001",
    "modelId": "gpt-4o-mini",
    "input": {"inputBodyJson": CONVERSE, "inputTokenCount": 21},
    "output": {
        "outputBodyJson": {"output": {"message": {"role": "assistant", "content": [{"text": SAID["content"]}]}}}
    },
}

RECORDS: list[dict[str, Any]] = [
    {"messages": [SYSTEM, ASKED, SAID], "created": SECONDS} | NAMED,
    {"messages": [SYSTEM, ASKED], "response": SAID["content"], "timestamp": "2026-11-09T08:00:00Z"} | NAMED,
    {"messages": [SYSTEM, ASKED, SAID], "response": SAID["content"], "time": SECONDS * 1000} | NAMED,
    {"messages": [SYSTEM, ASKED], "completion": CHOICES, "created_at": "2026-11-09 08:00:00"} | NAMED,
    {"messages": [SYSTEM, ASKED], "params": {"temperature": 0.2}} | CHOICES,
    {"prompt": [SYSTEM, ASKED], "completion": SAID["content"], "createdAt": "2026-11-09T08:00:00"} | NAMED,
    {"input": {"messages": [SYSTEM, ASKED]}, "output": SAID["content"], "timestamp": SECONDS} | NAMED,
    {"request": REQUEST, "response": CHOICES},
    {"request": {"body": REQUEST, "headers": {}}, "response": {"body": CHOICES}, "created_at": SECONDS},
    {"request_body": REQUEST, "response_body": CHOICES, "request_created_at": "2026-11-09T08:00:00Z"},
    {"request": ANTHROPIC, "response": BLOCKS, "timestamp": SECONDS},
    {"request": GEMINI, "response": CANDIDATES, "model": "gpt-4o-mini", "timestamp": SECONDS},
    GEMINI | CANDIDATES | {"model": "gpt-4o-mini", "timestamp": SECONDS},
    {"request": REQUEST, "response": STREAM, "timestamp": SECONDS},
    INVOCATION,
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_a_call_in_every_spelling(record: dict[str, Any]) -> None:
    assert calls([record]) == [CHAT | COOL]


def span_of(record: dict[str, Any]) -> Span:
    form = form_of(record)
    assert form is not None
    (span,) = form.spans(record)
    assert isinstance(span, Span)
    return span


def test_the_settings_of_a_raw_request_are_named_as_instrumentors_name_them() -> None:
    request = GEMINI | {"generationConfig": {"maxOutputTokens": 50, "topP": 0.5, "stopSequences": ["END"]}}
    (found,) = calls([{"request": request, "response": CANDIDATES, "timestamp": SECONDS}])
    assert found["parameters"] == {"max_completion_tokens": 50, "top_p": 0.5, "stop": ["END"]}


def test_a_chat_of_several_turns_is_a_call_with_its_history() -> None:
    again = {"role": "user", "content": "And in Bonn?"}
    (found,) = calls([{"messages": [SYSTEM, ASKED, SAID, again, SAID], "created": SECONDS}])
    assert [message["role"] for message in found["messages"]] == ["user", "assistant", "user"]
    assert found["output"] == SAID["content"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": [SYSTEM, ASKED, SAID], "model": "m"}, "it has no time"),
        ({"request": REQUEST, "response": CHOICES | {"created": 0}}, "it has no time"),
        ({"messages": [SYSTEM, ASKED], "created": SECONDS}, "its last message is not the model's"),
        ({"messages": [SYSTEM, "What?"], "created": SECONDS, "answer": "Yes."}, "not all messages with a role"),
        (INVOCATION | {"input": {"inputBodyS3Path": "s3://log/data/1.json.gz"}}, "its request is not in the log"),
    ],
)
def test_what_a_record_lacks_is_named(record: dict[str, Any], reason: str) -> None:
    read = read_records([record])
    assert read.samples == ()
    assert [found for found in read.lost if reason in found] == read.lost != []


def test_a_record_that_is_read_twice_is_one_call_and_a_row_number_is_no_id() -> None:
    record = {"messages": [ASKED, SAID], "created": SECONDS}
    assert span_of(record).span_id == span_of(dict(reversed(record.items()))).span_id
    assert span_of(record).span_id != span_of(record | {"created": SECONDS + 1}).span_id
    first, other = (span_of(record | {"id": 1, "created": SECONDS + number}) for number in (0, 1))
    assert first.span_id != other.span_id
    long = "chatcmpl-AbCdEf0123456789"
    assert span_of(record | {"id": long}).span_id == long


def test_a_refused_request_has_failed() -> None:
    refused = {"request": REQUEST, "response": {"error": {"message": "no"}}, "created": SECONDS}
    failed = [
        refused | {"response_status": 429},
        refused | {"status": "error"},
        refused | {"response": '{"error": "no"}'},
    ]
    assert read_records([refused, *failed]).failed == 4
    answered = refused | {"response": {"error": None, "choices": [{"message": SAID}]}}
    assert read_records([answered]).failed == 0


def test_session_user_and_counts_are_kept() -> None:
    usage = {"usage": {"prompt_tokens": 21, "completion_tokens": 7}}
    more = {"conversationId": "chat-7", "metadata": {"user_id": "ann", "tenant": "acme"}}
    found = span_of({"request": REQUEST, "response": CHOICES | usage} | more).attributes
    kept = {"session.id": "chat-7", "user.id": "ann", "metadata.tenant": "acme"}
    counts = {"llm.token_count.prompt": 21, "llm.token_count.completion": 7}
    assert found | kept | counts == found
