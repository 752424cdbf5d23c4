"""Calls handed in as batches, through deaths and failures: what is paid twice, and what the ledger says it cost.

1. A process is killed with SIGKILL at four moments of 1,000 requests: before the batch's id is stored, while the batch
   is under way, while its answers come down, and right after they came; then the window is run again.
2. The batch expires with half of its answers.
3. 5 % of a batch's requests fail with 429 or 500, 3 % are refused for good.
4. Two processes run the same window at once.

For each: answers and errors, completions that the endpoint billed twice, and the ledger against the full price.

Run: python -m bench.batches. The endpoint is a server on loopback. Writes bench/results/batches.json.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sia_dagster.adapters.engine.batches.batch_chat import BatchChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.replay.rows import map_rows
from simulation.batch_server import BatchServer
from simulation.servers import Body, Reply, completion, refusal

ROWS, MODEL = 1000, "gpt-4o-mini"
SCOPE = LedgerScope(loop="bench", window="0")
FULL = (10 * 1.0 + 5 * 2.0) / 1e6
"""USD of one call: 10 and 5 tokens at 1 and 2 USD for a million."""
LATE = 1.0
"""Seconds that a reply takes where the process is to be killed before it has it."""


def echo(body: Body, _: int) -> Body:
    return completion(f"to {body['messages'][0]['content']}")


async def window(base_url: str, folder: Path) -> tuple[list[ChatReply | CallFailed], int]:
    """One run of the window: the answers or errors in order, and how many of them this run paid for."""
    prices = {MODEL: {"input": 1.0, "output": 2.0}}
    fields = {"base_url": base_url, "mode": "batch", "prices": prices}
    config = LLMConfig.model_validate(fields)
    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        async with BatchChat(config, api_key="none", store=store, scope=SCOPE, endpoint="bench") as chat:
            while True:
                found = await one_round(chat)
                if await chat.settled(wait=lambda _: asyncio.sleep(0.1)):
                    return found, sum(spend.paid_calls for spend in chat.spend.values())


async def one_round(chat: BatchChat) -> list[ChatReply | CallFailed]:
    async def ask(number: int) -> ChatReply | CallFailed:
        message = {"role": "user", "content": f"question {number}"}
        try:
            return await chat.complete(ChatRequest(model=MODEL, messages=(message,), stage="judge"))
        except CallFailed as error:
            return error

    rows = [row async for row in map_rows(range(ROWS), ask, workers=32)]
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def counted(server: BatchServer, folder: Path, found: Sequence[ChatReply | CallFailed]) -> dict[str, Any]:
    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        spend = store.ledger(SCOPE.loop, SCOPE.window)[f"judge {MODEL}"]
    answers = [row.text for row in found if isinstance(row, ChatReply)]
    assert all(row.text == f"to question {n}" for n, row in enumerate(found) if isinstance(row, ChatReply))
    return {
        "answers": len(answers),
        "errors": len(found) - len(answers),
        "batches": len(server.batches),
        "paid_twice": sum(times - 1 for times in server.paid.values()),
        "booked": spend.calls,
        "ledger_over_full_price": (spend.cost_usd or 0.0) / (spend.calls * FULL),
    }


def killed(when: Callable[[BatchServer], bool], prepare: Callable[[BatchServer], None]) -> dict[str, Any]:
    """Kill a run at that moment, and run the window again."""
    with BatchServer(echo) as server, tempfile.TemporaryDirectory() as folder:
        prepare(server)
        with started(server, folder) as process:
            while not when(server):
                assert process.poll() is None, "it ended too early"
                time.sleep(0.002)  # noqa: TID251 - the run goes on in another process
            process.kill()
        server.late_fault, server.steps = (lambda method, path, n: None), 1
        found, _ = asyncio.run(window(server.base_url, Path(folder)))
        return counted(server, Path(folder), found)


def started(server: BatchServer, folder: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "bench.batches", "window", server.base_url, folder])


def late(method: str, path: str) -> Callable[[BatchServer], None]:
    """The work is done, and the reply to it takes a while."""

    def prepare(server: BatchServer) -> None:
        def fault(asked: str, at: str, n: int) -> Reply | None:
            return Reply(503, delay=LATE) if (asked, at, n) == (method, path, 0) else None

        server.late_fault = fault

    return prepare


def restarts() -> dict[str, dict[str, Any]]:
    def under_way(server: BatchServer) -> None:
        server.steps = 10**9

    def content(server: BatchServer) -> bool:
        return bool(server.seen["GET", "/v1/files/{id}/content"])

    def slow_end(server: BatchServer) -> None:
        server.steps = 0

    return {
        "killed before its id was stored": killed(lambda s: bool(s.batches), late("POST", "/v1/batches")),
        "killed while it was under way": killed(lambda s: bool(s.batches and s.batches[0].looks > 2), under_way),
        "killed while its answers came down": killed(content, late("GET", "/v1/files/{id}/content")),
        "killed right after they came": killed(content, slow_end),
    }


def undisturbed(answer: Callable[[Body, int], Reply | Body] = echo, **settings: Any) -> dict[str, Any]:
    with BatchServer(answer, steps=1, **settings) as server, tempfile.TemporaryDirectory() as folder:
        found, _ = asyncio.run(window(server.base_url, Path(folder)))
        return counted(server, Path(folder), found)


def partly_failed() -> dict[str, Any]:
    failed: set[int] = set()

    def answer(body: Body, n: int) -> Reply | Body:
        number = int(body["messages"][0]["content"].split()[-1])
        if number % 100 < 3:
            return refusal(400, "The prompt is too long.")
        if number % 100 < 8 and number not in failed:
            failed.add(number)
            return refusal(429 if number % 2 else 500, "Not now.")
        return echo(body, n)

    return undisturbed(answer)


def two_at_once() -> dict[str, Any]:
    with BatchServer(echo) as server, tempfile.TemporaryDirectory() as folder:
        with started(server, folder) as first, started(server, folder) as second:
            assert (first.wait(), second.wait()) == (0, 0)
        found, paid = asyncio.run(window(server.base_url, Path(folder)))
        assert paid == 0
        return counted(server, Path(folder), found)


def main() -> None:
    """Measure, print, write."""
    result = {
        "undisturbed": undisturbed(),
        **restarts(),
        "expired half way": undisturbed(endings=["expired"]),
        "5 % failed once, 3 % refused": partly_failed(),
        "two processes at once": two_at_once(),
    }
    for name, found in result.items():
        print(
            f"{name}: {found['answers']} answers and {found['errors']} errors of {ROWS}, {found['batches']} batches, "
            f"paid twice {found['paid_twice']}, ledger {found['ledger_over_full_price']:.3f} of the full price"
        )
    out = Path(__file__).parent / "results" / "batches.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["window"]:
        asyncio.run(window(sys.argv[2], Path(sys.argv[3])))
    else:
        main()
