"""The endpoint of each stage's calls: one client with its limits for each endpoint of the configuration."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sia_dagster.adapters.engine.calls.chat_endpoint import Endpoint
from sia_dagster.adapters.engine.calls.contact import Contact
from sia_dagster.adapters.engine.calls.refusals import Refusals
from sia_dagster.adapters.engine.rate_limits.concurrency import ConcurrencyLimit
from sia_dagster.adapters.engine.rate_limits.pace import Pace
from sia_dagster.adapters.engine.rate_limits.shared_limits import account_of
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.ports.model import endpoint_stage

ApiKeys = str | Mapping[str, str | None] | None
"""The key of every stage, or the keys by stage (`judge`, `replay`, `update`; `""` for any other)."""


@dataclass(frozen=True)
class Route:
    """One endpoint and the limits of calls to it."""

    identity: str
    """The endpoint's name in the completion store's keys."""
    max_attempts: int
    endpoint: Endpoint
    concurrency: ConcurrencyLimit
    pace: Pace
    contact: Contact

    async def close(self) -> None:
        """Close the connections and settle the limits; the next call opens them again."""
        async with AsyncExitStack() as last:
            last.callback(self.pace.close)
            await self.endpoint.close()


class Routes:
    """The route of each stage; stages with the same settings and key share one."""

    def __init__(
        self,
        config: LLMConfig,
        *,
        api_key: ApiKeys,
        limits: Path,
        endpoint: str | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Nothing is opened yet. `endpoint` names the endpoint at the address of `llm`, by default that address.

        What endpoints refuse is remembered beside `limits`. Raises ConfigError for an invalid address or key.
        """
        made: list[tuple[LLMConfig, str | None, Route]] = []
        self._by_stage: dict[str, Route] = {}
        for stage in ("", *config.stages):
            found = config.at(stage)
            key = api_key.get(stage) if isinstance(api_key, Mapping) else api_key
            named = endpoint if found.base_url == config.base_url else None
            route = next((known for settings, of, known in made if (settings, of) == (found, key)), None)
            if route is None:
                with _of_stage(stage):
                    route = _route(found, key, limits=limits, endpoint=named, sleep=sleep)
                made.append((found, key, route))
            self._by_stage[stage] = route
        self._routes = [route for _, _, route in made]

    def of(self, stage: str) -> Route:
        """The route of this stage's calls."""
        return self._by_stage.get(endpoint_stage(stage)) or self._by_stage[""]

    async def close(self) -> None:
        """Close all of them."""
        async with AsyncExitStack() as last:
            for route in self._routes:
                last.push_async_callback(route.close)


@contextmanager
def _of_stage(stage: str) -> Iterator[None]:
    """Let errors about a key of `llm` name the stage's key."""
    try:
        yield
    except ConfigError as error:
        if not stage:
            raise
        key = error.key.replace("llm.", f"llm.stages.{stage}.", 1)
        raise ConfigError(str(error).removeprefix(f"{error.key}: "), key=key) from error


def _route(
    config: LLMConfig,
    api_key: str | None,
    *,
    limits: Path,
    endpoint: str | None,
    sleep: Callable[[float], Awaitable[None]],
) -> Route:
    identity = endpoint or config.base_url
    pace = Pace(config, limits=limits, account=account_of(identity, api_key), sleep=sleep)
    refusals = Refusals(limits.with_suffix(".refusals"), endpoint=identity)
    contact = Contact()

    def on_headers(headers: Mapping[str, str]) -> None:
        contact.replied()
        pace.read_headers(headers)

    return Route(
        identity=identity,
        max_attempts=config.max_attempts,
        endpoint=Endpoint(config, api_key=api_key, on_headers=on_headers, refusals=refusals),
        concurrency=ConcurrencyLimit(config.max_concurrency, hold=pace.hold),
        pace=pace,
        contact=contact,
    )
