"""What arrives at a webhook, and what is said when it does not."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sia_dagster.adapters.webhook import LogNotifier, WebhookNotifier
from sia_dagster.core.errors import ConfigError, SiaError
from sia_dagster.core.ports.roles import Notifier

FACTS = {"loop": "desk", "conversations": 64, "at": datetime(2026, 10, 5, tzinfo=UTC)}


class Hook(ThreadingHTTPServer):
    """A webhook on loopback that answers with `status` and keeps what it was sent."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = status
        self.received: list[tuple[str, str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/secret-token?key=secret-too"


class _Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.received.append((self.path, "", None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@contextmanager
def hook(status: int = 200) -> Iterator[Hook]:
    with Hook(status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 204])
def test_a_notice_arrives_as_text_and_as_facts(status: int) -> None:
    with hook(status) as server:
        notifier: Notifier = WebhookNotifier(server.url)
        notifier.notify("A window waits for approval", FACTS)
    ((path, kind, body),) = server.received
    assert path == "/services/secret-token?key=secret-too"
    assert kind == "application/json"
    assert body["title"] == "A window waits for approval"
    assert body["facts"] == {"loop": "desk", "conversations": 64, "at": "2026-10-05 00:00:00+00:00"}
    assert body["text"].splitlines()[:2] == ["A window waits for approval", "- loop: desk"]


def assert_says(notifier: WebhookNotifier, *parts: str) -> None:
    with pytest.raises(SiaError) as caught:
        notifier.notify("A run failed", FACTS)
    message = str(caught.value)
    for part in (*parts, "'A run failed'", "`notify.webhook`"):
        assert part in message
    assert "secret" not in message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_refusal_says_the_status_and_the_host_alone(status: int) -> None:
    with hook(status) as server:
        assert_says(WebhookNotifier(server.url), f"HTTP {status}", f"http://127.0.0.1:{server.server_port}")
    assert len(server.received) == 1


def test_a_redirect_is_no_delivery() -> None:
    with hook(302) as server:
        assert_says(WebhookNotifier(server.url), "HTTP 302")
    assert [path for path, _, _ in server.received] == ["/services/secret-token?key=secret-too"]


def test_nobody_there_is_said() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert_says(WebhookNotifier(f"http://127.0.0.1:{port}/secret"), "could not be reached (ConnectionRefusedError)")


def test_a_webhook_that_hangs_is_left_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        assert_says(WebhookNotifier(url, timeout_seconds=0.05), "could not be reached (TimeoutError)")


@pytest.mark.parametrize("greeting", [b"nonsense\r\n\r\n", b""])
def test_a_server_that_speaks_something_else_is_said(greeting: bytes) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(greeting)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        assert_says(WebhookNotifier(f"http://127.0.0.1:{server.getsockname()[1]}/secret"), "could not be reached")
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com/secret",
        "file:///etc/secret",
        "https:///secret",
        "http://[secret",
        "http://127.0.0.1:secret/",
        "http://127.0.0.1/sec ret",
        "http://127.0.0.1/secret\n",
    ],
)
def test_what_is_no_web_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        WebhookNotifier(url)
    assert str(caught.value) == "notify.webhook: the value is no http:// or https:// URL"


def test_the_url_stands_in_no_representation() -> None:
    assert "secret" not in repr(WebhookNotifier("https://hooks.example.com/secret"))


def test_the_log_is_told_where_there_is_no_webhook(caplog: pytest.LogCaptureFixture) -> None:
    notifier: Notifier = LogNotifier(logging.getLogger("sia.test"))
    notifier.notify("100 % waits", {"loop": "desk"})
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("WARNING", "100 % waits\n- loop: desk")]
