"""Records of tables: CSV and Parquet."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sia_dagster.adapters.local.reading.records import LONGEST, Broken, NoRecords, Record
from sia_dagster.adapters.local.reading.text_blocks import split_lines

_DELIMITERS = ",\t;|"
_NAME = re.compile(r"[\w.\[\]:/@# -]{0,200}")
_HINT = re.compile(r"span|trace|time|input|output|messages?$|prompt|response|created", re.IGNORECASE)
"""Names of which a table of calls has at least one."""


def csv_rows(blocks: Iterable[bytes | Broken], first: bytes) -> Iterator[Record]:
    """The rows of a table with a header. Raises NoRecords for other text."""
    header = first.partition(b"\n")[0].decode("utf-8", "replace").strip()
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip("\"' ") for name in header.split(delimiter)]
    if len(names) < 3 or not all(map(_NAME.fullmatch, names)) or not any(map(_HINT.search, names)):
        raise NoRecords("it is no Parquet, JSON or CSV with a header")
    csv.field_size_limit(LONGEST)
    return _rows(blocks, delimiter)


def _rows(blocks: Iterable[bytes | Broken], delimiter: str) -> Iterator[Record]:
    ends: list[Broken] = []
    reader = csv.reader(_text_lines(blocks, ends), delimiter=delimiter)
    names = next(reader, [])
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Record(f"line {reader.line_num}", Broken(f"it is no row of the table ({error})"))
            continue
        if row is None:
            break
        if len(row) > len(names):
            yield Record(f"line {reader.line_num}", Broken("it has more fields than the header"))
        elif row:
            yield Record(f"line {reader.line_num}", {n: v for n, v in zip(names, row, strict=False) if n and v})
    if ends:
        yield Record(f"line {reader.line_num + 1}", ends[0])


def _text_lines(blocks: Iterable[bytes | Broken], ends: list[Broken]) -> Iterator[str]:
    """The text's lines with their ends; why it ends early goes to `ends`."""
    for line in split_lines(blocks):
        if isinstance(line, Broken):
            ends.append(line)
        else:
            yield line.decode("utf-8", "replace") + "\n"


def parquet_rows(path: Path) -> Iterator[Record]:
    """The rows, nulls left out. Raises NoRecords for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise NoRecords(f"it cannot be read as Parquet ({str(error).splitlines()[0]}); export it again") from error
    return _batches(file)


def _batches(file: Any) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    batches = file.iter_batches(batch_size=512)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, pa.ArrowException) as error:
            left = f"the rows from here on cannot be read ({str(error).splitlines()[0]})"
            yield Record(f"row {number + 1}", Broken(left))
            return
        if batch is None:
            return
        for row in pa.RecordBatch.from_arrays([_readable(c) for c in batch.columns], batch.schema.names).to_pylist():
            number += 1
            yield Record(f"row {number}", {name: value for name, value in row.items() if value is not None})


def _readable(column: Any) -> Any:
    """The column in a type that Python can hold: times to microseconds, bytes as text."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in column.to_pylist()], pa.string())
    return column
