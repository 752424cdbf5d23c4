"""Traces in files: Parquet, JSONL or JSON with the columns of Arize's export, read by DuckDB in flat memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sia_dagster.adapters.local.columns import literal
from sia_dagster.adapters.local.condition import Condition, parse_condition
from sia_dagster.adapters.local.query import GroupQuery, calls_query, texts_query
from sia_dagster.adapters.local.trace_files import FileGroup, Seen, find_files, group_files, once_a_file
from sia_dagster.core.errors import TraceError, TraceFileError
from sia_dagster.core.ports.trace_store import SpanQuery

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 16_384
MEMORY_LIMITS = ("256MB", "4GB")
"""The first suffices for row groups as exports write them; a file with one row group may need the second."""


class LocalTraces:
    """The trace source `local`: a file, a folder (with those below it) or a glob."""

    def __init__(
        self, path: str | Path, *, memory_limits: Sequence[str] = MEMORY_LIMITS, threads: int | None = None
    ) -> None:
        """`memory_limits` are DuckDB's, tried in order; sorting spills to disk. `threads`: all cores by default."""
        self.path, self.memory_limits, self.threads = str(path), tuple(memory_limits), threads

    def spans(self, query: SpanQuery) -> "Iterator[pa.RecordBatch]":
        """Yield the window's LLM spans, oldest first, ties by span id, each span once even if it is in two exports.

        Batches have `SPAN_SCHEMA`; without spans there is no batch. `sampled` are the `sample_limit` spans with an
        answer and no error whose ids have the smallest MD5. Two scans: one for the text of the sampled spans, one for
        the facts of all, which are sorted without the text. Raises TraceFileError (a bad file) or TraceError (a bad
        `where`).
        """
        import duckdb

        *modest, last = self.memory_limits
        for limit in modest:
            batches = self._spans(query, limit)
            try:
                first = next(batches, None)
            except duckdb.OutOfMemoryException:
                continue
            if first is not None:
                yield first
                yield from batches
            return
        yield from self._spans(query, last)

    def _spans(self, query: SpanQuery, memory_limit: str) -> "Iterator[pa.RecordBatch]":
        """The spans under one memory limit. Running out of memory is raised as is, but explained for the last limit."""
        import duckdb

        files = find_files(self.path)
        groups: list[FileGroup] = []
        condition: Condition | None = None
        with _connection(memory_limit, self.threads, files) as connection:
            try:
                groups = group_files(connection, files)
                if not groups:
                    return
                condition = parse_condition(connection, query.where, [group.types for group in groups])
                queries = _queries(groups, condition)
                yield from _stream(connection, queries, query)
            except duckdb.OutOfMemoryException as error:
                if memory_limit != self.memory_limits[-1]:
                    raise
                _raise(error, connection, groups, condition)
            except duckdb.Error as error:
                _raise(error, connection, groups, condition)

    def unreadable(self) -> dict[str, int]:
        """How many records of each file have no span id or no start time: broken lines and the like.

        They belong to no window, so `spans` leaves them out; files without any are left out here. The files of all
        windows are read: of Parquet the statistics if they suffice; a JSON file is read through, once a process until
        it changes. Raises TraceFileError.
        """
        import duckdb

        files = find_files(self.path)
        counts: dict[str, int] = {}
        groups: list[FileGroup] = []
        with _connection(self.memory_limits[-1], self.threads, files) as connection:
            try:
                groups = group_files(connection, files)
                for group in groups:
                    for file in group.files:
                        counts[file] = once_a_file(
                            _UNREADABLE, Path(file), partial(_unreadable, connection, group, file)
                        )
            except duckdb.Error as error:
                _raise(error, connection, groups, None)
        return {file: count for file, count in sorted(counts.items()) if count}


_UNREADABLE: Seen[int] = {}


