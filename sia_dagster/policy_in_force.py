"""The policy in force, for applications: light to import, a few milliseconds to load."""

from pathlib import Path

from sia_dagster.adapters.config import environment
from sia_dagster.adapters.files.registry_files import PolicyFiles
from sia_dagster.adapters.files.storage import StoragePath, storage_root
from sia_dagster.core.errors import PolicyNotFound
from sia_dagster.core.records.policy import Actions


def load_policy(loop: str, storage: str | None = None, *, default: Actions | None = None) -> Actions:
    """The policy that is in force for `loop`, or `default` where none was promoted yet.

    `storage` is the folder or URL that the loop writes to; without it `$SIA_STORAGE`, else the `storage` of the
    configuration (`$SIA_CONFIG`, else `sia.yaml` here), else `.sia`. Relative folders are relative to the working
    folder, that of a configuration to its file. Each call reads the newest entry again: keep the result for as long
    as an application should use one policy. Raises PolicyNotFound without a policy and a default, PolicyError
    for a registry that cannot be read, ConfigError for a configuration that cannot be.
    """
    root = _root(storage)
    entry = PolicyFiles(root, loop).in_force()
    if entry is not None:
        return entry.actions
    if default is not None:
        return default
    raise PolicyNotFound(
        f"no policy of loop {loop!r} is in force in {root / 'policies'}; promote one (`sia policy promote --loop "
        f"{loop}`), point `storage` or $SIA_STORAGE at the loop's storage, or give `default` the prompt to start with"
    )


def _root(storage: str | None) -> StoragePath:
    if given := storage or environment.read("SIA_STORAGE"):
        return storage_root(given, Path.cwd())
    path = Path(environment.read("SIA_CONFIG") or "sia.yaml")
    if not path.is_file():
        return storage_root(".sia", Path.cwd())
    from sia_dagster.adapters.config.file import read_storage

    return storage_root(read_storage(path), path.resolve().parent)
