"""Opens a file of any compression, and names files that hold no records."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from sia_dagster.adapters.local.reading.records import BLOCK, NoRecords

_HEAD = 4096
_PARQUET = b"PAR1"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_STEP = 1 << 16
"""Bytes of a compressed file that are lost with its damaged end."""
_WRITE = "; write the spans as Parquet, JSON lines or CSV"
_FOREIGN: Mapping[bytes, str] = {
    b"Obj\x01": f"an Avro file{_WRITE}",
    b"ORC": f"an ORC file{_WRITE}",
    b"SQLite format 3": f"an SQLite database{_WRITE}",
    b"PK\x03\x04": f"a zip archive (or an Excel file){_WRITE}",
    b"\xd0\xcf\x11\xe0": f"an old Excel file{_WRITE}",
    b"ARROW1": f"an Arrow file{_WRITE}",
    b"\xff\xff\xff\xff": f"an Arrow stream{_WRITE}",
    b"\x89HDF": f"an HDF5 file{_WRITE}",
    b"PARE": "an encrypted Parquet file; write it without encryption",
    **{bytes([0x80, protocol]): f"a Python pickle{_WRITE}" for protocol in (2, 3, 4, 5)},
    b"BZh": f"a bzip2 archive{_WRITE}",
    b"\xfd7zXZ": f"an xz archive{_WRITE}",
    b"7z\xbc\xaf": f"a 7z archive{_WRITE}",
    b"\x04\x22\x4d\x18": f"an lz4 archive{_WRITE}",
    b"\xff\x06\x00\x00sNaPpY": f"a Snappy archive{_WRITE}",
    _GZIP: "compressed twice; unpack it once",
    _ZSTD: "compressed twice; unpack it once",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself (`git lfs pull`)",
    b"<!doctype html": "an HTML page, as a failed download leaves it; download the export again",
    b"<html": "an HTML page, as a failed download leaves it; download the export again",
    b"<?xml": "XML, as which stores write their error messages; download the export again",
}
"""In small letters where it is text."""


def is_parquet(path: Path) -> bool:
    """Whether it is a Parquet file, compressed or not. Raises NoRecords for what holds no records that are read."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] == _GZIP or head[:4] == _ZSTD:
        head = _beginning(path)
    text = head.lstrip().lower()
    if what := next(
        (what for magic, what in _FOREIGN.items() if head.startswith(magic) or text.startswith(magic)), None
    ):
        raise NoRecords(f"it is {what}")
    if head[257:262] == b"ustar":
        raise NoRecords("it is a tar archive; unpack it")
    return head[:4] == _PARQUET


def _beginning(path: Path) -> bytes:
    try:
        return next(file_blocks(path), b"")
    except OSError:
        return b""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """The file, open; of a compressed one an unpacked copy."""
    with path.open("rb") as file:
        if file.read(4) == _PARQUET:
            file.seek(0)
            yield file
            return
    with TemporaryFile(prefix="sia-unpacked-") as copy:
        for block in file_blocks(path):
            copy.write(block)
        copy.seek(0)
        yield copy


def file_blocks(path: Path) -> Iterator[bytes]:
    """The file's bytes, decompressed. Raises OSError where a compressed file is damaged or cut off."""
    import pyarrow as pa

    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head[:2] == _GZIP:
            yield from _unzipped(file)
            return
        stream, size = (pa.CompressedInputStream(file, "zstd"), _STEP) if head == _ZSTD else (file, BLOCK)
        while block := stream.read(size):
            yield block


def _unzipped(file: IO[bytes]) -> Iterator[bytes]:
    """The members of a gzip file one after the other, up to where it is cut off. Zeros after them are no member."""
    member, is_open = zlib.decompressobj(wbits=31), False
    while block := file.read(_STEP):
        while block:
            try:
                data = member.decompress(block, BLOCK)
            except zlib.error as error:
                raise OSError(str(error)) from error
            if data:
                yield data
            block, is_open = member.unconsumed_tail, not member.eof
            if member.eof:
                block, member = member.unused_data.lstrip(b"\0"), zlib.decompressobj(wbits=31)
    if is_open:
        yield from filter(None, [member.flush()])
        raise OSError("the compressed data has no end")
