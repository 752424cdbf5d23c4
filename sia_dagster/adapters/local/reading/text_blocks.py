"""A file's bytes as UTF-8, decompressed, block by block."""

import codecs
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from sia_dagster.adapters.local.reading.containers import file_blocks
from sia_dagster.adapters.local.reading.records import LONGEST, TOO_LONG, Broken

_ENCODINGS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
BLANK = b"\x00\x1e \t\r\n"
"""What stands between records: white space, NULs of a file that was not written to its end, record separators."""


def text_blocks(path: Path) -> Iterator[bytes | Broken]:
    """The text in blocks; if it ends early, why. Raises OSError on opening."""
    return _ending(_utf8(file_blocks(path)))


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


def split_lines(blocks: Iterable[bytes | Broken]) -> Iterator[bytes | Broken]:
    """The lines, without their ends; `Broken` in place of one that is too long, or of the rest of the file."""
    parts, size = list[bytes](), 0
    for block in blocks:
        if isinstance(block, Broken):
            yield block
            return
        first, *rest = block.split(b"\n")
        parts, size = [*parts, first] if size <= LONGEST else [], size + len(first)
        if rest:
            yield b"".join(parts) if size <= LONGEST else Broken(TOO_LONG)
            yield from rest[:-1]
            parts, size = rest[-1:], len(rest[-1])
    if size:
        yield b"".join(parts) if size <= LONGEST else Broken(TOO_LONG)
