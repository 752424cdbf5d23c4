"""Parquet files with the columns of an OpenInference export, which DuckDB reads as they are."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sia_dagster.adapters.local.conventions import FOREIGN
from sia_dagster.adapters.local.source_files import TraceFile

if TYPE_CHECKING:
    import duckdb

Found = TypeVar("Found")
REQUIRED: Final = ("context.span_id", "start_time")
_IDS = ("context.span_id", "context.trace_id", "parent_id")
"""Ids may be stored as bytes that are no text, as which many of them would be one."""
_TIMES = ("BIGINT", "UBIGINT", "TIMESTAMP", "DATE")
_CALLS = ("attributes.llm.", "attributes.input.", "attributes.output.", "attributes.openinference.")
_MOST_COLUMNS = 1000
"""DuckDB prepares every column of a file; with more than this, rows are read one by one for the few that count."""


class FileGroup(NamedTuple):
    """Parquet files with the same columns; one scan reads them."""

    files: tuple[str, ...]
    types: Mapping[str, str]
    """DuckDB type by column name."""
    numbers: tuple[str, ...] = ()
    """Columns of text that hold numbers alone."""
    has_bytes: bool = False
    """Whether a column holds bytes that are read as text, which they need not be."""
    converted: bool = False
    """Whether `convert.py` wrote them: their records are counted."""
    last_hash: str | None = None
    """Of converted files: the greatest MD5 of an id up to which calls have their text; None where all have."""
    partition: Mapping[str, str | None] = {}
    """Columns that the folders' names give."""


Seen = dict[tuple[str, int, int], Found]
"""Results by path, size and time of change: each window reads the same history as the one before."""
_TYPES: Seen[tuple[dict[str, str], bool]] = {}


def direct_groups(
    connection: "duckdb.DuckDBPyConnection", files: list[TraceFile]
) -> tuple[list[FileGroup], list[TraceFile]]:
    """Files that are read as they are, grouped by their columns, and all others."""
    groups: dict[tuple[object, ...], FileGroup] = {}
    others = []
    for file in files:
        types, has_bytes = once_a_file(_TYPES, file.path, partial(_direct_types, connection, file.path))
        if not types:
            others.append(file)
            continue
        given = {name: value for name, value in file.partition.items() if name not in types}
        key = (has_bytes, *sorted(types.items()), *sorted(given.items(), key=str))
        new = FileGroup((), types | dict.fromkeys(given, "VARCHAR"), has_bytes=has_bytes, partition=given)
        known = groups.get(key, new)
        groups[key] = known._replace(files=(*known.files, str(file.path)))
    return list(groups.values()), others


def once_a_file(seen: Seen[Found], path: Path, read: Callable[[], Found]) -> Found:
    """The result of `read`, kept in memory until the file's size or time changes."""
    at = path.stat()
    key = (str(path), at.st_size, at.st_mtime_ns)
    if key not in seen:
        seen[key] = read()
    return seen[key]


def _direct_types(connection: "duckdb.DuckDBPyConnection", path: Path) -> tuple[dict[str, str], bool]:
    """The columns' types, and whether any is bytes; {} for a file that is no Parquet, damaged, or of other columns."""
    import duckdb

    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            return {}, False
    try:
        types = bare = _described(connection, path, "false")
        if has_bytes := "BLOB" in str(bare):
            types = _described(connection, path, "true")
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, UnicodeError):  # a name in another encoding than the system's
        return {}, False
    direct = _is_export(types) and not any(bare.get(name) == "BLOB" for name in _IDS)
    return (types, has_bytes) if direct else ({}, False)


def _described(connection: "duckdb.DuckDBPyConnection", path: Path, binary_as_string: str) -> dict[str, str]:
    sql = f"DESCRIBE SELECT * FROM read_parquet(?, binary_as_string = {binary_as_string}, hive_partitioning = false)"
    return {row[0]: row[1] for row in connection.execute(sql, [str(path)]).fetchall()}


def _is_export(types: Mapping[str, str]) -> bool:
    return (
        all(name in types for name in REQUIRED)
        and types["start_time"].startswith(_TIMES)
        and any(name.startswith(_CALLS) for name in types)
        and "attributes" not in types
        and not any(map(_is_foreign, types))
        and len(types) <= _MOST_COLUMNS
    )


def _is_foreign(column: str) -> bool:
    """Whether it is an attribute of another convention, or an object that may hold one (`attributes.gen_ai`)."""
    name = column.removeprefix("attributes.") + "."
    return column.startswith("attributes.") and any(name.startswith(f) or f.startswith(name) for f in FOREIGN)
