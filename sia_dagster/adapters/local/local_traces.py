"""Traces in files of any form that `forms` knows, read in flat memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from sia_dagster.adapters.local.columns import literal
from sia_dagster.adapters.local.convert import Converter
from sia_dagster.adapters.local.parquet_files import FileGroup, Seen, direct_groups, once_a_file
from sia_dagster.adapters.local.query import FULLEST, GroupQuery
from sia_dagster.adapters.local.source_files import TraceFiles, trace_files
from sia_dagster.adapters.local.where import Condition, named_columns, parse_condition
from sia_dagster.adapters.local.window_calls import TextsLeftOut, choose, count_left_out, load_calls
from sia_dagster.core.errors import TraceError, TraceFileError
from sia_dagster.core.ports.trace_store import SpanQuery
from sia_dagster.core.records.funnel import FunnelCount

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 16_384
MEMORY_LIMITS = ("256MB", "4GB")
"""The first suffices for row groups as exports write them; a file with one row group may need the second."""
_UNREADABLE: Seen[int] = {}
_OTHER_KINDS: Seen[int] = {}


class LocalTraces:
    """The trace source `local`: a file, a folder (with those below it), a glob, or a URL of one."""

    def __init__(
        self, path: str | Path, *, memory_limits: Sequence[str] = MEMORY_LIMITS, threads: int | None = None
    ) -> None:
        """`memory_limits` are DuckDB's, tried in order; sorting spills to disk. `threads`: all cores by default."""
        self.path, self.memory_limits, self.threads = str(path), tuple(memory_limits), threads

    def spans(self, query: SpanQuery, funnel: FunnelCount | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the window's LLM spans, oldest first, ties by span id, each call once however often it is recorded.

        Batches have `SPAN_SCHEMA`; without spans there is no batch. `sampled` are the `sample_limit` spans with an
        answer and no error whose ids have the smallest MD5. Parquet with the columns of an OpenInference export is
        scanned twice, once for the facts of all calls and once for the text of the sampled ones; other files are
        converted first. A record or a file that cannot be read costs itself alone. Raises TraceFileError where no file
        can be read, TraceError for a bad `where`.
        """
        counted = funnel or FunnelCount()
        reading = _Reading()
        with trace_files(self.path) as found, tempfile.TemporaryDirectory(prefix="sia-spans-") as folder:
            while True:
                count = FunnelCount()
                try:
                    source = _opened(self.path, found, query, Path(folder), count, reading)
                    batches = self._rows(source, query, count)
                    first = next(batches, None)
                except _DamagedFiles as error:
                    reading = reading._replace(damaged=reading.damaged | error.files)
                    continue
                except TextsLeftOut:
                    reading = reading._replace(all_texts=True)
                    continue
                except TraceError:
                    counted.add(count)
                    raise
                counted.add(count)
                if first is not None:
                    yield first
                    yield from batches
                return

    def _rows(self, source: "_Source", query: SpanQuery, funnel: FunnelCount) -> "Iterator[pa.RecordBatch]":
        """The rows under the first memory limit that suffices. Raises _DamagedFiles or TextsLeftOut before any."""
        import duckdb

        limits, groups = list(self.memory_limits), source.groups
        while groups:
            count = FunnelCount()
            connect = partial(_connection, limits[0], self.threads, groups)
            with connect() as connection:
                condition = parse_condition(connection, query.where, [group.types for group in groups], source.columns)
                try:
                    batches = _stream(connection, connect(), _queries(groups, condition), query, count)
                    first = next(batches, None)
                except duckdb.OutOfMemoryException as error:
                    if not limits[1:]:
                        _raise_memory(condition, error)
                    del limits[0]
                    continue
                except duckdb.Error as error:
                    _raise_damaged(connection, groups, condition, error)
                funnel.add(count)
                if first is not None:
                    yield first
                    yield from batches
                return


class _DamagedFiles(Exception):
    """DuckDB cannot read these files to their end: they are read row by row."""

    def __init__(self, files: frozenset[str]) -> None:
        super().__init__()
        self.files = files


class _Reading(NamedTuple):
    """What an earlier try found out about how the files must be read."""

    damaged: frozenset[str] = frozenset()
    """Files that are read row by row."""
    all_texts: bool = False
    """Whether more texts are needed than those of the smallest hashes."""


class _Source(NamedTuple):
    """What is read: files as they are, and the converted ones in one file."""

    groups: list[FileGroup]
    columns: tuple[str, ...]
    """Columns of the converted records, for a person who writes a condition."""


def _opened(
    path: str, found: TraceFiles, query: SpanQuery, folder: Path, funnel: FunnelCount, reading: "_Reading"
) -> _Source:
    """Group what DuckDB reads as it is and convert the rest. Raises TraceFileError where nothing can be read."""
    import duckdb

    for name, reason in found.unreadable.items():
        funnel.lost("file", reason, name)
    for note in found.notes:
        funnel.note(note)
    with duckdb.connect() as connection:
        groups, others = direct_groups(
            connection, [file for file in found.files if str(file.path) not in reading.damaged]
        )
    target, wanted = folder / "spans.parquet", named_columns(query.where)
    converter = Converter(target, query, wanted, funnel, all_texts=reading.all_texts)
    for file in (*others, *(file for file in found.files if str(file.path) in reading.damaged)):
        converter.read(file)
    if types := converter.close():
        files = (str(target),)
        groups.append(FileGroup(files, types, converter.numbers, converted=True, last_hash=converter.last_hash))
    elif converter.problems and not groups and not converter.spans:
        name, reason = converter.problems[0]
        raise TraceFileError(reason, path=name if len(found.files) == 1 else f"{path}: {name}")
    return _Source(groups, tuple(converter.names))


@contextmanager
def _connection(
    memory_limit: str, threads: int | None, groups: list[FileGroup]
) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database in memory that can read these files and nothing else, which also restricts the user's condition."""
    import duckdb

    paths = [literal(file) for group in groups for file in group.files]
    with tempfile.TemporaryDirectory(prefix="sia-spans-") as folder, duckdb.connect() as connection:
        settings = {
            "memory_limit": literal(memory_limit),
            "temp_directory": literal(folder),
            "timezone": "'UTC'",
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "allowed_paths": f"[{', '.join(paths)}]",
            "enable_external_access": "false",
        }
        if threads is not None:
            settings["threads"] = str(threads)
        for name, value in settings.items():
            connection.execute(f"SET {name} = {value}")
        connection.execute("SET lock_configuration = true")
        yield connection


def _queries(groups: list[FileGroup], condition: Condition) -> list[GroupQuery]:
    """One query a group; the condition is checked against each. Raises TraceError."""
    queries = [GroupQuery(group, condition.sql(group.types)) for group in groups]
    for query in queries:
        condition.check(query.scan(), query.group.types)
    return queries


def _stream(
    connection: "duckdb.DuckDBPyConnection",
    second: "AbstractContextManager[duckdb.DuckDBPyConnection]",
    queries: list[GroupQuery],
    query: SpanQuery,
    funnel: FunnelCount,
) -> "Iterator[pa.RecordBatch]":
    """The sorted facts of all calls, with text for the sampled ones, which a second database reads."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from sia_dagster.core.openinference.schema import SPAN_SCHEMA, TEXT_COLUMNS

    for each in queries:
        each.all_kinds = _has_all_kinds(connection, each)
    calls = load_calls(connection, queries, query, funnel)
    for each in queries:
        _count(connection, each, query, funnel, sum(calls.get(file, 0) for file in each.group.files))
    with second as reader:
        choose(connection, reader, queries, query, funnel)
        sampled = _texts(reader)
    # DuckDB checks what is stored as text itself.
    has_bytes = any(each.group.has_bytes for each in queries)
    facts = ", ".join(name for name in SPAN_SCHEMA.names if name not in (*TEXT_COLUMNS, "sampled"))
    ordered = connection.sql(f"SELECT {facts} FROM calls ORDER BY start_time, span_id")
    for calls in ordered.to_arrow_reader(_BATCH_ROWS):
        if sampled is None:
            added = {"sampled": pa.array([False] * len(calls))} | dict.fromkeys(
                TEXT_COLUMNS, pa.nulls(len(calls), pa.string())
            )
        else:
            at = pc.index_in(calls["span_id"], sampled["span_id"])
            added = {"sampled": at.is_valid()} | {name: sampled[name].take(at) for name in TEXT_COLUMNS}
        facts_of = {name: _text(calls[name]) if has_bytes else calls[name] for name in calls.schema.names}
        columns = [added[name] if name in added else facts_of[name] for name in SPAN_SCHEMA.names]
        yield pa.RecordBatch.from_arrays(columns, schema=SPAN_SCHEMA)


def _texts(connection: "duckdb.DuckDBPyConnection") -> "pa.RecordBatch | None":
    """The text of the chosen calls, one row a call; None if there is none."""
    import pyarrow as pa

    whole = connection.sql(FULLEST).to_arrow_table().combine_chunks()
    if not whole.num_rows:
        return None
    columns = [_text(whole[name].combine_chunks()) for name in whole.column_names]
    return pa.RecordBatch.from_arrays(columns, whole.column_names)


def _text(column: "pa.Array") -> "pa.Array":
    """The column with U+FFFD for bytes that are no text, which a Parquet file may hold all the same."""
    import pyarrow as pa

    if column.type != pa.string():
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array([v and v.decode("utf-8", "replace") for v in column.cast(pa.binary()).to_pylist()], pa.string())
    return column


def _count(
    connection: "duckdb.DuckDBPyConnection", group: GroupQuery, query: SpanQuery, funnel: FunnelCount, calls: int
) -> None:
    """Count a group's records, and those that are not of the window, kind and condition; `calls` are."""
    found = calls + count_left_out(connection, group, query, funnel)
    if group.group.converted:
        return
    files = ", ".join(literal(file) for file in group.group.files)
    sql = f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata([{files}])"
    records = int(connection.execute(sql).fetchall()[0][0] or 0)
    funnel.read(records, "OpenInference spans")
    for file in group.group.files:
        broken = once_a_file(_UNREADABLE, Path(file), partial(_unreadable, connection, group, file))
        funnel.lost("record", "it has no span id, or no start time that can be read", Path(file).name, broken)
        records -= broken
    funnel.lost("window", "it started in another window", "", records - found)


def _has_all_kinds(connection: "duckdb.DuckDBPyConnection", query: GroupQuery) -> bool:
    """Whether all spans of a group have one of OpenInference's kinds."""
    if query.group.converted:
        return True
    return not any(
        once_a_file(_OTHER_KINDS, Path(file), partial(_other_kinds, connection, query, file))
        for file in query.group.files
    )


def _other_kinds(connection: "duckdb.DuckDBPyConnection", query: GroupQuery, file: str) -> int:
    one = GroupQuery(query.group._replace(files=(file,)))
    return int(connection.execute(one.other_kinds()).fetchall()[0][0])


def _unreadable(connection: "duckdb.DuckDBPyConnection", query: GroupQuery, file: str) -> int:
    group = query.group._replace(files=(file,))
    return int(connection.execute(GroupQuery(group).unreadable()).fetchall()[0][0])


def _raise_memory(condition: Condition, error: "duckdb.Error") -> NoReturn:
    raise TraceError(
        f"the traces need more memory than `memory_limit` allows ({condition.shown(str(error))}); write the files with "
        "row groups of some thousand spans, as exports have them"
    ) from condition.cause(error)


def _raise_damaged(
    connection: "duckdb.DuckDBPyConnection", groups: list[FileGroup], condition: Condition, error: "duckdb.Error"
) -> NoReturn:
    """Raise _DamagedFiles; TraceError if no file is at fault."""
    files = ((group, file) for group in groups for file in group.files)
    if damaged := frozenset(file for group, file in files if _is_damaged(connection, group, file)):
        raise _DamagedFiles(damaged) from None
    reason, cause = condition.shown(str(error)), condition.cause(error)
    if condition.where.strip():
        raise condition.error(reason) from cause
    raise TraceError(f"the trace files cannot be read: {reason}") from cause


def _is_damaged(connection: "duckdb.DuckDBPyConnection", group: FileGroup, file: str) -> bool:
    import duckdb

    one = GroupQuery(group._replace(files=(file,)))
    try:
        connection.execute(f"SELECT max(hash(row)) FROM {one.scan()} row").fetchall()
    except duckdb.Error:
        return True
    return False
