"""Calls to an endpoint: what is asked, what is retried, what stops, and that nothing is paid for twice."""

import asyncio
import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.core.errors import CallFailed, ConfigError, EndpointRefused, SiaError, SpendCapReached
from sia_dagster.core.ports.model import ChatReply
from sia_dagster.core.records.sample import ToolCall
from sia_dagster_tests.places import ROOT
from sia_dagster_tests.worlds.chats import KEY, Desk, ask
from simulation.servers import Answer, Body, Reply, ScriptedServer, completion, refusal


def echo(body: Body, _: int) -> Body:
    return completion(str(body["messages"][-1]["content"]))


def fails_first(times: int, reply: Reply) -> Answer:
    return lambda body, n: reply if n < times else echo(body, n)


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_a_request_is_sent_as_it_stands_and_the_answer_is_read_whole(tmp_path: Path) -> None:
    called = [{"id": "c1", "name": "look", "arguments": '{"at": 1}'}]
    reply = completion(None, prompt_tokens=100, completion_tokens=20, finish_reason="tool_calls", tool_calls=called)
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    form = {"type": "json_object"}
    with ScriptedServer(lambda *_: reply) as server:
        answer = Desk(server.base_url, tmp_path).one(
            ask(
                parameters={"temperature": 0, "stream": True, "n": 4, "model": "x"}, tools=(tool,), response_format=form
            )
        )
    assert server.requests == [
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "Is it so?"}],
            "temperature": 0,
            "tools": [tool],
            "response_format": form,
        }
    ]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert answer.tool_calls == (ToolCall(id="c1", name="look", arguments='{"at": 1}'),)
    assert (answer.text, answer.finish_reason, answer.attempts, answer.cached) == ("", "tool_calls", 1, False)
    assert (answer.prompt_tokens, answer.completion_tokens) == (100, 20)
    assert answer.cost_usd == pytest.approx((100 * 0.15 + 20 * 0.60) / 1e6)
    assert answer.seconds > 0


