"""Which Parquet files of a Delta table are no longer part of it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

LOG: Final = "_delta_log"
_CHECKPOINT = ".checkpoint"


def removed_files(names: Iterable[str], logs: Mapping[str, Path]) -> set[str]:
    """The names of files that a table's log has removed, or never added: rows that were deleted or written anew.

    `logs` are the files of `_delta_log` by their names, which are relative as the others are. Of a table whose log
    cannot be read as a whole no file is removed.
    """
    tables: dict[PurePosixPath, dict[str, Path]] = {}
    for name, path in logs.items():
        if PurePosixPath(name).parent.name == LOG:
            tables.setdefault(PurePosixPath(name).parent.parent, {})[PurePosixPath(name).name] = path
    removed: set[str] = set()
    for table, files in tables.items():
        if (live := _live(files)) is not None:
            below = (n for n in names if n.endswith(".parquet") and table in PurePosixPath(n).parents)
            removed |= {name for name in below if str(PurePosixPath(name).relative_to(table)) not in live}
    return removed


def _live(files: Mapping[str, Path]) -> set[str] | None:
    """The files that the log names as the table's, relative to it; None where the log has gaps or cannot be read."""
    checkpoints = sorted(name for name in files if name.endswith(".parquet") and _CHECKPOINT in name)
    start = checkpoints[-1].partition(".")[0] if checkpoints else ""
    commits = sorted(name for name in files if name.endswith(".json") and name[:-5].isdecimal() and name[:-5] > start)
    if not start and not (commits and int(commits[0][:-5]) == 0):
        return None
    live: set[str] = set()
    try:
        for name in (*(name for name in checkpoints if name.startswith(start) and start), *commits):
            for action in _actions(files[name]):
                if isinstance(added := action.get("add"), dict):
                    live.add(unquote(added["path"]))
                elif isinstance(gone := action.get("remove"), dict):
                    live.discard(unquote(gone["path"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return live


def _actions(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.name.endswith(".json"):
        yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        return
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["add.path"]):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
