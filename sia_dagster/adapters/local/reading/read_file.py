"""Reads a file of any container, compression and encoding as a stream of records, in flat memory."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from sia_dagster.adapters.local.reading.json_records import is_lines, json_lines, json_values
from sia_dagster.adapters.local.reading.records import Broken, NoRecords, Record
from sia_dagster.adapters.local.reading.table_records import csv_rows, parquet_rows
from sia_dagster.adapters.local.reading.text_blocks import BLANK, text_blocks

_FOREIGN: Mapping[bytes, str] = {
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"SQLite format 3": "an SQLite database",
    b"PK\x03\x04": "a zip archive (or an Excel file)",
    b"ARROW1": "an Arrow file",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x04\x22\x4d\x18": "an lz4 archive",
}


def read_records(path: Path) -> Iterator[Record]:
    """The file's records in their order.

    Parquet, JSON (an array, objects, or an object a line) and CSV, each plain, gzip or zstd, in UTF-8, UTF-16 or
    UTF-32, told by the content: the file's name does not matter. A file that ends early ends with a broken record.
    Raises NoRecords for anything else, and OSError.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] == b"PAR1":
        return parquet_rows(path)
    if what := next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None):
        raise NoRecords(f"it is {what}; write the spans as Parquet, JSON lines or CSV")
    blocks = text_blocks(path, head)
    first = b""
    for block in blocks:
        if isinstance(block, Broken):
            return iter([Record("the beginning", block)])
        first = (first + block).lstrip(BLANK) if not first.strip(BLANK) else first + block
        if first:
            break
    whole = chain([first], blocks)
    if not first:
        return iter(())
    if first[:1] == b"[" or (first[:1] == b"{" and not is_lines(first)):
        return json_values(whole)
    return json_lines(whole) if first[:1] == b"{" else csv_rows(whole, first)
