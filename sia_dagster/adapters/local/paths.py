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
_WILD = re.compile(r"[*?\[{]")
_BRACES = re.compile(r"\{([^{}]*)\}")
_NOWHERE = "the link leads nowhere"


class FoundFiles(NamedTuple):
    """The files of a path, sorted, and what could not be read on the way."""

    files: tuple[Path, ...]
    unreadable: dict[str, str]
    """Why, by folder or file."""
    left_out: tuple[Path, ...] = ()
    """Those for which `keep` is false, sorted."""


def files_of(path: str, keep: Callable[[Path], bool], most: int = MOST_FILES) -> FoundFiles:
    """The files of a path (a file, a folder or a glob) for which `keep` is true; a file that is named itself always is.

    Folders whose names begin with a dot are not looked into, unless the path names them. Linked folders are read; a
    loop of links is read once. Pipes, sockets and devices are left out. Raises TraceFileError for more than `most`
    files, and for a path in a file system that the kernel makes up, also behind links.
    """
    root, pattern = _parts(path)
    refuse_pseudo(str(root))
    unreadable: dict[str, str] = {}
    if not pattern and root.is_file():
        return FoundFiles((root,), _denied(root))
    if root.is_symlink() and not root.exists():
        return FoundFiles((), {str(root): _NOWHERE})
    depth = None if not pattern or "**" in pattern else len(pattern) - 1
    found: dict[tuple[int, int], Path] = {}
    left_out: list[Path] = []
    for number, (file, state) in enumerate(_below(root, depth, "." in hiding(path), unreadable)):
        if pattern and not _fits(file.relative_to(root).parts, pattern):
            continue
        if not keep(file):
            left_out.append(file)
        else:
            known = found.setdefault((state.st_dev, state.st_ino), file)
            found[state.st_dev, state.st_ino] = min(known, file)
        if len(found) > most or number > _LOOKED_AT * most:
            raise TraceFileError(
                f"there are more than {most:,} files; set `traces.path` to a folder or glob of fewer", path=path
            )
    unreadable |= {name: reason for file in found.values() for name, reason in _denied(file).items()}
    files = sorted(file for file in found.values() if str(file) not in unreadable)
    return FoundFiles(tuple(files), unreadable, tuple(sorted(left_out)))


def hiding(path: str) -> tuple[str, ...]:
    """What the names of hidden files begin with, but for what the path's own glob names (`_*.jsonl`)."""
    pattern = _parts(path)[1]
    return tuple(mark for mark in "._" if not any(part.startswith(mark) for part in pattern))


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
    return bool(parts) and any(fnmatchcase(parts[0], p) for p in _each(pattern[0])) and _fits(parts[1:], pattern[1:])


def _each(part: str) -> Iterator[str]:
    """The part of a glob for each word in its braces: `*.{json,csv}` is `*.json` and `*.csv`."""
    if not (found := _BRACES.search(part)):
        yield part
        return
    for word in found[1].split(","):
        yield from _each(part[: found.start()] + word + part[found.end() :])


def _below(
    root: Path, depth: int | None, skips_dots: bool, unreadable: dict[str, str]
) -> Iterator[tuple[Path, os.stat_result]]:
    """The regular files below a folder, at most so many folders deep."""
    seen: set[tuple[int, int]] = set()
    waiting = [(root, 0)]
    while waiting:
        folder, level = waiting.pop()
        for path, state in _entries(folder, seen, unreadable):
            if stat.S_ISREG(state.st_mode):
                yield path, state
            elif skips_dots and path.name.startswith("."):
                continue
            elif stat.S_ISDIR(state.st_mode) and (depth is None or level < depth):
                waiting.append((path, level + 1))


def _entries(
    folder: Path, seen: set[tuple[int, int]], unreadable: dict[str, str]
) -> Iterator[tuple[Path, os.stat_result]]:
    """What is in a folder that was not read before; a link is what it leads to."""
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
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
            if path.is_symlink():
                unreadable[str(path)] = _NOWHERE


def _denied(file: Path) -> dict[str, str]:
    return {} if os.access(file, os.R_OK) else {str(file): "the file may not be read (permission denied)"}
