"""Whether a prompt is a fill of fixed texts, and with what: literal search from both ends, linear in the prompt."""

from collections.abc import Sequence
from typing import NamedTuple


class Parse(NamedTuple):
    """One way to read a prompt as fixed texts with values between them."""

    values: tuple[str, ...]
    ambiguous: bool
    """Another way gives other values; both fill in to the same prompt."""


def parse(fixed: Sequence[str], prompt: str) -> Parse | None:
    """The values of the leftmost reading; None where the fixed texts do not stand in the prompt in this order.

    There are two readings or more exactly where the leftmost and the rightmost one differ.
    """
    if len(fixed) == 1:
        return Parse((), ambiguous=False) if prompt == fixed[0] else None
    start, end = len(fixed[0]), len(prompt) - len(fixed[-1])
    if start > end or not (prompt.startswith(fixed[0]) and prompt.endswith(fixed[-1])):
        return None
    left = _leftmost(fixed[1:-1], prompt, start, end)
    if left is None:
        return None
    values, at = [], start
    for place, text in zip((*left, end), (*fixed[1:-1], ""), strict=True):
        values.append(prompt[at:place])
        at = place + len(text)
    return Parse(tuple(values), ambiguous=left != _rightmost(fixed[1:-1], prompt, start, end))


def _leftmost(texts: Sequence[str], prompt: str, start: int, end: int) -> list[int] | None:
    places = []
    for text in texts:
        place = prompt.find(text, start, end)
        if place < 0:
            return None
        places.append(place)
        start = place + len(text)
    return places


def _rightmost(texts: Sequence[str], prompt: str, start: int, end: int) -> list[int]:
    """Always there where there is a leftmost one."""
    places = []
    for text in reversed(texts):
        end = prompt.rfind(text, start, end)
        places.append(end)
    return places[::-1]
