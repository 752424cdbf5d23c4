"""Few short texts in one place: the wordings of versions, or the words of a list? They do not tell, so each is text.

A template for each wording fits the next prompts either way; one slot for all of them would merge two versions.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sia_dagster.core.template_recovery.families import FEWEST
from sia_dagster.core.template_recovery.tokenizing import words

_MOST_WORDINGS: Final = 4
"""From five on they are the words of a list, and a slot."""
_SHORT: Final = 20
"""Words of values that are no passages."""
NEGLIGIBLE: Final = 0.02
"""The share of prompts that may be left out with a wording that is said fewer than five times."""
_OUTSTANDING: Final = 10
_RIVAL: Final = 3
_BESIDE: Final = 4
_SIGNS: Final = ".,:;!?"
_DIFFERENT: Final = 8
_ODD: Final = 4


def alternatives(values: Sequence[str]) -> list[int] | None:
    """The part, from 0, of each prompt by its value, where there are two to four; None where they are undecided."""
    counts = Counter(values)
    if not is_few(values) or _rare(counts) > NEGLIGIBLE * len(values):
        return None
    order = sorted(counts)
    return [order.index(value) for value in values]


def is_few(values: Sequence[str]) -> bool:
    """Whether these may be the wordings of versions."""
    return 1 < len(set(values)) <= _MOST_WORDINGS


def _rare(counts: Counter[str]) -> int:
    return sum(count for count in counts.values() if count < FEWEST)


def edge_wordings(values: Sequence[str], *, lists: bool = False) -> list[int] | None:
    """The part of each prompt by its value's first or last word, where an edit beside the slot may have put it there.

    So it may where there are two to four such words (or none), each said often, and where one word is at least three
    times as common as the next: `is Ann`, `Bo`, `is Chloé`. In long values what follows the word must differ. Lists and
    passages, which have several lines, begin alike for reasons of their own: they are looked at only with `lists`.
    """
    if not lists and any("\n" in value for value in values):
        return None
    short = max(len(words(value)) for value in values) <= _SHORT or len(set(values)) <= _DIFFERENT
    for edges in (_first_words(values), _last_words(values)):
        counts = Counter(word for word, _ in edges)
        top = _outstanding(counts, _OUTSTANDING)
        if 1 < len(counts) <= _MOST_WORDINGS and min(counts.values()) >= FEWEST:
            by = {word: place for place, word in enumerate(sorted(counts))}
        elif top and len(values) - counts[top] >= FEWEST:
            by = {word: int(word == top) for word in counts}
        else:
            continue
        if short or all(_is_followed_by_values(word, edges) for word in by if word and (word == top or not top)):
            return [by[word] for word, _ in edges]
    return None


_Edge = tuple[str, str]
"""A word and what is said beside it."""


def _first_words(values: Sequence[str]) -> list[_Edge]:
    return [_edge(value.split()) for value in values]


def _last_words(values: Sequence[str]) -> list[_Edge]:
    return [_edge(value.split()[::-1]) for value in values]


def _edge(said: Sequence[str]) -> _Edge:
    """The outermost word that has letters and no digits: a date or a dash may stand before it."""
    place = next((i for i, chunk in enumerate(said) if _is_wording(chunk)), len(said))
    return "".join(said[place : place + 1]).strip(_SIGNS), " ".join(said[place + 1 : place + _BESIDE])


def _is_wording(chunk: str) -> bool:
    return any(map(str.isalpha, chunk)) and not any(map(str.isdigit, chunk))


def _is_followed_by_values(word: str, edges: Sequence[_Edge]) -> bool:
    beside = [text for first, text in edges if first == word]
    return len(set(beside)) >= min(_DIFFERENT, len(beside) / 2)


def _outstanding(counts: Counter[str], fewest: int) -> str | None:
    ranked = sorted(((count, word) for word, count in counts.items() if word), reverse=True)
    if not ranked or ranked[0][0] < fewest:
        return None
    return ranked[0][1] if len(ranked) == 1 or ranked[0][0] >= _RIVAL * ranked[1][0] else None


def has_odd_edge(values: Sequence[str]) -> bool:
    """Whether a word at the values' border stands out, if only in a few prompts."""
    for edges in (_first_words(values), _last_words(values)):
        counts = Counter(word for word, _ in edges)
        top = _outstanding(counts, _ODD)
        if top and counts[top] < len(values) and _is_followed_by_values(top, edges):
            return True
    return False
