"""Cuts a sequence of items into chunks that fit into one request or file."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Sized = TypeVar("Sized")


def chunks(sized: Iterable[tuple[Sized, int]], *, most: int, most_bytes: int) -> Iterator[list[Sized]]:
    """The items in order, at most `most` in a chunk; only an item that is larger alone exceeds `most_bytes`."""
    chunk, size = list[Sized](), 0
    for each, bytes_ in sized:
        if chunk and (len(chunk) == most or size + bytes_ > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(each)
        size += bytes_
    if chunk:
        yield chunk
