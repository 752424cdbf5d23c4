"""Drafts and temporary folders that killed runs left behind."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sia_dagster.adapters.files.storage import StoragePath

UNUSED_AFTER: Final = timedelta(days=1)
"""A draft that nobody wrote to for so long is of a run that was killed: a running one writes or renames it soon."""
ROOMS: Final = ("assets", "policies", "gate", "reports", "publications")
"""The folders of the storage in which files are first written as drafts."""
_DRAFT = re.compile(r"\..+\.(?:[a-z0-9_]{8}\.tmp|sia_spans_[a-z0-9_]{8})")
_TEMPORARY = re.compile(r"sia(?:_spans_|-spans-|-arize-|-phoenix-)[a-z0-9_]{8}")


def sweep(storage: StoragePath, loop: str, now: datetime, *, temporary: Path | None = None) -> tuple[Path, ...]:
    """Remove the loop's drafts, and this package's temporary folders, that are older than UNUSED_AFTER at `now`.

    Returns what was removed. A store behind a URL has no drafts. What cannot be read or removed is left as it is: it
    may be another user's. `temporary` is the system's folder by default.
    """
    oldest = (now - UNUSED_AFTER).timestamp()
    found = [*_temporary(temporary or Path(tempfile.gettempdir()))]
    if isinstance(storage, Path):
        found += [draft for room in ROOMS for draft in _drafts(storage / room / loop)]
    return tuple(path for path in found if _newest(path) < oldest and _removed(path))


def _drafts(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if _DRAFT.fullmatch(name))


def _temporary(folder: Path) -> Iterable[Path]:
    """Folders alone: another user could put a link there under such a name."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    names = (entry for entry in entries if _TEMPORARY.fullmatch(entry.name))
    return [Path(entry.path) for entry in names if entry.is_dir(follow_symlinks=False)]


def _newest(path: Path) -> float:
    """When the file, or anything in the folder, was last written; the far future where that is not known."""
    inside = [Path(place, name) for place, _, names in os.walk(path) for name in names]
    try:
        return max(each.lstat().st_mtime for each in (path, *inside))
    except OSError:
        return float("inf")


def _removed(path: Path) -> bool:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink()
        except OSError:
            return False
    return not path.exists()
