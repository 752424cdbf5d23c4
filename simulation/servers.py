"""A scripted OpenAI-compatible server on loopback: tests talk to it over real sockets with the real client.

```python
with ScriptedServer(lambda body, n: completion("correct")) as server:
    ...  # LLMConfig(base_url=server.base_url)
assert server.requests[0]["model"] == "judge"
```
"""

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """One scripted HTTP reply; `body` is sent as JSON, or as it stands where it is bytes."""

    status: int = 200
    body: Body | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the reply; a large number is a hang."""
    drop: bool = False
    """Close the connection without a reply."""
    pause: float = 0.0
    """Seconds in the middle of the body."""
    cut: bool = False
    """Close the connection in the middle of the body."""


Answer = Callable[[Body, int], Reply | Body]


def completion(
    text: str | None,
    *,
    prompt_tokens: int = 10,
    completion_tokens: int = 5,
    finish_reason: str = "stop",
    tool_calls: Sequence[Body] = (),
) -> Body:
    """A chat completion in wire form; `tool_calls` items are `{"id", "name", "arguments"}`, arguments as JSON text."""
    message: Body = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = [
            {"id": c.get("id", ""), "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in tool_calls
        ]
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def refusal(status: int, message: str, *, code: str | None = None, **headers: str) -> Reply:
    """An error reply in OpenAI's form; `headers` are written with underscores (`retry_after="0"`)."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Reply(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


class LoopbackServer(ABC):
    """An application on a free port of 127.0.0.1, in a thread of its own while the `with` block runs."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._port = 0

    @abstractmethod
    def application(self) -> web.Application:
        """What is served; asked for once, in the server's thread."""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _start(self) -> None:
        self._runner = web.AppRunner(
            self.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]


class ScriptedServer(LoopbackServer):
    """Answers POST <base_url>/chat/completions by `answer(body, n)`, where n counts requests from 0.

    `answer` runs in the server's own thread and returns a Reply, or a JSON body for a plain 200. An exception in it
    is a 500. GET <base_url>/models lists `models`.
    """

    def __init__(self, answer: Answer, *, models: Sequence[str] = ()) -> None:
        super().__init__("scripted-server")
        self.answer, self._models = answer, tuple(models)
        self.in_flight = 0
        """The requests that are open now."""
        self.requests: list[Body] = []
        """The JSON bodies received, in order of arrival."""
        self.addresses: list[str] = []
        """The path and query of each request."""
        self.headers: list[dict[str, str]] = []
        """The headers of each request, names in lower case."""
        self.most_in_flight = 0
        """The most requests that were open at one moment."""

    @property
    def azure_url(self) -> str:
        """What a client of Azure OpenAI is configured with."""
        return self.base_url.removesuffix("/v1")

    @property
    def base_url(self) -> str:
        """What a client is configured with."""
        return f"http://127.0.0.1:{self._port}/v1"

    def application(self) -> web.Application:
        """Chat completions, the list of models, and what `add_routes` adds."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        # Azure's: the model is in the address.
        app.router.add_post("/openai/deployments/{deployment}/chat/completions", self._complete)
        app.router.add_get("/openai/models", self._list_models)
        self.add_routes(app)
        return app

    def add_routes(self, app: web.Application) -> None:
        """A place for more than chat completions."""

    async def _list_models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self._models]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        number = len(self.requests)
        self.requests.append(body)
        self.addresses.append(request.path_qs)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            scripted = self.answer(body, number)
            reply = scripted if isinstance(scripted, Reply) else Reply(body=scripted)
            if reply.delay:
                await asyncio.sleep(reply.delay)
            if reply.pause or reply.cut:
                return await _halting(request, reply)
            return _response(request, reply)
        finally:
            self.in_flight -= 1


async def _halting(request: web.Request, reply: Reply) -> web.StreamResponse:
    """A reply that stops in the middle of its body, for a while or for good."""
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **reply.headers}
    response = web.StreamResponse(status=reply.status, headers=headers)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(reply.pause)
    if reply.cut and request.transport is not None:
        request.transport.close()
    else:
        await response.write(body[len(body) // 2 :])
    return response


def _response(request: web.Request, reply: Reply) -> web.Response:
    if reply.drop and request.transport is not None:
        request.transport.close()
    if isinstance(reply.body, bytes):
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    return web.json_response(reply.body, status=reply.status, headers=reply.headers)
