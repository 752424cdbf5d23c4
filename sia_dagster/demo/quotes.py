"""Parses prompts that quote trace text, the counterpart of `core.prompting`'s quoting."""

import re
from collections.abc import Mapping

from pydantic import Field

from sia_dagster.core.records.value import Value

_PIECE = re.compile(
    r"^<<<(?P<name>\w+) (?P<tag>[0-9a-f]{12})\n(?P<text>.*?)\n(?P=tag) (?P=name)>>>$"
    r"|^Sample (?P<span>\S+) \((?P<heading>[^\n]*)\)",
    re.MULTILINE | re.DOTALL,
)


class Exhibit(Value):
    """One sample in a prompt: its span id and the quotes below its header, by name."""

    span_id: str
    quotes: Mapping[str, str] = Field(default_factory=dict)


class Reading(Value):
    """The quotes before any sample (the last of each name), and the samples of a prompt, in order."""

    quotes: Mapping[str, str]
    exhibits: tuple[Exhibit, ...]


def read(prompt: str) -> Reading:
    """Find the quotes and the samples of `prompt`. A header or a marker inside a quote is text like any other."""
    head: dict[str, str] = {}
    shown: list[tuple[str, dict[str, str]]] = []
    for piece in _PIECE.finditer(prompt):
        if piece["span"]:
            shown.append((piece["span"], {}))
            continue
        (shown[-1][1] if shown else head)[piece["name"]] = piece["text"]
    exhibits = tuple(Exhibit(span_id=span, quotes=quotes) for span, quotes in shown)
    return Reading(quotes=head, exhibits=exhibits)
