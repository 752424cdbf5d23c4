"""Which variable of one prompt is which of another: two versions of a call are filled with the same things."""

import re
from collections import Counter
from itertools import count, pairwise
from typing import Final

from sia_dagster.core.attribution.prompt_text import PromptText

NEIGHBOURS: Final = 2
"""Words and signs on either side that tell a slot."""


def named_alike(spoken: PromptText, known: PromptText) -> PromptText | None:
    """`spoken` under the names of `known`: a slot takes the name of the one that stands between the same words.

    Told are slots whose neighbours, NEIGHBOURS words or less to the next slot on both sides, occur once in each
    prompt; every other slot gets a name that `known` does not have, so that no value is put where it does not belong.
    None where the text cannot hold these names, since it has one of them in braces already.
    """
    ours, theirs = _surroundings(spoken), _surroundings(known)
    once = {place: name for place, name in zip(theirs, known.slots, strict=True) if theirs.count(place) == 1}
    uses = Counter(known.slots)
    taken = set(known.names) | set(spoken.names)
    free = (name for number in count(1) if (name := f"value_{number}") not in taken and name not in spoken.text)
    renamed: dict[str, str] = {}
    for place, name in zip(ours, spoken.slots, strict=True):
        told = once.get(place) if ours.count(place) == 1 else None
        fits = told is not None and uses[told] == 1 and told not in renamed.values()
        renamed.setdefault(name, told if told and fits else name if name not in known.names else next(free))
    return _renamed(spoken, renamed)


def _renamed(spoken: PromptText, names: dict[str, str]) -> PromptText | None:
    text = spoken.fixed[0]
    for slot, fixed in zip(spoken.slots, spoken.fixed[1:], strict=True):
        # After a brace of the text, only the doubled form is read as a variable.
        text += (f"{{{{{names[slot]}}}}}" if text.endswith("{") else f"{{{names[slot]}}}") + fixed
    renamed = PromptText(text=text, names=tuple(names[name] for name in spoken.names))
    return renamed if renamed.fixed == spoken.fixed else None


def _surroundings(prompt: PromptText) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    words = [tuple(re.findall(r"\w+|[^\w\s]", fixed)) for fixed in prompt.fixed]
    return [(before[-NEIGHBOURS:], after[:NEIGHBOURS]) for before, after in pairwise(words)]