def test_the_second_time_the_store_answers(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        desk = Desk(server.base_url, tmp_path)
        first, second = desk.one(ask()), desk.one(ask(stage="replay"))
        assert second == first.model_copy(update={"cached": True})
        assert desk.one(ask(draw="1")).cached is False
    assert len(server.requests) == 2
    assert desk.spent()[1] == 30


def test_a_stored_answer_needs_no_endpoint_and_no_price(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        Desk(server.base_url, tmp_path).one(ask(model="local"))
    gone = Desk("http://127.0.0.1:9/v1", tmp_path, budget_usd=1)
    assert gone.one(ask(model="local")).cached
    with pytest.raises(ConfigError, match=r"llm\.prices"):
        gone.one(ask("something else", model="local"))


def test_without_a_key_none_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would take the key of the environment, meant for another endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ScriptedServer(echo) as server:
        desk = Desk(server.base_url, tmp_path, api_key=None)
        desk.key = None
        desk.one(ask())
    assert "authorization" not in server.headers[0]


def test_an_unpriced_model_costs_tokens_only(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        desk = Desk(server.base_url, tmp_path)
        assert desk.one(ask(model="local")).cost_usd is None
    assert desk.spend["judge local"].cost_usd is None
    assert desk.spent() == (0.0, 15)


@pytest.mark.parametrize(
    "reply",
    [
        refusal(429, "slow down"),
        refusal(408, "took too long"),
        refusal(500, "oops"),
        refusal(503, "overloaded"),
        Reply(502, b"<html>Bad Gateway</html>"),
        Reply(body=b'{"choices": [{"message": {"content": "cut of'),
        Reply(body=b""),
        Reply(body=b"[]"),
        Reply(body={"choices": []}),
        Reply(body={"choices": [{"message": None}]}),
        Reply(body={"error": {"message": "upstream died", "code": 502}}),
        Reply(body=completion("", tool_calls=[{"name": None, "arguments": ""}])),
        Reply(drop=True),
    ],
)
def test_what_may_pass_is_tried_again_within_limits(tmp_path: Path, reply: Reply) -> None:
    with ScriptedServer(fails_first(2, reply)) as server:
        desk = Desk(server.base_url, tmp_path)
        answer = desk.one(ask())
    assert (answer.text, answer.attempts, len(server.requests)) == ("Is it so?", 3, 3)
    assert 0.5 <= desk.waits[0] <= 1.5
    assert 1.0 <= desk.waits[1] <= 3.0
    assert desk.spent()[1] == 15


def test_a_row_that_always_fails_is_an_error_of_that_row(tmp_path: Path) -> None:
    def answer(body: Body, n: int) -> Reply | Body:
        return refusal(500, "oops") if "bad" in str(body["messages"]) else echo(body, n)

    with ScriptedServer(answer) as server:
        desk = Desk(server.base_url, tmp_path, max_attempts=3)
        good, bad, fine = desk.ask(ask("good"), ask("bad"), ask("fine"))
        assert isinstance(bad, CallFailed)
        assert (bad.attempts, bad.status) == (3, 500)
        assert str(bad) == "judge gpt-4o-mini: no answer after 3 attempts (status 500): oops"
        assert isinstance(good, ChatReply)
        assert isinstance(fine, ChatReply)
        desk.ask(ask("good"), ask("bad"))
    assert len(server.requests) == 2 + 3 + 3
    assert len(desk.waits) == 4


def test_the_endpoints_own_wait_is_kept(tmp_path: Path) -> None:
    waits = [
        refusal(429, "slow down", retry_after="7"),
        refusal(429, "slow down", retry_after="Mon, 02 Nov 2026 12:00:07 GMT", date="Mon, 02 Nov 2026 12:00:00 GMT"),
        refusal(503, "slow down", retry_after="100000"),
    ]
    with ScriptedServer(lambda body, n: waits[n] if n < 3 else echo(body, n)) as server:
        desk = Desk(server.base_url, tmp_path)
        desk.one(ask())
    assert desk.waits == [7.0, 7.0, 120.0]


def test_a_hang_is_given_up_after_the_timeout_of_an_attempt(tmp_path: Path) -> None:
    with ScriptedServer(fails_first(1, Reply(delay=600))) as server:
        desk = Desk(server.base_url, tmp_path, timeout_seconds=0.2)
        assert desk.one(ask()).attempts == 2
    with ScriptedServer(lambda *_: Reply(delay=600)) as server:
        with pytest.raises(CallFailed, match=r"after 2 attempts: no reply within 0\.2 seconds") as failed:
            Desk(server.base_url, tmp_path, timeout_seconds=0.2, max_attempts=2).one(ask("hang"))
        assert failed.value.status is None


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("http://127.0.0.1:9/v1", "ConnectionRefusedError"),
        ("http://nowhere.invalid/v1", "nowhere.invalid/v1 cannot be reached"),
        ("https://127.0.0.1:{port}/v1", "cannot be reached"),
    ],
)
def test_an_endpoint_that_is_not_there_stops_the_run_after_three_attempts(
    tmp_path: Path, base_url: str, reason: str
) -> None:
    with ScriptedServer(echo) as server:
        desk = Desk(base_url.format(port=server.base_url.split(":")[2].split("/")[0]), tmp_path, max_concurrency=4)
        outcomes = desk.ask(*(ask(str(n)) for n in range(4)))
    assert {type(outcome) for outcome in outcomes} == {EndpointRefused}
    assert reason in str(outcomes[0])
    assert "check llm.base_url" in str(outcomes[0])
    assert len(desk.waits) == 4 * 2
    assert max(desk.waits) <= 3.0


def test_an_endpoint_that_goes_down_keeps_its_retries_until_three_calls_in_a_row_got_no_reply(tmp_path: Path) -> None:
    def goes_down(body: Body, n: int) -> Reply | Body:
        return echo(body, n) if n < 3 else Reply(drop=True)

    with ScriptedServer(goes_down) as server:
        outcomes = Desk(server.base_url, tmp_path).ask(*(ask(str(n)) for n in range(8)), workers=1)
        assert len(server.requests) == 3 + 5 * 5
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["ChatReply"] * 3 + ["CallFailed"] * 2 + ["EndpointRefused"] * 3


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (refusal(401, f"Incorrect API key provided: {KEY}"), "the environment variable DESK_KEY to a valid key"),
        (refusal(400, "API key not valid"), "DESK_KEY"),
        (refusal(403, "no access"), "may not use model 'gpt-4o-mini'"),
        (refusal(404, "The model does not exist", code="model_not_found"), "Check its name in the configuration"),
        (refusal(404, ""), "llm.base_url"),
        (refusal(402, "Insufficient balance"), "no quota left"),
        (refusal(429, "You exceeded your quota", code="insufficient_quota"), "no quota left"),
    ],
)
def test_what_no_call_can_pass_stops_at_once_and_says_what_to_do(tmp_path: Path, reply: Reply, advice: str) -> None:
    with ScriptedServer(lambda *_: reply) as server:
        desk = Desk(server.base_url, tmp_path)
        with pytest.raises(EndpointRefused) as refused:
            desk.one(ask())
        assert len(server.requests) == 1
    assert desk.waits == []
    assert advice in str(refused.value)
    assert server.base_url in str(refused.value)
    assert KEY not in text_of(refused.value)


