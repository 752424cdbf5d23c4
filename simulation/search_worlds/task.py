"""What a simulated task is made of: faults that a judge names, and remedies that a prompt may hold.

A prompt is read sentence by sentence. A sentence that holds the words of a remedy asks for it, a hedge in the sentence
weakens it, a condition limits it to the requests that it is meant for. Negations are not understood.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Final, Literal, NamedTuple, Protocol

from sia_dagster.core.records.policy import Example
from sia_dagster.core.records.value import Value, fingerprint

Level = Literal["unasked", "hedged", "asked", "conditional"]
"""How a prompt asks for a remedy."""
HEDGES: Final = ("try to", "where it fits", "if possible", "when you can")
HARMS: Final = ("in one short sentence", "leave out details", "without weighing it long")
"""A sentence with one of these makes everything else less likely to be right."""
HARM: Final = 0.7
"""By so much."""
RIGHT_OR_WRONG: Final[Mapping[str, float]] = {"correct": 1.0, "incorrect": 0.0}
"""Rails of a judge to whom everything that is wrong is the same."""
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n")


class Remedy(Value):
    """An instruction that mends a fault, in the wordings that the proposing model uses."""

    name: str
    words: tuple[tuple[str, ...], ...]
    """A sentence that holds all words of one of these groups asks for it; in small letters."""
    conditions: tuple[str, ...] = ()
    """One of these in the sentence limits it; none where the remedy has no condition."""
    firm: tuple[str, ...]
    timid: tuple[str, ...]
    wrong: tuple[str, ...]
    """Instructions about the same matter that change nothing."""
    conditional: tuple[str, ...] = ()

    @property
    def done(self) -> Level:
        """The level at which nothing is left to be asked for."""
        return "conditional" if self.conditional else "asked"

    def asks(self, sentence: str) -> bool:
        """Whether a sentence, in small letters, asks for it."""
        return any(all(word in sentence for word in group) for group in self.words)

    def level(self, sentences: Sequence[str]) -> Level:
        """How the sentences ask for it: the firmest of them counts, and one without the condition undoes it."""
        asking = [sentence for sentence in sentences if self.asks(sentence)]
        if not asking:
            return "unasked"
        firm = [sentence for sentence in asking if not any(hedge in sentence for hedge in HEDGES)]
        if not firm:
            return "hedged"
        limited = self.conditions and all(any(word in each for word in self.conditions) for each in firm)
        return "conditional" if limited else "asked"


class Fault(Value):
    """Something that may be wrong with an answer, and how a judge says so."""

    name: str
    says: tuple[str, ...]
    """Clauses without a full stop; `{}` stands for a detail of the answer."""
    chinese: str
    remedy: str
    """Its name."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds any of its clauses."""
        clauses = (re.escape(clause).replace(r"\{\}", ".{0,80}?") for clause in (*self.says, self.chinese))
        return re.compile("|".join(clauses), re.IGNORECASE)


class Lack(Value):
    """A fault of one answer, with the detail that the judge names."""

    fault: Fault
    detail: str = ""


class Reading(Value):
    """What a policy asks for, as the application understands it."""

    levels: Mapping[str, Level]
    """By remedy."""
    harmed: bool = False
    examples: tuple[Example, ...] = ()

    @cached_property
    def key(self) -> str:
        """Equal readings have equal keys."""
        return fingerprint(self.model_dump(mode="json"))


class Aspect(NamedTuple):
    """One thing that an answer to a request may have right or wrong."""

    name: str
    level: str
    """What decides the chance; at another level a part of the requests draws anew."""
    chance: float
    """That it is right, between 0 and 1."""


class Task(Protocol):
    """What is particular about a world; everything is decided by the text of a request."""

    def __hash__(self) -> int:
        """A task is itself alone."""

    @property
    def name(self) -> str:
        """Its key in `WORLDS`."""

    @property
    def prompt(self) -> str:
        """The system prompt to start from; it holds the variable `{shop}`."""

    @property
    def best_prompt(self) -> str:
        """The best system prompt."""

    @property
    def best_examples(self) -> tuple[Example, ...]:
        """The examples of the best policy."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What may be wrong with an answer."""

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What mends it."""

    @property
    def by_code(self) -> str:
        """The function that evaluates (`package.module:function`); empty where a judge does."""

    @property
    def rails(self) -> Mapping[str, float]:
        """The judge's labels and their scores: for an answer that lacks nothing, one thing, two, and so on."""

    @property
    def weak_tag(self) -> str:
        """The slice that one of the cheaper models loses."""

    def request(self, key: str) -> str:
        """The request that the hash of `key` chooses."""

    def tag(self, request: str) -> str:
        """The slice of a request."""

    def aspects(self, request: str, reading: Reading) -> tuple[Aspect, ...]:
        """What may be right or wrong in the answer to a request."""

    def score(self, chances: Sequence[float]) -> float:
        """The expected score of an answer, by the chances of its aspects, which are independent."""

    def compose(self, request: str, right: Mapping[str, bool]) -> str:
        """The answer in which these aspects are right."""

    def lacks(self, request: str, output: str) -> tuple[Lack, ...]:
        """What is wrong with an answer."""


@lru_cache(maxsize=512)
def sentences_of(prompt: str) -> tuple[str, ...]:
    """The sentences in small letters."""
    return tuple(part for part in _SENTENCE.split(prompt.casefold()) if part.strip())


@lru_cache(maxsize=512)
def read_policy(task: Task, prompt: str, examples: tuple[Example, ...] = ()) -> Reading:
    """What the policy asks for; a prompt that is filled in reads as its template."""
    sentences = sentences_of(prompt)
    levels = {remedy.name: remedy.level(sentences) for remedy in task.remedies}
    harmed = any(harm in sentence for sentence in sentences for harm in HARMS)
    return Reading(levels=levels, harmed=harmed, examples=examples)


def named(task: Task, text: str) -> tuple[Fault, ...]:
    """The faults that a text names in one of the judge's wordings."""
    return tuple(fault for fault in task.faults if fault.pattern.search(text))
