"""The texts of a window's samples, and who wrote each: where a finding came from."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from sia_dagster.core.guard._text import plain
from sia_dagster.core.records.sample import Sample

USER: Final = "the user's message"
ANSWER: Final = "the application's answer"
TOOL: Final = "a tool's result"
VARIABLE: Final = "a variable"
CONTEXT: Final = "a message of the application"
_AUTHORS: Final = {"user": USER, "assistant": ANSWER, "tool": TOOL, "function": TOOL}
FROM_OUTSIDE: Final = frozenset({USER, TOOL, VARIABLE})
"""Not written by the application or its model: whoever wrote it may try to write the policy, too."""
_SHORT: Final = 6
"""A text of fewer letters and digits is searched for as it is written: without its signs it is found everywhere."""
_SIGNS: Final = re.compile(r"[\W_]+")
Item = TypeVar("Item")


class SampleText(NamedTuple):
    """One text of a sample."""

    sample: str
    """The span's id."""
    conversation: str
    author: str
    text: str
    """In the form of `plain`."""

    @property
    def place(self) -> str:
        """`in sample s7 (the user's message)`."""
        return f"in sample {self.sample} ({self.author})"


@dataclass(frozen=True)
class Traffic:
    """All texts of a window's samples, in order."""

    texts: tuple[SampleText, ...] = ()
    conversations: int = 0
    years: frozenset[str] = frozenset()
    """In which the samples were recorded, and the ones around them: as numbers they identify nobody."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Traffic":
        """Every text of the samples but the policy's own."""
        texts = (
            SampleText(sample.span_id, sample.conversation_id, author, plain(text))
            for sample in samples
            for author, text in _texts_of(sample)
            if text
        )
        near = {str(sample.start_time.year + shift) for sample in samples for shift in (-1, 0, 1)}
        return cls(tuple(texts), len({sample.conversation_id for sample in samples}), frozenset(near))

    def origin(self, found: str) -> str:
        """The first place that holds `found`, letter case, blanks and signs aside; or that there is none."""
        if not self.texts:
            return "with no sample at hand to say where from"
        holder = self._first(found)
        return holder.place if holder else "in no sample of this window"

    def holds(self, found: str) -> bool:
        """Whether any text holds `found`, letter case, blanks and signs aside."""
        return self._first(found) is not None

    def holders(
        self, items: Collection[Item], read: Callable[[SampleText], Iterable[Item]]
    ) -> Iterator[tuple[Item, SampleText]]:
        """Each of `items` that `read` finds in a text, with that text, in the order of the texts."""
        return ((item, text) for text in (self.texts if items else ()) for item in read(text) if item in items)

    def held_by_few(
        self, items: Collection[Item], read: Callable[[SampleText], Iterable[Item]]
    ) -> dict[Item, SampleText]:
        """Those of `items` that some conversations hold, but not many, each with the first text that holds it.

        What three conversations and a tenth of all hold belongs to the application (its own signature, say).
        """
        first: dict[Item, SampleText] = {}
        conversations: dict[Item, set[str]] = {}
        for item, text in self.holders(items, read):
            first.setdefault(item, text)
            conversations.setdefault(item, set()).add(text.conversation)
        many = max(3, self.conversations / 10)
        return {item: text for item, text in first.items() if len(conversations[item]) < many}

    def _first(self, found: str) -> SampleText | None:
        signless = _signless(found)
        if len(signless) >= _SHORT:
            return next((text for text, bare in zip(self.texts, self._signless, strict=True) if signless in bare), None)
        exact = found.casefold()
        return next((text for text in self.texts if exact in text.text.casefold()), None)

    @cached_property
    def _signless(self) -> tuple[str, ...]:
        return tuple(_signless(text.text) for text in self.texts)


def _texts_of(sample: Sample) -> Iterator[tuple[str, str]]:
    """Author and text of every message, tool call, answer and variable."""
    for message in sample.messages:
        yield _AUTHORS.get(message.role, CONTEXT), message.content or ""
        yield from ((ANSWER, call.arguments) for call in message.tool_calls)
    yield ANSWER, sample.output
    yield from ((VARIABLE, text) for text in sample.variables.values())


def _signless(text: str) -> str:
    return _SIGNS.sub("", text.casefold())