def test_without_a_configured_key_the_error_says_where_to_name_one(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: refusal(401, "no key")) as server, pytest.raises(EndpointRefused) as refused:
        Desk(server.base_url, tmp_path, api_key=None).one(ask())
    assert "llm.api_key" in str(refused.value)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refusal(400, f"response_format is not supported for {KEY}"), "response_format is not supported for ***"),
        (refusal(400, "a word " * 200), "a word a word"),
        (Reply(422, {"detail": [{"loc": ["body"], "msg": "field required"}]}), "field required"),
        (Reply(400, {"error": "plain words"}), "plain words"),
        (Reply(400, {"error": []}), "Bad Request"),
        (refusal(404, "No endpoints found that support tool use"), "tool use"),
    ],
)
def test_a_refused_request_fails_its_row_at_once_with_what_the_endpoint_said(
    tmp_path: Path, reply: Reply, said: str
) -> None:
    with ScriptedServer(lambda *_: reply) as server, pytest.raises(CallFailed) as failed:
        Desk(server.base_url, tmp_path).one(ask())
    assert (failed.value.status, failed.value.attempts, len(server.requests)) == (reply.status, 1, 1)
    assert said in str(failed.value)
    assert len(str(failed.value)) < 400
    assert KEY not in text_of(failed.value)


def test_the_key_shows_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(lambda *_: refusal(500, f"your key {KEY} " * 20)) as server:
        desk = Desk(server.base_url, tmp_path, max_attempts=2)
        shown: list[str] = []

        async def look(chat: OpenAIChat) -> None:
            shown.append(repr(chat))
            with pytest.raises(CallFailed) as failed:
                await chat.complete(ask())
            shown.append(text_of(failed.value))

        desk.run(look)
    out, err = capfd.readouterr()
    shown += [out, err, desk.path.read_bytes().decode("latin-1")]
    assert not [text for text in shown if KEY in text]


@pytest.mark.parametrize(
    ("base_url", "key", "named"),
    [
        ("localhost:8000/v1", KEY, "llm.base_url"),
        ("ftp://example.com/v1", KEY, "llm.base_url"),
        ("https://user:password@example.com/v1", KEY, "llm.base_url"),
        ("http://[::1/v1", KEY, "llm.base_url"),
        ("http://127.0.0.1:port/v1", KEY, "llm.base_url"),
        ("http://127.0.0.1:99999/v1", KEY, "llm.base_url"),
        ("http://127.0.0.1:8000/v1\n", KEY, "llm.base_url"),
        ("http://exa mple.com/v1", KEY, "llm.base_url"),
        ("http://:8000/v1", KEY, "llm.base_url"),
        ("http://a..example.com/v1", KEY, "llm.base_url"),
        ("http://[user:password@example.com/v1", KEY, "llm.base_url"),
        ("https://example.com/v1", "sk-\nsecret", "DESK_KEY"),
        ("https://example.com/v1", "sk-ключ", "DESK_KEY"),
    ],
)
def test_what_cannot_be_an_address_or_a_key_is_refused_before_any_call(
    tmp_path: Path, base_url: str, key: str, named: str
) -> None:
    desk = Desk(base_url, tmp_path)
    desk.key = key
    with pytest.raises(ConfigError, match=named) as refused:
        desk.one(ask())
    assert key not in str(refused.value)
    assert "password" not in str(refused.value)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"]}, "ab"),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": "half a pair \ud83d"}, "half a pair ?"),
    ],
)
def test_answers_in_other_forms_are_read(tmp_path: Path, message: Body, text: str) -> None:
    body = {"choices": [{"message": message, "finish_reason": "length"}], "usage": {"prompt_tokens": 3}}
    with ScriptedServer(lambda *_: Reply(body=json.dumps(body).encode())) as server:
        answer = Desk(server.base_url, tmp_path).one(ask())
    assert (answer.text, answer.finish_reason, answer.prompt_tokens) == (text, "length", 3)


