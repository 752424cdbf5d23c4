"""The simulated provider: an OpenAI-compatible endpoint on loopback whose models are a documented rule."""

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sia_dagster.core.errors import SiaError
from sia_dagster.core.records.value import JsonObject
from sia_dagster.demo import application, optimizer
from sia_dagster.demo import simulated_judge as judge
from sia_dagster.demo.simulation_rules import APPLICATION, JUDGE, OPTIMIZER
from sia_dagster.demo.wire import CREATED, Reply, completion

HOST = "127.0.0.1"
Model = Callable[[JsonObject], Reply]
MODELS: Mapping[str, Model] = {APPLICATION: application.reply, JUDGE: judge.reply, OPTIMIZER: optimizer.reply}


class SimulatedProvider:
    """Serves the simulated models from a daemon thread while the `with` block runs.

    `port=0` takes a free one. `also_serves` are names of real models that the simulated application answers to, so
    that recorded traces can be replayed without an account. Keys are ignored. The same request gets the same
    bytes. Entering raises SiaError where the port is taken.
    """

    def __init__(self, port: int = 0, *, also_serves: Collection[str] = ()) -> None:
        self._models = {**MODELS, **dict.fromkeys(also_serves, application.reply)}
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._runner = web.AppRunner(self._app(), access_log=None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-provider", daemon=True)
        self._stopped = threading.Event()
        self.calls: Counter[str] = Counter()
        """Answers given so far, by model."""

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError as error:
            self._stop()
            message = (
                f"the simulated provider cannot listen on {HOST}:{self._port} ({error.strerror}): choose another port"
            )
            raise SiaError(message) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and let the thread end."""
        self._stop()

    @property
    def base_url(self) -> str:
        """For `llm.base_url`. The port is known once the `with` block has begun."""
        return f"http://{HOST}:{self._port}/v1"

    def wait(self) -> None:
        """Serve until the `with` block is left or the process is interrupted (SIGINT, SIGTERM: KeyboardInterrupt)."""
        with _interruptible():
            # A join of the thread, once interrupted, would count as done and could not be repeated.
            self._stopped.wait()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        return app

    async def _listen(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    def _stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._stopped.set()

    async def _complete(self, request: web.Request) -> web.Response:
        body = _parsed(await request.read())
        if body is None:
            return _refusal(400, "The body is no JSON object with a list of `messages`.", None)
        if body.get("stream"):
            return _refusal(400, "The simulated models do not stream.", "unsupported_value")
        name = str(body.get("model"))
        model = self._models.get(name)
        if model is None:
            return _refusal(
                404, f"The model `{name}` does not exist or you do not have access to it.", "model_not_found"
            )
        self.calls[name] += 1
        return _json(completion(name, body["messages"], model(body)))

    async def _list_models(self, _: web.Request) -> web.Response:
        models = [{"id": n, "object": "model", "created": CREATED, "owned_by": "simulated"} for n in self._models]
        return _json({"object": "list", "data": models})


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the main thread be interrupted also where the process began with signals ignored, as background jobs do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("messages"), list) else None


def _refusal(status: int, message: str, code: str | None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return _json({"error": error}, status)


def _json(content: JsonObject, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(content).encode(), status=status, content_type="application/json")
