"""What a reader gives for each record of a file."""

from typing import NamedTuple

from sia_dagster.core.records.value import JsonObject

BLOCK = 1 << 20
"""Bytes that are read at once."""
LONGEST = 128 << 20
"""Bytes of one record. A longer one is left out, since it would be in memory several times."""


class Broken(NamedTuple):
    """Why a record, or the rest of a file, cannot be read."""

    reason: str


class Record(NamedTuple):
    """A record and its place in the file: `line 12`, `record 3`."""

    place: str
    value: JsonObject | Broken


class NoRecords(ValueError):
    """The file holds no records of any form that could be read; the text says what it is."""