def test_without_usage_tokens_are_estimates_so_that_a_cap_still_counts(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "four words of text", "tool_calls": [_tool_call()]}}], "usage": None}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    parts = [{"type": "text", "text": "word " * 1000}, picture]
    with ScriptedServer(lambda *_: body) as server:
        answer = Desk(server.base_url, tmp_path).one(ask(messages=[{"role": "user", "content": parts}]))
    assert answer.tool_calls[0].arguments == '{"at": 1}'
    assert answer.completion_tokens == 5
    assert 1000 < answer.prompt_tokens < 2000


def _tool_call() -> Body:
    return {"id": None, "function": {"name": "look", "arguments": {"at": 1}}}


def test_a_request_that_is_no_text_fails_its_row(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server, pytest.raises(CallFailed, match="surrogate"):
        Desk(server.base_url, tmp_path).one(ask("half a pair \ud83d"))
    assert server.requests == []


def test_a_request_with_what_json_cannot_hold_fails_its_row_alone(tmp_path: Path) -> None:
    """Recorded parameters may hold NaN, which Python's own reader takes."""
    broken = ask("broken", parameters={"temperature": float("nan")})
    with ScriptedServer(echo) as server:
        row, other = Desk(server.base_url, tmp_path).ask(broken, ask("whole"))
    assert isinstance(row, CallFailed)
    assert "after 1 attempt (status 422): not sent: the request is no JSON" in str(row)
    assert isinstance(other, ChatReply)
    assert len(server.requests) == 1


@pytest.mark.parametrize("calls", [5, True, "look", {"look": {}}, [5]])
def test_tool_calls_that_are_none_are_no_answer(tmp_path: Path, calls: object) -> None:
    body = {"choices": [{"message": {"content": None, "tool_calls": calls}}]}
    with ScriptedServer(lambda *_: body) as server, pytest.raises(CallFailed, match="tool call without a function"):
        Desk(server.base_url, tmp_path, max_attempts=2).one(ask())


def test_a_usage_that_cannot_be_counts_as_not_told_and_the_answer_is_kept(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10**30, "completion_tokens": True}
    body = {"choices": [{"message": {"content": "four words of text"}}], "usage": usage}
    with ScriptedServer(lambda *_: body) as server:
        desk = Desk(server.base_url, tmp_path)
        paid, stored = desk.one(ask()), desk.one(ask())
    assert (paid.prompt_tokens < 10, paid.completion_tokens) == (True, 5)
    assert stored.cached
    assert len(server.requests) == 1


def test_equal_requests_in_flight_are_paid_for_once(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: Reply(body=completion(f"answer {n}"), delay=0.05)) as server:
        desk = Desk(server.base_url, tmp_path)
        answers = desk.ask(*[ask()] * 20)
    assert len(server.requests) == 1
    replies = [a for a in answers if isinstance(a, ChatReply)]
    assert [reply.text for reply in replies] == ["answer 0"] * 20
    assert sum(not reply.cached for reply in replies) == 1
    spend = desk.spend["judge gpt-4o-mini"]
    assert (spend.calls, spend.paid_calls, spend.prompt_tokens) == (20, 1, 10)


def test_equal_requests_in_flight_fail_together(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: refusal(400, "no")) as server:
        outcomes = Desk(server.base_url, tmp_path).ask(ask(), ask())
    assert len(server.requests) == 1
    assert all(isinstance(outcome, CallFailed) for outcome in outcomes)


def test_no_more_calls_are_in_flight_than_configured(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: Reply(body=echo(body, n), delay=0.01)) as server:
        Desk(server.base_url, tmp_path, max_concurrency=4).ask(*(ask(str(n)) for n in range(40)))
    assert len(server.requests) == 40
    assert server.most_in_flight == 4


def test_sustained_429s_thin_out_the_calls_and_every_row_is_answered(tmp_path: Path) -> None:
    """The endpoint takes four at a time; thirty-two workers find that out."""
    with ScriptedServer(echo) as server:
        refused: list[bool] = []

        def answer(body: Body, n: int) -> Reply | Body:
            refused.append(server.in_flight > 4)
            return refusal(429, "slow down") if refused[-1] else Reply(body=echo(body, n), delay=0.02)

        server.answer = answer
        desk = Desk(server.base_url, tmp_path, max_concurrency=32, max_attempts=20)
        answers = desk.ask(*(ask(str(n)) for n in range(400)))
    assert [a.text for a in answers if isinstance(a, ChatReply)] == [str(n) for n in range(400)]
    assert sum(refused[:100]) > 15
    assert sum(refused[-300:]) < 3 * sum(refused[:100])


def test_the_budget_stops_before_the_next_call_and_a_later_run_goes_on(tmp_path: Path) -> None:
    questions = [ask(f"{n:04}") for n in range(60)]
    with ScriptedServer(lambda body, n: Reply(body=echo(body, n), delay=0.005)) as server:
        poor = Desk(server.base_url, tmp_path, budget_tokens=15 * 20 + 7)
        outcomes = poor.ask(*questions, workers=16)
        assert len(server.requests) == 20
        assert poor.spent()[1] == 300
        reached = [o for o in outcomes if isinstance(o, SpendCapReached)]
        assert len(reached) == 40
        assert (reached[0].spent, reached[0].cap, reached[0].unit) == (300, 307, "tokens")
        cached = poor.ask(*questions[:20], workers=4)
        assert all(isinstance(a, ChatReply) and a.cached for a in cached)
        rich = Desk(server.base_url, tmp_path, budget_tokens=10_000)
        answers = rich.ask(*questions, workers=16)
    assert [a.text for a in answers if isinstance(a, ChatReply)] == [f"{n:04}" for n in range(60)]
    assert len(server.requests) == 60
    assert rich.spend["judge gpt-4o-mini"].paid_calls == 40


def test_the_budget_holds_over_stages_in_usd(tmp_path: Path) -> None:
    prices = {"gpt-4o-mini": {"input": 1000.0, "output": 2000.0}}
    with ScriptedServer(echo) as server:
        desk = Desk(server.base_url, tmp_path, budget_usd=0.07, prices=prices)
        assert [desk.one(ask(f"{n}", stage="judge")).cost_usd for n in range(3)] == [0.02] * 3
        with pytest.raises(SpendCapReached, match=r"0\.06 of 0\.07 USD are spent") as reached:
            desk.one(ask("4" * 4000, stage="replay"))
        assert reached.value.unit == "USD"


def test_leaving_the_block_waits_for_the_calls_that_are_paid_for(tmp_path: Path) -> None:
    """A stage that stops on one row keeps the answers of the rows in flight, and starts no other."""
    with ScriptedServer(lambda body, n: Reply(body=echo(body, n), delay=0.1)) as server:
        desk = Desk(server.base_url, tmp_path, max_concurrency=2)

        async def stop_early(chat: OpenAIChat) -> None:
            rows = [asyncio.create_task(chat.complete(ask(str(n)))) for n in range(4)]
            while server.in_flight < 2:
                await asyncio.sleep(0.001)
            for row in rows:
                row.cancel()
            await asyncio.gather(*rows, return_exceptions=True)
            raise SiaError("stop")

        with pytest.raises(SiaError, match="stop"):
            desk.run(stop_early)
        assert [desk.one(ask(str(n))).cached for n in range(4)] == [True, True, False, False]
    assert len(server.requests) == 4


def test_a_failure_while_leaving_is_not_tried_again(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: Reply(500, delay=0.1)) as server:

        async def leave(chat: OpenAIChat) -> None:
            row = asyncio.create_task(chat.complete(ask()))
            while not server.requests:
                await asyncio.sleep(0.001)
            row.cancel()

        Desk(server.base_url, tmp_path).run(leave)
    assert len(server.requests) == 1


def test_a_cancelled_block_leaves_at_once(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: Reply(delay=600)) as server:

        async def cancelled(chat: OpenAIChat) -> None:
            row = asyncio.create_task(chat.complete(ask()))
            while not server.requests:
                await asyncio.sleep(0.001)
            row.cancel()
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            Desk(server.base_url, tmp_path, timeout_seconds=600).run(cancelled)


def test_a_block_can_be_entered_again(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:

        async def again(chat: OpenAIChat) -> list[bool]:
            first = await chat.complete(ask("1"))
            await chat.__aexit__(None, None, None)
            async with chat:
                return [first.cached, (await chat.complete(ask("2"))).cached, (await chat.complete(ask("1"))).cached]

        assert Desk(server.base_url, tmp_path).run(again) == [False, False, True]


def test_importing_the_engine_loads_no_client() -> None:
    heavy = "{'openai', 'aiohttp', 'httpx', 'numpy', 'pandas'}"
    code = (
        f"import sys, sia_dagster.adapters.engine.calls.chat; sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
