"""Writes one window of the demo's calls as other tools record and export them, by the tools themselves.

Not a test, and nothing imports it: each tool runs where it is installed, which this project does not need. From the
project's root, with `SimulatedProvider` of `sia_dagster.demo.server` listening at BASE_URL:

```
python -m sia_dagster_tests.worlds.write_forms calls CALLS                      # where this project is installed
python -m sia_dagster_tests.worlds.write_forms langfuse CALLS BASE_URL FOLDER   # where the tool is installed
```

The calls are made again under the tool, and the provider answers them as it did. Times, sessions and users are those
of the window, ids as far as the tool takes them (LangSmith and MLflow choose their own). The files in FOLDER then are
the same window in other forms, and a loop over them comes to the same verdict; `test_other_forms.py` holds some of
these forms to it.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

Call = dict[str, Any]
NOWHERE = "http://127.0.0.1:9/v1"
"""The endpoint of the calls whose connection broke."""
_PROJECT = "00000000-0000-0000-0000-00000000000f"


def write_calls(path: Path) -> None:
    """The spans of a small window with a clear verdict, as JSON that any environment reads."""
    traffic, loops = import_module("sia_dagster.demo.traffic"), import_module("simulation.loops")
    plan = traffic.WeekPlan(conversations=60, errors=2)
    table = traffic.write_traffic(path.parent / "arize", loops.WEEKS[0], None, plan)
    rows = import_module("pyarrow.parquet").read_table(table).to_pylist()
    path.write_text(json.dumps([_call(row) for row in rows]), encoding="utf-8")


def _call(row: dict[str, Any]) -> Call:
    kind, value = row["attributes.openinference.span.kind"], row["attributes.input.value"]
    return {
        "trace": row["context.trace_id"],
        "span": row["context.span_id"],
        "parent": row["parent_id"],
        "name": row["name"],
        "kind": kind,
        "session": row["attributes.session.id"],
        "user": row["attributes.user.id"],
        "start": row["start_time"],
        "end": row["end_time"],
        "fails": row["status_code"] == "ERROR",
        "input": json.loads(value) if kind == "LLM" else value,
    }


class Window:
    """The calls, and how each is made again under a tool that is set up."""

    def __init__(self, calls: Sequence[Call], base_url: str) -> None:
        self.calls, self._base_url = calls, base_url

    def client(self, call: Call, module: str = "openai") -> Any:
        """The SDK's client for this call."""
        return import_module(module).OpenAI(**self._endpoint(call))

    def make(self, call: Call, client: Any = None, **more: Any) -> None:
        """Make the call; it ends as it did in the window."""
        with suppress(import_module("openai").APIConnectionError):
            (client or self.client(call)).chat.completions.create(**call["input"], **more)

    def make_through_langchain(self, call: Call) -> None:
        """Make the call by LangChain's model."""
        settings = {name: value for name, value in call["input"].items() if name != "messages"}
        model = import_module("langchain_openai").ChatOpenAI(**self._endpoint(call), **settings)
        with suppress(import_module("openai").APIConnectionError):
            model.invoke(call["input"]["messages"])

    def _endpoint(self, call: Call) -> dict[str, Any]:
        return {"base_url": NOWHERE if call["fails"] else self._base_url, "api_key": "none", "max_retries": 0}


