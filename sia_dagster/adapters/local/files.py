"""Finds trace files: a file, a folder or a glob, on this machine or at a URL that fsspec knows."""

import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sia_dagster.adapters.local.condition import partition_values
from sia_dagster.adapters.local.paths import files_of, fixed_part
from sia_dagster.core.errors import TraceFileError

_ADVICE = "write the export there, or set `traces.path` to a file, a folder or a glob of Parquet, JSON or CSV files"


class TraceFile(NamedTuple):
    """A file to be read."""

    path: Path
    name: str
    """As people know it: below the folder that was named, or its URL."""
    partition: Mapping[str, str | None]
    """Values in the names of its folders (`dt=2026-11-09/`), which `traces.where` may use as columns."""


class TraceFiles(NamedTuple):
    """The files of a path, by name, and why some could not be opened."""

    files: list[TraceFile]
    unreadable: dict[str, str]


@contextmanager
def trace_files(path: str) -> Iterator[TraceFiles]:
    """The files of a path. Files at a URL are copied to a temporary folder for as long as it is open.

    Hidden files, and those whose names or folders start with `_` (`_delta_log`, `_temporary`, `_SUCCESS`), are left
    out. Raises TraceFileError if there is none.
    """
    if "://" in path and not path.startswith("file://"):
        with TemporaryDirectory(prefix="sia-traces-") as folder:
            yield _copied(path, Path(folder))
    else:
        yield _local(path.removeprefix("file://"))


def _local(path: str) -> TraceFiles:
    root = fixed_part(path)
    found = files_of(path, lambda file: not _is_hidden(file.relative_to(root).parts))
    if not found.files and not found.unreadable:
        raise TraceFileError(f"there is no trace file; {_ADVICE}", path=path)
    if not found.files:
        name, reason = next(iter(found.unreadable.items()))
        raise TraceFileError(reason, path=name)
    whole = len(found.files) == 1 and found.files[0] == root
    files = [
        TraceFile(
            file.resolve(),
            _shown(file.name if whole else str(file.relative_to(root))),
            partition_values(str(file), str(root)),
        )
        for file in found.files
    ]
    return TraceFiles(files, found.unreadable)


def _copied(url: str, folder: Path) -> TraceFiles:
    """Copies of the files at a URL. Raises TraceFileError."""
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
        found = sorted(system.glob(root) if glob.has_magic(root) else system.find(root))
        below = [(p, p.removeprefix(root).strip("/") or Path(p).name) for p in found if system.isfile(p)]
        kept = [(p, name) for p, name in below if not _is_hidden(Path(name).parts)]
        copies = []
        for number, (place, name) in enumerate(kept):
            copy = folder / f"{number:06}"
            system.get_file(place, str(copy))
            copies.append(TraceFile(copy, name, partition_values(place, root)))
    except ImportError as error:
        raise TraceFileError(f"its protocol needs a package that is not installed: {error}", path=url) from error
    except Exception as error:
        raise TraceFileError(f"it cannot be read ({_reason(error)})", path=url) from error
    if not copies:
        raise TraceFileError(f"there is no trace file; {_ADVICE}", path=url)
    return TraceFiles(copies, {})


def _shown(name: str) -> str:
    """The name with U+FFFD for bytes that are no text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)
