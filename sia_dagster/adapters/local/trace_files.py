"""Finds trace files, their formats and their columns."""

import glob
import gzip
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from sia_dagster.core.errors import TraceFileError

if TYPE_CHECKING:
    import duckdb

FileKind = Literal["parquet", "lines", "array", "objects"]
Found = TypeVar("Found")

_SUFFIXES: Mapping[str, FileKind] = {
    ".parquet": "parquet",
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "array",
    ".jsonl.gz": "lines",
    ".ndjson.gz": "lines",
    ".json.gz": "array",
}

REQUIRED = ("context.span_id", "start_time")

JSON_FORMATS: Mapping[FileKind, str] = {
    "lines": "format = 'newline_delimited', ignore_errors = true",
    "array": "format = 'array'",
    "objects": "format = 'unstructured'",
}
"""DuckDB's options for each kind of JSON file."""

_NUMBERS = {"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"}


class FileGroup(NamedTuple):
    """Files of one kind with the same columns; one scan reads them."""

    kind: FileKind
    files: tuple[str, ...]
    types: dict[str, str]
    """DuckDB type by column name; JSON columns are `VARCHAR`, or `DOUBLE` if all records hold numbers."""


class _Format(NamedTuple):
    """The kind and the columns of one file; no columns for a file without records."""

    kind: FileKind
    types: dict[str, str]


Seen = dict[tuple[str, int, int], Found]
"""Results by path, size and time of change: each window reads the same history as the one before."""
_FORMATS: Seen[_Format] = {}


def find_files(path: str) -> list[Path]:
    """The trace files of a path (a file, a folder or a glob), sorted; hidden files are left out.

    Raises TraceFileError if there is none.
    """
    root = Path(path)
    if root.is_dir():
        found = [p for p in root.rglob("*") if not _hidden(p.relative_to(root))]
    elif root.is_file():
        found = [root]
    else:
        found = [Path(p) for p in glob.glob(path, recursive=True)]  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = sorted(p.resolve() for p in found if p.is_file() and (p == root or _kind(p)))
    if not files:
        known = ", ".join(_SUFFIXES)
        message = (
            f"there is no trace file; write the export there, or set `traces.path` to a file, folder or glob of {known}"
        )
        raise TraceFileError(message, path=path)
    return files


def group_files(connection: "duckdb.DuckDBPyConnection", files: list[Path]) -> list[FileGroup]:
    """Group files by kind and columns, in the order of their first file; files without records are left out.

    Raises TraceFileError, naming the file, if it is not Parquet or JSON or lacks a required column; and DuckDB's
    OutOfMemoryException.
    """
    groups: dict[tuple[object, ...], FileGroup] = {}
    for path in files:
        kind, types = once_a_file(_FORMATS, path, partial(_format, connection, path))
        if not types:
            continue
        key = (kind, *sorted(types.items()))
        known = groups.get(key, FileGroup(kind, (), types))
        groups[key] = known._replace(files=(*known.files, str(path)))
    return list(groups.values())


def once_a_file(seen: Seen[Found], path: Path, read: Callable[[], Found]) -> Found:
    """The result of `read`, kept in memory until the file's size or time changes."""
    at = path.stat()
    key = (str(path), at.st_size, at.st_mtime_ns)
    if key not in seen:
        seen[key] = read()
    return seen[key]


def _format(connection: "duckdb.DuckDBPyConnection", path: Path) -> _Format:
    """The kind and the columns of one file. Raises as `group_files`."""
    kind = _kind(path) or "parquet"
    if kind != "parquet":
        kind = _json_kind(path, kind)
    types = _columns(connection, path, kind)
    if types and (missing := [name for name in REQUIRED if name not in types]):
        message = f"the column {missing[0]!r} is missing; there are {_listed(types)}; export the spans with all columns"
        raise TraceFileError(message, path=path)
    return _Format(kind, types)


