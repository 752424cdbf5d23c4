"""What a killed, a repeated and a large run cost.

1. A window of the loop in a process that is killed (SIGKILL) at ten moments, each time started again: the calls that
   were paid twice beyond those in flight at a kill, and whether the result is that of an undisturbed run. Each moment
   is the arrival of a request, drawn with a seed, and up to 30 ms more.
2. The same window again in a fresh process, with every answer in the store: calls, and time against the first run.
3. Peak memory of a process that sends 40,000 rows through the engine, against that of 4,000.

Run: python -m bench.durability [kills] [warm] [memory]. Endpoints run on loopback; the one of 3 in a process of its
own. Writes bench/results/durability.json.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from bench.calls import SERVER, WORKERS, request
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.replay.rows import map_rows
from simulation.loops import Desk, desk, let_go, simulated, start
from simulation.servers import Body, Reply, ScriptedServer

KILLS, SEED, IN_FLIGHT = 10, 20261123, 8
LATENCY = {"kills": 0.02, "warm": 0.1}
"""Seconds of an answer."""
ROWS = (4_000, 40_000)
RESULTS = Path(__file__).parent / "results" / "durability.json"


class Deadly:
    """Answers as the demo's models do, and kills a process once the count of requests reaches the next moment."""

    def __init__(self, moments: list[tuple[int, float]]) -> None:
        self.moments = moments
        self.child: subprocess.Popen[str] | None = None

    def __call__(self, body: Body, n: int) -> Reply:
        if self.child and self.moments and n >= self.moments[0][0]:
            _, after = self.moments.pop(0)
            threading.Timer(after, os.kill, (self.child.pid, signal.SIGKILL)).start()
            self.child = None
        return Reply(body=simulated(body), delay=LATENCY["kills"])


def stored(found: Desk) -> int:
    path = found.folder / ".sia" / "completions.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'completions'").fetchone()[0]
        return int(database.execute("SELECT COUNT(*) FROM completions").fetchone()[0]) if tables else 0


def run_in_child(found: Desk, deadly: Deadly | None = None) -> tuple[int, float]:
    """Run the window in a fresh process: its exit code, and the seconds from the end of its imports on."""
    child = start(found)
    assert let_go(child) == "ready\n"
    began = time.perf_counter()
    if deadly:
        deadly.child = child
    _, error = child.communicate()
    if child.returncode not in (0, -signal.SIGKILL):
        sys.exit(error)
    return child.returncode, time.perf_counter() - began


def kills(folder: Path) -> dict[str, Any]:
    """Part 1."""
    with desk(folder / "whole", lambda body, n: Reply(body=simulated(body), delay=0.0)) as (alone, server):
        alone.write()
        run_in_child(alone)
        calls, whole = len(server.requests), alone.contents()
    draw = np.random.default_rng(SEED)
    places = sorted(int(place) for place in draw.choice(np.arange(1, calls), size=KILLS, replace=False))
    deadly = Deadly([(place, float(after)) for place, after in zip(places, draw.uniform(0, 0.03, KILLS), strict=True)])
    with desk(folder / "killed", deadly) as (found, server):
        found.write()
        lost = list(_lost_calls(found, server, deadly))
        same, paid = found.contents() == whole, len(server.requests)
    return {
        "calls_of_the_window": calls,
        "killed_at_request": places,
        "requests_in_all": paid,
        "lost_in_flight_by_kill": lost,
        "paid_twice_beyond_those_in_flight": paid - calls - sum(min(each, IN_FLIGHT) for each in lost),
        "result_equals_undisturbed": same,
    }


def _lost_calls(found: Desk, server: ScriptedServer, deadly: Deadly) -> Iterator[int]:
    """By kill, the requests whose answers were not kept."""
    code = -signal.SIGKILL
    while code:
        seen, kept = len(server.requests), stored(found)
        code, _ = run_in_child(found, deadly)
        if code:
            yield len(server.requests) - seen - (stored(found) - kept)


def warm(folder: Path) -> dict[str, Any]:
    """Part 2."""
    with desk(folder, lambda body, n: Reply(body=simulated(body), delay=LATENCY["warm"])) as (found, server):
        found.write()
        _, cold = run_in_child(found)
        calls, first = len(server.requests), found.contents()
        _, again = run_in_child(found)
        return {
            "cold_calls": calls,
            "cold_seconds": round(cold, 2),
            "warm_calls": len(server.requests) - calls,
            "warm_seconds": round(again, 2),
            "ratio": round(again / cold, 3),
            "result_equals_cold": found.contents() == first,
        }


async def send(url: str, rows: int, folder: Path) -> int:
    """The rows through the engine, with a cap to keep; how many were answered."""
    config = LLMConfig(base_url=url, max_concurrency=WORKERS, budget_tokens=10**12)
    answered = 0
    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        scope = LedgerScope(loop="bench", window="0")
        async with OpenAIChat(config, api_key="none", store=store, scope=scope) as chat:
            calls = (request(number) for number in range(rows))
            async for _ in map_rows(calls, chat.complete, workers=WORKERS):
                answered += 1
    return answered


def peak_mb() -> float:
    """Of this process alone: the peak that `getrusage` tells counts from its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(kilobytes) / 1024, 1)


def memory(folder: Path) -> dict[str, Any]:
    """Part 3."""
    peaks = {}
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        try:
            for rows in ROWS:
                command = [sys.executable, "-m", "bench.durability", "send", url, str(rows), str(folder / str(rows))]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                peaks[rows] = float(done.stdout)
        finally:
            server.terminate()
    few, many = (peaks[rows] for rows in ROWS)
    return {
        "peak_mb": peaks,
        "ratio": round(many / few, 2),
        "bytes_a_row": round((many - few) * 2**20 / (ROWS[1] - ROWS[0])),
    }


PARTS = {"kills": kills, "warm": warm, "memory": memory}


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["send"]:
        url, rows, folder = sys.argv[2:]
        assert asyncio.run(send(url, int(rows), Path(folder))) == int(rows)
        print(peak_mb())
        return
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in sys.argv[1:] or list(PARTS):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = PARTS[name](Path(folder))
        print(f"{name}: " + ", ".join(f"{what.replace('_', ' ')} {value}" for what, value in found[name].items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
