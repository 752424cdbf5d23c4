"""The model endpoint and its users: configuration in, port out."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from importlib import import_module
from pathlib import Path

from sia_dagster.adapters.config.environment import require
from sia_dagster.adapters.config.references import importable_from, read_template
from sia_dagster.adapters.engine.batches.batch_chat import BatchChat
from sia_dagster.adapters.engine.batches.batch_exchange import BatchExchange
from sia_dagster.adapters.engine.batches.batch_routes import BatchTerms, batch_routes
from sia_dagster.adapters.engine.calls.chat import OpenAIChat
from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope
from sia_dagster.adapters.gepa import Gepa
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig, PolicyConfig
from sia_dagster.core.errors import ConfigError
from sia_dagster.core.evaluators import build_evaluator
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.search import STRATEGIES, SearchStrategy
from sia_dagster.wiring.loop_session import ChatSettings


@asynccontextmanager
async def open_chat(settings: ChatSettings, loop: str, window: TimeWindow) -> AsyncIterator[ChatModel]:
    """A session with the model endpoint for one window of one loop; a `BatchChat` where a stage's mode is `batch`.

    Raises ConfigError where the variable of the API key is not set.
    """
    keys = api_keys(settings)
    scope = LedgerScope(loop=loop, window=window.key)
    with closing(open_store(settings.llm, settings.completions)) as store:
        kind = BatchChat if settings.llm.batches else OpenAIChat
        async with kind(settings.llm, api_key=keys, store=store, scope=scope, endpoint=settings.endpoint) as chat:
            yield chat


def api_keys(settings: ChatSettings) -> dict[str, str | None]:
    """The key for each stage with settings of its own, and for all others (`""`)."""
    return {stage: _api_key(settings, stage) for stage in ("", *settings.llm.stages)}


def _api_key(settings: ChatSettings, stage: str) -> str | None:
    llm, found = settings.llm, settings.llm.at(stage)
    # A key that a script gave goes to no other address than the one it was given for.
    if settings.key and (found.base_url, found.api_key) == (llm.base_url, llm.api_key):
        return settings.key.get_secret_value()
    at = f"llm.stages.{stage}.api_key" if stage else "llm.api_key"
    return require(found.api_key, key=at) if found.api_key else None


def window_spend(settings: ChatSettings, loop: str, window: TimeWindow) -> dict[str, Spend]:
    """The spend of a window so far, over all its stages and runs, by stage and model."""
    with closing(open_store(settings.llm, settings.completions)) as store:
        return store.ledger(loop, window.key)


def evaluators_of(loop: LoopConfig, folder: Path, chat: ChatModel | None) -> tuple[Evaluator, ...]:
    """The loop's evaluators in the order of the configuration; without `chat` only their constants can be used.

    Raises ConfigError.
    """
    importable_from(folder)
    return tuple(
        build_evaluator(
            evaluator,
            chat=chat,
            template=read_template(evaluator.template, folder) if evaluator.kind == "llm_classify" else None,
            primary=evaluator.name == loop.validation.primary,
        )
        for evaluator in loop.evaluators
    )


def strategies_of(config: PolicyConfig, folder: Path) -> dict[str, SearchStrategy]:
    """The search strategies that the configuration names, in its order; a user's own is imported from `folder`, too.

    Raises ConfigError.
    """
    importable_from(folder)
    return {name: _strategy(name) for name in config.strategies}


def _strategy(name: str) -> SearchStrategy:
    known = STRATEGIES | {"gepa": Gepa}
    if name in known:
        return known[name]()
    module, _, attribute = name.partition(":")
    try:
        made: SearchStrategy = getattr(import_module(module), attribute)()
    except Exception as error:
        raise ConfigError(
            f"policy.updater: {name!r} cannot be used ({type(error).__name__}): write a strategy of the package "
            f"({', '.join(known)}) or package.module:Class of your own, which takes no arguments"
        ) from error
    if not callable(getattr(made, "search", None)):
        raise ConfigError(f"policy.updater: {name!r} has no method `search`")
    return made


def batches_ended(settings: ChatSettings, batches: Iterable[str]) -> bool:
    """Whether all of these batches, by their names in the completion store, have ended at their endpoints.

    Collects nothing. Raises ConfigError for a key that is not set, CallFailed or EndpointRefused where the endpoint
    does not answer.
    """
    return asyncio.run(_ended(settings, batches))


async def _ended(settings: ChatSettings, batches: Iterable[str]) -> bool:
    keys = api_keys(settings)
    with closing(open_store(settings.llm, settings.completions)) as store:
        routes = batch_routes(settings.llm, api_key=keys, store=store, endpoint=settings.endpoint, terms=BatchTerms())
        exchange = BatchExchange(routes, store=store, scope=LedgerScope(loop="", window=""), terms=BatchTerms())
        async with AsyncExitStack() as last:
            for route in routes.values():
                last.push_async_callback(route.endpoint.close)
            return not (await exchange.progress(batches)).under_way


def open_store(llm: LLMConfig, file: Path) -> CompletionStore:
    """The store in the database that `llm.completions` names, else in `file`. To be closed.

    Beside `file` this machine keeps its rate limits in both cases. Raises ConfigError for an address that cannot be
    used and a variable that is not set, SiaError for a store that cannot be opened.
    """
    # Both load SQLAlchemy.
    from sia_dagster.adapters.engine.store.postgres import PostgresStore
    from sia_dagster.adapters.engine.store.sqlite import SqliteStore

    if llm.completions is None:
        return SqliteStore(file)
    given = llm.completions
    address = given if "://" in given else require(given, key="llm.completions")
    return PostgresStore(address, limits=Path(f"{file}.limits"))
