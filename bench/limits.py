"""The engine at its limits: 100 calls in flight, and four processes under one limit of requests a minute.

1. 2,000 judge calls of 1 s, 100 at a time, from a cold start: wall / ideal.
2. 2,000 judge calls of 200 ms, 100 at a time: CPU ms a call, the store and a budget included.
3. Four processes, one store, one endpoint that takes 600 requests in any minute, 90 s: rejected calls, and the share of
   the limit used.

Run: python -m bench.limits. The endpoint runs in a process of its own. Writes bench/results/limits.json.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from urllib.request import urlopen

from bench.calls import request
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.replay.rows import map_rows

CALLS, IN_FLIGHT = 2000, 100
PROCESSES, PER_MINUTE, SECONDS = 4, 600, 90.0


@contextmanager
def endpoint(latency: float, per_minute: int = 0) -> Iterator[str]:
    """The address of a server that answers after `latency` seconds."""
    command = [sys.executable, str(Path(__file__).with_name("limited_server.py")), str(latency), str(per_minute)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


async def ask(url: str, folder: Path, numbers: Iterator[int] | range, *, per_minute: int | None = None) -> None:
    """Ask each number's question through OpenAIChat, in a window of its own budget."""
    config = LLMConfig(
        base_url=f"{url}/v1", max_concurrency=IN_FLIGHT, budget_tokens=10**12, requests_per_minute=per_minute
    )
    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        async with OpenAIChat(config, api_key="none", store=store, scope=LedgerScope(loop="b", window="0")) as chat:
            async for _ in map_rows(numbers, lambda n: chat.complete(request(n)), workers=IN_FLIGHT):
                pass


def wall_over_ideal() -> float:
    with endpoint(latency=1.0) as url, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        asyncio.run(ask(url, Path(folder), range(CALLS)))
        return (time.perf_counter() - began) / (CALLS / IN_FLIGHT)


def cpu_ms_a_call() -> float:
    with endpoint(latency=0.2) as url, tempfile.TemporaryDirectory() as folder:
        asyncio.run(ask(url, Path(folder), range(-IN_FLIGHT, 0)))
        began = time.process_time()
        asyncio.run(ask(url, Path(folder), range(CALLS)))
        return (time.process_time() - began) / CALLS * 1000


def worker(url: str, folder: Path, first: int) -> None:
    """One of the processes: new questions for as long as it lives."""
    asyncio.run(ask(url, folder, count(first, PROCESSES), per_minute=PER_MINUTE))


def under_one_limit() -> dict[str, float]:
    with endpoint(latency=0.5, per_minute=PER_MINUTE) as url, tempfile.TemporaryDirectory() as folder:
        workers = [_started(url, folder, number) for number in range(PROCESSES)]
        try:
            while (seen := _seen(url))["seconds"] < SECONDS or not seen["accepted"]:
                time.sleep(0.1)  # noqa: TID251 - the runs go on in other processes
        finally:
            for process in workers:
                process.kill()
                process.wait()
    share = seen["accepted"] / (PER_MINUTE * seen["seconds"] / 60)
    return {"rejected": seen["rejected"], "share": share, "seconds": seen["seconds"]}


def _started(url: str, folder: str, number: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "bench.limits", "worker", url, folder, str(number)])


def _seen(url: str) -> dict[str, float]:
    with urlopen(f"{url}/seen") as reply:
        told: dict[str, float] = json.load(reply)
    return told


def main() -> None:
    """Measure, print, write."""
    ratio = wall_over_ideal()
    print(f"{CALLS} calls of 1 s, {IN_FLIGHT} at a time, cold: wall / ideal {ratio:.3f}", flush=True)
    cpu = cpu_ms_a_call()
    print(f"{CALLS} calls of 200 ms, {IN_FLIGHT} at a time: {cpu:.2f} ms CPU a call, the store included", flush=True)
    shared = under_one_limit()
    print(
        f"{PROCESSES} processes, {PER_MINUTE} requests a minute, {shared['seconds']:.0f} s: "
        f"{shared['rejected']:.0f} rejected, {shared['share']:.3f} of the limit used"
    )
    result = {"wall_over_ideal": ratio, "cpu_ms_a_call": cpu, "shared_limit": shared}
    out = Path(__file__).parent / "results" / "limits.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