def _kind(path: Path) -> FileKind | None:
    name = path.name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _json_kind(path: Path, kind: FileKind) -> FileKind:
    """The kind by the file's first and last character, whatever its name is. Raises TraceFileError."""
    try:
        first, last = _ends(path)
    except (OSError, EOFError) as error:
        message = f"the file cannot be read ({error}); check that it exists and is readable"
        raise TraceFileError(message, path=path) from error
    if first == b"[":
        if last != b"]":
            raise TraceFileError("the JSON array has no end: the file is cut off; export it again", path=path)
        return "array"
    if first not in (b"{", b"") and kind == "array":
        raise TraceFileError("the file is not JSON: it starts neither with '[' nor '{'; export it again", path=path)
    return "objects" if kind == "array" else kind


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first and the last byte that are not white space; compressed files are read through."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            head = file.read(4096).strip()
            file.seek(max(0, path.stat().st_size - 4096))
            return head[:1], file.read().strip()[-1:]
    first = last = b""
    for block in _blocks(path):
        first, last = first or block[:1], block[-1:] or last
    return first, last


def _blocks(path: Path) -> Iterator[bytes]:
    with gzip.open(path, "rb") as file:
        while block := file.read(1 << 20):
            yield block.strip()


def _columns(connection: "duckdb.DuckDBPyConnection", path: Path, kind: FileKind) -> dict[str, str]:
    """Type by column name; {} for a file without records. Raises TraceFileError."""
    import duckdb

    try:
        if kind == "parquet":
            sql = "DESCRIBE SELECT * FROM read_parquet(?, binary_as_string = true, hive_partitioning = false)"
            return {row[0]: row[1] for row in connection.execute(sql, [str(path)]).fetchall()}
        types = _json_types(_json_columns(connection, path, kind))
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        expected = "Parquet" if kind == "parquet" else "JSON"
        reason = str(error).splitlines()[0]
        raise TraceFileError(f"the file cannot be read as {expected} ({reason}); export it again", path=path) from error
    if not types and path.stat().st_size and kind == "lines" and _ends(path)[0]:
        raise TraceFileError("no line is a JSON object; write one span a line", path=path)
    return types


def _json_columns(connection: "duckdb.DuckDBPyConnection", path: Path, kind: FileKind) -> list[tuple[str, str]]:
    """The keys of all records, however late they first occur, each with a type that fits all its values."""
    import duckdb

    # Many or rare keys are not to be guessed as entries of a map, and nothing below the columns is needed.
    options = "sample_size = -1, maximum_depth = 2, map_inference_threshold = -1, field_appearance_threshold = 0"
    read = f"read_json(?, {JSON_FORMATS[kind]}, records = 'true', {options})"
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {read}", [str(path)]).fetchall()
    except duckdb.BinderException:
        # Not all records are objects, or there is none. This finds the keys of those that are, at more cost.
        found = connection.execute(_keys_query(kind), [str(path)]).fetchall()
    return sorted(((row[0], row[1]) for row in found), key=lambda column: column[0].swapcase())


def _keys_query(kind: FileKind) -> str:
    """SQL for the keys of the records that are objects, each with a type that fits all its values."""
    numbers = ", ".join(f"'{name}'" for name in sorted(_NUMBERS))
    return f"""
        SELECT key, CASE WHEN bool_and(pair.type IN ('NULL', {numbers})) THEN 'DOUBLE'
                WHEN bool_and(pair.type IN ('NULL', 'OBJECT', 'ARRAY')) THEN 'STRUCT' ELSE 'VARCHAR' END
            FROM (SELECT json FROM read_json_objects(?, {JSON_FORMATS[kind]})) records, json_each(records.json) pair
        WHERE json_type(records.json) = 'OBJECT' GROUP BY key
        """


def _json_types(columns: list[tuple[str, str]]) -> dict[str, str]:
    """Columns of JSON records; of names that differ in case alone, which DuckDB cannot hold, the first is kept."""
    types: dict[str, str] = {}
    taken: set[str] = set()
    for name, kind in columns:
        nested = kind.endswith("[]") or kind.startswith("STRUCT")
        if name.casefold() in taken or (name in REQUIRED and nested):
            continue
        taken.add(name.casefold())
        types[name] = "DOUBLE" if kind in _NUMBERS else "VARCHAR"
    return types


def _listed(names: Mapping[str, str], limit: int = 12) -> str:
    shown = ", ".join(list(names)[:limit])
    return f"{shown}, ..." if len(names) > limit else shown
