"""The sentences of a prompt that the loop wrote, each with a note on what it rests on."""

from collections.abc import Sequence

from sia_dagster.core.records.policy import SentenceOrigin
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count, sentences
from sia_dagster.reports.wording import of_range, trimmed

SAMPLES = 4
"""Samples named in a note; the others are counted."""
CAUSE = 300


class Passage(Value):
    """A piece of a prompt."""

    text: str
    note: int | None = None
    """The number of the note on it, from 1; None where the loop did not write it."""


class OriginNote(Value):
    """What a sentence rests on, in words."""

    number: int
    text: str
    window: str
    cause: str
    """What evaluators said of the samples; empty where it answers to no single cause."""
    effect: str
    samples: tuple[str, ...]
    more_samples: int


def passages(prompt: str, provenance: Sequence[SentenceOrigin]) -> tuple[Passage, ...]:
    """The whole prompt in pieces, in order; joined, they give it back."""
    numbers = {origin.text: number for number, origin in enumerate(provenance, start=1)}
    pieces, position = list[Passage](), 0
    for start, text in sentences(prompt):
        if text in numbers:
            if start > position:
                pieces.append(Passage(text=prompt[position:start]))
            position = start + len(text)
            pieces.append(Passage(text=text, note=numbers[text]))
    return (*pieces, Passage(text=prompt[position:])) if position < len(prompt) else tuple(pieces)


def origin_notes(provenance: Sequence[SentenceOrigin]) -> tuple[OriginNote, ...]:
    """One note a sentence, numbered as in `passages`."""
    return tuple(
        OriginNote(
            number=number,
            text=origin.text,
            window=f"{origin.window}, by {origin.strategy}" if origin.strategy else origin.window,
            cause=trimmed(origin.cause, CAUSE),
            effect=effect(origin),
            samples=origin.samples[:SAMPLES],
            more_samples=max(0, len(origin.samples) - SAMPLES),
        )
        for number, origin in enumerate(provenance, start=1)
    )


def effect(origin: SentenceOrigin) -> str:
    """`3 of 4 samples mended; its race gained +0.021 of the range`."""
    mended = f"{origin.mended} of {count(origin.probed, 'sample')} mended" if origin.probed else "not tried on samples"
    return f"{mended}; {'not raced' if origin.gain is None else f'its race gained {of_range(origin.gain)}'}"
