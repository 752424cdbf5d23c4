"""Trace stores and platforms: configuration in, port out. A vendor's client is imported when its port is built."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from sia_dagster.adapters.environment import require
from sia_dagster.adapters.storage import resolve_path
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.config_traces import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.models import TimeWindow
from sia_dagster.core.ports import EvaluationStore, PromptHub, SpanQuery, TraceSource

if TYPE_CHECKING:
    from sia_dagster.adapters.arize.client import ArizeConnection
    from sia_dagster.adapters.arize.experiments import ArizeExperiments
    from sia_dagster.adapters.phoenix.client import PhoenixConnection


def span_query(loop: LoopConfig, window: TimeWindow) -> SpanQuery:
    """Which spans, and what was said of them, the loop reads of a window."""
    return SpanQuery(
        window=window,
        where=loop.traces.where,
        sample_limit=loop.sample_limit,
        recorded=tuple(evaluator.name for evaluator in loop.evaluators if evaluator.kind == "platform"),
        annotated=tuple(evaluator.name for evaluator in loop.evaluators),
    )


def trace_source(config: TracesConfig, folder: Path) -> TraceSource:
    """The trace store that the configuration names; relative paths start at `folder`. Raises ConfigError."""
    if isinstance(config, LocalTracesConfig):
        from sia_dagster.adapters.local_traces import LocalTraces

        return LocalTraces(resolve_path(config.path, folder))
    if isinstance(config, ArizeTracesConfig):
        from sia_dagster.adapters.arize.traces import ArizeTraces

        return ArizeTraces(arize_connection(config))
    from sia_dagster.adapters.phoenix.traces import PhoenixTraces

    return PhoenixTraces(phoenix_connection(config))


def probe_store(loop: LoopConfig, window: TimeWindow) -> str | None:
    """Whether the platform takes server, key, project and condition, asked cheaply; None for files.

    Raises TraceError that says which it does not and what to set, ConfigError where a key is missing.
    """
    traces, query = loop.traces, span_query(loop, window)
    if isinstance(traces, LocalTracesConfig):
        return None
    if isinstance(traces, ArizeTracesConfig):
        from sia_dagster.adapters.arize.traces import ArizeTraces

        ArizeTraces(arize_connection(traces)).probe(query)
    else:
        from sia_dagster.adapters.phoenix.traces import PhoenixTraces

        PhoenixTraces(phoenix_connection(traces)).probe(query)
    return f"the project {traces.project!r} answers ({traces.source})"


def evaluation_store(config: TracesConfig) -> EvaluationStore:
    """Where evaluations of these traces go back to. Raises ConfigError."""
    if isinstance(config, ArizeTracesConfig):
        from sia_dagster.adapters.arize.evaluations import ArizeEvaluations

        return ArizeEvaluations(arize_connection(config))
    if isinstance(config, PhoenixTracesConfig):
        from sia_dagster.adapters.phoenix.annotations import PhoenixAnnotations

        return PhoenixAnnotations(phoenix_connection(config))
    raise ConfigError("local traces are files, to which no evaluation goes back; set it to false", key="write_back")


def prompt_hub(target: str, traces: TracesConfig) -> PromptHub | None:
    """The platform that `target` of `publish` names; None for one that holds no prompts. Raises ConfigError."""
    if target == "arize_prompt_hub" and isinstance(traces, ArizeTracesConfig):
        from sia_dagster.adapters.arize.prompts import ArizePromptHub

        return ArizePromptHub(arize_connection(traces))
    if target == "phoenix_prompts" and isinstance(traces, PhoenixTracesConfig):
        from sia_dagster.adapters.phoenix.prompts import PhoenixPrompts

        return PhoenixPrompts(phoenix_connection(traces))
    return None


def experiments_of(loop: LoopConfig) -> "ArizeExperiments":
    """Where the loop's validations are published as experiments. Raises ConfigError."""
    if not isinstance(loop.traces, ArizeTracesConfig):
        raise ConfigError("arize_experiments takes its connection from traces.source: arize", key="publish")
    from sia_dagster.adapters.arize.experiments import ArizeExperiments

    return ArizeExperiments(arize_connection(loop.traces))


def arize_connection(config: ArizeTracesConfig) -> "ArizeConnection":
    """Space, project and key. Raises ConfigError where the key's variable is not set, or holds no key."""
    from sia_dagster.adapters.arize.client import ArizeConnection

    return ArizeConnection(
        space_id=config.space_id,
        project=config.project,
        api_key=_api_key(config.api_key),
        timeout_seconds=config.timeout_seconds,
        max_attempts=config.max_attempts,
    )


def phoenix_connection(config: PhoenixTracesConfig) -> "PhoenixConnection":
    """Address, project and key. Raises ConfigError where the key's variable is not set, or holds no key."""
    from sia_dagster.adapters.phoenix.client import PhoenixConnection

    return PhoenixConnection(
        base_url=config.base_url,
        project=config.project,
        api_key=_api_key(config.api_key) if config.api_key else None,
        timeout_seconds=config.timeout_seconds,
        max_attempts=config.max_attempts,
    )


def _api_key(variable: str) -> SecretStr:
    """The key in that variable. Raises ConfigError, without the value, for what no request can carry."""
    value = require(variable, key="traces.api_key")
    if not re.fullmatch("[!-~]+", value):
        # A key that is read from a file brings the line's end along; clients would quote it in their errors.
        raise ConfigError(
            f"the value of {variable} holds a blank, a line break or a letter outside ASCII; set it to the key alone",
            key="traces.api_key",
        )
    return SecretStr(value)
