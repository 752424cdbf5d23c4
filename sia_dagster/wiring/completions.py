"""Which completion store the configuration asks for: a database by its address, else a file on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from sia_dagster.adapters.environment import require
from sia_dagster.adapters.storage import StoragePath
from sia_dagster.core.config import LLMConfig

if TYPE_CHECKING:
    from sia_dagster.adapters.engine.store import CompletionStore


def completions_file(storage: StoragePath, folder: Path) -> Path:
    """The store's file in the storage; under `folder` where the storage is a URL, since SQLite needs a local disk."""
    return (storage if isinstance(storage, Path) else folder / ".sia") / "completions.sqlite"


def open_store(llm: LLMConfig, file: Path) -> "CompletionStore":
    """The store in the database that `llm.completions` names, else in `file`. To be closed.

    Beside `file` this machine keeps its rate limits in both cases. Raises ConfigError for an address that cannot be
    used and a variable that is not set, SiaError for a store that cannot be opened.
    """
    if llm.completions is None:
        from sia_dagster.adapters.engine.sqlite_store import SqliteStore

        return SqliteStore(file)
    from sia_dagster.adapters.engine.postgres_store import PostgresStore

    given = llm.completions
    address = given if "://" in given else require(given, key="llm.completions")
    return PostgresStore(address, limits=Path(f"{file}.limits"))
