"""Makes the recordings in `forms/`: calls of a model as other tools record and export them, by the tools themselves.

Not a test, and nothing imports it: it runs where the tools are installed, which this project does not need. In an
environment with the packages of a form in `FORMS`, from the project's root:

```
python -m sia_dagster_tests.worlds.record_forms                        # all forms
python -m sia_dagster_tests.worlds.record_forms langsmith mlflow       # these
```

Each tool traces the same four calls (a chat, an offered tool, a stream, a refusal) through the OpenAI SDK and, where
the tool has a callback for it, through LangChain, spoken to by a provider of canned answers. A recording holds the
records as the tool exports them, and the versions it was made with. Ids and times are replaced by fixed ones, so that
equal behaviour gives equal files. What runs on a vendor's server alone, and so cannot run here, is said at its
function. With `MLFLOW_DISABLE_TELEMETRY=true` nothing looks beyond this machine.
"""

import base64
import gzip
import json
import logging
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from sia_dagster_tests.corpora.span_replies import PORT, CannedProvider
from sia_dagster_tests.places import RECORDED_FORMS
from sia_dagster_tests.worlds.record_spans import ASKED, HOST, MODEL, SYSTEM, TOOL

Record = dict[str, Any]
STORE = PORT + 1
"""The port of the server that stands in for LangSmith's and Opik's."""
SESSION, USER = "chat-7", "ann"


def _openai_calls(client: Any, **more: Any) -> None:
    """A chat, an offered tool, a stream and a refusal."""
    create = client.chat.completions.create
    create(model=MODEL, messages=[SYSTEM, ASKED], temperature=0.2, **more)
    create(model=MODEL, messages=[SYSTEM, ASKED], tools=[TOOL], **more)
    list(create(model=MODEL, messages=[SYSTEM, ASKED], stream=True, **more))
    with suppress(import_module("openai").NotFoundError):
        create(model="missing", messages=[ASKED], **more)


def _langchain_calls(**config: Any) -> None:
    """A chat with a tool's result in its history, and an offered tool."""
    model = import_module("langchain_openai").ChatOpenAI(
        base_url=f"{HOST}/v1", api_key="none", model=MODEL, temperature=0.2, max_retries=0
    )
    messages = import_module("langchain_core.messages")
    call = {"name": "weather", "args": {"city": "Ulm"}, "id": "call_1"}
    asked = [messages.SystemMessage(SYSTEM["content"]), messages.HumanMessage(ASKED["content"])]
    used = [messages.AIMessage("", tool_calls=[call]), messages.ToolMessage("sunny", tool_call_id="call_1")]
    model.invoke([*asked, *used], config)
    model.bind_tools([TOOL]).invoke(asked, config)


def _client() -> Any:
    return import_module("openai").OpenAI(base_url=f"{HOST}/v1", api_key="none", max_retries=0)


def langfuse() -> list[Record]:
    """The spans of Langfuse's SDK, as its public API returns them.

    The SDK writes spans; the server makes observations of them. That step (attributes to fields of the same names) is
    done here, and the SDK's own model of the answer checks the outcome.
    """
    export = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = export.InMemorySpanExporter()
    sdk = import_module("langfuse")
    client = sdk.Langfuse(public_key="pk-none", secret_key="none", base_url=HOST, span_exporter=exporter)
    handler = import_module("langfuse.langchain").CallbackHandler()
    with (
        sdk.propagate_attributes(session_id=SESSION, user_id=USER, tags=["weather"]),
        client.start_as_current_observation(name="turn"),
    ):
        _langchain_calls(callbacks=[handler])
        # Imported here, since it patches the SDK that LangChain uses, too.
        wrapped = import_module("langfuse.openai").OpenAI(base_url=f"{HOST}/v1", api_key="none", max_retries=0)
        _openai_calls(wrapped)
    client.flush()
    spans = sorted(exporter.get_finished_spans(), key=lambda span: int(span.start_time))
    model, read = import_module("langfuse.api").ObservationV2, import_module("langfuse.api.core.pydantic_utilities")
    return [json.loads(read.parse_obj_as(model, _observation(span)).json()) for span in spans]