def _unreadable(connection: "duckdb.DuckDBPyConnection", group: FileGroup, file: str) -> int:
    one = GroupQuery(group._replace(files=(file,)), list(group.types))
    return int(connection.execute(one.unreadable()).fetchall()[0][0])


@contextmanager
def _connection(memory_limit: str, threads: int | None, files: list[Path]) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database in memory that can read these files and nothing else, which also restricts the user's condition."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="sia-spans-") as folder, duckdb.connect() as connection:
        settings = {
            "memory_limit": literal(memory_limit),
            "temp_directory": literal(folder),
            "timezone": "'UTC'",
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "allowed_paths": f"[{', '.join(literal(str(file)) for file in files)}]",
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
    queries = [GroupQuery(group, list(group.types), condition.sql(group.types)) for group in groups]
    for query in queries:
        condition.check(query.scan(), query.group.types)
    return queries


def _stream(
    connection: "duckdb.DuckDBPyConnection", queries: list[GroupQuery], query: SpanQuery
) -> "Iterator[pa.RecordBatch]":
    """The sorted facts of all calls, with text for the sampled ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from sia_dagster.core.openinference.schema import SPAN_SCHEMA, TEXT_COLUMNS

    texts = connection.sql(texts_query(queries, query)).to_arrow_table().combine_chunks()
    sampled = pa.RecordBatch.from_arrays(
        [texts[name].combine_chunks() for name in texts.column_names], texts.column_names
    )
    last: pa.RecordBatch | None = None
    for batch in connection.sql(calls_query(queries, query.window)).to_arrow_reader(_BATCH_ROWS):
        calls, last = _without_repeats(batch, last), batch.slice(batch.num_rows - 1)
        rows = pc.index_in(calls["span_id"], sampled["span_id"])
        added = {"sampled": rows.is_valid()} | {name: sampled[name].take(rows) for name in TEXT_COLUMNS}
        columns = [added[name] if name in added else calls[name] for name in SPAN_SCHEMA.names]
        yield pa.RecordBatch.from_arrays(columns, schema=SPAN_SCHEMA)


def _without_repeats(batch: "pa.RecordBatch", last: "pa.RecordBatch | None") -> "pa.RecordBatch":
    """The rows without those that repeat the span before them; `last` is the row before the batch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def repeats(key: str) -> pa.Array:
        values = batch[key]
        first = pc.equal(values[:1], last[key]) if last is not None else pa.array([False])
        return pa.concat_arrays([first, pc.equal(values[1:], values[:-1])])

    same = pc.and_(repeats("start_time"), repeats("span_id"))
    return batch.filter(pc.invert(same)) if same.true_count else batch


def _raise(
    error: "duckdb.Error", connection: "duckdb.DuckDBPyConnection", groups: list[FileGroup], condition: Condition | None
) -> NoReturn:
    """Raise TraceError that names the file or the condition at fault."""
    import duckdb

    reason = condition.shown(str(error)) if condition else str(error).splitlines()[0]
    cause = condition.cause(error) if condition else error
    if isinstance(error, duckdb.OutOfMemoryException):
        raise TraceError(
            f"the traces need more memory than `memory_limit` allows ({reason}); write the files with row groups of "
            "some thousand spans, as exports have them"
        ) from cause
    if file := _file_at_fault(connection, groups):
        raise TraceFileError(f"the file cannot be read to its end ({reason}); export it again", path=file) from cause
    if condition and condition.where.strip():
        raise condition.error(reason) from cause
    raise TraceError(f"the trace files cannot be read: {reason}") from cause


def _file_at_fault(connection: "duckdb.DuckDBPyConnection", groups: list[FileGroup]) -> str | None:
    """The first file that cannot be read to its end."""
    import duckdb

    for group in groups:
        for file in group.files:
            one = GroupQuery(group._replace(files=(file,)), list(group.types))
            try:
                connection.execute(f"SELECT max(hash(row)) FROM {one.scan()} row").fetchall()
            except duckdb.Error:
                return file
    return None
