"""One template or several: what the values of a slot say.

A slot may always swallow what differs, and the prompts are filled in exactly again. But two calls that share an
introduction must not become one, and the text of a version is to be read as text. So a group is divided where the
values show it beyond doubt; else it stays one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import comb
from typing import Final, NamedTuple

from sia_dagster.core.template_recovery.families import FEWEST, Mask, run_masks
from sia_dagster.core.template_recovery.tokenizing import Shingle, shingles, words
from sia_dagster.core.template_recovery.wordings import alternatives, edge_wordings, has_odd_edge, is_few

_RUN: Final = 3
_FEWEST_SPEAKERS: Final = 10
_EDGE_WORDS: Final = 4
_BLOCK_WORDS: Final = 8
_RIVALS: Final = 4
_SENTENCE: Final = 5
_USUAL: Final = 0.8
_DECIDABLE: Final = 40
"""From so many prompts on, what `divide` leaves whole is a slot."""
_TELLING: Final = 80
"""Below so many prompts, lists that begin or end with one of few words leave them undecided."""
_CLEAN: Final = 1e6
"""A cut in time counts where this many orders of the prompts are possible."""
Period = tuple[datetime, datetime]
"""From the first to the last time that a prompt was seen."""


class _Block(NamedTuple):
    """Runs of words that stand in the same prompts' values."""

    mask: Mask
    words: int


class Division(NamedTuple):
    """Prompts in parts."""

    part: list[int]
    """From 0, by prompt."""
    sure: bool
    """Whether the parts are calls, versions or conditional texts; else they may be values of one slot."""


def divide(values: Sequence[str], periods: Sequence[Period] | None) -> Division | None:
    """The part, from 0, that each prompt belongs to by its value of one slot; None where the slot is one.

    It is several: where there are two to four values; where four fifths say the same and the rest say a sentence;
    where a repeated text came or went at one moment; where a text of eight words (four at the value's start or end)
    recurs within values that differ; where values begin or end with one of few words. Texts that recur in many
    combinations are passages that the application looks up: those stay values.
    """
    if (part := alternatives(values) or _exceptions(values)) is not None:
        return _unless_cut(part, periods)
    said = [words(value) for value in values]
    masks = run_masks(said, _RUN)
    blocks = _blocks(masks, len(values))
    for block in blocks:
        part = _membership(block.mask, len(values))
        if periods and not _has_digits(block.mask, masks) and _clean_cut(part, periods):
            return Division(part, sure=True)
    if blocks and _is_template_text(blocks[0], blocks, said):
        return Division(_membership(blocks[0].mask, len(values)), sure=True)
    if (part := edge_wordings(values)) is not None:
        return _unless_cut(part, periods)
    part = edge_wordings(values, lists=True) if periods else None
    division = _unless_cut(part, periods) if part else None
    return division if division and division.sure else None


def _unless_cut(part: list[int], periods: Sequence[Period] | None) -> Division:
    """Not sure, unless one of two parts gave way to the other at one moment."""
    return Division(part, sure=periods is not None and max(part) == 1 and _clean_cut(part, periods))


def is_undecided(values: Sequence[str], fixed: Sequence[str]) -> bool:
    """Whether a text recurs in a part of the values of too few prompts to tell a version from a value.

    Words of the fixed texts do not count: values quote them.
    """
    if is_few(values) or (len(values) < _TELLING and edge_wordings(values, lists=True) is not None):
        return True
    if len(values) >= _DECIDABLE:
        return False
    if has_odd_edge(values):
        return True
    quoted = {run for text in fixed for run in shingles(words(text), _RUN)}
    found = run_masks([words(value) for value in values], _RUN, fewest=2)
    masks = {run: mask for run, mask in found.items() if run not in quoted}
    blocks = [block for block in _blocks(masks, len(values), fewest=1) if block.words >= _SENTENCE]
    return 0 < len(blocks) <= _RIVALS


def _exceptions(values: Sequence[str]) -> list[int] | None:
    """Apart from the value that four fifths have: those that say a sentence instead, or nothing instead of one."""
    usual, count = max(sorted(Counter(values).items()), key=lambda item: item[1])
    others = [value for value in values if value != usual]
    long = max((len(words(value)) for value in (usual, *others)), default=0)
    if not others or count < _USUAL * len(values) or long < _SENTENCE:
        return None
    return [int(value != usual) for value in values]


def _clean_cut(part: Sequence[int], periods: Sequence[Period]) -> bool:
    """Whether all of one part were seen before any of the other, and that is no accident."""
    sides = [[period for p, period in zip(part, periods, strict=True) if p == side] for side in (0, 1)]
    if min(map(len, sides)) < FEWEST or comb(len(part), len(sides[0])) < _CLEAN:
        return False
    firsts, lasts = ([pick(side) for side in sides] for pick in (_first, _last))
    return lasts[0] < firsts[1] or lasts[1] < firsts[0]


def _first(periods: Sequence[Period]) -> datetime:
    return min(first for first, _ in periods)


def _last(periods: Sequence[Period]) -> datetime:
    return max(last for _, last in periods)


def _blocks(masks: dict[Shingle, Mask], prompts: int, fewest: int = FEWEST) -> list[_Block]:
    """Those that a part of the prompts says and at least `fewest` do not, the largest prompts times words first."""
    found = [_Block(mask, count + _RUN - 1) for mask, count in Counter(masks.values()).items()]
    partial = [block for block in found if block.mask.bit_count() <= prompts - fewest]
    return sorted(partial, key=lambda block: (-block.mask.bit_count() * block.words, block.mask))


def _membership(mask: Mask, prompts: int) -> list[int]:
    return [mask >> place & 1 for place in range(prompts)]


def _has_digits(block: Mask, masks: dict[Shingle, Mask]) -> bool:
    return any(any(map(str.isdigit, run_word)) for run, m in masks.items() if m == block for run_word in run)


def _is_template_text(top: _Block, blocks: Sequence[_Block], said: Sequence[Sequence[str]]) -> bool:
    """Whether the block is a part of a template: it recurs within values that differ, and has few rivals."""
    speakers = [said[place] for place in range(len(said)) if top.mask >> place & 1]
    if len(speakers) < _FEWEST_SPEAKERS or len({tuple(spoken) for spoken in speakers}) < FEWEST:
        return False
    size = top.mask.bit_count() * top.words
    rivals = [block for block in blocks[1:] if 4 * block.mask.bit_count() * block.words >= size]
    at_edge = top.words >= _EDGE_WORDS and any(_alike(edge) for edge in _edges(speakers))
    return len(rivals) <= _RIVALS and (at_edge or top.words >= _BLOCK_WORDS)


def _edges(speakers: Sequence[Sequence[str]]) -> Iterator[list[tuple[str, ...]]]:
    yield [tuple(spoken[:_EDGE_WORDS]) for spoken in speakers]
    yield [tuple(spoken[-_EDGE_WORDS:]) for spoken in speakers]


def _alike(edges: Sequence[tuple[str, ...]]) -> bool:
    return len(set(edges)) == 1 and bool(shingles(edges[0], _EDGE_WORDS))
