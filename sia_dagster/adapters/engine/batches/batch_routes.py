"""The endpoint of each stage's batches, and the settings under which they are submitted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sia_dagster.adapters.engine.batches.batch_api import BatchEndpoint
from sia_dagster.adapters.engine.batches.lines import MOST_REQUESTS
from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.calls.routes import ApiKeys
from sia_dagster.adapters.engine.money.largest_calls import ledger_key
from sia_dagster.adapters.engine.store import CompletionStore
from sia_dagster.adapters.engine.wire.failures import Failure, action_after
from sia_dagster.core.config.llm import STAGES, LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatRequest


@dataclass(frozen=True)
class BatchTerms:
    """Settings that do not depend on the configuration."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits between two attempts, and while another process submits its batches."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    most_requests: int = MOST_REQUESTS
    """In one batch."""


@dataclass(frozen=True)
class BatchRoute:
    """The endpoint of one stage's batches."""

    identity: str
    """The endpoint's name in the completion store's keys."""
    config: LLMConfig
    """The stage's own."""
    endpoint: BatchEndpoint

    def error(self, request: ChatRequest, failure: Failure, tries: int) -> Exception:
        """The error of a request that failed so."""
        if action_after(failure) == "stop":
            return self.endpoint.refused(failure, request.model)
        status = "" if failure.status is None else f" (status {failure.status})"
        return CallFailed(
            f"{ledger_key(request)}: no answer from the batch{status}: {failure.message}",
            attempts=tries,
            status=failure.status,
            kind=failure.kind,
        )


def batch_routes(
    config: LLMConfig, *, api_key: ApiKeys, store: CompletionStore, endpoint: str | None, terms: BatchTerms
) -> dict[str, BatchRoute]:
    """The route of each stage whose mode is `batch`.

    `endpoint` names the endpoint at the address of `llm`. Raises ConfigError for an invalid address or key.
    """
    routes: dict[str, BatchRoute] = {}
    for stage in STAGES:
        found = config.at(stage)
        if found.mode == "batch":
            identity = (endpoint if found.base_url == config.base_url else None) or found.base_url
            named = stage if stage in config.stages else ""
            key = api_key.get(named) if isinstance(api_key, Mapping) else api_key
            refusals = Refusals(store.limits.with_suffix(".refusals"), endpoint=identity)
            client = BatchEndpoint(found, api_key=key, refusals=refusals, sleep=terms.sleep)
            routes[stage] = BatchRoute(identity, found, client)
    return routes