def _observation(span: Any) -> Record:
    """A span of the SDK as the server's observation."""
    given = dict(span.attributes)
    prefix = "langfuse.observation."
    metadata_prefix = f"{prefix}metadata."
    kept = {key[len(prefix) :]: value for key, value in given.items() if key.startswith(prefix)}
    parameters, usage = kept.get("model.parameters"), kept.get("usage_details")
    return {
        "id": f"{span.context.span_id:016x}",
        "traceId": f"{span.context.trace_id:032x}",
        "parentObservationId": f"{span.parent.span_id:016x}" if span.parent else None,
        "projectId": "project",
        "isRootObservation": span.parent is None,
        "type": str(kept.get("type", "span")).upper(),
        "name": span.name,
        "startTime": _iso(span.start_time),
        "endTime": _iso(span.end_time),
        "level": kept.get("level", "DEFAULT"),
        "statusMessage": kept.get("status_message"),
        "userId": given.get("user.id"),
        "sessionId": given.get("session.id"),
        "tags": list(given.get("langfuse.trace.tags", ())),
        "input": kept.get("input"),
        "output": kept.get("output"),
        "metadata": {
            key[len(metadata_prefix) :]: json.loads(value)
            for key, value in given.items()
            if key.startswith(metadata_prefix)
        },
        "model": kept.get("model.name"),
        "modelParameters": json.loads(parameters) if parameters else None,
        "usageDetails": {name: n for name, n in json.loads(usage).items() if isinstance(n, int)} if usage else None,
    }


def _iso(nanoseconds: int) -> str:
    datetime = import_module("datetime")
    return str(datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.UTC).isoformat())


def langsmith() -> list[Record]:
    """Runs as `list_runs` gives them, dumped by their own `model_dump_json`: the server's part is only to keep them."""
    sdk = import_module("langsmith")
    with _run_store() as runs, sdk.tracing_context(enabled=True):
        client = sdk.Client(api_url=f"http://127.0.0.1:{STORE}", api_key="none", auto_batch_tracing=False)
        wrapped = import_module("langsmith.wrappers").wrap_openai(_client(), tracing_extra={"client": client})
        extra = {"metadata": {"thread_id": SESSION, "user_id": USER}, "tags": ["weather"]}
        _openai_calls(wrapped, langsmith_extra=extra)
        tracer = import_module("langchain_core.tracers.langchain").LangChainTracer(client=client)
        _langchain_calls(callbacks=[tracer], metadata=extra["metadata"], tags=extra["tags"])
        import_module("langchain_core.tracers.langchain").wait_for_all_tracers()
        project = "00000000-0000-0000-0000-00000000000f"
        for run in runs.values():
            run |= {"session_id": project, "status": "error" if run.get("error") else "success"}
        return [json.loads(run.model_dump_json()) for run in client.list_runs(project_id=project)]


def langchain() -> list[Record]:
    """Runs as a tracer of LangChain's own gets them, without any service: with messages, then as one text."""
    module = import_module("langchain_core.tracers.base")
    runs: list[Any] = []

    class Kept(module.BaseTracer):  # type: ignore[misc, name-defined]
        def _persist_run(self, run: Any) -> None:
            runs.append(run)

    for schema in ("original+chat", "original"):
        _langchain_calls(callbacks=[Kept(_schema_format=schema)], metadata={"session_id": SESSION, "user_id": USER})
    return [json.loads(run.model_dump_json(exclude={"child_runs"})) for run in runs]


