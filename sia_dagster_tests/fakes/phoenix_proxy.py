"""A server before a real Phoenix that does to single requests what networks and gateways do."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx


def no_wait(_: float) -> None:
    """Waits for nothing, between attempts."""


_KEPT = {"content-type", "accept", "authorization"}


@dataclass
class Fault:
    """What happens to requests whose path holds `path`, `times` times, after `after` others of them."""

    path: str = ""
    status: int | None = None
    """Answer so, with `detail`, instead of asking the server."""
    detail: Any = "a fault on demand"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    """Close the connection without an answer; the request never reaches the server."""
    lose: bool = False
    """Carry the request out, and close the connection without an answer."""
    cut: bool = False
    """Break off in the middle of the answer."""
    page: bool = False
    """Answer with a web page, as a gateway does that asks for a login."""
    body: bytes | None = None
    """Answer with this, as JSON."""
    hang: bool = False
    times: int = 10**6
    after: int = 0


class PhoenixProxy:
    """Forwards to `upstream` but for `faults`; serves from threads while the `with` block runs."""

    def __init__(self, upstream: str, faults: Sequence[Fault] = ()) -> None:
        self.upstream, self.faults = upstream, list(faults)
        self.requests: list[str] = []
        """Method and path of each request, in order of arrival."""
        self.keys: list[str | None] = []
        """The `Authorization` header of each."""
        self.stopping = threading.Event()
        self.client = httpx.Client(base_url=upstream, timeout=60)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="phoenix-proxy", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.client.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault_for(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.path in path and fault.times:
                if fault.after:
                    fault.after -= 1
                    return None
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    proxy: PhoenixProxy

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.proxy.requests.append(f"{method} {self.path}")
        self.proxy.keys.append(self.headers.get("authorization"))
        fault = self.proxy.fault_for(self.path)
        if fault is None or fault.lose or fault.cut:
            self._forward(method, body, fault)
        elif fault.body is not None:
            self._answer(200, fault.body, {"content-type": "application/json"})
        elif fault.page:
            self._answer(200, b"<!DOCTYPE html><title>Sign in</title>", {"content-type": "text/html"})
        elif fault.hang:
            self.proxy.stopping.wait()
        elif fault.status:
            detail = httpx.Response(200, json={"detail": fault.detail}).content
            self._answer(fault.status, detail, {"content-type": "application/json", **fault.headers})
        self.close_connection = True

    def _forward(self, method: str, body: bytes, fault: Fault | None) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() in _KEPT}
        reply = self.proxy.client.request(method, self.path, content=body, headers=headers)
        if fault is None or fault.cut:
            kind = {"content-type": reply.headers["content-type"]} if "content-type" in reply.headers else {}
            content = reply.content[: len(reply.content) // 2] if fault else reply.content
            self._answer(reply.status_code, content, {**kind, "content-length": str(len(reply.content))})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _handler(proxy: PhoenixProxy) -> type[_Handler]:
    return type("Handler", (_Handler,), {"proxy": proxy})
