"""Reads the rows of a Parquet file of any columns and types."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Any

from sia_dagster.adapters.local.reading.records import Broken, NoRecords, Record

_ROWS = 512
_LONGEST_ID = 32
"""Bytes that are no text and are shown in hexadecimal digits, as ids are; longer ones are text with faults."""
_FAULTS = (ValueError, OverflowError, TypeError)


def parquet_rows(source: IO[bytes]) -> Iterator[Record]:
    """The rows, nulls left out; a value that cannot be read costs its row. Raises NoRecords for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(source)
        names = [str(name) for name in file.schema_arrow.names]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise NoRecords(f"it cannot be read as Parquet ({str(error).splitlines()[0]}); export it again") from error
    return _rows(file, names)


def _rows(file: Any, names: Sequence[str]) -> Iterator[Record]:
    import pyarrow as pa

    number = 0
    batches = file.iter_batches(batch_size=_ROWS)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, ValueError, pa.ArrowException) as error:
            left = f"the rows from here on cannot be read ({str(error).splitlines()[0]})"
            yield Record(f"row {number + 1}", Broken(left))
            return
        if batch is None:
            return
        for row in zip(*map(_values, batch.columns), strict=True):
            number += 1
            broken = next((value for value in row if isinstance(value, Broken)), None)
            held = {name: value for name, value in zip(names, row, strict=True) if value is not None}
            yield Record(f"row {number}", broken or held)


def _values(column: Any) -> Sequence[Any]:
    """The column as Python has it: times to microseconds, maps as objects, bytes as text."""
    import pyarrow as pa

    kind = str(column.type)
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except _FAULTS:
        values = [_value(item) for item in column]
    return [_plain(value) for value in values] if "binary" in kind or "map<" in kind else values


def _value(item: Any) -> Any:
    """One value: a text with bytes that are none keeps the rest; a time beyond all years is a text that is no time."""
    import pyarrow as pa

    with suppress(*_FAULTS):
        return item.as_py()
    with suppress(*_FAULTS, AttributeError, pa.ArrowException):
        if pa.types.is_timestamp(item.type):
            return f"{item.value} {item.type}"
        return text_of_bytes(item.as_buffer().to_pybytes())
    return Broken("it holds a value that cannot be read")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return text_of_bytes(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(item, tuple) and len(item) == 2 for item in value)
        return {str(_plain(k)): _plain(v) for k, v in value} if pairs else [_plain(item) for item in value]
    return value


def text_of_bytes(value: bytes) -> str:
    """The text in the bytes; hexadecimal digits for the bytes of an id; else U+FFFD for those that are no text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex() if len(value) <= _LONGEST_ID else value.decode("utf-8", "replace")
