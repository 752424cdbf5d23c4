"""A policy's prompt as fixed texts and variables: reads filled prompts back, and gives two prompts the same names."""

import re
from collections import Counter
from functools import cached_property
from itertools import count, pairwise
from typing import Final

from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.value import Value
from sia_dagster.core.template_recovery import Fill, Template

ENOUGH_WORDS: Final = 6
"""A template with fewer fixed words fits prompts that it did not produce: there only recorded variables count."""
NEIGHBOURS: Final = 2
"""Words and signs on either side that identify a slot."""


class PromptText(Value):
    """A policy's prompt: its text and the variables that are filled in."""

    text: str
    names: tuple[str, ...] = ()

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """The texts around the slots: one more than there are slots; any may be empty."""
        return tuple(self._pieces[::3])

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The variable of each slot, in order; a variable may have several slots."""
        return tuple(a or b for a, b in zip(self._pieces[1::3], self._pieces[2::3], strict=True))

    @cached_property
    def template(self) -> Template:
        """A template with a slot name for each slot; slots without text between them are merged."""
        inner = [text for text in self.fixed[1:-1] if text]
        fixed = (self.fixed[0], *inner, self.fixed[-1]) if self.slots else self.fixed
        return Template(fixed=fixed, names=tuple(f"slot_{n}" for n in range(len(fixed) - 1)))

    @cached_property
    def words(self) -> int:
        """Words of its fixed text."""
        return sum(len(re.findall(r"\w+", text)) for text in self.fixed)

    @cached_property
    def _pieces(self) -> list[str]:
        """Fixed text, variable in double braces, variable in single braces, fixed text, and so on."""
        if not self.names:
            return [self.text]
        any_name = "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))
        return re.split(r"\{\{\s*(" + any_name + r")\s*\}\}|\{(" + any_name + r")\}", self.text)

    def refill(self, variables: dict[str, str]) -> str | None:
        """The prompt filled in; None if a variable is missing."""
        if not set(self.names) <= variables.keys():
            return None
        return Actions(system_prompt=self.text, variables=self.names).render(variables)

    def read_back(self, prompt: str) -> Fill | None:
        """The variables that fill this text in to `prompt`; None if it does not fit, or has too few words to tell.

        A variable with several slots has one value in all of them. Two variables without text between them make the
        fill ambiguous: the first one gets the whole value.
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


def named_alike(prompt: PromptText, known: PromptText) -> PromptText | None:
    """`prompt` under the variable names of `known`: a slot takes the name of the slot between the same words.

    Slots are matched if their neighbours, up to NEIGHBOURS words on both sides, occur once in each prompt. Every other
    slot gets a name that `known` does not have, so that no value gets into the wrong place. None if the text cannot
    hold these names, since it has one of them in braces already.
    """
    ours, theirs = _neighbours(prompt), _neighbours(known)
    once = {place: name for place, name in zip(theirs, known.slots, strict=True) if theirs.count(place) == 1}
    uses = Counter(known.slots)
    taken = set(known.names) | set(prompt.names)
    free = (name for number in count(1) if (name := f"value_{number}") not in taken and name not in prompt.text)
    renamed: dict[str, str] = {}
    for place, name in zip(ours, prompt.slots, strict=True):
        match = once.get(place) if ours.count(place) == 1 else None
        fits = match is not None and uses[match] == 1 and match not in renamed.values()
        renamed.setdefault(name, match if match and fits else name if name not in known.names else next(free))
    return _renamed(prompt, renamed)


def _renamed(prompt: PromptText, names: dict[str, str]) -> PromptText | None:
    text = prompt.fixed[0]
    for slot, fixed in zip(prompt.slots, prompt.fixed[1:], strict=True):
        # After a brace of the text, only double braces are read as a variable.
        text += (f"{{{{{names[slot]}}}}}" if text.endswith("{") else f"{{{names[slot]}}}") + fixed
    renamed = PromptText(text=text, names=tuple(names[name] for name in prompt.names))
    return renamed if renamed.fixed == prompt.fixed else None


def _neighbours(prompt: PromptText) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    words = [tuple(re.findall(r"\w+|[^\w\s]", fixed)) for fixed in prompt.fixed]
    return [(before[-NEIGHBOURS:], after[:NEIGHBOURS]) for before, after in pairwise(words)]
