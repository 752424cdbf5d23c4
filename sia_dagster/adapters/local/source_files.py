"""Finds trace files: a file, a folder or a glob, on this machine or at a URL that fsspec knows."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from urllib.parse import unquote

from sia_dagster.adapters.local.delta import LOG, removed_files
from sia_dagster.adapters.local.paths import files_of, fixed_part, hiding
from sia_dagster.adapters.local.where import partition_values
from sia_dagster.core.errors import TraceFileError
from sia_dagster.core.text import count

_LOCAL: Final = ("file://", "local://")
_DATA: Final = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".gz", ".zst")
_BY_SPARK: Final = ("_metadata", "_common_metadata", "_committed_", "_started_", "_SUCCESS")
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
    notes: tuple[str, ...] = ()
    """Which others are not read."""


@contextmanager
def trace_files(path: str) -> Iterator[TraceFiles]:
    """The files of a path. Files at a URL are copied to a temporary folder for as long as it is open.

    Hidden files, and those whose names or folders start with `_` (`_delta_log`, `_temporary`, `_SUCCESS`), are left
    out, and so are files that are no longer part of a Delta table. Raises TraceFileError if there is none.
    """
    if path.startswith(_LOCAL):
        yield _local(_path_of(path))
    elif "://" in path:
        with TemporaryDirectory(prefix="sia-traces-") as folder:
            yield _copied(path, Path(folder))
    else:
        yield _local(path)


def _path_of(url: str) -> str:
    """The path in a `file://` URL, in which signs may be escaped (`%20`)."""
    plain = url.partition("://")[2].removeprefix("localhost")
    return plain if Path(plain).exists() else unquote(plain)


def _local(path: str) -> TraceFiles:
    root, marks = fixed_part(path), hiding(path)
    found = files_of(path, lambda file: not _is_hidden(file.relative_to(root).parts, marks))
    whole = len(found.files) == 1 and found.files[0] == root
    names = {file: _shown(file.name if whole else str(file.relative_to(root))) for file in found.files}
    hidden = {_shown(str(file.relative_to(root))): file for file in found.left_out}
    logs = {f"{LOG}/{file.name}": file for file in (root / LOG).glob("*")}
    removed = removed_files(names.values(), hidden | logs)
    files = [
        TraceFile(file.resolve(), name, partition_values(str(file), str(root)))
        for file, name in names.items()
        if name not in removed
    ]
    unreadable = {_shown(name): reason for name, reason in found.unreadable.items()}
    if not files:
        name, reason = next(iter(unreadable.items()), (path, _nothing([*hidden])))
        raise TraceFileError(reason, path=name)
    return TraceFiles(files, unreadable, _notes([*hidden], removed))


def _nothing(hidden: Sequence[str]) -> str:
    if not hidden:
        return f"there is no trace file; {_ADVICE}"
    return (
        f"no file is read: {count(len(hidden), 'file')} with names that begin with `.` or `_`, as unfinished files and "
        f"logs have, such as {hidden[0]}; rename it, or set `traces.path` to the file itself"
    )


def _notes(hidden: Iterable[str], removed: Collection[str]) -> tuple[str, ...]:
    """Sentences on files that look like traces and are not read."""
    left = [n for n in hidden if n.endswith(_DATA) and LOG not in n and not Path(n).name.startswith(_BY_SPARK)]
    notes = []
    if left:
        notes.append(f"not read: {count(len(left), 'file')} with names that begin with `.` or `_`, such as {left[0]}")
    if removed:
        notes.append(
            f"not read: {count(len(removed), 'file')} that a Delta table no longer has, such as {min(removed)}"
        )
    return tuple(notes)


def _copied(url: str, folder: Path) -> TraceFiles:
    """Copies of the files at a URL. Raises TraceFileError."""
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    copies: dict[str, tuple[str, Path]] = {}
    try:
        system, root = fsspec.core.url_to_fs(url)
        if isinstance(system, LocalFileSystem):
            return _local(root)
        found = sorted(system.glob(root) if glob.has_magic(root) else system.find(root))
        below = {p.removeprefix(root).strip("/") or Path(p).name: p for p in found if system.isfile(p)}
        hidden = [name for name in below if _is_hidden(Path(name).parts, hiding(url))]
        for number, name in enumerate(n for n in below if n not in hidden or Path(n).parent.name == LOG):
            copies[name] = (below[name], folder / f"{number:06}{Path(name).suffix}")
            system.get_file(*map(str, copies[name]))
    except TraceFileError:
        raise
    except ImportError as error:
        raise TraceFileError(f"its protocol needs a package that is not installed: {error}", path=url) from error
    except Exception as error:
        raise TraceFileError(f"it cannot be read ({_reason(error)})", path=url) from error
    logs = {name: copy for name, (_, copy) in copies.items() if name in hidden}
    removed = removed_files([name for name in copies if name not in logs], logs)
    files = [
        TraceFile(copy, name, partition_values(place, root))
        for name, (place, copy) in copies.items()
        if name not in logs and name not in removed
    ]
    if not files:
        raise TraceFileError(_nothing(hidden), path=url)
    return TraceFiles(files, {}, _notes(hidden, removed))


def _shown(name: str) -> str:
    """The name with U+FFFD for bytes that are no text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _is_hidden(parts: tuple[str, ...], marks: tuple[str, ...]) -> bool:
    return any(part.startswith(marks) for part in parts)
