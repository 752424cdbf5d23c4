"""A template without its values, what recovery gives, and how a prompt is read with it."""

from itertools import count
from typing import Final, Self

from pydantic import Field, model_validator

from sia_dagster.core.records.value import Value
from sia_dagster.core.template_recovery.parse import parse
from sia_dagster.core.template_recovery.tokenizing import Shingle, shingles, words

_SHINGLE: Final = 3


class Fill(Value):
    """The values that make a template one prompt."""

    values: dict[str, str]
    ambiguous: bool = False
    """The prompt can be read in two ways: filling these in gives it exactly, but they may not be the true values."""


class Template(Value):
    """Fixed texts around slots."""

    fixed: tuple[str, ...]
    """One more than there are slots; those between two slots are not empty."""
    names: tuple[str, ...] = ()
    """Of the slots, in order; none stands in braces in the fixed texts."""

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
        """Characters of fixed text: of two templates that fit a prompt the heavier one says more about it."""
        return sum(map(len, self.fixed))

    def values(self, prompt: str) -> Fill | None:
        """What to fill in to get `prompt` exactly; None where it does not fit."""
        found = parse(self.fixed, prompt)
        if found is None:
            return None
        return Fill(values=dict(zip(self.names, found.values, strict=True)), ambiguous=found.ambiguous)


class RecoveredTemplate(Value):
    """A template with the traffic that speaks for it."""

    template: Template
    prompts: int
    """Prompts it is the heaviest fit of, repeats included."""
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
    """What the prompts of one window gave."""

    templates: tuple[RecoveredTemplate, ...] = ()
    """Those of most prompts first; of equally many, by text."""
    refusals: tuple[Refusal, ...] = Field(default=())
    """Those of most prompts first."""

    def match(self, prompt: str) -> tuple[int, Fill] | None:
        """The place and fill of the heaviest template that fits; None where none does."""
        fits = [(i, fill) for i, t in enumerate(self.templates) if (fill := t.template.values(prompt)) is not None]
        return max(fits, key=lambda fit: (self.templates[fit[0]].template.weight, -fit[0]), default=None)


def name_slots(fixed: tuple[str, ...]) -> Template:
    """The template of these fixed texts, with slot names that do not stand in them."""
    prefixes = (f"value{n or ''}_" for n in count())
    prefix = next(p for p in prefixes if not any(p in text for text in fixed))
    return Template(fixed=fixed, names=tuple(f"{prefix}{n}" for n in range(1, len(fixed))))


def shared_share(a: Template, b: Template) -> float:
    """The share (0 to 1) of the three-word runs of the template with fewer of them that the other has too.

    Runs end at slots; a template without any shares nothing. Calls of one family share most of their text.
    """
    one, other = _runs(a), _runs(b)
    fewer = min(len(one), len(other))
    return len(one & other) / fewer if fewer else 0.0


def _runs(template: Template) -> set[Shingle]:
    return {run for text in template.fixed for run in shingles(words(text), _SHINGLE)}
