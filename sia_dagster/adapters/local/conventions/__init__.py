"""Span attributes of other conventions as OpenInference attributes: one file a convention."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sia_dagster.core.records.value import JsonObject


class Convention(NamedTuple):
    """How one convention names what OpenInference names otherwise."""

    name: str
    prefixes: tuple[str, ...]
    """How its attributes start; a span with such an attribute is converted."""
    convert: Callable[[JsonObject], JsonObject]
    """From the span's attributes to OpenInference attributes; {} where they describe no call of a model."""


CONVENTIONS: tuple[Convention, ...] = ()
"""In this order; what an earlier one gives stands."""
FOREIGN: tuple[str, ...] = tuple(prefix for convention in CONVENTIONS for prefix in convention.prefixes)

__all__ = ["CONVENTIONS", "FOREIGN", "Convention", "to_openinference"]


def to_openinference(attributes: JsonObject) -> JsonObject:
    """The attributes with OpenInference's names added; what was recorded under those names stands."""
    if not any(name.startswith(FOREIGN) for name in attributes):
        return attributes
    found = dict(attributes)
    for convention in CONVENTIONS:
        if _speaks(convention, attributes):
            found = convention.convert(attributes) | found
    return found


def _speaks(convention: Convention, names: Iterable[str]) -> bool:
    return any(name.startswith(convention.prefixes) for name in names)
