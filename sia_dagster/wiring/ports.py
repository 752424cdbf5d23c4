"""One function for each role: configuration in, port out. Vendors are imported when a port is built."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from pydantic import SecretStr

from sia_dagster.adapters.environment import require
from sia_dagster.core.config import LLMConfig, LoopConfig, PolicyConfig
from sia_dagster.core.models import Spend, TimeWindow, Value
from sia_dagster.core.ports import ChatModel, Evaluator, PolicyUpdater


class ChatSettings(Value):
    """What a session with the model endpoint needs."""

    llm: LLMConfig
    completions: Path
    """The SQLite file of the completion store, where `llm.completions` names no database."""
    endpoint: str | None = None
    """The lasting name of `llm.base_url` in the completion store, where that address changes; else the address."""
    key: SecretStr | None = None
    """The API key itself, where a script gave it; else the variable that `llm.api_key` names is read."""


@asynccontextmanager
async def open_chat(settings: ChatSettings, loop: str, window: TimeWindow) -> AsyncIterator[ChatModel]:
    """A session with the model endpoint for one window of one loop; a `BatchChat` where a stage's mode is `batch`.

    Raises ConfigError where the variable of the API key is not set.
    """
    from sia_dagster.adapters.engine.batch_chat import BatchChat
    from sia_dagster.adapters.engine.chat import OpenAIChat
    from sia_dagster.adapters.engine.store import LedgerScope
    from sia_dagster.wiring.completions import open_store

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


def window_ledger(settings: ChatSettings, loop: str, window: TimeWindow) -> dict[str, Spend]:
    """What a window has paid so far in all its stages and runs, by stage and model."""
    from sia_dagster.wiring.completions import open_store

    with closing(open_store(settings.llm, settings.completions)) as store:
        return store.ledger(loop, window.key)


def evaluators_of(loop: LoopConfig, folder: Path, chat: ChatModel | None) -> tuple[Evaluator, ...]:
    """The loop's evaluators in the order of the configuration; without `chat` good for their constants alone.

    Raises ConfigError.
    """
    from sia_dagster.adapters.config_references import importable_from, read_template
    from sia_dagster.core.evaluators import build_evaluator

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


def updater_of(config: PolicyConfig, chat: ChatModel) -> PolicyUpdater:
    """The way of finding candidates that the configuration names."""
    from sia_dagster.core.reflection.updater import ReflectionUpdater

    return ReflectionUpdater(config, chat=chat)
