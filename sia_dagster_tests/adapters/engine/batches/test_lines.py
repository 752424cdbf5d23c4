"""The files of the Batch API, line by line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_dagster.adapters.engine.batches.lines import outcome_of, read_line, written_line
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.adapters.request_chunks import chunks
from sia_dagster.core.ports.model import ChatReply
from simulation.servers import completion


def entry(status: Any, body: Any = None, error: Any = None) -> dict[str, Any]:
    response = None if status is None else {"status_code": status, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": "k", "response": response, "error": error}


def failure(line: dict[str, Any]) -> Failure:
    found = outcome_of(line, estimated_prompt=3)
    assert isinstance(found, Failure)
    return found


@given(st.text().filter(lambda text: text.isprintable()))
def test_a_line_is_one_line_that_says_all(text: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": f"{text}\n"}]}
    line = written_line("k", body, path="/v1/chat/completions")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"custom_id": "k", "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_what_is_no_text_is_no_line() -> None:
    with pytest.raises(UnicodeEncodeError):
        written_line("k", {"content": "\ud800"}, path="/")


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[1]", b"{}", b'{"custom_id": 3}', b'{"custom_id": "k"', b"[" * 9000]
)
def test_what_names_no_request_is_passed_over(line: bytes) -> None:
    assert read_line(line) is None


def test_an_answer_is_read_as_that_of_a_call() -> None:
    found = outcome_of(entry(200, completion("yes")), estimated_prompt=3)
    assert found == ChatReply(text="yes", finish_reason="stop", prompt_tokens=10, completion_tokens=5)


@pytest.mark.parametrize("told", [10**30, -1, True, 1.5, "12"])
def test_a_count_that_no_call_can_have_is_no_count(told: Any) -> None:
    """No database keeps the first one, and a true is no number."""
    body = completion("yes") | {"usage": {"prompt_tokens": told, "completion_tokens": told}}
    found = outcome_of(entry(200, body), estimated_prompt=3)
    assert isinstance(found, ChatReply)
    assert (found.prompt_tokens, found.completion_tokens) == (3, 1)


@pytest.mark.parametrize("error", [None, {}, {"code": 0, "message": "success"}], ids=str)
@pytest.mark.parametrize("status", [200, "200", None])
def test_an_error_that_says_there_is_none_is_none(status: Any, error: Any) -> None:
    line = {"custom_id": "k", "response": {"status_code": status, "body": completion("yes")}, "error": error}
    assert isinstance(outcome_of(line, estimated_prompt=3), ChatReply)


def test_an_answer_without_usage_counts_the_estimate() -> None:
    body = completion("yes") | {"usage": None}
    found = outcome_of(entry(200, body), estimated_prompt=3)
    assert isinstance(found, ChatReply)
    assert found.prompt_tokens == 3


@pytest.mark.parametrize(
    ("line", "told", "status", "after"),
    [
        (entry(None, error={"code": "batch_expired", "message": "Too late."}), "Too late.", None, "retry"),
        (entry(None), "no reason is given", None, "retry"),
        (entry(429, {"error": {"message": "Slow."}}), "Slow.", 429, "retry"),
        (entry(500, "<html>"), "<html>", 500, "retry"),
        (entry(400, {"error": {"message": "Bad.", "code": None, "type": "t", "param": "p"}}), "Bad.", 400, "row"),
        (entry(401, {"error": {"message": "Key.", "code": "invalid_api_key"}}), "Key.", 401, "stop"),
        (entry("500", completion("The parcel is")), "no reason is given", 500, "retry"),
        (
            entry(200, completion("The parcel is"), {"code": "batch_expired", "message": "Too late."}),
            *("Too late.", None, "retry"),
        ),
        (entry(200, {"choices": []}), "the reply has no choices", 200, "retry"),
        (entry(200, None), "the reply is no JSON object", 200, "retry"),
    ],
)
def test_a_failed_line_says_why(line: dict[str, Any], told: str, status: int | None, after: str) -> None:
    found = failure(line)
    assert (found.message, found.status, action_after(found)) == (told, status, after)


def test_a_failed_line_keeps_the_endpoint_s_words_for_it() -> None:
    found = failure(entry(400, {"error": {"message": "Bad.", "type": "t", "param": "seed"}}))
    assert (found.code, found.param) == ("t", "seed")


@given(st.lists(st.integers(1, 50)), st.integers(1, 5), st.integers(1, 60))
def test_chunks_are_in_order_and_within_both_limits(sizes: list[int], most: int, most_bytes: int) -> None:
    found = list(chunks(((n, size) for n, size in enumerate(sizes)), most=most, most_bytes=most_bytes))
    assert [n for part in found for n in part] == list(range(len(sizes)))
    for part in found:
        assert 0 < len(part) <= most
        assert len(part) == 1 or sum(sizes[n] for n in part) <= most_bytes
