"""Decides by the values of a slot whether a group of prompts has one template or several.

One slot could hold whatever differs, and the template would still fill in exactly. But two calls that share an
introduction must not become one, and what two versions of a prompt say differently is text, not a value. So a group is
divided where the values show it beyond doubt. A few short texts in one place may be the wordings of versions or the
words of a list: a template for each fits the next prompts either way, while one slot for all would merge two versions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import comb
from typing import Final, NamedTuple

from sia_dagster.core.template_recovery.families import FEWEST, Mask, run_masks
from sia_dagster.core.template_recovery.tokenizing import Shingle, shingles, words

_RUN: Final = 3
_FEWEST_HOLDERS: Final = 10
_EDGE_WORDS: Final = 4
_BLOCK_WORDS: Final = 8
_RIVALS: Final = 4
_SENTENCE: Final = 5
_USUAL: Final = 0.8
_DECIDABLE: Final = 40
"""With at least this many prompts, what `divide` leaves whole is a slot."""
_TELLING: Final = 80
"""With fewer prompts, lists that begin or end with one of few words are undecided."""
_CLEAN: Final = 1e6
"""A cut in time separates two versions if at least this many choices of as many prompts are possible (binomial)."""
Period = tuple[datetime, datetime]
"""From the first to the last time that a prompt was seen."""
_MOST_WORDINGS: Final = 4
"""Five or more are the words of a list, which is a slot."""
_SHORT: Final = 20
"""Longer values, in words, are passages."""
NEGLIGIBLE: Final = 0.02
"""The share of prompts that may be ignored for having a wording that occurs fewer than five times."""
_OUTSTANDING: Final = 10
_RIVAL: Final = 3
_BESIDE: Final = 4
_SIGNS: Final = ".,:;!?"
_DIFFERENT: Final = 8
_ODD: Final = 4


class _Block(NamedTuple):
    """Runs of words that occur in the values of the same prompts."""

    mask: Mask
    words: int


class Division(NamedTuple):
    """A group of prompts divided into parts."""

    part: list[int]
    """The part, from 0, of each prompt."""
    sure: bool
    """Whether the parts are certainly calls, versions or conditional texts; else they may be values of one slot."""


def divide(values: Sequence[str], periods: Sequence[Period] | None) -> Division | None:
    """Divides prompts by their values of one slot; None where the values belong to one slot.

    Prompts are divided if there are two to four values; if four fifths are equal and the rest are sentences; if a
    repeated text came or went at one moment; if a text of eight words (four at the value's start or end) recurs within
    values that differ; if values begin or end with one of few words. Texts that recur in many combinations are passages
    that the application looks up: those stay values.
    """
    if (part := alternatives(values) or _exceptions(values)) is not None:
        return _unless_cut(part, periods)
    word_lists = [words(value) for value in values]
    masks = run_masks(word_lists, _RUN)
    blocks = _blocks(masks, len(values))
    for block in blocks:
        part = _membership(block.mask, len(values))
        if periods and not _has_digits(block.mask, masks) and _clean_cut(part, periods):
            return Division(part, sure=True)
    if blocks and _is_template_text(blocks[0], blocks, word_lists):
        return Division(_membership(blocks[0].mask, len(values)), sure=True)
    if (part := edge_wordings(values)) is not None:
        return _unless_cut(part, periods)
    part = edge_wordings(values, lists=True) if periods else None
    division = _unless_cut(part, periods) if part else None
    return division if division and division.sure else None


def _unless_cut(part: list[int], periods: Sequence[Period] | None) -> Division:
    """The division; sure only if one of two parts gave way to the other at one moment."""
    return Division(part, sure=periods is not None and max(part) == 1 and _clean_cut(part, periods))


def is_undecided(values: Sequence[str], fixed: Sequence[str]) -> bool:
    """Whether a text recurs in some values, with too few prompts to tell a version from a value.

    Words of the fixed texts do not count, since values quote them.
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
    """Parts where four fifths have one value and the rest a sentence instead, or nothing instead of a sentence."""
    usual, count = max(sorted(Counter(values).items()), key=lambda item: item[1])
    others = [value for value in values if value != usual]
    long = max((len(words(value)) for value in (usual, *others)), default=0)
    if not others or count < _USUAL * len(values) or long < _SENTENCE:
        return None
    return [int(value != usual) for value in values]


def _clean_cut(part: Sequence[int], periods: Sequence[Period]) -> bool:
    """Whether all of one part were seen before any of the other, and too many were for chance."""
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
    """Blocks that at least `fewest` prompts lack, the largest product of prompts and words first."""
    found = [_Block(mask, count + _RUN - 1) for mask, count in Counter(masks.values()).items()]
    partial = [block for block in found if block.mask.bit_count() <= prompts - fewest]
    return sorted(partial, key=lambda block: (-block.mask.bit_count() * block.words, block.mask))


def _membership(mask: Mask, prompts: int) -> list[int]:
    return [mask >> place & 1 for place in range(prompts)]


def _has_digits(block: Mask, masks: dict[Shingle, Mask]) -> bool:
    return any(any(map(str.isdigit, run_word)) for run, m in masks.items() if m == block for run_word in run)


def _is_template_text(top: _Block, blocks: Sequence[_Block], word_lists: Sequence[Sequence[str]]) -> bool:
    """Whether the block is part of a template: it recurs within values that differ, and has few rivals."""
    holders = [found for place, found in enumerate(word_lists) if top.mask >> place & 1]
    if len(holders) < _FEWEST_HOLDERS or len({tuple(found) for found in holders}) < FEWEST:
        return False
    size = top.mask.bit_count() * top.words
    rivals = [block for block in blocks[1:] if 4 * block.mask.bit_count() * block.words >= size]
    at_edge = top.words >= _EDGE_WORDS and any(_alike(edge) for edge in _edges(holders))
    return len(rivals) <= _RIVALS and (at_edge or top.words >= _BLOCK_WORDS)


def _edges(word_lists: Sequence[Sequence[str]]) -> Iterator[list[tuple[str, ...]]]:
    yield [tuple(found[:_EDGE_WORDS]) for found in word_lists]
    yield [tuple(found[-_EDGE_WORDS:]) for found in word_lists]


def _alike(edges: Sequence[tuple[str, ...]]) -> bool:
    return len(set(edges)) == 1 and bool(shingles(edges[0], _EDGE_WORDS))


def alternatives(values: Sequence[str]) -> list[int] | None:
    """The part, from 0, of each prompt by its value, if there are two to four values; None if undecided."""
    counts = Counter(values)
    if not is_few(values) or _rare(counts) > NEGLIGIBLE * len(values):
        return None
    order = sorted(counts)
    return [order.index(value) for value in values]


def is_few(values: Sequence[str]) -> bool:
    """Whether the values may be the wordings of versions."""
    return 1 < len(set(values)) <= _MOST_WORDINGS


def _rare(counts: Counter[str]) -> int:
    return sum(count for count in counts.values() if count < FEWEST)


def edge_wordings(values: Sequence[str], *, lists: bool = False) -> list[int] | None:
    """The part of each prompt by its value's first or last word, where an edit beside the slot may have put it there.

    It may if there are two to four such words (or none), each of them common, or if one word is at least three times as
    common as the next: `is Ann`, `Bo`, `is Chloé`. In long values what follows the word must differ. Lists and
    passages, which have several lines, begin alike for other reasons, so they are divided only with `lists`.
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
"""A word and the words beside it."""


def _first_words(values: Sequence[str]) -> list[_Edge]:
    return [_edge(value.split()) for value in values]


def _last_words(values: Sequence[str]) -> list[_Edge]:
    return [_edge(value.split()[::-1]) for value in values]


def _edge(chunks: Sequence[str]) -> _Edge:
    """The outermost word with letters and no digits; a date or a dash may come before it."""
    place = next((i for i, chunk in enumerate(chunks) if _is_wording(chunk)), len(chunks))
    return "".join(chunks[place : place + 1]).strip(_SIGNS), " ".join(chunks[place + 1 : place + _BESIDE])


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
    """Whether a first or last word stands out, even if only in a few prompts."""
    for edges in (_first_words(values), _last_words(values)):
        counts = Counter(word for word, _ in edges)
        top = _outstanding(counts, _ODD)
        if top and counts[top] < len(values) and _is_followed_by_values(top, edges):
            return True
    return False
