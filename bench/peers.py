"""The judge's stage beside DSPy's `Evaluate`: the same rows, the same server, one after the other.

1. 1,000 rows of 200 ms, 100 at a time: CPU milliseconds a row of each.
2. The same rows when 3 % of them always fail: rows with a result, answers that were paid for, how the run ended.

Run: `make bench-peers`, or `python -m bench.peers PYTHON` with the interpreter of an environment that has
bench/requirements-peers.lock. Writes bench/results/peers.json.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.faults import EVERY, MARK, endpoint
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.evaluators.evaluate import evaluate
from sia_dagster.core.evaluators.judge.llm_judge import JudgeSpec, LLMClassify
from sia_dagster.core.records.sample import Sample

ROWS, IN_FLIGHT, LATENCY = 1000, 100, 0.2


def sample(number: int) -> Sample:
    output = f"{number} " + "u" * 1500 + (f" {MARK}" if number % EVERY == 0 else "")
    facts = {"trace_id": "t", "conversation_id": "c", "start_time": datetime(2026, 1, 1, tzinfo=UTC), "split": "train"}
    return Sample.model_validate({"span_id": str(number), "output": output, **facts})


async def judged(url: str, folder: Path) -> dict[str, Any]:
    """Our judge on each row, measured from after its first call, as the peer is."""
    spec = JudgeSpec(name="j", model="judge", template="Is it right?\n{output}", rails={"correct": 1, "incorrect": 0})
    config = LLMConfig(base_url=url, max_concurrency=IN_FLIGHT)
    with closing(SqliteStore(folder / "completions.sqlite")) as store:
        scope = LedgerScope(loop="bench", window="0")
        async with OpenAIChat(config, api_key="none", store=store, scope=scope) as chat:
            judge = LLMClassify(spec, chat)
            await judge.score(sample(-1), "0")
            samples = [sample(number) for number in range(ROWS)]
            cpu, began = time.process_time(), time.perf_counter()
            evals = await evaluate(samples, [judge], draw="0", workers=IN_FLIGHT)
            used, seconds = time.process_time() - cpu, time.perf_counter() - began
    results = sum(metrics.score == 1.0 for row in evals.values() for metrics in row)
    return {"results": results, "cpu_ms_a_row": used / ROWS * 1000, "seconds": seconds, "ended": "finished"}


def ours(url: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(judged(url, Path(folder)))


def dspy(url: str, python: str) -> dict[str, Any]:
    script = Path(__file__).with_name("peer_dspy.py")
    command = [python, str(script), url, str(ROWS), str(IN_FLIGHT), str(EVERY), MARK]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=script.parent)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    """Measure, print, write."""
    if len(sys.argv) != 2:
        sys.exit("which Python has the peers? `make bench-peers` installs them and says so")
    peer = str(Path(sys.argv[1]).absolute())  # Not resolved: the link is what makes it an environment of its own.
    result: dict[str, dict[str, Any]] = {}
    for case, poison in (("clean", ""), ("poison", MARK)):
        for name in ("sia_dagster", "dspy"):
            with endpoint(latency=LATENCY, poison=poison) as server:
                told = ours(server.base_url) if name == "sia_dagster" else dspy(server.base_url, peer)
                told |= {"paid": server.seen()["finished"], "paid_twice": server.seen()["paid_twice"]}
            result[f"{name} {case}"] = told
            print(
                f"{name:11} {case:6}: {told['results']} of {ROWS} rows have a result, {told['paid']} answers paid for, "
                f"{told['cpu_ms_a_row']:.2f} ms CPU a row, {told['seconds']:.1f} s, {told['ended']}",
                flush=True,
            )
    ratio = result["dspy clean"]["cpu_ms_a_row"] / result["sia_dagster clean"]["cpu_ms_a_row"]
    print(f"CPU a row, DSPy / ours: {ratio:.2f}")
    out = Path(__file__).parent / "results" / "peers.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result | {"cpu_ratio": {"dspy_over_ours": ratio}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
