"""Says what the mapping mended or dropped in samples that are used, one note a kind."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from sia_dagster.core.records.trace_notes import TraceNote
from sia_dagster.core.text import count

MENDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nobody": "a session or user of {samples} stands for nobody (such as 'anonymous'), so the next id counts: "
        "session, else user, else trace. Record session.id, one a conversation",
        "parameters_unreadable": "llm.invocation_parameters cannot be read, so {samples} have no settings",
        "prompt_repeated": "the system prompt stands again later in the chat of {samples}; a replay sends it once",
        "several_choices": "{samples} have several choices, of which the first is the answer",
        "text_from_request": "messages of {samples} had no text; it was taken from input.value",
        "variables_unreadable": "llm.prompt_template.variables cannot be read, so {samples} have no variables",
    }
)
"""By kind, what was done."""


def mending_notes(mended: Iterable[tuple[str, str]]) -> tuple[TraceNote, ...]:
    """One note for each kind among pairs of kind and span id, in the order of `MENDED`."""
    spans: dict[str, list[str]] = {}
    for kind, span_id in mended:
        spans.setdefault(kind, []).append(span_id)
    return tuple(
        TraceNote(
            kind=kind,
            sentence=sentence.format(samples=count(len(spans[kind]), "sample")),
            count=len(spans[kind]),
            span_id=spans[kind][0],
        )
        for kind, sentence in MENDED.items()
        if kind in spans
    )