class Spans:
    """An OpenTelemetry provider whose spans get the ids and times of the window's."""

    def __init__(self) -> None:
        self._sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
        memory = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
        resource = import_module("opentelemetry.sdk.resources").Resource({"service.name": "message_desk"})
        self._ids, self._memory = _given_ids(), memory
        self._calls: dict[str, Call] = {}
        self.provider = self._sdk.TracerProvider(resource=resource, id_generator=self._ids)
        self.provider.add_span_processor(export.SimpleSpanProcessor(memory))

    @contextmanager
    def of(self, call: Call) -> Iterator[None]:
        """The next span is this call's, in its trace and below its parent."""
        trace, context = import_module("opentelemetry.trace"), import_module("opentelemetry.context")
        self._ids.span, self._ids.trace = int(call["span"], 16), int(call["trace"], 16)
        self._calls[call["span"]] = call
        outer = context.Context()
        if call["parent"]:
            ids = trace.SpanContext(self._ids.trace, int(call["parent"], 16), True, trace.TraceFlags(1))
            outer = trace.set_span_in_context(trace.NonRecordingSpan(ids), outer)
        token = context.attach(outer)
        try:
            yield
        finally:
            context.detach(token)

    def add(self, call: Call, attributes: dict[str, Any]) -> None:
        """A span around a call, written by the application itself."""
        self.provider.get_tracer("message_desk").start_span(call["name"], attributes=attributes).end()

    def finished(self, attributes: Callable[[Call], dict[str, Any]] = lambda _: {}) -> list[Any]:
        """The spans at their times in the window, oldest first, with what a span processor adds to them."""
        spans = [self._moved(span, attributes) for span in self._memory.get_finished_spans()]
        return sorted(spans, key=lambda span: int(span.start_time))

    def _moved(self, span: Any, attributes: Callable[[Call], dict[str, Any]]) -> Any:
        call = self._calls[f"{span.context.span_id:016x}"]
        kept = ("name", "context", "parent", "resource", "events", "kind", "status", "instrumentation_scope")
        return self._sdk.ReadableSpan(
            **{name: getattr(span, name) for name in kept},
            attributes={**span.attributes, **attributes(call)},
            start_time=call["start"],
            end_time=call["end"],
        )


def _given_ids() -> Any:
    class Given(import_module("opentelemetry.sdk.trace.id_generator").RandomIdGenerator):  # type: ignore[misc]
        span = trace = 0

        def generate_span_id(self) -> int:
            given, self.span = self.span, 0
            return given or int(super().generate_span_id())

        def generate_trace_id(self) -> int:
            return self.trace

    return Given()


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def _write_spans(spans: Sequence[Any], folder: Path) -> None:
    """As the SDK prints them, and as its exporter of OTLP JSON writes them where it is installed."""
    _write(folder / "to_json", "spans.json", "".join(f"{span.to_json()}\n" for span in spans))
    with suppress(ModuleNotFoundError):
        exporter = import_module("opentelemetry.exporter.otlp.json.file.trace_exporter").FileSpanExporter
        stream = StringIO()
        for start in range(0, len(spans), 20):
            exporter(stream=stream).export(spans[start : start + 20])
        _write(folder / "otlp", "spans.jsonl", stream.getvalue())


def _openinference(window: Window, folder: Path, sdk: str, make: Callable[[Call], None]) -> None:
    spans, given = Spans(), import_module("openinference.instrumentation").using_attributes
    module = import_module(f"openinference.instrumentation.{sdk.lower()}")
    getattr(module, f"{sdk}Instrumentor")().instrument(tracer_provider=spans.provider)
    for call in window.calls:
        with spans.of(call), given(session_id=call["session"], user_id=call["user"]):
            if call["kind"] == "LLM":
                make(call)
            else:
                spans.add(call, {"openinference.span.kind": call["kind"]})
    _write_spans(spans.finished(), folder)


def openinference(window: Window, folder: Path) -> None:
    """OpenInference's instrumentor of OpenAI's SDK."""
    _openinference(window, folder, "OpenAI", window.make)


def openinference_langchain(window: Window, folder: Path) -> None:
    """OpenInference's instrumentor of LangChain."""
    _openinference(window, folder, "LangChain", window.make_through_langchain)


def _instrumented(window: Window, folder: Path, module: str, names: tuple[str, str, str, str]) -> None:
    """An instrumentor of OpenAI; `names` are the attributes of session, user and kind, and another kind than a call."""
    spans, (session, user, kind, other) = Spans(), names
    import_module(module).OpenAIInstrumentor().instrument(tracer_provider=spans.provider)
    for call in window.calls:
        with spans.of(call):
            if call["kind"] == "LLM":
                window.make(call)
            else:
                spans.add(call, {kind: other})
    _write_spans(spans.finished(lambda call: {session: call["session"], user: call["user"]}), folder)


def openllmetry(window: Window, folder: Path) -> None:
    """OpenLLMetry's instrumentor, with the properties that its SDK's span processor sets."""
    own = "traceloop.association.properties"
    names = (f"{own}.session_id", f"{own}.user_id", "traceloop.span.kind", "task")
    _instrumented(window, folder, "opentelemetry.instrumentation.openai", names)


def openai_v2(window: Window, folder: Path) -> None:
    """OpenTelemetry's own instrumentor; `record_otel.py` has the variables that make it capture content."""
    names = ("gen_ai.conversation.id", "user.id", "gen_ai.operation.name", "invoke_agent")
    _instrumented(window, folder, "opentelemetry.instrumentation.openai_v2", names)


