"""Folders of any kind, a local path or a URL of fsspec, with the same few operations.

A local folder needs only the standard library; fsspec is imported when a URL asks for it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote, urlsplit

from sia_dagster.core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from upath import UPath

    from sia_dagster.core.records.sample import TimeWindow

_WITH_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "r2"})
"""Kinds of URLs whose first part is a bucket or container."""
StoragePath: TypeAlias = "Path | UPath"
"""A file or folder of the storage; `/` and `name` work on both types."""


def storage_root(storage: str, folder: Path) -> StoragePath:
    """The root of `storage`: a folder (relative to `folder`), a `file://` URL, or any URL that fsspec knows.

    Raises ConfigError for a URL whose kind is unknown or whose package is not installed; nothing is contacted.
    """
    if storage.startswith("file://"):
        return Path(unquote(urlsplit(storage).path))
    if "://" in storage:
        return _remote_root(storage)
    return folder / Path(storage).expanduser()


def resolve_path(text: str, folder: Path) -> str:
    """A path or glob of the configuration, made absolute from `folder`, with `~` expanded; a URL is unchanged."""
    return text if "://" in text else str(folder / Path(text).expanduser())


def write_atomically(path: StoragePath, content: bytes) -> None:
    """Write the complete file or nothing, replacing what was there; folders are made.

    Of two concurrent writers the later one's file is kept. A reader never sees a part.
    """
    if not isinstance(path, Path):
        with _as_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.fs.pipe_file(path.path, content)
        return
    draft = _written_draft(path, content)
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def create_exclusively(path: StoragePath, content: bytes) -> bool:
    """Write a new file; False, without any change, if it exists. Folders are made.

    Of two concurrent writers exactly one gets True. A reader never sees a part: a local file appears complete, by a
    hard link. On a URL this is as exclusive as the store's own `create` mode.
    """
    try:
        if isinstance(path, Path):
            _link_into_place(path, content)
        else:
            with _as_os_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.fs.pipe_file(path.path, content, mode="create")
    except FileExistsError:
        return False
    return True


def file_names(folder: StoragePath) -> tuple[str, ...]:
    """The names of the files in `folder`, sorted, without hidden files; empty if there is no such folder.

    Raises OSError where the store cannot be asked, and where there is no such bucket.
    """
    try:
        names = [entry.name for entry in folder.iterdir()] if isinstance(folder, Path) else _listing(folder)
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in names if not name.startswith(".")))


def read_stored(path: StoragePath) -> bytes:
    """The file's content. Raises FileNotFoundError without it, OSError where the store cannot be asked."""
    if isinstance(path, Path):
        return path.read_bytes()
    with _as_os_errors(path):
        return bytes(path.read_bytes())


def is_stored(path: StoragePath) -> bool:
    """Whether the file is there. Raises OSError where the store cannot be asked."""
    if isinstance(path, Path):
        return path.exists()
    with _as_os_errors(path):
        return bool(path.exists())


@contextmanager
def _as_os_errors(path: "UPath") -> Iterator[None]:
    """Raise OSError for whatever goes wrong: each client of an object store has errors of its own kinds."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise OSError(f"{path}: {type(error).__name__}: {lines[0] if lines else 'no reason is given'}") from error


def first_fault(error: "ValidationError") -> str:
    """Where a stored document is invalid, without its content."""
    fault = error.errors(include_input=False, include_url=False)[0]
    return ": ".join(part for part in (".".join(str(p) for p in fault["loc"]), fault["msg"]) if part)


def zone_fault(noun: str, at: datetime, window: "TimeWindow | None") -> str:
    """What to say of the first time of a stored `noun` without a time zone, which cannot be compared; or empty."""
    times = (at, window.start, window.end) if window else (at,)
    naive = next((time.isoformat() for time in times if time.tzinfo is None), "")
    return naive and (
        f"the time {naive} of this {noun} has no time zone; restore the file from a backup, or write the zone behind "
        "the time (Z for UTC)"
    )


def _remote_root(storage: str) -> "UPath":
    # Imported here: an application with a local folder never pays for fsspec.
    from fsspec import get_filesystem_class
    from upath import UPath

    kind = storage.partition("://")[0]
    try:
        get_filesystem_class(kind)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"a URL that begins with {kind}:// cannot be opened: {error}", key="storage") from error
    return UPath(storage)


def _listing(folder: "UPath") -> list[str]:
    # Stores cache listings while the process lives; another machine may have written since.
    with _as_os_errors(folder):
        folder.fs.invalidate_cache(folder.path)
        try:
            entries = folder.fs.ls(folder.path, detail=False)
        except FileNotFoundError:
            _refuse_missing_bucket(folder)
            raise
        return [str(entry).rstrip("/").rpartition("/")[2] for entry in entries]


def _refuse_missing_bucket(folder: "UPath") -> None:
    """Raise OSError where not only the folder is missing: a bucket is made by people, a folder by the first file."""
    bucket = folder.path.rpartition("://")[2].strip("/").partition("/")[0]
    if folder.protocol in _WITH_BUCKETS and not folder.fs.exists(bucket):
        raise OSError(f"there is no bucket {bucket!r}, or this account does not see it")


def _link_into_place(path: Path, content: bytes) -> None:
    draft = _written_draft(path, content)
    try:
        os.link(draft, path)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _written_draft(path: Path, content: bytes) -> Path:
    """A hidden file beside `path` with `content`, flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for the owner alone; a policy is read by applications under other users.
        Path(name).chmod(0o644)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
