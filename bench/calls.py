"""CPU a model call costs: the engine against a bare aiohttp loop, both with 32 in flight at a local server.

Run: python bench/calls.py [calls]. Prints CPU milliseconds a call and the ratio, and writes bench/results/calls.json.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import LedgerScope
from sia_dagster.adapters.engine.store.sqlite import SqliteStore
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.ports.model import ChatRequest
from sia_dagster.core.replay.rows import map_rows

WORKERS, WARM_UP = 32, 100
SERVER = """
import asyncio, json
from aiohttp import web
reply = {"choices": [{"message": {"role": "assistant", "content": json.dumps({"explanation": "e" * 300,
         "label": "correct"})}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 600, "completion_tokens": 80}}

async def answer(request):
    await request.read()
    await asyncio.sleep(0.05)
    return web.json_response(reply)

async def main():
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def request(number: int) -> ChatRequest:
    """A judge's call of ordinary size: 2.5 kB."""
    messages = ({"role": "system", "content": "s" * 1000}, {"role": "user", "content": f"{number} " + "u" * 1500})
    return ChatRequest(model="judge", messages=messages, parameters={"temperature": 0}, stage="judge")


async def measured(call: Callable[[int], Awaitable[object]], calls: int) -> float:
    """CPU milliseconds of this process a call, after some calls to warm up."""

    async def run(numbers: range) -> None:
        async for _ in map_rows(numbers, call, workers=WORKERS):
            pass

    await run(range(-WARM_UP, 0))
    began = time.process_time()
    await run(range(calls))
    return (time.process_time() - began) / calls * 1000


async def bare(url: str, calls: int) -> float:
    """The floor: post the body, read the JSON."""
    async with aiohttp.ClientSession() as session:

        async def call(number: int) -> object:
            body = {"model": "judge", "messages": request(number).messages, "temperature": 0}
            async with session.post(f"{url}/chat/completions", json=body) as reply:
                return await reply.json()

        return await measured(call, calls)


async def engine(url: str, calls: int, *, again: bool) -> float:
    """Through OpenAIChat with a fresh store; with `again`, the second time, when the store answers."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "completions.sqlite")
        config = LLMConfig(base_url=url, max_concurrency=WORKERS, budget_tokens=10**12)
        scope = LedgerScope(loop="bench", window="0")
        try:
            async with OpenAIChat(config, api_key="none", store=store, scope=scope) as chat:
                paid = await measured(lambda number: chat.complete(request(number)), calls)
                if not again:
                    return paid
                return await measured(lambda number: chat.complete(request(number)), calls)
        finally:
            store.close()


def main() -> None:
    """Measure, print, write."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        try:
            floor = asyncio.run(bare(url, calls))
            paid = asyncio.run(engine(url, calls, again=False))
            stored = asyncio.run(engine(url, calls, again=True))
        finally:
            server.terminate()
    result = {"calls": calls, "bare_aiohttp_ms": floor, "engine_ms": paid, "stored_ms": stored, "ratio": paid / floor}
    print(f"CPU a call: bare aiohttp {floor:.2f} ms, engine {paid:.2f} ms, answered from the store {stored:.2f} ms")
    print(f"ratio engine / bare aiohttp: {paid / floor:.1f}")
    out = Path(__file__).parent / "results" / "calls.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
