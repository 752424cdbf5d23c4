"""Templates, what recovery gives, and reading a prompt with a template: literal search, linear in the prompt."""

from collections.abc import Sequence
from itertools import count
from typing import Final, NamedTuple, Self

from pydantic import model_validator

from sia_dagster.core.records.value import Value
from sia_dagster.core.template_recovery.tokenizing import Shingle, shingles, words

_SHINGLE: Final = 3


class Parse(NamedTuple):
    """One reading of a prompt as fixed texts with values between them."""

    values: tuple[str, ...]
    ambiguous: bool
    """Whether another reading gives other values that fill in to the same prompt."""


def parse(fixed: Sequence[str], prompt: str) -> Parse | None:
    """The values of the leftmost reading; None where the prompt does not hold the fixed texts in this order.

    There are several readings exactly where the leftmost and the rightmost one differ.
    """
    if len(fixed) == 1:
        return Parse((), ambiguous=False) if prompt == fixed[0] else None
    start, end = len(fixed[0]), len(prompt) - len(fixed[-1])
    if start > end or not (prompt.startswith(fixed[0]) and prompt.endswith(fixed[-1])):
        return None
    left = _leftmost(fixed[1:-1], prompt, start, end)
    if left is None:
        return None
    values, at = [], start
    for place, text in zip((*left, end), (*fixed[1:-1], ""), strict=True):
        values.append(prompt[at:place])
        at = place + len(text)
    return Parse(tuple(values), ambiguous=left != _rightmost(fixed[1:-1], prompt, start, end))


def _leftmost(texts: Sequence[str], prompt: str, start: int, end: int) -> list[int] | None:
    places = []
    for text in texts:
        place = prompt.find(text, start, end)
        if place < 0:
            return None
        places.append(place)
        start = place + len(text)
    return places


def _rightmost(texts: Sequence[str], prompt: str, start: int, end: int) -> list[int]:
    """Exists wherever a leftmost reading does."""
    places = []
    for text in reversed(texts):
        end = prompt.rfind(text, start, end)
        places.append(end)
    return places[::-1]


class Fill(Value):
    """The values that fill a template in to one prompt."""

    values: dict[str, str]
    ambiguous: bool = False
    """Whether the prompt has another reading: these values give it exactly but may not be the true ones."""


class Template(Value):
    """Fixed texts around slots."""

    fixed: tuple[str, ...]
    """One more than there are slots; texts between two slots are not empty."""
    names: tuple[str, ...] = ()
    """The slots' names, in order; no fixed text holds one of them in braces."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.fixed) != len(self.names) + 1 or not all(self.fixed[1:-1]):
            raise ValueError("a template has one fixed text more than slots, and none between two slots is empty")
        return self

    @property
    def text(self) -> str:
        """With `{name}` for each slot: `Actions(system_prompt=text, variables=names)` renders it to the prompt.

        Between braces of the text itself a slot is `{{name}}`: there `{name}` would take them for its own.
        """
        parts = [self.fixed[0]]
        for name, before, after in zip(self.names, self.fixed, self.fixed[1:], strict=False):
            double = before.endswith("{") and after.startswith("}")
            parts += [f"{{{{{name}}}}}" if double else f"{{{name}}}", after]
        return "".join(parts)

    @property
    def weight(self) -> int:
        """Characters of fixed text: of two templates that fit a prompt, the heavier one explains more of it."""
        return sum(map(len, self.fixed))

    def values(self, prompt: str) -> Fill | None:
        """What to fill in to get `prompt` exactly; None where it does not fit."""
        found = parse(self.fixed, prompt)
        if found is None:
            return None
        return Fill(values=dict(zip(self.names, found.values, strict=True)), ambiguous=found.ambiguous)


class RecoveredTemplate(Value):
    """A template and how many prompts it accounts for."""

    template: Template
    prompts: int
    """Prompts of which it is the heaviest fit, repeats included."""
    distinct: int
    linked: tuple[int, ...] = ()
    """Places in `Recovery.templates` of templates that share most of its text: versions, conditional sentences."""


class Refusal(Value):
    """Prompts without a template, and why."""

    reason: str
    prompts: int
    """Repeats included."""
    example: str
    """The first words of one of them."""


class Recovery(Value):
    """The templates and refusals of one window's prompts."""

    templates: tuple[RecoveredTemplate, ...] = ()
    """Most prompts first, ties by text."""
    refusals: tuple[Refusal, ...] = ()
    """Most prompts first."""

    def match(self, prompt: str) -> tuple[int, Fill] | None:
        """The index and fill of the heaviest template that fits; None if none does."""
        fits = [(i, fill) for i, t in enumerate(self.templates) if (fill := t.template.values(prompt)) is not None]
        return max(fits, key=lambda fit: (self.templates[fit[0]].template.weight, -fit[0]), default=None)


def name_slots(fixed: tuple[str, ...]) -> Template:
    """The template of these fixed texts, with slot names that do not occur in them."""
    prefixes = (f"value{n or ''}_" for n in count())
    prefix = next(p for p in prefixes if not any(p in text for text in fixed))
    return Template(fixed=fixed, names=tuple(f"{prefix}{n}" for n in range(1, len(fixed))))


def shared_share(a: Template, b: Template) -> float:
    """The overlap (0 to 1) of two templates' three-word runs, as a share of the smaller set.

    Runs end at slots; a template without runs shares nothing. Calls of one family share most of their text.
    """
    one, other = _runs(a), _runs(b)
    fewer = min(len(one), len(other))
    return len(one & other) / fewer if fewer else 0.0


def _runs(template: Template) -> set[Shingle]:
    return {run for text in template.fixed for run in shingles(words(text), _SHINGLE)}
