"""Which files a path names: regular files on real file systems, a bounded number of them, each once."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from sia_dagster.core.errors import TraceFileError

MOST_FILES: Final = 100_000
"""Files that one `traces.path` may name."""
_LOOKED_AT: Final = 10
"""How many times as many entries of folders are looked at."""
_PSEUDO: Final = ("/proc", "/sys", "/dev")
_WILD = re.compile(r"[*?\[]")


class FoundFiles(NamedTuple):
    """The files of a path, sorted, and what could not be read on the way."""

    files: tuple[Path, ...]
    unreadable: dict[str, str]
    """Why, by folder or file."""


def files_of(path: str, keep: Callable[[Path], bool], most: int = MOST_FILES) -> FoundFiles:
    """The files of a path (a file, a folder or a glob) for which `keep` is true; a file that is named itself always is.

    Files and folders whose names begin with a dot are left out, unless the path names them. Linked folders are read; a
    loop of links is read once. Pipes, sockets and devices are left out. Raises TraceFileError for more than `most`
    files, and for a path in a file system that the kernel makes up, also behind links.
    """
    root, pattern = _parts(path)
    refuse_pseudo(str(root))
    unreadable: dict[str, str] = {}
    if not pattern and root.is_file():
        return FoundFiles((root,), _denied(root))
    depth = None if not pattern or "**" in pattern else len(pattern) - 1
    found: dict[tuple[int, int], Path] = {}
    for number, (file, state) in enumerate(_below(root, depth, unreadable)):
        if (not pattern or _fits(file.relative_to(root).parts, pattern)) and keep(file):
            known = found.setdefault((state.st_dev, state.st_ino), file)
            found[state.st_dev, state.st_ino] = min(known, file)
        if len(found) > most or number > _LOOKED_AT * most:
            raise TraceFileError(
                f"there are more than {most:,} files; set `traces.path` to a folder or glob of fewer", path=path
            )
    unreadable |= {name: reason for file in found.values() for name, reason in _denied(file).items()}
    return FoundFiles(tuple(sorted(file for file in found.values() if str(file) not in unreadable)), unreadable)


def refuse_pseudo(path: str) -> None:
    """Raise TraceFileError for a path in a file system that the kernel makes up, also behind links."""
    for place in (os.path.abspath(path), os.path.realpath(path)):  # noqa: PTH100 - `resolve` fails on loops
        if place.startswith("/dev/shm/"):
            continue
        if named := next((name for name in _PSEUDO if place == name or place.startswith(f"{name}/")), None):
            message = f"{named} holds what the system is doing and no files; set `traces.path` to a folder of exports"
            raise TraceFileError(message, path=path)


def _parts(path: str) -> tuple[Path, tuple[str, ...]]:
    """The folder or file that a path begins with, and the parts of a glob below it."""
    if Path(path).exists() or not _WILD.search(path):
        return Path(path), ()
    parts = Path(path).parts
    wild = next(place for place, part in enumerate(parts) if _WILD.search(part))
    return Path(*parts[:wild]), parts[wild:]


def fixed_part(path: str) -> Path:
    """The folder or file that a path names, or that its glob begins with."""
    return _parts(path)[0]


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a relative path fits the glob: `**` is any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        rest = pattern[1:] or ("*",)
        return any(_fits(parts[start:], rest) for start in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _below(root: Path, depth: int | None, unreadable: dict[str, str]) -> Iterator[tuple[Path, os.stat_result]]:
    """The regular files below a folder, at most so many folders deep."""
    seen: set[tuple[int, int]] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, level = waiting.pop()
        for path, state in _entries(folder, seen, unreadable):
            if stat.S_ISREG(state.st_mode):
                yield path, state
            elif stat.S_ISDIR(state.st_mode) and (depth is None or level < depth):
                waiting.append((path, level + 1))


def _entries(
    folder: Path, seen: set[tuple[int, int]], unreadable: dict[str, str]
) -> Iterator[tuple[Path, os.stat_result]]:
    """What is in a folder that was not read before; a link is what it leads to, one that leads nowhere is left out."""
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        unreadable[str(folder)] = f"the folder cannot be read ({error.strerror})"
        return
    for name in names:
        path = folder / name
        try:
            if path.is_symlink():
                refuse_pseudo(str(path))
            yield path, path.stat()
        except TraceFileError as error:
            unreadable[str(path)] = str(error).removeprefix(f"{path}: ")
        except OSError:
            continue


def _denied(file: Path) -> dict[str, str]:
    return {} if os.access(file, os.R_OK) else {str(file): "the file may not be read (permission denied)"}
