"""The one question to an endpoint: what it offers, or why it cannot be used and what to do."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sia_dagster.adapters.engine.calls.probe import list_models
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import CallFailed, ConfigError, EndpointRefused
from sia_dagster.demo.server import SimulatedProvider
from simulation.servers import ScriptedServer, completion

Serve = tuple[int, str]


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], Serve | None]) -> Iterator[str]:
    """An HTTP server on loopback that answers every GET by `answer`; None says nothing until the server ends."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = answer(self)
            if said is None:
                ended.wait()
                return
            self.send_response(said[0])
            self.end_headers()
            self.wfile.write(said[1].encode())

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def ask(base_url: str, key: str | None = "secret-key", **llm: float) -> tuple[str, ...] | None:
    return asyncio.run(list_models(LLMConfig(base_url=base_url, api_key="SIA_TEST_KEY", **llm), api_key=key))


def test_models_are_listed_by_name() -> None:
    with SimulatedProvider(also_serves=["another"]) as provider:
        listed = ask(provider.base_url)
    assert listed == ("another", "simulated-application", "simulated-judge", "simulated-optimizer")


def test_no_model_is_called() -> None:
    with ScriptedServer(lambda body, n: completion("hello")) as server:
        assert ask(server.base_url) == ()
        assert server.requests == []


@pytest.mark.parametrize("key", ["secret-key", None])
def test_the_key_is_sent_where_there_is_one(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-endpoint")
    seen: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> Serve:
        seen.append(request.headers["Authorization"])
        return 200, '{"data": []}'

    with serving(answer) as url:
        assert ask(url, key) == ()
    assert seen == [f"Bearer {key}" if key else None]


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_an_endpoint_may_keep_no_list(status: int) -> None:
    with serving(lambda _: (status, "{}")) as url:
        assert ask(url) is None


def test_a_key_that_may_not_list_models_may_still_call_them() -> None:
    body = '{"error": {"message": "You have insufficient permissions. Missing scopes: api.model.read"}}'
    with serving(lambda _: (401, body)) as url:
        assert ask(url) is None


def test_a_key_that_is_not_accepted_says_which_variable_to_set() -> None:
    body = '{"error": {"message": "Incorrect API key provided: secret-key", "code": "invalid_api_key"}}'
    with serving(lambda _: (401, body)) as url, pytest.raises(EndpointRefused) as caught:
        ask(url)
    assert "Set the environment variable SIA_TEST_KEY to a valid key" in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_an_account_without_quota_says_so() -> None:
    with serving(lambda _: (402, "{}")) as url, pytest.raises(EndpointRefused, match="no quota left"):
        ask(url)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, '{"error": {"message": "it broke"}}', r"\(status 500\): it broke; check llm.base_url"),
        (200, "<html>welcome</html>", "the reply is no list of models"),
        (200, '{"data": [1]}', "the reply is no list of models"),
        (200, "[]", "the reply is no list of models"),
    ],
)
def test_an_answer_that_is_none_says_what_to_check(status: int, body: str, told: str) -> None:
    with serving(lambda _: (status, body)) as url, pytest.raises(CallFailed, match=told):
        ask(url)


def test_an_endpoint_that_hangs_is_given_up() -> None:
    with serving(lambda _: None) as url, pytest.raises(CallFailed, match=r"no reply within 0\.2 seconds"):
        ask(url, timeout_seconds=0.2)


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with ScriptedServer(lambda body, n: completion("")) as server:
        gone = server.base_url
    with pytest.raises(CallFailed) as caught:
        ask(gone)
    assert str(caught.value).startswith(f"{gone} gives no usable answer: the connection failed")
    assert "the endpoint runs and can be reached from here" in str(caught.value)


def test_an_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="is no http:// or https:// address"):
        ask("api.example.com/v1")


def test_a_secret_in_the_address_is_not_told() -> None:
    with serving(lambda _: (500, "{}")) as url, pytest.raises(CallFailed) as caught:
        ask(f"{url}?token=hidden")
    assert "hidden" not in str(caught.value)
