"""Reads tables of text: CSV with a header and any of the usual delimiters."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from sia_dagster.adapters.local.reading.records import LONGEST, Broken, NoRecords, Record

_DELIMITERS = ",\t;|"
_NAME = re.compile(r"[\w.\[\]:/@# -]{0,200}")
_HINT = re.compile(r"span|trace|time|input|output|messages?$|prompt|response|created", re.IGNORECASE)
"""Names of which a table of calls has at least one."""
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""What Excel writes before the header."""
_ESCAPED = re.compile(rb"""(?:^|[,;\t|\n])"[^"\\]*\\"(?!["',;\t|\r\n])""")
"""A quoted field in which a backslash stands before a quote, and no field ends."""


def csv_rows(lines: Iterator[bytes | Broken], first: bytes) -> Iterator[Record]:
    """The rows of a table whose text begins with `first`. Raises NoRecords for other text."""
    header = first.partition(b"\n")[0].decode("utf-8", "replace").strip()
    told = _SEPARATOR.fullmatch(header)
    if told:
        next(lines, None)
        header = first.partition(b"\n")[2].partition(b"\n")[0].decode("utf-8", "replace").strip()
    delimiter = told[1] if told else max(_DELIMITERS, key=header.count)
    names = [name.strip("\"' ") for name in header.split(delimiter)]
    if len(names) < 3 or not all(map(_NAME.fullmatch, names)) or not any(map(_HINT.search, names)):
        raise NoRecords("it is no Parquet, JSON or CSV with a header")
    if _ESCAPED.search(first):
        raise NoRecords(
            "its quotes are escaped by backslashes, which programs read in different ways; write them doubled (Spark: "
            "option `escape` set to '\"'), or write Parquet"
        )
    csv.field_size_limit(LONGEST)
    return _rows(lines, delimiter, is_spaced=f"{delimiter} " in header)


def _rows(lines: Iterable[bytes | Broken], delimiter: str, *, is_spaced: bool) -> Iterator[Record]:
    ends: list[Broken] = []
    reader = csv.reader(_text_lines(lines, ends), delimiter=delimiter, skipinitialspace=is_spaced, strict=True)
    names: Sequence[str] = [name.strip() for name in next(reader, [])]
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Record(f"line {reader.line_num}", Broken(f"it is no row of the table, or cut off ({error})"))
            continue
        if row is None:
            break
        if row:
            yield Record(f"line {reader.line_num}", _record(names, row))
    if ends:
        yield Record(f"line {reader.line_num + 1}", ends[0])


def _record(names: Sequence[str], row: Sequence[str]) -> dict[str, str] | Broken:
    if len(row) != len(names):
        return Broken(f"it has {'more' if len(row) > len(names) else 'fewer'} fields than the header")
    return {name: value for name, value in zip(names, row, strict=True) if name and value}


def _text_lines(lines: Iterable[bytes | Broken], ends: list[Broken]) -> Iterator[str]:
    """The text's lines with their ends; why it ends early goes to `ends`."""
    for line in lines:
        if isinstance(line, Broken):
            ends.append(line)
        else:
            yield line.decode("utf-8", "replace") + "\n"
