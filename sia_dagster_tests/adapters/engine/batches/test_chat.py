"""Calls handed in as batches: the real SDK against a server with files and batches, and one store that stays."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sia_dagster.adapters.engine.batches.batch_chat import AnswerPending, BatchChat
from sia_dagster.adapters.engine.batches.batch_exchange import BatchExchange
from sia_dagster.adapters.engine.batches.batch_routes import BatchTerms, batch_routes
from sia_dagster.adapters.engine.store.batch_records import BatchRecords, SubmittedBatch
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import BatchesUnderWay, CallFailed, EndpointRefused, SiaError, SpendCapReached
from sia_dagster.core.evaluators.judge.llm_judge import LLMClassify
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.progress import Advance
from sia_dagster.core.records.spend import Spend
from sia_dagster_tests.worlds.chats import KEY, WINDOW, Waits, ask
from sia_dagster_tests.worlds.evaluation_samples import classified, rung_of, sample, spec
from simulation.batch_server import BatchFile, BatchServer
from simulation.servers import Body, Reply, completion, refusal

PRICED = {"gpt-4o-mini": {"input": 1.0, "output": 2.0}}

FULL = (10 * 1.0 + 5 * 2.0) / 1_000_000
"""USD of one call of the server's sizes."""


class BatchWorld:
    """Runs requests round by round over one store, each `ask` in a session of its own."""

    def __init__(self, base_url: str, folder: Path, *, most_requests: int = 50_000, **config: Any) -> None:
        settings = {"base_url": base_url, "mode": "batch", "prices": PRICED, "batch_poll_seconds": 5}
        self.config = LLMConfig.model_validate(settings | config)
        self.path, self.most = folder / "completions.sqlite", most_requests
        self.waits, self.steps = Waits(), list[Advance]()
        self.spend: dict[str, Spend] = {}
        self.rounds, self.now = 0, 1_800_000_000.0

    def ask(self, *requests: ChatRequest, waits: bool = True) -> list[ChatReply | Exception]:
        """The answers or errors of the last round, in order."""

        async def block() -> list[ChatReply | Exception]:
            terms = BatchTerms(sleep=self.waits, clock=lambda: self.now, most_requests=self.most)
            with closing(SqliteStore(self.path)) as store:
                chat = BatchChat(self.config, api_key=KEY, store=store, scope=WINDOW, endpoint="server", terms=terms)
                async with chat:
                    while True:
                        self.rounds += 1
                        outcomes = await _answers(chat, requests)
                        if await chat.settled(wait=self.waits if waits else None, progress=self.steps.append):
                            self.spend = dict(chat.spend)
                            return outcomes

        return asyncio.run(asyncio.wait_for(block(), 60))

    def texts(self, *requests: ChatRequest) -> list[str]:
        """The answers. Fails where there is none."""
        outcomes = self.ask(*requests)
        assert all(isinstance(outcome, ChatReply) for outcome in outcomes), outcomes
        return [outcome.text for outcome in outcomes if isinstance(outcome, ChatReply)]

    def spent(self) -> tuple[float, int]:
        """To a billionth of a USD."""
        usd, tokens = self._spent()
        return round(usd, 9), tokens

    def _spent(self) -> tuple[float, int]:
        with closing(SqliteStore(self.path)) as store:
            return store.spent(WINDOW.loop, WINDOW.window)

    def ledger(self) -> dict[str, Spend]:
        with closing(SqliteStore(self.path)) as store:
            return store.ledger(WINDOW.loop, WINDOW.window)


async def _answers(chat: BatchChat, requests: Sequence[ChatRequest]) -> list[ChatReply | Exception]:
    async def one(request: ChatRequest) -> ChatReply | Exception:
        try:
            return await chat.complete(request)
        except CallFailed as error:
            return error

    return await asyncio.gather(*(one(request) for request in requests))


def echo(body: Body, _: int) -> Body:
    """Answers with the question."""
    return completion(f"to {body['messages'][0]['content']}")


def asked(count: int, **fields: Any) -> list[ChatRequest]:
    return [ask(f"question {number}", **fields) for number in range(count)]


