"""What a session with the model endpoint needs, and where its completion store is a file."""

from pathlib import Path

from pydantic import SecretStr

from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.config.llm import LLMConfig
from sia_dagster.core.records.value import Value


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
