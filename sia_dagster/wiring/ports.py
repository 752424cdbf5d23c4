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
    """The SQLite file of the completion store."""
    endpoint: str | None = None
    """The endpoint's lasting name in the completion store, where its address changes; else its address."""
    key: SecretStr | None = None
    """The API key itself, where a script gave it; else the variable that `llm.api_key` names is read."""


@asynccontextmanager
async def open_chat(settings: ChatSettings, loop: str, window: TimeWindow) -> AsyncIterator[ChatModel]:
    """A session with the model endpoint for one window of one loop.

    Raises ConfigError where the variable of the API key is not set.
    """
    from sia_dagster.adapters.engine.chat import OpenAIChat
    from sia_dagster.adapters.engine.store import CompletionStore, LedgerScope

    settings.completions.parent.mkdir(parents=True, exist_ok=True)
    key = _api_key(settings)
    scope = LedgerScope(loop=loop, window=window.key)
    with closing(CompletionStore(settings.completions)) as store:
        async with OpenAIChat(settings.llm, api_key=key, store=store, scope=scope, endpoint=settings.endpoint) as chat:
            yield chat


def _api_key(settings: ChatSettings) -> str | None:
    if settings.key:
        return settings.key.get_secret_value()
    return require(settings.llm.api_key) if settings.llm.api_key else None


def window_ledger(settings: ChatSettings, loop: str, window: TimeWindow) -> dict[str, Spend]:
    """What a window has paid so far in all its stages and runs, by stage and model."""
    from sia_dagster.adapters.engine.store import CompletionStore

    with closing(CompletionStore(settings.completions)) as store:
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
