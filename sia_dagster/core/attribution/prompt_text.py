"""A prompt as its fixed texts and the variables between them, and filled prompts read back by them."""

import re
from functools import cached_property
from typing import Final

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import Value
from sia_dagster.core.template_recovery import Fill, Template

ENOUGH_WORDS: Final = 6
"""With fewer fixed words, a template fits prompts that it never gave: then only recorded variables show it spoke."""


class PromptText(Value):
    """A prompt of a policy: its text and the variables that are filled in."""

    text: str
    names: tuple[str, ...] = ()

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """The texts around its slots: one more than there are slots, each of them empty or not."""
        return tuple(self._pieces[::3])

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The variable in each slot, in order; one may stand repeatedly."""
        return tuple(a or b for a, b in zip(self._pieces[1::3], self._pieces[2::3], strict=True))

    @cached_property
    def template(self) -> Template:
        """The fixed texts around slots with names of their own; slots without text between them are one."""
        inner = [text for text in self.fixed[1:-1] if text]
        fixed = (self.fixed[0], *inner, self.fixed[-1]) if self.slots else self.fixed
        return Template(fixed=fixed, names=tuple(f"slot_{n}" for n in range(len(fixed) - 1)))

    @cached_property
    def words(self) -> int:
        """Words of its fixed text."""
        return sum(len(re.findall(r"\w+", text)) for text in self.fixed)

    @cached_property
    def _pieces(self) -> list[str]:
        """Fixed text, variable in doubled braces, variable in single ones, fixed text, and so on."""
        if not self.names:
            return [self.text]
        any_name = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        return re.split(r"\{\{\s*(" + any_name + r")\s*\}\}|\{(" + any_name + r")\}", self.text)

    def refill(self, variables: dict[str, str]) -> str | None:
        """The prompt filled in; None where a variable is missing."""
        if not set(self.names) <= variables.keys():
            return None
        return Actions(system_prompt=self.text, variables=self.names).render(variables)

    def read_back(self, prompt: str) -> Fill | None:
        """The variables that fill this text in to `prompt`; None where it does not fit, or is too short to tell.

        A variable that stands in several places has one value in all of them. Where nothing stands between two
        variables, the first is given all of what they hold together, and the fill is ambiguous.
        """
        if not self.names:
            return Fill(values={}, ambiguous=False) if prompt == self.text else None
        found = self.template.values(prompt) if self.words >= ENOUGH_WORDS else None
        if found is None:
            return None
        read = iter(found.values.values())
        values = dict.fromkeys(self.names, "")
        for place, name in enumerate(self.slots):
            joined = place > 0 and not self.fixed[place]
            values[name] = values[name] if joined else next(read)
        joint = not all(self.fixed[1:-1])
        return Fill(values=values, ambiguous=found.ambiguous or joint) if self.refill(values) == prompt else None
