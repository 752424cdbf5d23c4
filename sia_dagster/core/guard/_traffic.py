"""The texts of a window's samples, and who wrote each: where a finding came from."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from sia_dagster.core.guard._text import plain
from sia_dagster.core.records.sample import Sample

USER: Final = "the user's message"
ANSWER: Final = "the application's answer"
EXPLANATION: Final = "a judge's explanation"
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
    by: str
    """The user, else the conversation: what one account writes is one source."""
    author: str
    text: str
    """In the form of `plain`."""

    @property
    def place(self) -> str:
        """`in sample s7 (the user's message)`."""
        return f"in sample {self.sample} ({self.author})"


class Holders(NamedTuple):
    """Who holds an item."""

    first: SampleText
    """The first of those from outside; else the first."""
    by: set[str]
    """The sources."""


@dataclass(frozen=True)
class Traffic:
    """All texts of a window's samples, in order."""

    texts: tuple[SampleText, ...] = ()
    sources: int = 0
    """Different users; conversations where none is recorded."""
    source_of: Mapping[str, str] = field(default_factory=dict)
    """By the span's id."""
    years: frozenset[str] = frozenset()
    """In which the samples were recorded, and the ones around them: as numbers they identify nobody."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Traffic":
        """Every text of the samples but the policy's own."""
        texts = (
            SampleText(sample.span_id, sample.source, author, plain(text))
            for sample in samples
            for author, text in _texts_of(sample)
            if text
        )
        near = {str(sample.start_time.year + shift) for sample in samples for shift in (-1, 0, 1)}
        source_of = {sample.span_id: sample.source for sample in samples}
        return cls(tuple(texts), len(set(source_of.values())), source_of, frozenset(near))

    @property
    def many(self) -> float:
        """So many sources hold what belongs to the application (its own signature, say): three, and a tenth of all."""
        return max(3, self.sources / 10)

    @property
    def most(self) -> float:
        """So many sources hold what people and tools repeat everywhere: three, and half of all."""
        return max(3, self.sources / 2)

    def origin(self, found: str) -> str:
        """The first place that holds `found`, letter case, blanks and signs aside; or that there is none."""
        if not self.texts:
            return "with no sample at hand to say where from"
        holder = self.holder(found)
        return holder.place if holder else "in no sample of this window"

    def holds(self, found: str) -> bool:
        """Whether any text holds `found`, letter case, blanks and signs aside."""
        return self.holder(found) is not None

    def holders(
        self, items: Collection[Item], read: Callable[[SampleText], Iterable[Item]]
    ) -> Iterator[tuple[Item, SampleText]]:
        """Each of `items` that `read` finds in a text, with that text, in the order of the texts."""
        return ((item, text) for text in (self.texts if items else ()) for item in read(text) if item in items)

    def held_by_few(
        self, items: Collection[Item], read: Callable[[SampleText], Iterable[Item]]
    ) -> dict[Item, SampleText]:
        """Those of `items` that some sources hold, but not many, each with the first text that holds it."""
        return {item: held.first for item, held in self.held(items, read).items() if len(held.by) < self.many}

    def held(self, items: Collection[Item], read: Callable[[SampleText], Iterable[Item]]) -> dict[Item, "Holders"]:
        """Those of `items` that `read` finds in a text, with the first that holds each, and all sources that do."""
        found: dict[Item, Holders] = {}
        for item, text in self.holders(items, read):
            known = found.get(item)
            if known is None or (known.first.author not in FROM_OUTSIDE and text.author in FROM_OUTSIDE):
                known = found[item] = Holders(text, known.by if known else set())
            known.by.add(text.by)
        return found

    def sources_of(self, found: str) -> int:
        """How many sources hold `found`, letter case, blanks and signs aside."""
        bare = _signless(found)
        return len({text.by for text, signless in zip(self.texts, self._signless, strict=True) if bare in signless})

    def holder(self, found: str) -> SampleText | None:
        """The first text that holds `found`, letter case, blanks and signs aside."""
        signless = _signless(found)
        if len(signless) >= _SHORT:
            return next((text for text, bare in zip(self.texts, self._signless, strict=True) if signless in bare), None)
        exact = found.casefold()
        return next((text for text in self.texts if exact in text.text.casefold()), None)

    @cached_property
    def _signless(self) -> tuple[str, ...]:
        return tuple(_signless(text.text) for text in self.texts)


def _texts_of(sample: Sample) -> Iterator[tuple[str, str]]:
    """Author and text of every message, tool call, answer, variable and explanation of a score."""
    for message in sample.messages:
        yield _AUTHORS.get(message.role, CONTEXT), message.content or ""
        yield from ((ANSWER, call.arguments) for call in message.tool_calls)
    yield ANSWER, sample.output
    yield from ((VARIABLE, text) for text in sample.variables.values())
    yield from ((EXPLANATION, metric.explanation or "") for metric in sample.evals)


def _signless(text: str) -> str:
    return _SIGNS.sub("", text.casefold())