@contextmanager
def _run_store() -> Iterator[dict[str, Record]]:
    """A server that keeps what a client posts, and gives LangSmith's its runs back."""
    runs: dict[str, Record] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if self.path.endswith("/query"):
                self._reply({"runs": list(runs.values()), "cursors": {}})
            else:
                number = str(body.get("id", len(runs)))
                runs[number] = runs.get(number, {}) | body
                self._reply({})

        def do_PATCH(self) -> None:
            body = self._body()
            runs.setdefault(self.path.rsplit("/", 1)[1], {}).update(body)
            self._reply({})

        def do_GET(self) -> None:
            self._reply({})

        def _body(self) -> Record:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            body: Record = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
            return {key: value for key, value in body.items() if value is not None and key != "attachments"}

        def _reply(self, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", STORE), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield runs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def braintrust() -> list[Record]:
    """Rows as Braintrust's SDK logs them; its API lists the same rows."""
    sdk, log = import_module("braintrust"), import_module("braintrust.logger")
    with log._internal_with_memory_background_logger() as kept:
        import_module("braintrust.test_helpers").init_test_logger("calls")
        _openai_calls(sdk.wrap_openai(_client()))
        rows: list[Record] = kept.pop()
    return [json.loads(json.dumps(row, default=str)) for row in rows]


def opik() -> list[Record]:
    """Spans as Opik's SDK posts them; its API lists the same fields."""
    with _run_store() as posted:
        sdk = import_module("opik")
        client = sdk.Opik(host=f"http://127.0.0.1:{STORE}/api", _use_batching=True)
        sdk.set_global_client(client)
        _openai_calls(import_module("opik.integrations.openai").track_openai(_client()))
        client.end()
        # A span is posted when it starts and when it ends; the later one stands.
        spans = {span["id"]: span for batch in posted.values() for span in batch.get("spans", ())}
        return list(spans.values())


def mlflow() -> list[Record]:
    """Traces as `Trace.to_json()` writes them, from a real tracking store, by MLflow's autologging of OpenAI."""
    return [json.loads(trace.to_json()) for trace in _mlflow_traces("list")]


def mlflow_table() -> list[Record]:
    """The rows of `mlflow.search_traces()`, with columns written as JSON by pandas."""
    rows: list[Record] = json.loads(_mlflow_traces("pandas").to_json(orient="records", default_handler=str))
    return rows


def _mlflow_traces(kind: str) -> Any:
    sdk = import_module("mlflow")
    with tempfile.TemporaryDirectory() as folder:
        sdk.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        experiment = sdk.create_experiment("calls", artifact_location=Path(folder, "artifacts").as_uri())
        sdk.set_experiment(experiment_id=experiment)
        sdk.openai.autolog()

        @sdk.trace(span_type="CHAIN")  # type: ignore[untyped-decorator]
        def turn() -> None:
            sdk.update_current_trace(metadata={"mlflow.trace.session": SESSION, "mlflow.trace.user": USER})
            _openai_calls(_client())

        turn()
        sdk.flush_trace_async_logging()
        return sdk.search_traces(locations=[experiment], return_type=kind)


FORMS: dict[str, tuple[Callable[[], list[Record]], tuple[str, ...]]] = {
    "langfuse": (langfuse, ("langfuse", "openai", "langchain-core", "langchain-openai")),
    "langsmith": (langsmith, ("langsmith", "openai", "langchain-core", "langchain-openai")),
    "langchain": (langchain, ("langchain-core", "langchain-openai")),
    "braintrust": (braintrust, ("braintrust", "openai")),
    "opik": (opik, ("opik", "openai")),
    "mlflow": (mlflow, ("mlflow-skinny", "openai")),
    "mlflow_table": (mlflow_table, ("mlflow-skinny", "openai")),
}
"""By the name of the recording: what makes it, and the packages that it needs."""


def record(name: str) -> None:
    """Trace the calls with one tool and write its recording."""
    make, packages = FORMS[name]
    with CannedProvider():
        records = make()
    versions = {package: metadata.version(package) for package in packages}
    recording = {"versions": versions, "records": _without_machine(records)}
    text = json.dumps(recording, indent=1, ensure_ascii=False) + "\n"
    (RECORDED_FORMS / f"{name}.json").write_text(_with_fixed_ids(_with_fixed_times(text)), encoding="utf-8")


_MACHINE = re.compile(
    r"mlflow\.(source\.|user$|artifactLocation|trace\.size)|revision_id|runtime$|links$|execution_duration|dotted_order|caller_"
)
"""Keys whose values are this machine's, or of one run alone."""


def _without_machine(value: Any) -> Any:
    """The records without what belongs to this machine; of an exception's text, what comes before the traceback."""
    if isinstance(value, list):
        return [_without_machine(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_machine(item) for key, item in value.items() if not _MACHINE.match(key)}
    if isinstance(value, str) and value.startswith('{"info"'):
        return json.dumps(_without_machine(json.loads(value)))
    return value.partition("Traceback (")[0] if isinstance(value, str) else value


_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_HEX = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b")
_BASE64 = re.compile(r'(?<=")[A-Za-z0-9+/]{11}=(?=\\?")|(?<=")[A-Za-z0-9+/]{22}==(?=\\?")')
_COMPACT = re.compile(r"\b20\d{6}T\d{12}Z")
_ISO = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?")
_EPOCH = re.compile(r"\b1[7-9]\d{17}\b|\b1[7-9]\d{11}\b|\b1[7-9]\d{8}(?=\.\d)")


def _with_fixed_ids(text: str) -> str:
    """The same text with the ids numbered in their order."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> int:
        return numbers.setdefault(found[0], len(numbers) + 1)

    text = _UUID.sub(lambda m: f"00000000-0000-0000-0000-{number(m):012x}", text)
    text = _HEX.sub(lambda m: f"{number(m):0{len(m[0])}x}", text)

    def encoded(found: re.Match[str]) -> str:
        length = 16 if found[0].endswith("==") else 8
        return base64.b64encode(number(found).to_bytes(length, "big")).decode()

    return _BASE64.sub(encoded, text)


def _with_fixed_times(text: str) -> str:
    """The same text with every time at the same moment of 2026-11-09, in its own form."""
    text = _COMPACT.sub("20261109T080000000000Z", text)
    text = _ISO.sub("2026-11-09T08:00:00.000000", text)
    return _EPOCH.sub(lambda m: "1794211200000000000"[: len(m[0])], text)


if __name__ == "__main__":
    RECORDED_FORMS.mkdir(exist_ok=True)
    logging.disable(logging.WARNING)
    if len(sys.argv) == 2:
        record(sys.argv[1])
    else:
        # A process a form: tools patch what they find.
        for each in sys.argv[1:] or FORMS:
            subprocess.run([sys.executable, "-m", "sia_dagster_tests.worlds.record_forms", each], check=False)
