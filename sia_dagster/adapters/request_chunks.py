"""What is sent, cut into portions that one request or file can carry."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Sized = TypeVar("Sized")


def portions(sized: Iterable[tuple[Sized, int]], *, most: int, most_bytes: int) -> Iterator[list[Sized]]:
    """Things with their sizes, in order: at most `most` to a portion, and `most_bytes` where one alone has no more."""
    portion, size = list[Sized](), 0
    for each, bytes_ in sized:
        if portion and (len(portion) == most or size + bytes_ > most_bytes):
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += bytes_
    if portion:
        yield portion
