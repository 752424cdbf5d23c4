"""A real Phoenix server, once a test run: its spans, annotations and prompts are what users have.

```python
def test_it(phoenix: Phoenix) -> None:
    project = phoenix.project("its-own")
    project.send([llm_span("a1", at=START, output="Hello")])
```
"""

import json
import socket
import subprocess
import tempfile
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sia_dagster.adapters.config.environment import read
from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection
from sia_dagster.core.records.value import JsonObject
from sia_dagster_tests.places import ROOT

if TYPE_CHECKING:
    from phoenix.client import Client


EXECUTABLE = ROOT / ".venv-phoenix" / "bin" / "phoenix"


READY_SECONDS = 150


PATIENCE_SECONDS = 60


_numbers = count(1)


@dataclass(frozen=True)
class PhoenixProject:
    """A project that one test has for itself."""

    base_url: str
    name: str

    @property
    def client(self) -> "Client":
        """Phoenix's own client, as a user opens it."""
        from phoenix.client import Client

        return Client(base_url=self.base_url)

    def connection(self, **changes: Any) -> PhoenixConnection:
        """What our adapters are given."""
        return PhoenixConnection(**{"base_url": self.base_url, "project": self.name, **changes})

    def send(self, spans: Sequence[JsonObject]) -> list[str]:
        """Store the spans and wait until the server shows them. Their ids."""
        self.client.spans.log_spans(project_identifier=self.name, spans=spans, timeout=60)  # type: ignore[arg-type]
        ids = [span["context"]["span_id"] for span in spans]
        self.wait_for(len(ids), ids)
        return ids

    def export(self, line: str) -> None:
        """Send a line of OTLP JSON as an application's exporter does, and wait for its spans.

        The ids begin otherwise than recorded: the server takes each once, in whatever project.
        """
        request = json.loads(line)
        spans = [s for r in request["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]
        for span in spans:
            for name in ("traceId", "spanId", "parentSpanId"):
                if span.get(name):
                    span[name] = b64encode(
                        bytes.fromhex(f"{zlib.crc32(self.name.encode()):08x}{span[name][8:]}")
                    ).decode()
        project = {"key": "openinference.project.name", "value": {"stringValue": self.name}}
        for resource in request["resourceSpans"]:
            resource["resource"].setdefault("attributes", []).append(project)
        body = ParseDict(request, ExportTraceServiceRequest(), ignore_unknown_fields=True).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        httpx.post(f"{self.base_url}/v1/traces", content=body, headers=headers, timeout=60).raise_for_status()
        self.wait_for(len(spans))

    def wait_for(self, number: int, span_ids: Iterable[str] = ()) -> None:
        """Return once the project shows that many spans (of `span_ids`): the server stores them in the background."""
        from phoenix.client.types.spans import SpanQuery

        ids = list(span_ids)
        query = SpanQuery().where(f"span_id in {ids!r}" if ids else "span_id != ''").select("name")
        for _ in range(PATIENCE_SECONDS * 10):
            shown = self.client.spans.get_spans_dataframe(
                query=query, project_identifier=self.name, limit=10**6, timeout=60
            )
            if len(shown) >= number:
                return
            threading.Event().wait(0.1)
        pytest.fail(f"Phoenix shows {len(shown)} of {number} spans of {self.name} after {PATIENCE_SECONDS} s")


@dataclass(frozen=True)
class Phoenix:
    """The running server."""

    base_url: str

    def project(self, name: str) -> PhoenixProject:
        """A new, empty project; its name begins with `name`."""
        project = PhoenixProject(self.base_url, f"{name}-{next(_numbers)}")
        project.client.projects.create(name=project.name)
        return project


@pytest.fixture(scope="session")
def phoenix() -> Iterator[Phoenix]:
    """The server of this test run. Without an installation the test is skipped; in CI (`CI=true`) it fails."""
    executable = Path(read("SIA_PHOENIX") or EXECUTABLE)
    if not executable.exists():
        reason = f"NO PHOENIX SERVER at {executable}: run `make phoenix`, or set SIA_PHOENIX to a `phoenix` command"
        if (read("CI") or "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="sia-phoenix-server-") as folder,
        _running(executable, Path(folder)) as base_url,
    ):
        yield Phoenix(base_url)


@contextmanager
def _running(executable: Path, folder: Path) -> Iterator[str]:
    http, grpc = _free_ports()
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(http),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    log = folder / "server.log"
    command = ["env", *(f"{name}={value}" for name, value in settings.items()), str(executable), "serve"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{http}", log)
            yield f"http://127.0.0.1:{http}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", base_url: str, log: Path) -> None:
    for _ in range(READY_SECONDS * 5):
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{base_url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        threading.Event().wait(0.2)
    pytest.fail(f"Phoenix did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def llm_span(span_id: str, *, at: datetime, output: str | None = "An answer", **attributes: Any) -> JsonObject:
    """An LLM span in the form of Phoenix's REST interface; `__` in a name stands for a dot.

    `span_id` and the trace's id are made hexadecimal from what is given. `output=None`: a call without an answer.
    """
    messages = [{"role": "system", "content": "Be polite."}, {"role": "user", "content": f"Question {span_id}"}]
    flat: JsonObject = {"llm.model_name": "small", "llm.token_count.prompt": 7}
    for place, message in enumerate(messages):
        flat |= {f"llm.input_messages.{place}.message.{key}": value for key, value in message.items()}
    if output is not None:
        flat |= {"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": output}
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    kind, name = named.pop("kind", "LLM"), named.pop("name", "ChatCompletion")
    return {
        "name": name,
        "span_kind": kind,
        "context": {"span_id": hex_id(span_id), "trace_id": hex_id(span_id) * 2},
        "start_time": at.isoformat(),
        "end_time": (at + timedelta(seconds=1)).isoformat(),
        "status_code": named.pop("status", "OK"),
        "attributes": flat | named,
    }


def hex_id(text: str) -> str:
    """Sixteen hex digits that belong to this text: what a span's id looks like."""
    return text.encode().hex().rjust(16, "0")[-16:]
