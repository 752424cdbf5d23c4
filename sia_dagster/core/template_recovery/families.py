"""Groups prompts that may come from one template: those that share the same runs of words."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from sia_dagster.core.template_recovery.tokenizing import Shingle, shingles, words

FEWEST: Final = 5
"""The fewest different prompts that show a template."""
_SIZES: Final = (5, 3)
"""Words of a run; prompts that share no long runs are grouped by short ones."""
_CORE: Final = 0.9
"""The share of a group's prompts that have a run of its core."""
_OVERLAP: Final = 0.6
Mask = int
"""A set of prompts: bit i is prompt i."""


def families(prompts: Sequence[str]) -> list[list[int]]:
    """Groups of five or more prompts, as indices into `prompts`; a prompt is in one group at most.

    Runs of words that occur in exactly the same prompts form a class (the idea of ExAlg, Arasu & Garcia-Molina 2003).
    A prompt joins the class with the largest product of prompts and runs. Groups whose cores (the runs that nine tenths
    of their prompts have) overlap by 60 % are merged.
    """
    groups: list[list[int]] = []
    left = (1 << len(prompts)) - 1
    word_lists = [words(prompt) for prompt in prompts]
    for size in _SIZES:
        masks = run_masks([found if left >> i & 1 else [] for i, found in enumerate(word_lists)], size)
        found = _merged(_grouped(masks, left), masks)
        groups += [places(group) for group in found]
        left &= ~sum(found)
    return groups


def run_masks(word_lists: Sequence[Sequence[str]], size: int, fewest: int = FEWEST) -> dict[Shingle, Mask]:
    """The prompts that hold a run of words, by run, for runs that occur in at least `fewest` prompts."""
    masks: defaultdict[Shingle, Mask] = defaultdict(int)
    for place, found in enumerate(word_lists):
        bit = 1 << place
        for run in dict.fromkeys(shingles(found, size)):
            masks[run] |= bit
    return {run: mask for run, mask in masks.items() if mask.bit_count() >= fewest}


def places(mask: Mask) -> list[int]:
    """The members of a set, in order."""
    return [place for place in range(mask.bit_length()) if mask >> place & 1]


def _grouped(masks: dict[Shingle, Mask], left: Mask) -> list[Mask]:
    classes = Counter(masks.values())
    groups = []
    for mask in sorted(classes, key=lambda mask: (-mask.bit_count() * classes[mask], mask)):
        members = mask & left
        if members.bit_count() >= FEWEST:
            groups.append(members)
            left &= ~members
    return groups


def _merged(groups: Sequence[Mask], masks: dict[Shingle, Mask]) -> list[Mask]:
    weights = Counter(masks.values())
    merged: list[Mask] = []
    for group in groups:
        core = set(_core(group, weights))
        for place, other in enumerate(merged):
            theirs = set(_core(other, weights))
            fewer = min(sum(weights[m] for m in core), sum(weights[m] for m in theirs))
            if fewer and sum(weights[m] for m in core & theirs) >= _OVERLAP * fewer:
                merged[place] = other | group
                break
        else:
            merged.append(group)
    return merged


def _core(group: Mask, weights: Counter[Mask]) -> Iterator[Mask]:
    most = _CORE * group.bit_count()
    return (mask for mask in weights if (mask & group).bit_count() >= most)