def test_all_is_handed_in_at_once_and_answers_fall_into_place_at_half_the_price(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        assert world.texts(*asked(30)) == [f"to question {n}" for n in range(30)]
        assert len(server.batches) == 1
        assert server.paid.total() == len(server.requests) == 30
        assert world.rounds == 2
        assert world.spend["judge gpt-4o-mini"].paid_calls == 30
        assert world.spend["judge gpt-4o-mini"].cost_usd == pytest.approx(30 * FULL / 2)
        assert world.ledger()["judge gpt-4o-mini"].calls == 30
        assert world.spent() == (round(30 * FULL / 2, 9), 450)
        assert world.waits == [5.0, 5.0, 5.0]
        assert {(step.of, step.what) for step in world.steps} == {(30, "answers in batches")}
        assert world.texts(*asked(30)) == [f"to question {n}" for n in range(30)]
    assert len(server.batches) == 1


def test_equal_requests_are_asked_once_and_draws_are_not_equal(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        world.texts(ask("same"), ask("same"), ask("same", draw="1"))
    assert server.paid.total() == 2


def test_without_waiting_an_error_reports_the_batches_and_the_next_session_collects(tmp_path: Path) -> None:
    with BatchServer(echo, steps=1) as server:
        world = BatchWorld(server.base_url, tmp_path)
        with pytest.raises(BatchesUnderWay, match="20 answers come with 1 batch that is under way") as caught:
            world.ask(*asked(20), waits=False)
        assert len(caught.value.batches) == 1
        assert world.spent()[0] > 0
        assert world.ledger() == {}
        answers = world.ask(*asked(20), waits=False)
        assert [a.text for a in answers if isinstance(a, ChatReply)] == [f"to question {n}" for n in range(20)]
        assert world.spent() == (round(20 * FULL / 2, 9), 300)
    assert (len(server.batches), server.paid.total()) == (1, 20)


def test_a_file_holds_one_model_and_no_more_than_it_may(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, most_requests=4)
        world.texts(*asked(10), *asked(3, model="gpt-4o"))
    assert sorted(len(batch.lines) for batch in server.batches) == [2, 3, 4, 4]
    assert server.paid.total() == 13


def test_what_expired_is_sent_again_and_what_came_is_kept(tmp_path: Path) -> None:
    with BatchServer(echo, endings=["expired"]) as server:
        world = BatchWorld(server.base_url, tmp_path)
        assert world.texts(*asked(20)) == [f"to question {n}" for n in range(20)]
        assert [len(batch.lines) for batch in server.batches] == [20, 10]
        assert set(server.paid.values()) == {1}
        assert world.spent()[0] == pytest.approx(20 * FULL / 2)


@pytest.mark.parametrize("ending", ["expired", "cancelled", "failed"])
def test_after_some_batches_the_rest_is_called_directly_at_the_full_price(tmp_path: Path, ending: str) -> None:
    with BatchServer(echo, endings=[ending] * 9) as server:
        world = BatchWorld(server.base_url, tmp_path, batch_tries=2)
        assert world.texts(*asked(8)) == [f"to question {n}" for n in range(8)]
        batched = server.paid.total()
        assert len(server.batches) == 2
        assert batched == (0 if ending == "failed" else 6)
        assert len(server.requests) == 8
        assert world.spent()[0] == pytest.approx(batched * FULL / 2 + (8 - batched) * FULL)
        assert world.spend["judge gpt-4o-mini"].paid_calls == 8


def test_failed_lines_are_sent_again_and_refused_ones_are_their_rows_errors(tmp_path: Path) -> None:
    first: set[str] = set()

    def answer(body: Body, n: int) -> Reply | Body:
        text = body["messages"][0]["content"]
        if text == "question 3":
            return refusal(400, "The prompt is too long.", code="context_length_exceeded")
        if text == "question 5" and text not in first:
            first.add(text)
            return refusal(500, "Oops.")
        return echo(body, n)

    with BatchServer(answer) as server:
        world = BatchWorld(server.base_url, tmp_path)
        answers = world.ask(*asked(8))
        good = [a.text for a in answers if isinstance(a, ChatReply)]
        assert good == [f"to question {n}" for n in range(8) if n != 3]
        (bad,) = [a for a in answers if isinstance(a, Exception)]
        assert isinstance(bad, CallFailed)
        assert (bad.status, bad.attempts) == (400, 1)
        assert "judge gpt-4o-mini: no answer from the batch (status 400): The prompt is too long." in str(bad)
        assert [len(batch.lines) for batch in server.batches] == [8, 1]
        assert world.spent()[0] == pytest.approx(7 * FULL / 2)
        world.ask(*asked(8))
    assert [len(batch.lines) for batch in server.batches] == [8, 1, 1], "a new run asks what failed anew"


def test_a_parameter_that_is_refused_is_left_out_of_the_next_batch(tmp_path: Path) -> None:
    def answer(body: Body, n: int) -> Reply | Body:
        if "temperature" in body:
            return refusal(400, "Unsupported parameter: 'temperature' is not supported with this model.")
        return echo(body, n)

    with BatchServer(answer) as server:
        world = BatchWorld(server.base_url, tmp_path)
        answers = world.ask(*asked(5, parameters={"temperature": 0}))
    assert {a.left_out for a in answers if isinstance(a, ChatReply)} == {("temperature",)}
    assert len(server.batches) == 2
    assert server.paid.total() == 5


def test_a_form_that_is_refused_is_the_rows_error_at_once_the_next_time(tmp_path: Path) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}

    def answer(body: Body, n: int) -> Reply | Body:
        return refusal(400, "This model does not support response_format json_schema.")

    with BatchServer(answer) as server:
        world = BatchWorld(server.base_url, tmp_path)
        (first,) = world.ask(ask("a", response_format=form))
        (second,) = world.ask(ask("b", response_format=form))
    assert isinstance(first, CallFailed)
    assert isinstance(second, CallFailed)
    assert (first.status, second.status, len(server.batches)) == (400, 400, 1)


def test_stages_that_are_not_in_batch_mode_are_called_directly(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, mode="direct", stages={"judge": {"mode": "batch"}})
        world.texts(*asked(3), *asked(2, stage="replay", draw="1"))
        assert [len(batch.lines) for batch in server.batches] == [3]
        assert len(server.requests) == 5
        assert world.spend["replay gpt-4o-mini"].paid_calls == 2
    assert world.spent()[0] == pytest.approx(3 * FULL / 2 + 2 * FULL)


def killed_at(world: BatchWorld, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Run until `method` is called, and die there."""

    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(BatchRecords, method, dies)
        with pytest.raises(Killed):
            world.ask(*asked(12))


@pytest.mark.parametrize("method", ["claim", "opened", "settle", "end"])
def test_a_restart_anywhere_between_pays_for_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The process dies before the claim, before the id is stored, after answers are stored, before the end is."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        killed_at(world, monkeypatch, method)
        assert world.texts(*asked(12)) == [f"to question {n}" for n in range(12)]
        assert len(server.batches) == 1
        assert set(server.paid.values()) == {1}
        assert world.spent() == (round(12 * FULL / 2, 9), 180)
        assert world.ledger()["judge gpt-4o-mini"].calls == 12


def test_a_claim_that_was_never_sent_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: refusal(503, "Busy.") if path == "/v1/files" and n < 3 else None
        world = BatchWorld(server.base_url, tmp_path, max_attempts=3)
        with pytest.raises(CallFailed, match=r"gives no usable answer after 3 attempts \(status 503\): Busy."):
            world.ask(*asked(4))
        assert world.texts(*asked(4)) == [f"to question {n}" for n in range(4)]
    assert (len(server.batches), server.paid.total()) == (1, 4)


def test_a_start_whose_reply_was_lost_is_not_started_again(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.late_fault = lambda method, path, n: (
            Reply(drop=True) if (method, path, n) == ("POST", "/v1/batches", 0) else None
        )
        world = BatchWorld(server.base_url, tmp_path)
        assert len(world.texts(*asked(6))) == 6
    assert (len(server.batches), server.paid.total()) == (1, 6)


def test_files_that_do_not_come_down_whole_are_fetched_again(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: Reply(drop=True) if path.endswith("/content") and n == 0 else None
        assert len(BatchWorld(server.base_url, tmp_path).texts(*asked(6))) == 6
    assert server.seen["GET", "/v1/files/{id}/content"] == 2


def test_lines_that_are_none_and_answers_nobody_asked_for_are_passed_over(tmp_path: Path) -> None:
    with BatchServer(echo, steps=0) as server:
        world = BatchWorld(server.base_url, tmp_path)
        finish = server._finish

        def spoilt(batch: Any) -> None:
            finish(batch)
            if batch.number == 0:
                name = batch.facts["output_file_id"]
                lines = server.files[name].splitlines(keepends=True)
                extra = b'{"custom_id": "somebody", "response": {"status_code": 200, "body": {}}}\n[1]\nnonsense\n'
                server.files[name] = extra + b"".join(lines[1:]) + lines[0][: len(lines[0]) // 2]

        server._finish = spoilt  # type: ignore[method-assign]
        assert len(world.texts(*asked(5))) == 5
    assert [len(batch.lines) for batch in server.batches] == [5, 1]


def test_an_endpoint_without_batches_is_said_to_have_none(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: refusal(404, "Not found.") if path == "/v1/files" else None
        world = BatchWorld(server.base_url, tmp_path)
        with pytest.raises(EndpointRefused, match=r"has no Batch API \(status 404: Not found.\): write `mode: direct`"):
            world.ask(*asked(3))
        assert world.spent() == (0.0, 0)


def test_a_refused_key_stops_the_stage(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: refusal(401, f"Bad {KEY}.", code="invalid_api_key")
        with pytest.raises(EndpointRefused, match="the key is not accepted") as caught:
            BatchWorld(server.base_url, tmp_path).ask(*asked(3))
    assert KEY not in str(caught.value)


def test_a_batch_that_the_endpoint_does_not_want_counts_as_a_try(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: (
            refusal(400, "This model has no batches.") if (method, path) == ("POST", "/v1/batches") else None
        )
        world = BatchWorld(server.base_url, tmp_path, batch_tries=2)
        assert len(world.texts(*asked(3))) == 3
        assert server.seen["POST", "/v1/batches"] == 2
    assert world.spent()[0] == pytest.approx(3 * FULL)


def test_two_runs_at_once_submit_once(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        worlds = [BatchWorld(server.base_url, tmp_path) for _ in range(2)]

        async def both() -> list[list[ChatReply | Exception]]:
            return await asyncio.gather(*(asyncio.to_thread(world.ask, *asked(40)) for world in worlds))

        first, second = asyncio.run(both())
        assert [a.text for a in first if isinstance(a, ChatReply)] == [f"to question {n}" for n in range(40)]
        assert [a.text for a in second if isinstance(a, ChatReply)] == [f"to question {n}" for n in range(40)]
        assert worlds[0].ledger()["judge gpt-4o-mini"].calls == 40
    assert (len(server.batches), server.paid.total()) == (1, 40)


@pytest.mark.parametrize("cap", [{"budget_tokens": 150}, {"budget_usd": 6 * FULL}])
def test_the_cap_holds_over_calls_and_batches(tmp_path: Path, cap: dict[str, Any]) -> None:
    """Ten calls' tokens: one call shows what such requests take, the rest is handed in as far as it fits."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, **cap)
        with pytest.raises(SpendCapReached, match=r"desk 2026-11-02: the spend cap is reached.*All answers are kept"):
            world.ask(*asked(30))
        paid = len(server.requests)
        assert 8 <= paid <= 11
        usd, tokens = world.spent()
        assert tokens <= cap.get("budget_tokens", 1e9)
        assert usd <= cap.get("budget_usd", 1e9)
        more = BatchWorld(server.base_url, tmp_path)
        assert len(more.texts(*asked(30))) == 30
        assert len(server.requests) == 30


def test_a_cap_is_not_handed_in_twice(tmp_path: Path) -> None:
    """What is reserved for a batch under way counts for every other run of the window."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, budget_tokens=300)
        world.texts(*asked(1))
        with pytest.raises(BatchesUnderWay):
            world.ask(*asked(15), waits=False)
        assert world.spent()[1] == pytest.approx(15 * 15, abs=15)
        other = BatchWorld(server.base_url, tmp_path, budget_tokens=300, mode="direct")
        with pytest.raises(SpendCapReached):
            other.ask(*asked(30))
        assert world.spent()[1] <= 300


def test_half_a_surrogate_pair_is_its_rows_error(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        bad, good = BatchWorld(server.base_url, tmp_path).ask(ask("\ud800"), ask("fine"))
    assert isinstance(bad, CallFailed)
    assert "half of a surrogate pair" in str(bad)
    assert isinstance(good, ChatReply)


def test_a_number_that_json_does_not_have_is_its_rows_error(tmp_path: Path) -> None:
    """One such line and the endpoint would take none of the file's."""
    with BatchServer(echo) as server:
        odd = ask("odd").model_copy(update={"parameters": {"temperature": float("nan")}})
        bad, good = BatchWorld(server.base_url, tmp_path).ask(odd, ask("fine"))
        assert [len(batch.lines) for batch in server.batches] == [1]
    assert isinstance(bad, CallFailed)
    assert bad.status == 422
    assert "not sent: the request is no JSON" in str(bad)
    assert isinstance(good, ChatReply)


def test_a_pending_answer_is_no_refusal() -> None:
    assert AnswerPending().status is None


def gone(server: BatchServer, path: str) -> None:
    """The endpoint knows nothing under `path` any more."""
    server.fault = lambda method, at, n: refusal(404, "No such thing.") if at == path and method == "GET" else None


@pytest.mark.parametrize("path", ["/v1/batches/{id}", "/v1/files/{id}/content"])
def test_what_is_gone_for_days_is_asked_again_and_before_that_the_key_is_doubted(tmp_path: Path, path: str) -> None:
    with BatchServer(echo, steps=0) as server:
        world = BatchWorld(server.base_url, tmp_path)
        gone(server, path)
        with pytest.raises(
            CallFailed, match=r"that was submitted there \(No such thing.\): check that llm.api_key is of"
        ):
            world.ask(*asked(3))
        world.now += 4 * 86400
        server.fault = lambda method, at, n: None
        server.files.clear()
        if "batches" in path:
            server.batches[0].facts["id"] = "forgotten"
        assert len(world.texts(*asked(3))) == 3
    assert len(server.batches) == 2


def test_an_endpoint_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: refusal(503, "Away.") if path.endswith("{id}") and n < 9 else None
        world = BatchWorld(server.base_url, tmp_path, max_attempts=2)
        assert len(world.texts(*asked(3))) == 3
        server.fault = lambda method, path, n: refusal(503, "Away.") if path.endswith("{id}") else None
        with pytest.raises(CallFailed, match="after 2 attempts"):
            world.ask(ask("another"))
    assert world.waits.count(5.0) > 60


def test_the_reason_why_a_batch_was_refused_is_reported(tmp_path: Path) -> None:
    with BatchServer(echo, endings=["failed"]) as server:
        world = BatchWorld(server.base_url, tmp_path)
        world.texts(*asked(4))
    reported = [step.what for step in world.steps if "refused" in step.what]
    assert reported == ["refused as a batch (Enqueued token limit reached.): asked again"]


def test_a_file_that_the_endpoint_does_not_want_counts_as_a_try(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: refusal(400, "Too big.") if path == "/v1/files" else None
        world = BatchWorld(server.base_url, tmp_path)
        assert len(world.texts(*asked(2))) == 2
    assert [step.what for step in world.steps] == ["refused as a batch (Too big.): asked again"] * 2
    assert server.batches == []


def test_a_batch_is_found_among_many_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint lists a hundred at a time, newest first."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        killed_at(world, monkeypatch, "opened")
        for number in range(1, 251):
            facts = {**server.batches[0].facts, "id": f"batch_{number}", "metadata": {"sia_batch": f"of {number}"}}
            server.batches.append(BatchFile(number, [], facts))
        assert len(world.texts(*asked(12))) == 12
    assert server.seen["GET", "/v1/batches"] == 3
    assert server.seen["POST", "/v1/batches"] == 1


@pytest.mark.parametrize("listed", ["old", "none"])
def test_a_batch_that_is_not_found_is_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        from sia_dagster.adapters.engine.batches.batch_api import BatchEndpoint

        class Killed(BaseException):
            pass

        async def dies(*_: object) -> str:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(BatchEndpoint, "submit", dies)
            with pytest.raises(Killed):
                world.ask(*asked(5))
        if listed == "none":
            gone(server, "/v1/batches")
        else:
            facts = {"id": "old", "object": "batch", "created_at": 1, "status": "completed", "completion_window": "24h"}
            server.batches.append(BatchFile(0, [], {**facts, "endpoint": "", "input_file_id": "f"}))
        assert len(world.texts(*asked(5))) == 5
    assert server.seen["POST", "/v1/batches"] == 1


def test_a_reply_that_is_no_batch_is_no_batch_api(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        server.fault = lambda method, path, n: Reply(200, b"<html>Welcome</html>")
        with pytest.raises(EndpointRefused, match=r"has no Batch API \(status 501: the reply is not that of a Batch"):
            BatchWorld(server.base_url, tmp_path).ask(*asked(1))


@pytest.mark.parametrize("reply", [Reply(200, b"<html>Back soon</html>"), refusal(400, "No such limit.")])
def test_a_batch_that_may_be_there_is_not_handed_in_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """Where the endpoint does not say whether it has the batch of a dead process."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, max_attempts=1)
        killed_at(world, monkeypatch, "opened")
        server.fault = lambda method, at, n: reply if (method, at) == ("GET", "/v1/batches") else None
        with pytest.raises(CallFailed, match="Batches under way are kept: run the window again"):
            world.ask(*asked(12))
        server.fault = lambda method, at, n: None
        assert len(world.texts(*asked(12))) == 12
    assert len(server.batches) == 1


def test_a_page_in_place_of_a_batch_is_waited_out(tmp_path: Path) -> None:
    """A proxy's page of status 200 while the batch is under way says nothing about the Batch API."""
    page = Reply(200, b"<html>Back soon</html>")
    with BatchServer(echo) as server:
        server.fault = lambda method, at, n: page if at == "/v1/batches/{id}" and n < 2 else None
        assert len(BatchWorld(server.base_url, tmp_path).texts(*asked(3))) == 3
    assert len(server.batches) == 1


def test_a_batch_that_does_not_say_how_far_it_is_is_collected(tmp_path: Path) -> None:
    """Some servers leave the counts empty until the end."""
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path)
        with pytest.raises(BatchesUnderWay):
            world.ask(*asked(3), waits=False)
        server.batches[0].facts["request_counts"] = {"total": None, "completed": None, "failed": None}
        assert len(world.texts(*asked(3))) == 3
    assert len(server.batches) == 1


def test_a_block_that_cannot_be_entered_leaves_the_store_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise SiaError("the disk is gone")

    async def enter(chat: BatchChat) -> None:
        async with chat:
            pytest.fail("it was entered")

    config = LLMConfig(base_url="http://127.0.0.1:1/v1", mode="batch")
    with closing(SqliteStore(tmp_path / "c.sqlite")) as store:
        monkeypatch.setattr(BatchRecords, "of_window", fails)
        with pytest.raises(SiaError, match="the disk is gone"):
            asyncio.run(enter(BatchChat(config, api_key=KEY, store=store, scope=WINDOW)))
        assert store.prune([], before=datetime(2100, 1, 1, tzinfo=UTC)) == 0


def test_a_refused_answer_that_every_call_would_meet_stops_the_stage_and_is_not_remembered(tmp_path: Path) -> None:
    with BatchServer(lambda body, n: refusal(401, "Expired.", code="invalid_api_key")) as server:
        world = BatchWorld(server.base_url, tmp_path)
        with pytest.raises(EndpointRefused, match="the key is not accepted"):
            world.ask(*asked(2))
        server.answer = echo
        assert len(world.texts(*asked(2))) == 2


def test_stages_with_an_endpoint_of_their_own_submit_there(tmp_path: Path) -> None:
    with BatchServer(echo) as one, BatchServer(echo) as other:
        world = BatchWorld(one.base_url, tmp_path, stages={"judge": {"base_url": other.base_url}})
        world.texts(*asked(3), *asked(2, stage="replay"))
    assert [len(server.batches[0].lines) for server in (one, other)] == [2, 3]


@pytest.mark.parametrize("stage", ["judge", "replay"])
def test_a_model_is_called_by_the_name_of_its_own_line_and_by_no_further_one(tmp_path: Path, stage: str) -> None:
    names = {"chat": "gpt-4o-mini", "gpt-4o-mini": "gpt-4o"}
    with BatchServer(echo) as server:
        world = BatchWorld(server.base_url, tmp_path, stages={"replay": {"mode": "direct"}}, model_names=names)
        world.texts(*asked(2, model="chat", stage=stage))
    assert [body["model"] for body in server.requests] == ["gpt-4o-mini"] * 2


def test_an_open_batch_of_an_endpoint_that_is_no_longer_configured_is_left_alone(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        stages = {"judge": {"base_url": server.base_url}}
        world = BatchWorld("http://127.0.0.1:1/v1", tmp_path, stages=stages)
        with pytest.raises(BatchesUnderWay):
            world.ask(*asked(2), waits=False)
        assert len(BatchWorld(server.base_url, tmp_path).texts(*asked(3))) == 3
    assert len(server.batches) == 2


def test_a_stage_that_went_back_to_calls_leaves_no_reservation(tmp_path: Path) -> None:
    """Another stage of the window that is still in batch mode collects what was handed in."""
    with BatchServer(echo, steps=1) as server:
        world = BatchWorld(server.base_url, tmp_path)
        with pytest.raises(BatchesUnderWay):
            world.ask(*asked(4, stage="replay"), waits=False)
        later = BatchWorld(server.base_url, tmp_path, mode="direct", stages={"judge": {"mode": "batch"}})
        assert len(later.texts(*asked(2, draw="1"))) == 2
        assert set(later.ledger()) == {"judge gpt-4o-mini", "replay gpt-4o-mini"}
        assert later.spent() == (round(6 * FULL / 2, 9), 90)


@pytest.mark.parametrize("found", [True, False])
def test_a_dead_sender_s_batch_is_looked_for_by_whoever_waits_for_it(tmp_path: Path, found: bool) -> None:
    submitted = SubmittedBatch(
        token="t" if found else "another",
        endpoint="server",
        loop=WINDOW.loop,
        of_window=WINDOW.window,
        stage="judge",
        model="m",
        usd=0.0,
        tokens=0.0,
        handed_in=1_800_000_000.0,
    )

    async def under_way(exchange: BatchExchange) -> tuple[str, ...]:
        try:
            return (await exchange.collect([submitted.token])).under_way
        finally:
            await routes["judge"].endpoint.close()

    with BatchServer(echo) as server, closing(SqliteStore(tmp_path / "c.sqlite")) as store:
        facts = {"id": "b", "object": "batch", "created_at": 1_800_000_000, "status": "in_progress", "endpoint": ""}
        given = {"completion_window": "24h", "input_file_id": "f", "metadata": {"sia_batch": "t"}}
        server.batches.append(BatchFile(0, [], {**facts, **given}))
        config = LLMConfig(base_url=server.base_url, mode="batch")
        terms = BatchTerms(clock=lambda: 1_800_000_001.0)
        routes = batch_routes(config, api_key=KEY, store=store, endpoint="server", terms=terms)
        exchange = BatchExchange(routes, store=store, scope=WINDOW, terms=terms)
        exchange.records.claim(submitted, [])
        assert asyncio.run(under_way(exchange)) == (("t",) if found else ())


def test_azure_gets_its_own_path(tmp_path: Path) -> None:
    from sia_dagster.adapters.engine.batches.batch_api import BatchEndpoint
    from sia_dagster.adapters.engine.batches.lines import Line
    from sia_dagster.adapters.engine.calls.refusals import Refusals

    config = LLMConfig(provider="azure", base_url="https://desk.openai.azure.com", api_version="2024-10-21")
    endpoint = BatchEndpoint(config, api_key=KEY, refusals=Refusals(None, endpoint="a"), sleep=asyncio.sleep)
    line = endpoint.line("k", ask("Hello"))
    assert isinstance(line, Line)
    assert b'"url":"/chat/completions"' in line.text
    assert KEY not in str(endpoint._headers()["extra_headers"]["Authorization"])


def test_an_endpoint_that_ignores_the_form_is_asked_in_the_next_way_in_a_further_round(tmp_path: Path) -> None:
    """The first round is paid for in vain; later windows begin with the way that works."""

    def prose_for_a_schema(body: Body, _: int) -> Body:
        if rung_of(body) == "json_schema":
            return completion("I find it correct.")
        called = [{"id": "1", "name": "classification", "arguments": classified("correct")}]
        return completion(None, tool_calls=called, finish_reason="tool_calls")

    async def judged(world: BatchWorld, outputs: Sequence[str]) -> list[str | None]:
        terms = BatchTerms(sleep=world.waits, clock=lambda: world.now)
        with closing(SqliteStore(world.path)) as store:
            async with BatchChat(world.config, api_key=KEY, store=store, scope=WINDOW, terms=terms) as chat:
                while True:
                    world.rounds += 1
                    judge = LLMClassify(spec(), chat)
                    rows = await asyncio.gather(*(judge.score(sample(output), "logged/0") for output in outputs))
                    if await chat.settled(wait=world.waits):
                        return [row.label for row in rows]

    with BatchServer(prose_for_a_schema) as server:
        world = BatchWorld(server.base_url, tmp_path)
        first, later = [[f"{when} {n}" for n in range(8)] for when in ("first", "later")]
        assert asyncio.run(judged(world, first)) == ["correct"] * 8
        assert (world.rounds, server.paid.total()) == (3, 16)
        assert asyncio.run(judged(world, later)) == ["correct"] * 8
        assert (world.rounds, server.paid.total()) == (5, 24)
