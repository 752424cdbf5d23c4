"""Makes the recordings in `forms/` of tools on OpenTelemetry: the same five calls under each, against canned answers.

Not a test, and nothing imports it: it runs where the tools are installed, which this project does not need. From the
project's root, in an environment with the packages that `TOOLS` names (their versions stand in the recording's name
where an older generation is meant):

```
python -m sia_dagster_tests.worlds.record_otel openai_v2
```

`.json` files hold what the SDK's `span.to_json()` prints, one object after the other; `.jsonl` files what its OTLP file
exporter writes. Ids, times and stack traces are replaced by fixed ones, so that equal behaviour gives equal files. The
AI SDK is recorded by `record_ai_sdk.mjs`.
"""

import re
import sys
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from itertools import count
from typing import Any, NamedTuple

from sia_dagster_tests.corpora.span_replies import CannedProvider
from sia_dagster_tests.places import RECORDED_FORMS
from sia_dagster_tests.worlds import record_spans as calls


class Tool(NamedTuple):
    """How one tool is set up on a tracer provider, and the calls that are made under it."""

    run: Callable[[Any], object]
    packages: str
    """What was installed for the recording at hand."""


def _openai_calls() -> None:
    """A chat with settings, an offered tool, its result, a stream and a refusal."""
    calls._chat(calls.SYSTEM, calls.ASKED, temperature=0.2, max_tokens=100)()
    calls._chat(calls.SYSTEM, calls.ASKED, tools=[calls.TOOL])()
    calls._chat(*calls.HISTORY, tools=[calls.TOOL])()
    calls._chat(calls.SYSTEM, calls.ASKED, stream=True)()
    calls._refused()


def _instrumented(module: str) -> Callable[[Any], object]:
    def run(provider: Any) -> None:
        import_module(module).OpenAIInstrumentor().instrument(tracer_provider=provider)
        _openai_calls()

    return run


def _pydantic_ai(provider: Any) -> None:
    models, providers = import_module("pydantic_ai.models.openai"), import_module("pydantic_ai.providers.openai")
    settings = import_module("pydantic_ai.models.instrumented").InstrumentationSettings(tracer_provider=provider)
    agents, chat = import_module("pydantic_ai"), getattr(models, "OpenAIChatModel", None)
    server = providers.OpenAIProvider(base_url=f"{calls.HOST}/v1", api_key="none")
    model = (chat or models.OpenAIModel)(calls.MODEL, provider=server)
    given = {"instructions": calls.SYSTEM["content"], "model_settings": {"temperature": 0.2, "max_tokens": 100}}
    agents.Agent.instrument_all(settings)
    agents.Agent(model, name="plain", **given).run_sync(calls.ASKED["content"])
    agents.Agent(model, name="tools", tools=[_tool(agents)], **given).run_sync(calls.ASKED["content"])


def _tool(agents: Any) -> Any:
    return agents.Tool(calls._weather, name="weather", description="The weather of a city.", takes_ctx=False)


def _strands(provider: Any) -> None:
    import_module("opentelemetry.trace").set_tracer_provider(provider)
    strands, models = import_module("strands"), import_module("strands.models.openai")
    tool = strands.tool(name="weather", description="The weather of a city.")(calls._weather)
    server = {"base_url": f"{calls.HOST}/v1", "api_key": "none"}
    model = models.OpenAIModel(client_args=server, model_id=calls.MODEL, params={"temperature": 0.2})
    strands.Agent(model=model, tools=[tool], system_prompt=calls.SYSTEM["content"])(calls.ASKED["content"])


def _langfuse(provider: Any) -> None:
    keys = {"public_key": "none", "secret_key": "none", "host": "http://127.0.0.1:9"}
    import_module("langfuse").Langfuse(tracer_provider=provider, **keys)
    given = {"base_url": f"{calls.HOST}/v1", "api_key": "none", "max_retries": 0}
    calls._openai = lambda: import_module("langfuse.openai").OpenAI(**given)
    _openai_calls()


TOOLS = {
    "langfuse_otel": Tool(_langfuse, "langfuse 5.0.4"),
    "openinference": Tool(
        _instrumented("openinference.instrumentation.openai"), "openinference-instrumentation-openai 0.1.66"
    ),
    "openai_v2": Tool(
        _instrumented("opentelemetry.instrumentation.openai_v2"),
        "opentelemetry-instrumentation-openai-v2 2.4b0, opentelemetry-util-genai 0.4b0, with "
        "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY",
    ),
    "openllmetry": Tool(
        _instrumented("opentelemetry.instrumentation.openai"), "opentelemetry-instrumentation-openai 0.62.4"
    ),
    "openllmetry_0_40": Tool(
        _instrumented("opentelemetry.instrumentation.openai"), "opentelemetry-instrumentation-openai 0.40.14"
    ),
    "pydantic_ai": Tool(_pydantic_ai, "pydantic-ai-slim 2.68.0"),
    "pydantic_ai_0_4": Tool(_pydantic_ai, "pydantic-ai-slim 0.4.11"),
    "strands": Tool(_strands, "strands-agents 1.62.0"),
}
"""By the recording's name."""


def record(name: str) -> None:
    """Run one tool's calls and write its recordings in both forms; an SDK without a file exporter writes one."""
    sdk, export = import_module("opentelemetry.sdk.trace"), import_module("opentelemetry.sdk.trace.export")
    memory = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    provider = sdk.TracerProvider(
        resource=import_module("opentelemetry.sdk.resources").Resource({"service.name": "desk"})
    )
    provider.add_span_processor(export.SimpleSpanProcessor(memory))
    with CannedProvider():
        TOOLS[name].run(provider)
    spans = sorted(memory.get_finished_spans(), key=lambda span: int(span.start_time))
    printed = "".join(f"{span.to_json()}\n" for span in spans)
    RECORDED_FORMS.mkdir(exist_ok=True)
    try:
        exporter = import_module("opentelemetry.exporter.otlp.json.file.trace_exporter").FileSpanExporter
    except ModuleNotFoundError:
        (RECORDED_FORMS / f"{name}.json").write_text(with_fixed_values(printed), encoding="utf-8")
        return
    stream = StringIO()
    exporter(stream=stream).export(spans)
    (RECORDED_FORMS / f"{name}.jsonl").write_text(with_fixed_values(stream.getvalue()), encoding="utf-8")


_IDS = re.compile(r'(?<=")(0x)?([0-9a-f]{32}|[0-9a-f]{16})(?=")')
_TIMES = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d+")
_NANOSECONDS = re.compile(r"\b1[789]\d{17}\b")
_TRACES = re.compile(r'("exception\.stacktrace"(?:: |, ?"value": ?\{"stringValue": ?))"(?:[^"\\]|\\.)*"')


def with_fixed_values(text: str) -> str:
    """The text with ids by their order of appearance, and times that go on by half a second."""
    ids: dict[str, str] = {}
    times, nanoseconds = count(), count()

    def fixed_id(found: re.Match[str]) -> str:
        number = ids.setdefault(found[2], f"{len(ids) + 1:0{len(found[2])}x}")
        return (found[1] or "") + number

    text = _TRACES.sub(r'\1"Traceback (most recent call last): ..."', calls._with_fixed_ids(text))
    text = _TIMES.sub(lambda _: f"2026-11-09T08:{next(times) // 120:02}:{next(times) // 2 % 60:02}.500000", text)
    text = _NANOSECONDS.sub(lambda _: str(1794211200_000000000 + next(nanoseconds) * 500_000_000), text)
    return _IDS.sub(fixed_id, text)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"name a recording: {', '.join(TOOLS)}")
    record(sys.argv[1])
