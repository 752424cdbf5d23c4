"""The engine on an endpoint that fails: what comes back, what is paid twice, and how much longer it takes.

1. 1,000 rows while 5 % of the requests get 429 (half of them with Retry-After), 2 % 500, 1 % hang, 1 % are dropped:
   rows answered, answers paid twice, wall against the same rows without faults.
2. 1,000 rows of which 3 % always fail: results, errors that say why, attempts of each.

Run: python -m bench.faults. The endpoint runs in a process of its own. Writes bench/results/faults.json.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.calls import request
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatReply, ChatRequest
from sia_dagster.core.replay.rows import map_rows

ROWS, IN_FLIGHT, LATENCY, TIMEOUT, ATTEMPTS = 1000, 32, 0.5, 5.0, 5
SHARES = {"429": 0.025, "429_told": 0.025, "500": 0.02, "hang": 0.01, "drop": 0.01}
MARK, EVERY = "poison", 34
"""Every so many-th row is poison: 30 of 1,000."""


class FaultServer:
    """The server, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.base_url = self._line()

    def seen(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._line())
        return told

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def endpoint(**settings: Any) -> Iterator[FaultServer]:
    command = [sys.executable, "-m", "simulation.fault_server", json.dumps({"latency": LATENCY} | settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield FaultServer(process)
        finally:
            process.terminate()


def row(number: int) -> ChatRequest:
    """A judge's call; a poison row says so."""
    asked = request(number)
    *head, last = asked.messages
    marked = {**last, "content": f"{last['content']} {MARK}"} if number % EVERY == 0 else last
    return asked.model_copy(update={"messages": (*head, marked)})


async def ask_all(url: str, folder: Path) -> list[ChatReply | CallFailed]:
    """Every row's answer, or its error."""
    config = LLMConfig(base_url=url, max_concurrency=IN_FLIGHT, timeout_seconds=TIMEOUT, max_attempts=ATTEMPTS)

    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        scope = LedgerScope(loop="bench", window="0")
        async with OpenAIChat(config, api_key="none", store=store, scope=scope) as chat:

            async def one(number: int) -> ChatReply | CallFailed:
                try:
                    return await chat.complete(row(number))
                except CallFailed as error:
                    return error

            return [row async for _, row in map_rows(range(ROWS), one, workers=IN_FLIGHT)]


def measured(**settings: Any) -> tuple[list[ChatReply | CallFailed], float, dict[str, Any]]:
    """The rows, the seconds they took, and what the server saw."""
    with endpoint(**settings) as server, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = asyncio.run(ask_all(server.base_url, Path(folder)))
        return rows, time.perf_counter() - began, server.seen()


def main() -> None:
    """Measure, print, write."""
    _, clean, _ = measured()
    rows, wall, seen = measured(shares=SHARES)
    answered = sum(isinstance(row, ChatReply) for row in rows)
    print(f"{ROWS} rows of {LATENCY:g} s, {IN_FLIGHT} at a time, faults {seen['faults']}:", flush=True)
    print(
        f"  answered {answered}, paid twice {seen['paid_twice']}, wall / clean {wall / clean:.2f} "
        f"({wall:.1f} s / {clean:.1f} s, given up after {TIMEOUT:g} s)",
        flush=True,
    )
    rows, poisoned, told = measured(poison=MARK)
    errors = [row for row in rows if isinstance(row, CallFailed)]
    attempts = dict(Counter(told["attempts_of_poison"]))
    print(
        f"{ROWS} rows, {len(errors)} of them poison: {ROWS - len(errors)} results, attempts of each error {attempts}, "
        f"wall / clean {poisoned / clean:.2f}"
    )
    print(f"  the first error: {errors[0]}")
    result = {
        "faults": {"answered": answered, "wall_over_clean": wall / clean, **seen},
        "poison": {
            "results": ROWS - len(errors),
            "errors": len(errors),
            "attempts": attempts,
            "first_error": str(errors[0]),
            "wall_over_clean": poisoned / clean,
        },
    }
    out = Path(__file__).parent / "results" / "faults.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
