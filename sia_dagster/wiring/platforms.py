"""Trace stores and platforms: configuration in, port out. A vendor's client is imported when its port is built."""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from sia_dagster.adapters.arize.arize_client import ArizeConnection
from sia_dagster.adapters.arize.arize_prompts import ArizePromptHub
from sia_dagster.adapters.arize.arize_traces import ArizeTraces
from sia_dagster.adapters.arize.evaluations import ArizeEvaluations
from sia_dagster.adapters.arize.experiments import ArizeExperiments
from sia_dagster.adapters.config.environment import require
from sia_dagster.adapters.files.publications import PublicationLog
from sia_dagster.adapters.files.storage import StoragePath, resolve_path
from sia_dagster.adapters.local.local_traces import LocalTraces
from sia_dagster.adapters.phoenix.annotations import PhoenixAnnotations
from sia_dagster.adapters.phoenix.phoenix_client import PhoenixConnection
from sia_dagster.adapters.phoenix.phoenix_prompts import PhoenixPrompts
from sia_dagster.adapters.phoenix.phoenix_traces import PhoenixTraces
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.config.trace_source import ArizeTracesConfig, LocalTracesConfig, PhoenixTracesConfig, TracesConfig
from sia_dagster.core.errors import ConfigError, PublishError
from sia_dagster.core.policy import publish
from sia_dagster.core.ports.prompt_hub import PromptHub
from sia_dagster.core.ports.stores import PolicyStore
from sia_dagster.core.ports.trace_store import EvaluationStore, TraceSource, span_query
from sia_dagster.core.records.registry import PolicyVersion, Publication
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value


def trace_source(config: TracesConfig, folder: Path) -> TraceSource:
    """The trace store that the configuration names; relative paths start at `folder`. Raises ConfigError."""
    if isinstance(config, LocalTracesConfig):
        return LocalTraces(resolve_path(config.path, folder))
    if isinstance(config, ArizeTracesConfig):
        return ArizeTraces(arize_connection(config))

    return PhoenixTraces(phoenix_connection(config))


def probe_store(loop: LoopConfig, window: TimeWindow) -> str | None:
    """Check cheaply that the platform accepts server, key, project and condition; None for files.

    Raises TraceError that names what it refuses and what to set, ConfigError where a key is missing.
    """
    traces, query = loop.traces, span_query(loop, window)
    if isinstance(traces, LocalTracesConfig):
        return None
    if isinstance(traces, ArizeTracesConfig):
        ArizeTraces(arize_connection(traces)).probe(query)
    else:
        PhoenixTraces(phoenix_connection(traces)).probe(query)
    return f"the project {traces.project!r} answers ({traces.source})"


def evaluation_store(config: TracesConfig) -> EvaluationStore:
    """Where evaluations of these traces go back to. Raises ConfigError."""
    if isinstance(config, ArizeTracesConfig):
        return ArizeEvaluations(arize_connection(config))
    if isinstance(config, PhoenixTracesConfig):
        return PhoenixAnnotations(phoenix_connection(config))
    raise ConfigError("local traces are files and take no evaluations; set it to false", key="write_back")


def prompt_hub(target: str, traces: TracesConfig) -> PromptHub | None:
    """The platform that `target` of `publish` names; None for one that holds no prompts. Raises ConfigError."""
    if target == "arize_prompt_hub" and isinstance(traces, ArizeTracesConfig):
        return ArizePromptHub(arize_connection(traces))
    if target == "phoenix_prompts" and isinstance(traces, PhoenixTracesConfig):
        return PhoenixPrompts(phoenix_connection(traces))
    return None


def experiments_of(loop: LoopConfig) -> ArizeExperiments:
    """Where the loop's validations are published as experiments. Raises ConfigError."""
    if not isinstance(loop.traces, ArizeTracesConfig):
        raise ConfigError("arize_experiments takes its connection from traces.source: arize", key="publish")

    return ArizeExperiments(arize_connection(loop.traces))


def arize_connection(config: ArizeTracesConfig) -> ArizeConnection:
    """Space, project and key. Raises ConfigError where the key's variable is not set, or holds no key."""
    return ArizeConnection(
        space_id=config.space_id,
        project=config.project,
        api_key=_api_key(config.api_key),
        timeout_seconds=config.timeout_seconds,
        max_attempts=config.max_attempts,
    )


def phoenix_connection(config: PhoenixTracesConfig) -> PhoenixConnection:
    """Address, project and key. Raises ConfigError where the key's variable is not set, or holds no key."""
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


class Published(Value):
    """The outcome for one target of `publish`."""

    target: str
    publication: Publication | None = None
    fault: str | None = None
    """Why nothing was published there, and what to do."""

    @property
    def sentence(self) -> str:
        """One sentence that names the target."""
        return f"{self.target}: {self.publication.reason if self.publication else self.fault}"


def publish_in_force(
    loop: LoopConfig, policies: PolicyStore, storage: StoragePath, *, force: bool = False
) -> tuple[Published, ...]:
    """Publish the policy in force on every platform of `publish`; a failure of one does not stop the others.

    Idempotent. `force` takes over a label or a prompt that belongs to somebody else. Nothing is published before the
    first promotion. A key that is not set is a fault of its target too: the registry stands. Raises PolicyError.
    """
    entry = next(reversed(policies.versions()), None)
    if entry is None:
        return ()
    log = PublicationLog(storage, loop.name)
    published = (_published(loop, target, entry, log, force) for target in loop.publish)
    return tuple(each for each in published if each)


def _published(
    loop: LoopConfig, target: str, entry: PolicyVersion, log: PublicationLog, force: bool
) -> Published | None:
    """None for a target that holds no prompts."""
    try:
        hub = prompt_hub(target, loop.traces)
        if hub is None:
            return None
        publication = publish(entry, target=target, hub=hub, last=log.last(target), prompt=loop.prompt, force=force)
        log.record(publication)
    except (ConfigError, PublishError) as error:
        return Published(target=target, fault=str(error))
    return Published(target=target, publication=publication)


def faults_of(published: Sequence[Published]) -> list[str]:
    """What failed, a sentence each."""
    return [each.sentence for each in published if each.fault]
