"""One loop's session: its window, the settings of its model endpoint, and what a stage returns."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import SecretStr

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value

Result = TypeVar("Result")


class ChatSettings(Value):
    """What a session with the model endpoint needs."""

    llm: LLMConfig
    completions: Path
    """The SQLite file of the completion store, where `llm.completions` names no database."""
    endpoint: str | None = None
    """The lasting name of `llm.base_url` in the completion store, where that address changes; else the address."""
    key: SecretStr | None = None
    """The API key itself, where a script gave it; else the variable that `llm.api_key` names is read."""


def completions_file(storage: StoragePath, folder: Path) -> Path:
    """The store's file in the storage; under `folder` where the storage is a URL, since SQLite needs a local disk."""
    return (storage if isinstance(storage, Path) else folder / ".sia") / "completions.sqlite"


@dataclass(frozen=True)
class LoopSession:
    """One loop, one window, and where its model calls go."""

    loop: LoopConfig
    window: TimeWindow
    chat: ChatSettings
    folder: Path
    """Where relative paths of the configuration start."""
    progress: Progress | None = None
    wait: Callable[[float], Awaitable[object]] | None = asyncio.sleep
    """Waits the seconds until batches are checked again; None: BatchesUnderWay is raised instead of waiting."""

    @property
    def workers(self) -> int:
        """Rows worked on at a time; the endpoint's own limit bounds the calls."""
        return self.chat.llm.workers

    @property
    def in_batches(self) -> bool:
        """Whether answers or judgements come in batches."""
        return self.chat.llm.batches


@dataclass(frozen=True)
class StageResult(Generic[Result]):
    """The result of a stage, and its spend by stage and model."""

    value: Result
    spend: Mapping[str, Spend]
    rows: Advance
    """The number of rows, and of those that failed."""
