"""A judge that answers after a while and takes so many requests a minute: `python bench/limited_server.py 0.2 600`.

The limit (0: none) holds over each sliding minute, counted as requests arrive; the headers of a reply tell it as
OpenAI's do. Prints its port. GET /seen tells how many were accepted and rejected, and since when.
"""

import asyncio
import json
import sys
import time
from collections import deque

from aiohttp import web

ANSWER = {
    "choices": [
        {
            "message": {"role": "assistant", "content": json.dumps({"explanation": "e" * 300, "label": "correct"})},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 600, "completion_tokens": 80},
}


class Judge:
    def __init__(self, latency: float, per_minute: int) -> None:
        self.latency, self.per_minute = latency, per_minute
        self.minute: deque[float] = deque()
        self.seen = {"accepted": 0, "rejected": 0, "seconds": 0.0}
        self.began = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        self.began = self.began or now
        if self.per_minute and not self.takes(now):
            self.seen["rejected"] += 1
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=self.headers(now))
        self.seen["accepted"] += 1
        headers = self.headers(now) if self.per_minute else {}
        await request.read()
        await asyncio.sleep(self.latency)
        return web.json_response(ANSWER, headers=headers)

    def takes(self, now: float) -> bool:
        while self.minute and self.minute[0] <= now - 60:
            self.minute.popleft()
        if len(self.minute) >= self.per_minute:
            return False
        self.minute.append(now)
        return True

    def headers(self, now: float) -> dict[str, str]:
        return {
            "x-ratelimit-limit-requests": str(self.per_minute),
            "x-ratelimit-remaining-requests": str(self.per_minute - len(self.minute)),
            "x-ratelimit-reset-requests": f"{self.minute[-1] + 60 - now:.3f}s",
        }

    async def tell(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen | {"seconds": time.monotonic() - self.began})


async def main() -> None:
    judge = Judge(float(sys.argv[1]), int(sys.argv[2]))
    app = web.Application()
    app.router.add_post("/v1/chat/completions", judge.answer)
    app.router.add_get("/seen", judge.tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
