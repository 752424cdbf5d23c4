"""Text from outside made storable or read as a number, and counts in words."""

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def count(amount: int, noun: str) -> str:
    """`1 line`, `2 lines`, `no lines`, `1,204 lines`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s" if amount else f"no {noun}s"


def as_number(text: str) -> float | None:
    """The number that `text` is written as, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def without_name(text: str, name: str) -> str:
    """The text without a name (a model's may contain any word), but for those inside longer words."""
    return re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "", text) if name else text


def storable(value: Any) -> Any:
    """The value with U+FFFD for every lone surrogate in its texts and keys, at every depth of lists and objects.

    A lone surrogate (half the escape of an emoji) is valid in JSON but not elsewhere: it can be neither stored, nor
    hashed, nor sent.
    """
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
