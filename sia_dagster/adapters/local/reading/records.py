"""What a file is read as: records, each with its place in the file, or why it cannot be read."""

from typing import Any, Final, NamedTuple

from sia_dagster.core.records.value import JsonObject

LONGEST: Final = 128 << 20
"""Bytes of one record. A longer one is left out, since it would be in memory several times."""
DEEPEST: Final = 100
"""Nesting of one record: what reads it further is recursive."""
TOO_LONG: Final = f"it is longer than {LONGEST >> 20} MB"
TOO_DEEP: Final = f"it is nested more than {DEEPEST} deep"


class Broken(NamedTuple):
    """Why a record, or the rest of a file, cannot be read."""

    reason: str


class Record(NamedTuple):
    """A record and its place in the file: `line 12`, `record 3`."""

    place: str
    value: JsonObject | Broken


class NoRecords(ValueError):
    """The file holds no records of any form that could be read; the text says what it is."""


def checked(value: Any) -> JsonObject | Broken:
    """The value, if it is a JSON object that can be read further."""
    if isinstance(value, Broken):
        return value
    if not isinstance(value, dict):
        return Broken("it is not a JSON object")
    return value if _is_shallow(value) else Broken(TOO_DEEP)


def _is_shallow(value: JsonObject) -> bool:
    """Whether objects and lists are nested no deeper than `DEEPEST`; level by level, since most have few levels."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        inner = (item for each in level for item in (each.values() if each.__class__ is dict else each))
        level = [item for item in inner if item.__class__ in (dict, list)]
        if not level:
            return True
    return False
