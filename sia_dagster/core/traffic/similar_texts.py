"""Texts that share most of their words: pasted templates, a changed name, a typo."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Final

from sia_dagster.core.text import word_grams

ALIKE: Final = 0.75
"""The share of their words (Jaccard) that similar texts have in common: a template of 30 words with five others."""
FEWEST: Final = 12
"""A shorter text says something else with one other word."""
MOST: Final = 400
"""Words of a text that are compared."""


def leaders_of(texts: Sequence[str]) -> list[int]:
    """For each text the place of the first one that it shares `ALIKE` of its different words with, or its own.

    Later texts are compared with those that stand for others only, so that small changes do not add up in a chain. Two
    similar texts share one of their few rarest words, so only those that do are compared (prefix filtering: Bayardo, Ma
    and Srikant, Scaling up all pairs similarity search, WWW 2007).
    """
    words = [frozenset(word_grams(text, 1)[:MOST]) for text in texts]
    used = Counter(word for own in words for word in own)
    holders: dict[str, list[int]] = {}
    found: list[int] = []
    for place, own in enumerate(words):
        rarest = sorted(own, key=lambda word: (used[word], word))[: len(own) - ceil(ALIKE * len(own)) + 1]
        candidates = sorted({leader for word in rarest for leader in holders.get(word, ())})
        leader = next((one for one in candidates if _alike(own, words[one])), place)
        found.append(leader)
        if leader == place and len(own) >= FEWEST:
            for word in rarest:
                holders.setdefault(word, []).append(place)
    return found


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    common = len(one & other)
    return len(one) >= FEWEST and common >= ALIKE * (len(one) + len(other) - common)
