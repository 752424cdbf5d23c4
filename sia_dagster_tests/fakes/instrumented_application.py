"""An application as users have it: the real `openai` client under the real instrumentor, its spans sent by OTLP."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count

from openai import OpenAI
from openinference.instrumentation import using_session
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, TimeWindow
from sia_dagster.demo.customers import inquiry
from sia_dagster_tests.fakes.phoenix_server import PhoenixProject

_SECONDS = 10**9


class Application:
    """Answers customers through a model, and keeps the policy it was given for as long as it is told."""

    def __init__(self, client: OpenAI, exporter: "_AtItsTime") -> None:
        self._client, self._exporter = client, exporter

    def serve(self, window: TimeWindow, policy: Actions, *, conversations: int) -> int:
        """Answer one message of that many customers, spread over the window. How many calls it took."""
        step = (window.end - window.start) / (conversations + 1)
        for number in range(conversations):
            key = f"{window.key}/{number}"
            self._answer(key, policy, at=window.start + (number + 1) * step)
        return conversations

    def _answer(self, key: str, policy: Actions, *, at: datetime) -> str:
        history = [Message(role="user", content=inquiry(key, note=False).first)]
        self._exporter.moment = at
        with using_session(key):
            reply = self._client.chat.completions.create(
                model=policy.model,
                messages=policy.messages(history=history),  # type: ignore[arg-type]
                **policy.parameters,
            )
        return reply.choices[0].message.content or ""


class _AtItsTime(SpanExporter):
    """Sends each span as if its call had been made at `moment`: the weeks of this application are over in seconds."""

    def __init__(self, exporter: SpanExporter, start: datetime) -> None:
        self._exporter, self.moment = exporter, start

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._moved(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _moved(self, span: ReadableSpan) -> ReadableSpan:
        start = int(self.moment.timestamp()) * _SECONDS
        took = (span.end_time or 0) - (span.start_time or 0)
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=span.attributes,
            kind=span.kind,
            status=span.status,
            start_time=start,
            end_time=start + took,
            instrumentation_scope=span.instrumentation_scope,
        )


class _InOrder(IdGenerator):
    """Ids that are the same in every run: what the optimiser reads and which answers are drawn follows from them."""

    def __init__(self, start: datetime) -> None:
        self._numbers = count(int(start.timestamp()) << 20)

    def generate_span_id(self) -> int:
        return next(self._numbers)

    def generate_trace_id(self) -> int:
        return next(self._numbers)


@contextmanager
def application(model_url: str, project: PhoenixProject, start: datetime) -> Iterator[Application]:
    """The application, instrumented only while the `with` block runs: the loop's own calls are not its spans."""
    exporter = _AtItsTime(OTLPSpanExporter(endpoint=f"{project.base_url}/v1/traces"), start)
    resource = Resource({"openinference.project.name": project.name})
    tracing = TracerProvider(resource=resource, id_generator=_InOrder(start))
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=tracing)
    try:
        with OpenAI(base_url=model_url, api_key="none") as client:
            yield Application(client, exporter)
    finally:
        instrumentor.uninstrument()
        tracing.shutdown()