def langfuse(window: Window, folder: Path) -> None:
    """Langfuse's spans, and its observations: its server's step is written down in `record_forms.py`."""
    spans, sdk = Spans(), import_module("langfuse")
    client = sdk.Langfuse(public_key="none", secret_key="none", host=NOWHERE, tracer_provider=spans.provider)
    for call in window.calls:
        with spans.of(call), sdk.propagate_attributes(session_id=call["session"], user_id=call["user"]):
            if call["kind"] == "LLM":
                window.make(call, window.client(call, "langfuse.openai"))
            else:
                client.start_observation(name=call["name"], as_type=call["kind"].lower(), input=call["input"]).end()
    found, forms = spans.finished(), import_module("sia_dagster_tests.worlds.record_forms")
    _write_spans(found, folder)
    model, read = import_module("langfuse.api").ObservationV2, import_module("langfuse.api.core.pydantic_utilities")
    records = [read.parse_obj_as(model, forms._observation(span)).json() for span in found]
    _write(folder / "observations", "export.jsonl", "".join(f"{record}\n" for record in records))


def langsmith(window: Window, folder: Path) -> None:
    """Runs as `list_runs` gives them; the server's part, to keep them, is a stand-in's."""
    forms, sdk = import_module("sia_dagster_tests.worlds.record_forms"), import_module("langsmith")
    wrap = import_module("langsmith.wrappers").wrap_openai
    with forms._run_store() as runs, sdk.tracing_context(enabled=True):
        client = sdk.Client(api_url=f"http://127.0.0.1:{forms.STORE}", api_key="none", auto_batch_tracing=False)
        for call in window.calls:
            before, more = set(runs), {"metadata": {"session_id": call["session"], "user_id": call["user"]}}
            if call["kind"] == "LLM":
                wrapped = wrap(window.client(call), tracing_extra={"client": client})
                window.make(call, wrapped, langsmith_extra=more)
            else:
                sdk.RunTree(name=call["name"], run_type=call["kind"].lower(), client=client, extra=more).post()
            for run in set(runs) - before:
                runs[run] |= {"start_time": _iso(call["start"]), "end_time": _iso(call["end"]), "session_id": _PROJECT}
                runs[run]["status"] = "error" if runs[run].get("error") else "success"
        found = list(client.list_runs(project_id=_PROJECT))
    _write(folder / "runs", "export.jsonl", "".join(f"{run.model_dump_json()}\n" for run in found))


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC).isoformat()


def mlflow(window: Window, folder: Path) -> None:
    """`Trace.to_json()`, from a tracking store in FOLDER, with what its autologging of OpenAI logs."""
    sdk, store = import_module("mlflow"), folder / "store"
    store.mkdir(parents=True, exist_ok=True)
    sdk.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    experiment = sdk.create_experiment("calls", artifact_location=(store / "artifacts").as_uri())
    sdk.set_experiment(experiment_id=experiment)
    for call in window.calls:
        span = sdk.start_span_no_context(
            call["name"],
            span_type="CHAT_MODEL" if call["kind"] == "LLM" else call["kind"],
            inputs=call["input"],
            metadata={"mlflow.trace.session": call["session"], "mlflow.trace.user": call["user"]},
            start_time_ns=call["start"],
        )
        try:
            if call["kind"] == "LLM":
                span.set_outputs(window.client(call).chat.completions.create(**call["input"]))
        except import_module("openai").APIConnectionError as error:
            span.record_exception(error)
        span.end(end_time_ns=call["end"])
    sdk.flush_trace_async_logging()
    traces = sdk.search_traces(locations=[experiment], return_type="list", max_results=1000)
    _write(folder / "traces", "export.jsonl", "".join(f"{trace.to_json()}\n" for trace in traces))


TOOLS = (openinference, openinference_langchain, openllmetry, openai_v2, langfuse, langsmith, mlflow)


if __name__ == "__main__":
    name, calls, *rest = sys.argv[1:]
    if name == "calls":
        write_calls(Path(calls))
    else:
        (run,) = [tool for tool in TOOLS if tool.__name__ == name]
        run(Window(json.loads(Path(calls).read_text(encoding="utf-8")), rest[0]), Path(rest[1], name))
