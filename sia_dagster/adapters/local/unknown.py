"""Names what a record is that no form reads, and what its owner can do."""

from collections.abc import Callable

from sia_dagster.core.records.value import JsonObject

_KNOWN: tuple[tuple[Callable[[JsonObject], bool], str], ...] = (
    (
        lambda r: r.keys() in ({"commitInfo"}, {"protocol"}, {"metaData"}, {"add"}, {"remove"}),
        "it belongs to the log of a Delta table",
    ),
)
"""What tells a record, and the sentence about it."""
_SHOWN = 6


def what_it_is(record: JsonObject) -> str:
    """A sentence for people: the tool's name where its keys tell it, else the keys."""
    for tells, sentence in _KNOWN:
        if tells(record):
            return sentence
    keys = ", ".join(str(key)[:30] for key in list(record)[:_SHOWN]) or "none"
    return f"it is of no form that is read (its keys: {keys}{', ...' if len(record) > _SHOWN else ''})"
