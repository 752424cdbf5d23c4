"""What was said in a window's samples, and by whom: where a finding came from."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from sia_dagster.core.guard._text import plain
from sia_dagster.core.records.sample import Message, Sample

USER: Final = "the user's message"
ANSWER: Final = "the application's answer"
TOOL: Final = "a tool's result"
VARIABLE: Final = "a variable"
CONTEXT: Final = "a message of the application"
_WHO: Final = {"user": USER, "assistant": ANSWER, "tool": TOOL, "function": TOOL}
FROM_OUTSIDE: Final = frozenset({USER, TOOL, VARIABLE})
"""Not written by the application or its model: whoever wrote it may want to write the policy, too."""
_SHORT: Final = 6
"""A culprit of fewer letters and digits is looked for as it is written: without its signs it is found everywhere."""
_SIGNS: Final = re.compile(r"[\W_]+")


class Told(NamedTuple):
    """One text of a sample."""

    sample: str
    """The span's id."""
    conversation: str
    who: str
    text: str
    """In the form of `plain`."""

    @property
    def place(self) -> str:
        """`in sample s7 (the user's message)`."""
        return f"in sample {self.sample} ({self.who})"


@dataclass(frozen=True)
class Traffic:
    """All texts of a window's samples, in order."""

    told: tuple[Told, ...] = ()
    conversations: int = 0
    years: frozenset[str] = frozenset()
    """In which the samples were recorded, and the ones around them: as numbers, they are nobody's."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Traffic":
        """Everything that was said in the samples, by anyone but the policy."""
        told = (
            Told(sample.span_id, sample.conversation_id, who, plain(text))
            for sample in samples
            for who, text in _said_in(sample)
            if text
        )
        near = {str(sample.start_time.year + shift) for sample in samples for shift in (-1, 0, 1)}
        return cls(tuple(told), len({sample.conversation_id for sample in samples}), frozenset(near))

    def origin(self, culprit: str) -> str:
        """The first place where `culprit` was said, letter case, blanks and signs aside; or that there is none."""
        if not self.told:
            return "with no sample at hand to say where from"
        found = self._first(culprit)
        return found.place if found else "in no sample of this window"

    def says(self, culprit: str) -> bool:
        """Whether `culprit` was said anywhere, letter case, blanks and signs aside."""
        return self._first(culprit) is not None

    def few(self, conversations: Collection[str]) -> bool:
        """Whether what so many conversations say may be somebody's.

        What three conversations and a tenth of all say belongs to the application (its own signature, say).
        """
        return len(conversations) < max(3, self.conversations / 10)

    def _first(self, culprit: str) -> Told | None:
        signless = _signless(culprit)
        if len(signless) >= _SHORT:
            return next((told for told, text in zip(self.told, self._signless, strict=True) if signless in text), None)
        exact = culprit.casefold()
        return next((told for told in self.told if exact in told.text.casefold()), None)

    @cached_property
    def _signless(self) -> tuple[str, ...]:
        return tuple(_signless(told.text) for told in self.told)


def _said_in(sample: Sample) -> Iterator[tuple[str, str]]:
    for message in sample.messages:
        yield _WHO.get(message.role, CONTEXT), message.content or ""
        yield from ((ANSWER, text) for text in _arguments(message))
    yield ANSWER, sample.output
    yield from ((VARIABLE, text) for text in sample.variables.values())


def _arguments(message: Message) -> Iterator[str]:
    return (call.arguments for call in message.tool_calls)


def _signless(text: str) -> str:
    return _SIGNS.sub("", text.casefold())
