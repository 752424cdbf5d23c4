"""Which files hold the spans, of what kind they are, and which columns they have."""

import glob
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from sia_dagster.core.errors import TraceFileError

if TYPE_CHECKING:
    import duckdb

FileKind = Literal["parquet", "lines", "array", "objects"]

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
_LOOKED_AT = 10_000
"""Records of a JSON file that are looked at for its columns; a column that first stands later is not seen."""


class FileGroup(NamedTuple):
    """Files of one kind with the same columns, which one scan reads."""

    kind: FileKind
    files: tuple[str, ...]
    types: dict[str, str]
    """Column name to DuckDB type, in the file's order; JSON columns are `VARCHAR`, or `DOUBLE` if all numbers."""


def find_files(path: str) -> list[Path]:
    """The trace files at a file, below a folder or matching a glob, sorted; hidden ones are left out.

    Raises TraceFileError where there is none.
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
            f"no trace file is there; write the export there, or set `traces.path` to a file, folder or glob of {known}"
        )
        raise TraceFileError(message, path=path)
    return files


def group_files(connection: "duckdb.DuckDBPyConnection", files: list[Path]) -> list[FileGroup]:
    """Look at each file and put those of equal kind and columns together, in the order of their first file.

    A file without records is left out. Raises TraceFileError that names the file which is no Parquet or JSON, or
    that misses a required column.
    """
    groups: dict[tuple[object, ...], FileGroup] = {}
    for path in files:
        kind = _kind(path) or "parquet"
        if kind != "parquet":
            kind = _json_kind(path, kind)
        types = _columns(connection, path, kind)
        if not types:
            continue
        if missing := [name for name in REQUIRED if name not in types]:
            message = f"it misses the column {missing[0]!r}; it has {_listed(types)}; export the spans with all columns"
            raise TraceFileError(message, path=path)
        key = (kind, *sorted(types.items()))
        known = groups.get(key, FileGroup(kind, (), types))
        groups[key] = known._replace(files=(*known.files, str(path)))
    return list(groups.values())


def _kind(path: Path) -> FileKind | None:
    name = path.name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _json_kind(path: Path, kind: FileKind) -> FileKind:
    """What the file is by its first and last character, whatever its name says. Raises TraceFileError."""
    try:
        first, last = _ends(path)
    except (OSError, EOFError) as error:
        raise TraceFileError(f"it cannot be read ({error}); write it again", path=path) from error
    if first == b"[":
        if last != b"]":
            raise TraceFileError("its JSON array has no end: the file is cut off; write it again", path=path)
        return "array"
    if first not in (b"{", b"") and kind == "array":
        raise TraceFileError("it is no JSON: it starts neither with '[' nor '{'; write it again", path=path)
    return "objects" if kind == "array" else kind


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first and the last byte that are not white space; of compressed files the whole text is walked."""
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
    """Column name to type; {} for a file without records. Raises TraceFileError."""
    import duckdb

    try:
        if kind == "parquet":
            sql = "DESCRIBE SELECT * FROM read_parquet(?, binary_as_string = true, hive_partitioning = false)"
            return {row[0]: row[1] for row in connection.execute(sql, [str(path)]).fetchall()}
        keys = connection.execute(_keys_query(kind), [str(path)]).fetchall()
    except duckdb.Error as error:
        wanted = "Parquet" if kind == "parquet" else "JSON"
        reason = str(error).splitlines()[0]
        raise TraceFileError(
            f"it is no {wanted} file that can be read ({reason}); write it again", path=path
        ) from error
    if not keys and path.stat().st_size and kind == "lines" and _ends(path)[0]:
        raise TraceFileError("none of its lines is a JSON object; write one span a line", path=path)
    return _json_types(keys)


def _keys_query(kind: FileKind) -> str:
    """Keys of the first records with the types they have, in order of appearance."""
    options = {
        "lines": "format = 'newline_delimited', ignore_errors = true",
        "array": "format = 'array'",
        "objects": "format = 'unstructured'",
    }[kind]
    return f"""
        SELECT key, list(DISTINCT pair.type) FROM
            (SELECT json FROM read_json_objects(?, {options}) LIMIT {_LOOKED_AT}) records, json_each(records.json) pair
        WHERE json_type(records.json) = 'OBJECT'
        GROUP BY key ORDER BY min(pair.rowid), key
        """


def _json_types(keys: list[tuple[str, list[str]]]) -> dict[str, str]:
    """Columns of JSON records; DuckDB knows no two that differ by case alone, so the first stays."""
    types: dict[str, str] = {}
    taken: set[str] = set()
    for key, found in keys:
        kinds = set(found) - {"NULL"}
        if key.casefold() in taken or (key in REQUIRED and kinds <= {"OBJECT", "ARRAY"}):
            continue
        taken.add(key.casefold())
        types[key] = "DOUBLE" if kinds and kinds <= {"UBIGINT", "BIGINT", "DOUBLE"} else "VARCHAR"
    return types


def _listed(names: Mapping[str, str], limit: int = 12) -> str:
    shown = ", ".join(list(names)[:limit])
    return f"{shown}, ..." if len(names) > limit else shown
