"""Texts that share most of their words: pasted templates, a changed name, a typo."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final

from sia_dagster.core.text import word_grams

ALIKE: Final = 0.85
"""The share of their words (Jaccard) that similar texts have in common: one changed word in a dozen."""
FEWEST: Final = 12
"""A shorter text says something else with one other word."""
MOST: Final = 400
"""Words of a text that are compared."""


def similar_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The places of texts that share `ALIKE` of their different words; each pair once, the smaller place first.

    Two such texts share one of their few rarest words, so only those that do are compared (prefix filtering: Bayardo,
    Ma and Srikant, Scaling up all pairs similarity search, WWW 2007).
    """
    words = [frozenset(word_grams(text, 1)[:MOST]) for text in texts]
    used = Counter(word for own in words for word in own)
    holders: dict[str, list[int]] = {}
    for place, own in enumerate(words):
        if len(own) < FEWEST:
            continue
        rarest = sorted(own, key=lambda word: (used[word], word))[: len(own) - ceil(ALIKE * len(own)) + 1]
        for other in sorted({other for word in rarest for other in holders.get(word, ())}):
            common = len(own & words[other])
            if common >= ALIKE * (len(own) + len(words[other]) - common):
                yield other, place
        for word in rarest:
            holders.setdefault(word, []).append(place)
