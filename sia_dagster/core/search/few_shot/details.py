"""Names and numbers of people taken out of an example: invented ones stand in their place, alike in both texts.

What else identifies somebody (addresses, links, codes) is not replaced; the guard finds it, and the pair is no example.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from sia_dagster.core.records.policy import Example

INVENTED: Final = (("Alex", "Morgan"), ("Robin", "Hayes"), ("Kim", "Parker"), ("Sam", "Ellis"))
"""First and last names."""
DIGITS: Final = 4
"""Of a number that may be somebody's: an order, a year of birth, a part of a telephone number."""
SHARED: Final = 3
"""A number or a name that so many sources write belongs to the application."""
_COUNT: Final = "1234567890"
"""Invented numbers are parts of it, which nobody takes for somebody's."""
_NUMBER = re.compile(rf"\d{{{DIGITS},}}")
_WORD = re.compile(r"(?P<word>[^\W\d_]+(?:['\u2019-][^\W\d_]+)*)|(?P<blank>[ \t]+)|(?P<end>.)", re.DOTALL)
Item = TypeVar("Item")
Holders = Callable[[str], int]
"""How many sources write a text."""


def without_details(shown: Example, texts: Sequence[str], holders: Holders, turn: int = 0) -> Example | None:
    """The example with invented numbers and names; the same one where it has none, None where it has too many.

    `texts` are the window's, in which no invented name may stand, and which tell words from names: a name's words are
    capitalised everywhere. Another `turn` invents others, so that no example repeats those of the last one.
    """
    both = f"{shown.input}\n{shown.output}"
    numbers = dict.fromkeys(number for number in _NUMBER.findall(both) if holders(number) < SHARED)
    names = dict.fromkeys(name for name in _names(both, texts) if holders(" ".join(name)) < SHARED)
    free = _from([pair for pair in INVENTED if not any(word in text for word in pair for text in texts)], turn)
    people: dict[str, tuple[str, str]] = {}
    instead: dict[str, str] = {}
    for name in sorted(names, key=len):  # "Dear Mara Lind" is Mara Lind.
        if any(name[-len(other) :] == other for other in names if other != name):
            continue
        if name[-1] not in people and len(people) == len(free):
            return None
        first, last = people.setdefault(name[-1], free[min(len(people), len(free) - 1)])
        instead |= dict.fromkeys(name[:-1], first) | {name[-1]: last, " ".join(name): f"{first} {last}"}
    for number in numbers:
        others = _from([_COUNT[at : at + len(number)] for at in range(len(_COUNT) - len(number) + 1)], turn)
        invented = next((other for other in others if other not in instead.values() and other not in both), None)
        if invented is None:
            return None
        instead[number] = invented
    return Example(input=_replaced(shown.input, instead), output=_replaced(shown.output, instead))


def _from(items: list[Item], turn: int) -> list[Item]:
    """The items in turn, from another one each time."""
    start = turn % max(1, len(items))
    return items[start:] + items[:start]


def _names(text: str, texts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Two or more capitalised words in a row, without those before them that are also written in small letters."""
    words = [(m["word"] or "", m["blank"] is None) for m in _WORD.finditer(text)]
    spoken = [word for word, counts in words if counts]
    for capital, run in groupby(spoken, key=lambda word: len(word) > 1 and word[0].isupper()):
        name = list(run) if capital else []
        while name and any(re.search(rf"\b{re.escape(name[0].lower())}\b", each) for each in texts):
            name.pop(0)
        if len(name) > 1:
            yield tuple(name)


def _replaced(text: str, instead: Mapping[str, str]) -> str:
    """Whole words and numbers alone."""
    if not instead:
        return text
    pattern = "|".join(re.escape(word) for word in sorted(instead, key=len, reverse=True))
    return re.sub(rf"(?<![^\W_])(?:{pattern})(?![^\W_])", lambda match: instead[match[0]], text)
