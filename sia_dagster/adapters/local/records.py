"""Reads a file of any container, compression and encoding as a stream of records, in flat memory."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from sia_dagster.adapters.local.containers import file_blocks, is_parquet, whole_file
from sia_dagster.adapters.local.csv_rows import csv_rows
from sia_dagster.adapters.local.parquet_rows import parquet_rows
from sia_dagster.adapters.local.record import BLOCK, LONGEST, Broken, Record
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.text import storable

DEEPEST = 100
"""Nesting of one record: what reads it further is recursive."""

_ENCODINGS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLANK = b"\x00\x1e \t\r\n"
_GAP = re.compile(r"[\s\x00\x1e,]*")
_NEXT_OBJECT = re.compile(r"\}\s*,?\s*(?=\{)|\n\s*(?=\{)")
_TOO_LONG = f"it is longer than {LONGEST >> 20} MB"
_NO_JSON = "it is not JSON, or cut off"
_TOO_DEEP = f"it is nested more than {DEEPEST} deep"
_TRIED = 20
"""Lines of a file that are tried."""


def read_records(path: Path) -> Iterator[Record]:
    """The file's records in their order.

    Parquet, JSON (an array, objects, or an object a line) and CSV, each plain, gzip or zstd, in UTF-8, UTF-16 or
    UTF-32, told by the content: the file's name does not matter. A file that ends early ends with a broken record.
    Raises NoRecords for anything else, and OSError.
    """
    if is_parquet(path):
        return _parquet(path)
    blocks = _ending(_utf8(file_blocks(path)))
    first = b""
    for block in blocks:
        if isinstance(block, Broken):
            return iter([Record("the beginning", block)])
        first = (first + block).lstrip(_BLANK) if not first.strip(_BLANK) else first + block
        if first:
            break
    whole = chain([first], blocks)
    if not first:
        return iter(())
    if first[:1] != b"[" and _is_line(first):
        return _lines(whole)
    return _json_values(whole) if first[:1] in (b"[", b"{") else csv_rows(_split(whole), first)


def _parquet(path: Path) -> Iterator[Record]:
    with whole_file(path) as file:
        yield from parquet_rows(file)


def _ending(blocks: Iterator[bytes]) -> Iterator[bytes | Broken]:
    """The blocks; if they end early, why."""
    try:
        yield from blocks
    except OSError as error:
        yield Broken(f"the file ends early or is damaged ({str(error).splitlines()[0]})")


def _utf8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same text in UTF-8 without a byte-order mark; bytes that are no text become U+FFFD."""
    first = next(blocks, b"")
    marked = next((name for mark, name in _ENCODINGS.items() if first.startswith(mark)), None)
    name = marked or _unmarked(first)
    if name in (None, "utf-8-sig"):
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(name)(errors="replace")
    for block in chain([first], blocks):
        yield decoder.decode(block).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _unmarked(first: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of the first ones is NUL."""
    if len(first) < 4:
        return None
    nul = [byte == 0 for byte in first[:4]]
    if nul == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if nul == [True, False, True, False] else None


def _is_line(first: bytes) -> bool:
    """Whether one of the first lines, which need not be sound, is a record of its own."""
    lines = first.split(b"\n", _TRIED)[:_TRIED]
    return b"\n" in first and any(
        line[:1] in (b"{", b'"') and isinstance(_parsed(line.strip(_BLANK)), dict) for line in lines
    )


def _lines(blocks: Iterable[bytes | Broken]) -> Iterator[Record]:
    for number, line in enumerate(_split(blocks), 1):
        if isinstance(line, Broken):
            yield Record(f"line {number}", line)
        elif text := line.strip(_BLANK):
            yield Record(f"line {number}", _object(_parsed(text)))


def _split(blocks: Iterable[bytes | Broken]) -> Iterator[bytes | Broken]:
    """The lines, without their ends; `Broken` in place of one that is too long, or of the rest of the file."""
    parts, size = list[bytes](), 0
    for block in blocks:
        if isinstance(block, Broken):
            yield block
            return
        first, *rest = block.split(b"\n")
        parts, size = [*parts, first] if size <= LONGEST else [], size + len(first)
        if rest:
            yield b"".join(parts) if size <= LONGEST else Broken(_TOO_LONG)
            yield from rest[:-1]
            parts, size = rest[-1:], len(rest[-1])
    if size:
        yield b"".join(parts) if size <= LONGEST else Broken(_TOO_LONG)


def _parsed(text: bytes) -> Any:
    """The JSON value, also where it is the text of a JSON text.

    What orjson refuses (half surrogates, NaN, raw control characters) is read by json.
    """
    found = _loaded(text)
    return _loaded(found.encode()) if isinstance(found, str) and found[:1] == "{" else found


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return storable(json.loads(text.decode("utf-8", "replace"), strict=False))
    except RecursionError:
        return Broken(_TOO_DEEP)
    except ValueError:
        return Broken(_NO_JSON)


def _object(value: Any) -> JsonObject | Broken:
    if isinstance(value, Broken):
        return value
    if not isinstance(value, dict):
        return Broken("it is not a JSON object")
    return value if _is_flat(value, DEEPEST) else Broken(_TOO_DEEP)


def _is_flat(value: Any, left: int) -> bool:
    """Whether objects and lists are nested no deeper than `left`."""
    inner = value.values() if isinstance(value, dict) else value
    return left > 0 and all(_is_flat(item, left - 1) for item in inner if item.__class__ in (dict, list))


def _json_values(blocks: Iterable[bytes | Broken]) -> Iterator[Record]:
    """Objects one after the other, over any number of lines, in arrays or not; a broken one costs itself alone."""
    decoder, text, number, is_open = json.JSONDecoder(strict=False), _Text(blocks), 0, False
    while text.skip_gap():
        if (bracket := text.here()) in "[]":
            is_open = bracket == "["
            text.at += 1
            continue
        number += 1
        try:
            value, text.at = decoder.raw_decode(text.text, text.at)
            yield Record(f"record {number}", _object(storable(value)))
        except RecursionError:
            yield Record(f"record {number}", Broken(_TOO_DEEP))
            text.skip_record(text.at + 1)
        except json.JSONDecodeError as error:
            if text.may_go_on(error) and text.grow():
                number -= 1
                continue
            yield Record(f"record {number}", text.broken or Broken(_NO_JSON))
            text.skip_record(error.pos)
        except ValueError:  # a number of thousands of digits, which Python does not read
            yield Record(f"record {number}", Broken(_NO_JSON))
            text.skip_record(text.at + 1)
    if is_open:
        yield Record(f"record {number + 1}", text.broken or Broken("the JSON array has no end: the file is cut off"))


class _Text:
    """The part of a JSON text that is being read."""

    def __init__(self, blocks: Iterable[bytes | Broken]) -> None:
        self._blocks, self._decoder = iter(blocks), codecs.getincrementaldecoder("utf-8")("replace")
        self.text, self.at = "", 0
        self.broken: Broken | None = None

    def skip_gap(self) -> bool:
        """Go to the next value; False at the end."""
        while True:
            self.at = self._match(_GAP)
            if self.at < len(self.text):
                return True
            if not self.grow():
                return False

    def here(self) -> str:
        return self.text[self.at]

    def may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the value is not broken but not all here, by where and what the error is."""
        at_end = error.pos >= len(self.text) - 10 or error.msg.startswith("Unterminated string")
        return at_end and len(self.text) - self.at <= LONGEST

    def grow(self) -> bool:
        """Read as much again as is held, and drop what was read; False if nothing is left."""
        wanted, parts = max(BLOCK, len(self.text) - self.at), [self.text[self.at :]]
        while wanted > 0 and (block := next(self._blocks, None)) is not None:
            if isinstance(block, Broken):
                self.broken = block
                break
            parts.append(self._decoder.decode(block))
            wanted -= len(block)
        self.text, self.at = "".join(parts), 0
        return len(parts) > 1

    def skip_record(self, start: int) -> None:
        """Go to what looks like the next object after `start`."""
        self.at = start
        while not (found := _NEXT_OBJECT.search(self.text, self.at)):
            self.at = max(self.at, len(self.text) - 1000)
            if not self.grow():
                whole = self.text.rstrip()
                self.at = len(whole) - whole.endswith("]") if whole else 0
                return
        self.at = found.end()

    def _match(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at
