"""No name from a sample in a prompt, nor a line in capitals that one trace brought in."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._impersonal_words import is_impersonal
from sia_dagster.core.guard._text import masked, shown
from sia_dagster.core.guard._traffic import SampleText

CAPITALS = 3
"""Words in capitals in a row."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_OPENING = re.compile(r"[\n.!?:;*#>\"(\[\u00ab\u2013\u2014\u2018\u201c-\u201e\u2022\u2039-]")
"""Ends a sentence, or begins a quote, a list's item or an aside."""
Pair = tuple[str, str]


class _Word(NamedTuple):
    text: str
    follows: bool
    """Whether only blanks of the same line separate it from the word before it."""
    opens: bool
    """Whether a sentence, a line or a quote begins with it, so that its capital says nothing."""
    after_comma: bool
    """Whether only a comma separates it from the word before it."""


def repeats_no_name(case: GuardInput) -> Findings:
    """New pairs of capitalised words that a sample holds as a person's or a place's name: a person must look.

    Only a list distinguishes the name of a thing (Boston Ferns) from a person's.

    A pair in capitals (ANNA SCHMIDT), or turned round (Schmidt, Anna), counts as the sample writes it.
    Two words of a sample are taken for a name if it capitalises them as the candidate does. If it does not, one of
    them has to be a word that is used in small letters neither by the policies nor by two other sources:
    "order number" may become a heading, "anna schmidt" may not become an example. What many sources hold
    belongs to the application; a pair with a word for things (Sales Manager, Forgot Password) is a thing's name.
    """
    pairs = _new_pairs(case)
    if not pairs:
        return
    words_of = {text: list(_words(text.text)) for text in case.traffic.texts}
    few = case.traffic.held_by_few(set(map(_folded, pairs)), lambda text: map(_folded, _adjacent(words_of[text])))
    pairs = {pair: strict for pair, strict in pairs.items() if _folded(pair) in few}
    ordinary = _ordinary(case, words_of)
    for text, words in words_of.items():
        exact = set(_adjacent(words))
        folded = {_folded(pair) for pair in exact}
        for pair, strict in pairs.items():
            loose = not strict and _folded(pair) in folded and not ordinary.issuperset(_folded(pair))
            if pair in exact or loose:
                what = f"the candidate holds the name {masked(' '.join(pair), 1)}"
                yield case.finding("person", "copied detail", what, text.place)


def repeats_no_capitals(case: GuardInput) -> Findings:
    """Three new words in a row that are written in capitals, as in a sample: a person must look."""
    new = set(_in_capitals(case.text)) - set(_in_capitals(case.known))
    found = next(case.traffic.holders(new, lambda text: _in_capitals(text.text)), None)
    if found:
        what = f"the candidate holds the capitals {shown(' '.join(found[0]))}"
        yield case.finding("person", "copied detail", what, found[1].place)


@lru_cache(maxsize=8192)  # A search checks some dozens of candidates against the same texts.
def _words(text: str) -> list[_Word]:
    end, found = 0, []
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        opens = not end or _OPENING.search(between) is not None
        follows = bool(between) and between.isspace() and not opens
        found.append(_Word(match[0], follows=follows, opens=opens, after_comma=between.strip(" ") == ","))
        end = match.end()
    return found


def _adjacent(words: Iterable[_Word]) -> Iterator[Pair]:
    return ((first.text, second.text) for first, second in pairwise(words) if second.follows)


def _folded(pair: Pair) -> Pair:
    return pair[0].casefold(), pair[1].casefold()


def _new_pairs(case: GuardInput) -> dict[Pair, bool]:
    """New pairs of capitalised words, and whether a sample must hold a pair with the same capitals."""
    known = {_folded(pair) for pair in _adjacent(_words(case.known))}
    found: dict[Pair, bool] = {}
    for pair, exact in _pairs(case.text):
        if _folded(pair) not in known and not any(map(is_impersonal, _folded(pair))):
            found[pair] = exact and found.get(pair, True)
    return found


def _pairs(text: str) -> Iterator[tuple[Pair, bool]]:
    """Pairs of capitalised words as a sample may write them.

    Only with the same capitals where the first opens a sentence, so that its own say nothing, and where the pair is
    written in another way than a sample would.
    """
    for first, second in pairwise(_words(text)):
        if not all(len(word.text) > 1 and word.text[0].isupper() for word in (first, second)):
            continue
        if second.after_comma:
            yield (second.text, first.text), True
        elif second.follows and first.text.isupper() and second.text.isupper():
            yield (first.text.capitalize(), second.text.capitalize()), True
        # "Use JSON": the first word opens the sentence, the second is an abbreviation.
        elif second.follows and not (second.text.isupper() and first.opens):
            yield (first.text, second.text), first.opens


def _ordinary(case: GuardInput, words_of: Mapping[SampleText, Sequence[_Word]]) -> set[str]:
    """Words in small letters that the policies use, or two sources."""
    users: dict[str, set[str]] = {}
    for text, words in words_of.items():
        for word in words:
            if word.text.islower():
                users.setdefault(word.text, set()).add(text.by)
    policies = (word.text for prompt in (case.text, case.known) for word in _words(prompt))
    return {word for word, by in users.items() if len(by) > 1} | {word for word in policies if word.islower()}


def _in_capitals(text: str) -> Iterator[tuple[str, ...]]:
    row: list[str] = []
    for word in _words(text):
        row = [*(row if word.follows else ()), word.text] if word.text.isupper() else []
        if len(row) >= CAPITALS:
            yield tuple(row[-CAPITALS:])
