"""Reads a file of any container, compression and encoding as a stream of records, in flat memory."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from sia_dagster.adapters.local.reading.containers import is_parquet, whole_file
from sia_dagster.adapters.local.reading.csv_rows import csv_rows
from sia_dagster.adapters.local.reading.json_records import is_lines, json_lines, json_values
from sia_dagster.adapters.local.reading.parquet_rows import parquet_rows
from sia_dagster.adapters.local.reading.records import Broken, Record
from sia_dagster.adapters.local.reading.text_blocks import BLANK, split_lines, text_blocks


def read_records(path: Path) -> Iterator[Record]:
    """The file's records in their order.

    Parquet, JSON (an array, objects, or an object a line) and CSV, each plain, gzip or zstd, in UTF-8, UTF-16 or
    UTF-32, told by the content: the file's name does not matter. A file that ends early ends with a broken record.
    Raises NoRecords for anything else, and OSError.
    """
    if is_parquet(path):
        return _parquet(path)
    blocks = text_blocks(path)
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
    if first[:1] != b"[" and is_lines(first):
        return json_lines(whole)
    return json_values(whole) if first[:1] in (b"[", b"{") else csv_rows(split_lines(whole), first)


def _parquet(path: Path) -> Iterator[Record]:
    with whole_file(path) as file:
        yield from parquet_rows(file)
