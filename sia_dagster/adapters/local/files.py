"""Finds trace files: a file, a folder or a glob, on this machine or at a URL that fsspec knows."""

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import unquote

from sia_dagster.core.errors import TraceFileError

_ADVICE = "write the export there, or set `traces.path` to a file, a folder or a glob of Parquet, JSON or CSV files"


class TraceFile(NamedTuple):
    """A file to be read."""

    path: Path
    name: str
    """As people know it: below the folder that was named, or its URL."""
    partition: Mapping[str, str]
    """Values in the names of its folders (`dt=2026-11-09/`), which `traces.where` may use as columns."""


@contextmanager
def trace_files(path: str) -> Iterator[list[TraceFile]]:
    """The files of a path, sorted by name. Files at a URL are copied to a temporary folder for as long as it is open.

    Hidden files, and those whose names or folders start with `_` (`_delta_log`, `_temporary`, `_SUCCESS`), are left
    out. Raises TraceFileError if there is none.
    """
    if "://" in path and not path.startswith("file://"):
        with TemporaryDirectory(prefix="sia-traces-") as folder:
            yield _copied(path, Path(folder))
    else:
        yield _local(path.removeprefix("file://"))


def _local(path: str) -> list[TraceFile]:
    root = Path(path)
    if root.is_dir():
        found = [p for p in root.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(root).parts)]
        names = {p: str(p.relative_to(root)) for p in found}
    else:
        # Path.glob takes no absolute pattern.
        found = [root] if root.is_file() else [Path(p) for p in glob.glob(path, recursive=True)]  # noqa: PTH207
        kept = [p for p in found if p.is_file() and (p == root or not _is_hidden(p.parts[-1:]))]
        names = {p: p.name if p == root else str(p) for p in kept}
    if not names:
        raise TraceFileError(f"there is no trace file; {_ADVICE}", path=path)
    return [TraceFile(p.resolve(), names[p], _partition(p.parts)) for p in sorted(names)]


def _copied(url: str, folder: Path) -> list[TraceFile]:
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
            copies.append(TraceFile(copy, name, _partition(Path(place).parts)))
    except ImportError as error:
        raise TraceFileError(f"its protocol needs a package that is not installed: {error}", path=url) from error
    except Exception as error:
        raise TraceFileError(f"it cannot be read ({_reason(error)})", path=url) from error
    if not copies:
        raise TraceFileError(f"there is no trace file; {_ADVICE}", path=url)
    return copies


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _partition(parts: tuple[str, ...]) -> dict[str, Any]:
    pairs = (part.partition("=") for part in parts[:-1])
    return {name: unquote(value) for name, equals, value in pairs if equals and name and not name.startswith(".")}
