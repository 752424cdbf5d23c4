"""Where each stage's batches go, and by which terms they are handed in."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sia_dagster.adapters.engine.batches.batch_api import BatchEndpoint
from sia_dagster.adapters.engine.batches.lines import MOST_REQUESTS
from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.calls.routes import ApiKeys
from sia_dagster.adapters.engine.money.ledger import line_of
from sia_dagster.adapters.engine.store import CompletionStore
from sia_dagster.adapters.engine.wire.failures import Failure, course
from sia_dagster.core.config.llm import STAGES, LLMConfig
from sia_dagster.core.errors import CallFailed
from sia_dagster.core.ports.model import ChatRequest


@dataclass(frozen=True)
class BatchTerms:
    """What does not depend on the configuration."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits between two attempts, and for another process to have handed in its batches."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    most_requests: int = MOST_REQUESTS
    """In one batch."""


@dataclass(frozen=True)
class Lane:
    """Where one stage's batches go."""

    identity: str
    """Who answers, in the completion store's keys."""
    config: LLMConfig
    """Of the stage."""
    endpoint: BatchEndpoint

    def error(self, request: ChatRequest, failure: Failure, tries: int) -> Exception:
        """What a failure means for its request."""
        if course(failure) == "stop":
            return self.endpoint.refused(failure, request.model)
        status = "" if failure.status is None else f" (status {failure.status})"
        return CallFailed(
            f"{line_of(request)}: no answer from the batch{status}: {failure.message}",
            attempts=tries,
            status=failure.status,
        )


def lanes_of(
    config: LLMConfig, *, api_key: ApiKeys, store: CompletionStore, endpoint: str | None, terms: BatchTerms
) -> dict[str, Lane]:
    """By stage, where its batches go; stages whose calls are direct are not in it.

    `endpoint` names who answers at the address of `llm`. Raises ConfigError for an address or a key that is none.
    """
    lanes: dict[str, Lane] = {}
    for stage in STAGES:
        found = config.at(stage)
        if found.mode == "batch":
            identity = (endpoint if found.base_url == config.base_url else None) or found.base_url
            named = stage if stage in config.stages else ""
            key = api_key.get(named) if isinstance(api_key, Mapping) else api_key
            refusals = Refusals(store.limits.with_suffix(".refusals"), endpoint=identity)
            client = BatchEndpoint(found, api_key=key, refusals=refusals, sleep=terms.sleep)
            lanes[stage] = Lane(identity, found, client)
    return lanes
