"""Limits and holds with the real client against a server that tells its limits."""

from pathlib import Path

import pytest

from sia_dagster.core.errors import SiaError
from sia_dagster.core.ports.model import ChatReply
from sia_dagster_tests.worlds.chats import KEY, Desk, ask
from simulation.servers import Body, Reply, ScriptedServer, completion, refusal

LEFT = "x-ratelimit-remaining-requests"

RESET = "x-ratelimit-reset-requests"


def told(remaining: int, reset: str) -> Reply:
    return Reply(body=completion("yes"), headers={LEFT: str(remaining), RESET: reset})


def answers(outcomes: list[ChatReply | Exception]) -> int:
    return sum(isinstance(outcome, ChatReply) for outcome in outcomes)


def test_calls_keep_to_the_requests_a_minute_over_runs_and_stages(tmp_path: Path) -> None:
    """One a minute, near enough: whatever waits are noted are far longer than this test takes."""
    with ScriptedServer(lambda *_: completion("yes")) as server:
        first = Desk(server.base_url, tmp_path, requests_per_minute=1)
        assert answers(first.ask(ask("a"), ask("b"), workers=1)) == 2
        second = Desk(server.base_url, tmp_path, requests_per_minute=1)
        assert answers(second.ask(ask("c", stage="replay"))) == 1
    assert [len(first.waits), len(second.waits)] == [1, 1]
    assert 0.0 < first.waits[0] <= 62.5
    assert first.waits[0] < second.waits[0] <= 125.0


def test_a_retry_takes_a_request_too(tmp_path: Path) -> None:
    script: list[Reply | Body] = [refusal(500, "oops"), completion("yes")]
    with ScriptedServer(lambda body, n: script[n]) as server:
        desk = Desk(server.base_url, tmp_path, requests_per_minute=1)
        assert desk.one(ask()).attempts == 2
    backoff, line = desk.waits
    assert backoff <= 1.5 < line


def test_what_the_store_answers_takes_none(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: completion("yes")) as server:
        desk = Desk(server.base_url, tmp_path, requests_per_minute=1)
        assert answers(desk.ask(*[ask()] * 5, workers=1)) == 5
    assert desk.waits == []


def test_tokens_a_minute_are_kept_by_what_calls_really_took(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: completion("yes", prompt_tokens=900, completion_tokens=100)) as server:
        desk = Desk(server.base_url, tmp_path, tokens_per_minute=1000)
        desk.ask(ask("a"), ask("b"), workers=1)
    assert len(desk.waits) == 1
    assert 20.0 < desk.waits[0] <= 62.5


def test_another_key_has_limits_of_its_own(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: completion("yes")) as server:
        desk = Desk(server.base_url, tmp_path, requests_per_minute=1)
        desk.one(ask("a"))
        desk.key = "sk-another"
        desk.one(ask("b"))
    assert desk.waits == []


def test_the_file_of_the_limits_holds_no_key_and_no_address(tmp_path: Path) -> None:
    with ScriptedServer(lambda *_: completion("yes")) as server:
        Desk(server.base_url, tmp_path, requests_per_minute=100).one(ask())
    kept = (tmp_path / "completions.sqlite.limits").read_bytes().decode("latin-1")
    assert KEY not in kept
    assert "127.0.0.1" not in kept


def test_where_the_endpoint_says_that_nothing_is_left_the_next_call_waits(tmp_path: Path) -> None:
    with ScriptedServer(lambda body, n: told(0, "40s") if n == 0 else told(100, "1s")) as server:
        desk = Desk(server.base_url, tmp_path, requests_per_minute=60_000)
        desk.ask(ask("a"), ask("b"), ask("c"), workers=1)
    assert desk.waits
    assert max(desk.waits) == pytest.approx(40.0, abs=39.0)
    assert max(desk.waits) > 1.0


def test_without_limits_of_ones_own_that_word_alone_stops_nobody(tmp_path: Path) -> None:
    """Some routers always send zero."""
    with ScriptedServer(lambda *_: told(0, "40s")) as server:
        desk = Desk(server.base_url, tmp_path)
        desk.ask(ask("a"), ask("b"), workers=1)
    assert desk.waits == []


def test_a_refused_call_without_retry_after_waits_for_the_reset(tmp_path: Path) -> None:
    refused = Reply(429, {"error": {"message": "slow down"}}, {LEFT: "0", RESET: "7s"})
    with ScriptedServer(lambda body, n: refused if n == 0 else completion("yes")) as server:
        desk = Desk(server.base_url, tmp_path)
        desk.one(ask())
    assert desk.waits == [7.0]


def test_sustained_429s_hold_new_calls_for_as_long_as_they_ask(tmp_path: Path) -> None:
    """Each refused call waits itself, and so does one that was never refused."""

    def answer(body: Body, n: int) -> Reply | Body:
        return refusal(429, "slow down", retry_after="50") if n < 8 else completion("yes")

    with ScriptedServer(answer) as server:
        desk = Desk(server.base_url, tmp_path, max_concurrency=8)
        assert answers(desk.ask(*(ask(str(n)) for n in range(9)))) == 9
    assert desk.waits.count(50.0) == 8
    assert [wait for wait in desk.waits if 1.0 < wait < 50.0]


def test_one_429_holds_nobody_else(tmp_path: Path) -> None:
    script = [refusal(429, "slow down", retry_after="50")]
    with ScriptedServer(lambda body, n: script[n] if n == 0 else completion("yes")) as server:
        desk = Desk(server.base_url, tmp_path, max_concurrency=8)
        assert answers(desk.ask(*(ask(str(n)) for n in range(20)))) == 20
    assert desk.waits == [50.0]


def test_an_answer_is_kept_though_the_file_of_the_limits_breaks_while_it_comes(tmp_path: Path) -> None:
    """What a reply says of the limits is noted before its body is read; a failure there must not cost the answer."""
    limits = tmp_path / "completions.sqlite.limits"

    def answer(*_: object) -> Reply:
        limits.write_bytes(b"no database at all, only text" * 1000)
        return told(0, "20s")

    with ScriptedServer(answer) as server:
        desk = Desk(server.base_url, tmp_path, requests_per_minute=6000)
        assert desk.one(ask()).text == "yes"
        with pytest.raises(SiaError, match="shared rate limits"):
            desk.one(ask("another"))
    assert len(server.requests) == 1
