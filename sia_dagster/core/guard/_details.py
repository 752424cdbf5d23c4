"""No detail of a sample in a prompt, however short: a number, a name, a line in capitals that one trace brought in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from sia_dagster.core.guard._text import masked, plain, plain_text, said_in, shown
from sia_dagster.core.models import Actions, Sample

DIGITS = 4
"""Of a number that may be somebody's: an order, a year of birth, a part of a date or a telephone number."""
CAPITALS = 3
"""Words in capitals in a row."""
_NUMBER = re.compile(r"\d+(?:[ ./-]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_OPENING = re.compile(r"[\n.!?:;*#>\"(\[\u00ab\u2013\u2014\u2018\u201c-\u201e\u2022\u2039-]")
"""Ends a sentence, or begins a quote, a list's item or an aside."""

Pair = tuple[str, str]


class _Word(NamedTuple):
    text: str
    follows: bool
    """Whether only blanks of the same line stand between it and the word before it."""
    opens: bool
    """Whether a sentence, a line or a quote begins with it, so that its capital says nothing."""


def repeats_no_number(candidate: Actions, baseline: Actions, samples: Sequence[Sample]) -> str | None:
    """The first new number of four digits or more that a sample holds, however either groups it; None if none."""
    new = set(_numbers(plain_text(candidate))) - set(_numbers(plain_text(baseline)))
    for sample in samples if new else ():
        for text in said_in(sample):
            if found := next((number for number in _numbers(plain(text)) if number in new), None):
                return f"copied detail: the candidate holds the number {masked(found, 1)} of sample {sample.span_id}"
    return None


def repeats_no_name(candidate: Actions, baseline: Actions, samples: Sequence[Sample]) -> str | None:
    """The first new pair of capitalised words that a sample holds as a name, so of a person or a place; None if none.

    Two words of a sample are taken for a name if it capitalises them as the candidate does. If it does not, one of
    them has to be a word that is used in small letters neither by the policies nor by two other conversations:
    "order number" may become a heading, "anna schmidt" may not become an example. What three conversations and a tenth
    of all say belongs to the application (its own signature, say), not to somebody.
    """
    pairs = _new_pairs(candidate, baseline)
    if not pairs:
        return None
    told = [(sample, [word for text in said_in(sample) for word in _words(plain(text))]) for sample in samples]
    pairs = _of_few(pairs, told)
    ordinary = _ordinary(candidate, baseline, told)
    for sample, words in told:
        exact = set(_adjacent(words))
        folded = {_folded(pair) for pair in exact}
        for pair, opens in pairs.items():
            loose = not opens and _folded(pair) in folded and not ordinary.issuperset(_folded(pair))
            if pair in exact or loose:
                name = masked(" ".join(pair), 1)
                return f"copied detail: the candidate holds the name {name} of sample {sample.span_id}"
    return None


def repeats_no_capitals(candidate: Actions, baseline: Actions, samples: Sequence[Sample]) -> str | None:
    """The first three new words in a row that are written in capitals, as in a sample; None if none."""
    new = set(_in_capitals(plain_text(candidate))) - set(_in_capitals(plain_text(baseline)))
    for sample in samples if new else ():
        for text in said_in(sample):
            if found := next((run for run in _in_capitals(plain(text)) if run in new), None):
                return f"copied detail: {shown(' '.join(found))} is what sample {sample.span_id} says"
    return None


def _numbers(text: str) -> Iterator[str]:
    for match in _NUMBER.finditer(text):
        groups = re.findall(r"\d+", match[0])
        yield from (number for number in ("".join(groups), *groups) if len(number) >= DIGITS)


def _words(text: str) -> Iterator[_Word]:
    end = 0
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        opens = not end or _OPENING.search(between) is not None
        yield _Word(match[0], follows=bool(between) and between.isspace() and not opens, opens=opens)
        end = match.end()


def _adjacent(words: Iterable[_Word]) -> Iterator[Pair]:
    return ((first.text, second.text) for first, second in pairwise(words) if second.follows)


def _folded(pair: Pair) -> Pair:
    return pair[0].casefold(), pair[1].casefold()


def _new_pairs(candidate: Actions, baseline: Actions) -> dict[Pair, bool]:
    """New pairs of capitalised words, and whether the first of them opens a sentence wherever the pair stands."""
    known = {_folded(pair) for pair in _adjacent(_words(plain_text(baseline)))}
    found: dict[Pair, bool] = {}
    for first, second in pairwise(_words(plain_text(candidate))):
        pair = first.text, second.text
        capitalised = all(len(word) > 1 and word[0].isupper() for word in pair)
        # "Use JSON": the first word opens the sentence, the second is an abbreviation.
        says_nothing = second.text.isupper() and (first.opens or first.text.isupper())
        if second.follows and capitalised and not says_nothing and _folded(pair) not in known:
            found[pair] = first.opens and found.get(pair, True)
    return found


def _of_few(pairs: dict[Pair, bool], told: Sequence[tuple[Sample, Sequence[_Word]]]) -> dict[Pair, bool]:
    """The pairs that are not common in the traffic."""
    holders: dict[Pair, set[str]] = {_folded(pair): set() for pair in pairs}
    for sample, words in told:
        for pair in map(_folded, _adjacent(words)):
            if pair in holders:
                holders[pair].add(sample.conversation_id)
    enough = max(3, len({sample.conversation_id for sample, _ in told}) / 10)
    return {pair: opens for pair, opens in pairs.items() if len(holders[_folded(pair)]) < enough}


def _ordinary(candidate: Actions, baseline: Actions, told: Sequence[tuple[Sample, Sequence[_Word]]]) -> set[str]:
    """Words in small letters that the policies use, or two conversations."""
    users: dict[str, set[str]] = {}
    for sample, words in told:
        for word in words:
            if word.text.islower():
                users.setdefault(word.text, set()).add(sample.conversation_id)
    policies = (word.text for policy in (candidate, baseline) for word in _words(plain_text(policy)))
    return {word for word, by in users.items() if len(by) > 1} | {word for word in policies if word.islower()}


def _in_capitals(text: str) -> Iterator[tuple[str, ...]]:
    row: list[str] = []
    for word in _words(text):
        row = [*(row if word.follows else ()), word.text] if word.text.isupper() else []
        if len(row) >= CAPITALS:
            yield tuple(row[-CAPITALS:])
