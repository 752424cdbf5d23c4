"""What is an answer: for direct calls, for batches, and for what earlier versions stored."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.batches.lines import outcome_of
from sia_dagster.adapters.engine.store import request_key
from sia_dagster.adapters.engine.wire.completions import as_answer
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.sample import ToolCall
from sia_dagster.wiring.endpoint import open_store
from sia_dagster_tests.corpora.failed_generations import ALIKE, ANSWERS, FAILED, STUB
from sia_dagster_tests.worlds.chats import WINDOW, Desk, ask
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

EVERY_FAILED = FAILED | ALIKE


def stored(desk: Desk) -> list[ChatReply]:
    with closing(open_store(desk.config, desk.path)) as store:
        return [answer.reply for answer in store.answers()]


def body_of(form: Body | Reply) -> Any:
    body = form.body if isinstance(form, Reply) else form
    return body.decode() if isinstance(body, bytes) else body


@pytest.mark.parametrize("form", EVERY_FAILED)
def test_a_failed_generation_is_asked_again_and_never_stored(form: str, tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: EVERY_FAILED[form] if n < 2 else completion("It is on its way.")) as server:
        desk = Desk(server.base_url, tmp_path)
        assert desk.one(ask()).text == "It is on its way."
        server.answer = lambda body, n: EVERY_FAILED[form]
        with pytest.raises(CallFailed):
            Desk(server.base_url, tmp_path, max_attempts=2).one(ask("another"))
        assert len(server.requests) == 3 + 2
    assert [reply.text for reply in stored(desk)] == ["It is on its way."]


@pytest.mark.parametrize("form", EVERY_FAILED)
def test_in_a_batch_it_is_the_same_failure(form: str) -> None:
    entry = {"custom_id": "k", "response": {"status_code": 200, "body": body_of(EVERY_FAILED[form])}}
    found = outcome_of(entry, estimated_prompt=3)
    assert isinstance(found, Failure)
    assert action_after(found) == "retry"


@pytest.mark.parametrize("form", ANSWERS)
def test_an_answer_is_stored_under_openais_word_for_its_end(form: str, tmp_path: Path) -> None:
    body, text, reason = ANSWERS[form]
    with ScriptedServer(lambda *_: body) as server:
        desk = Desk(server.base_url, tmp_path)
        assert (reply := desk.one(ask())).text == text
        assert desk.one(ask()) == reply.model_copy(update={"cached": True})
        assert len(server.requests) == 1
    assert [found.finish_reason for found in stored(desk)] == [reason]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c", "type": "custom", "custom": {"name": "run", "input": "print(1)"}},
        {"id": "c", "type": "function", "function": {"name": "run", "arguments": "print(1)"}},
        {"id": "c", "type": "function", "function": {"name": "run", "input": "print(1)"}},
    ],
)
def test_a_call_of_a_custom_tool_is_an_answer(call: Body, tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    with ScriptedServer(lambda *_: body) as server:
        reply = Desk(server.base_url, tmp_path).one(ask())
    assert reply.tool_calls == (ToolCall(id="c", name="run", arguments="print(1)"),)


def test_the_older_function_call_is_an_answer(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "run", "arguments": "{}"}}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "function_call"}]}
    with ScriptedServer(lambda *_: body) as server:
        reply = Desk(server.base_url, tmp_path).one(ask())
    assert (reply.tool_calls, reply.finish_reason) == ((ToolCall(name="run", arguments="{}"),), "tool_calls")


@pytest.mark.parametrize(
    ("error", "status", "attempts"),
    [
        ({"code": 429, "message": "Slow down."}, 429, 2),
        ({"code": "429", "message": "Slow down."}, 429, 2),
        ({"code": "rate_limit_exceeded", "message": "Slow down."}, 429, 2),
        ({"code": 403, "message": "Your input was flagged."}, 403, 1),
        ({"code": "context_length_exceeded", "message": "Too long."}, 400, 1),
        ({"code": 200, "message": "Odd."}, 200, 2),
    ],
)
def test_an_error_code_inside_a_200_is_treated_as_that_code(
    error: Body, status: int, attempts: int, tmp_path: Path
) -> None:
    with ScriptedServer(lambda *_: completion(STUB) | {"error": error}) as server, pytest.raises(CallFailed) as failed:
        Desk(server.base_url, tmp_path, max_attempts=2).one(ask())
    assert (failed.value.status, len(server.requests)) == (status, attempts)


def test_a_failed_generation_that_was_billed_counts_against_the_caps_and_in_no_document(tmp_path: Path) -> None:
    failed = completion(STUB, prompt_tokens=100, completion_tokens=50, finish_reason="error")
    with ScriptedServer(lambda body, n: failed if n == 0 else completion("Yes.")) as server:
        desk = Desk(server.base_url, tmp_path)
        desk.one(ask())
    assert desk.spent()[1] == 150 + 15
    spend = desk.spend["judge gpt-4o-mini"]
    assert (spend.calls, spend.prompt_tokens + spend.completion_tokens) == (1, 15)


OLD = [
    {"text": STUB, "finish_reason": "error"},
    {"text": STUB, "finish_reason": "abort"},
    {"text": STUB, "finish_reason": ""},
    {"text": "", "finish_reason": "stop"},
    {"text": " ", "finish_reason": "end_turn"},
    {"text": "", "finish_reason": "tool_calls"},
    {"text": STUB, "finish_reason": "network_error"},
]
"""What earlier versions stored of failed generations."""


@pytest.mark.parametrize("old", OLD, ids=str)
def test_a_stored_failed_generation_of_an_earlier_version_is_not_used_and_replaced(old: Body, tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: completion("It is on its way.")) as server:
        desk = Desk(server.base_url, tmp_path)
        with closing(open_store(desk.config, desk.path)) as store:
            key = request_key("server", ask())
            store.put(key, ChatReply.model_validate(old), scope=WINDOW, stage="judge", model="gpt-4o-mini")
        paid, again = desk.one(ask()), desk.one(ask())
        assert len(server.requests) == 1
    assert (paid.text, paid.cached, again.text, again.cached) == ("It is on its way.", False, "It is on its way.", True)
    assert [reply.text for reply in stored(desk)] == ["It is on its way."]


def test_a_row_as_an_earlier_version_wrote_it_is_read() -> None:
    written = json.dumps({"text": "Yes.", "tool_calls": [], "finish_reason": "eos", "prompt_tokens": 3, "attempts": 1})
    found = as_answer(ChatReply.model_validate_json(written))
    assert found is not None
    assert (found.text, found.finish_reason, found.reasoning) == ("Yes.", "stop", "")


def test_a_moderated_request_costs_its_row_alone(tmp_path: Path) -> None:
    def answer(body: Body, _: int) -> Reply | Body:
        flagged = "bad" in str(body["messages"])
        return refusal(403, "requires moderation: your input was flagged") if flagged else completion("Yes.")

    with ScriptedServer(answer) as server:
        bad, good = Desk(server.base_url, tmp_path).ask(ask("bad"), ask("good"), workers=1)
    assert isinstance(bad, CallFailed)
    assert isinstance(good, ChatReply)
