"""What a file is read as: records, each with its place in the file, or why it cannot be read."""

from typing import Any, Final, NamedTuple

from sia_dagster.core.records.value import JsonObject

BLOCK: Final = 1 << 20
"""Bytes that are read at once."""
LONGEST: Final = 128 << 20
"""Bytes of one record. A longer one is left out, since it would be in memory several times."""
TOO_LONG: Final = f"it is longer than {LONGEST >> 20} MB"
TOO_DEEP: Final = "its objects are nested too deep to be read"


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
    """The value, if it is a JSON object."""
    return value if isinstance(value, (dict, Broken)) else Broken("it is not a JSON object")
