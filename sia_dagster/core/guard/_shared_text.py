"""No wording from outside in an edit: whoever wrote it would write the policy.

Here a person must look, where `_copying` stops: fewer words in common may be chance.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import sentences, shown
from sia_dagster.core.guard._traffic import FROM_OUTSIDE, Holders, SampleText
from sia_dagster.core.guard._words import Words, content_words, is_unspaced, runs, words_of

RULE: Final = "shared text"
CONTENT_WORDS: Final = 4
"""In a row, words without content left out."""
CHARACTERS: Final = 9
"""In a row in scripts without spaces, where a word has about two."""
LETTERS: Final = 16
"""Of one word that stands in a trace as several."""
WHOLE: Final = 2
SHORT: Final = 4
"""Content words (characters in scripts without spaces) of the shortest sentence that counts if a trace holds it."""
FEW: Final = 2
"""So many sources hold a short sentence by chance."""
SAME_WORDS: Final = 3
MOST_WORDS: Final = 0.6
"""So many of a sentence's new words, and this share of them, make it another's in other words."""
SHORTEST: Final = 2
"""Characters of a sentence that has no words worth comparing."""
STEM: Final = 5
"""Letters."""
_END: Final = re.compile("[.!?\n\u0964\u3002\uff01\uff1f]")
Stems = frozenset[str]
"""The beginnings of a sentence's content words."""


def shares_no_text(case: GuardInput) -> Findings:
    """What the candidate newly shares with a text from outside.

    Four content words in a row, a whole sentence of fewer, the words of a sentence in another order, or words that are
    written as one; letter case, accents, punctuation, line breaks, letters written apart and digits for letters aside.
    Texts from outside are those of users, tools and variables, the application's answers to them, and judges'
    explanations; of the last two only words in a row count. What most users or tools repeat belongs to nobody, and so
    does what many answers or explanations repeat.
    """
    known, new = _read(case.known), _read(case.text)
    old = {stem for words in known for stem in _stems(words)}
    whole = {words for words in _whole(case.text) if len(_stems(words) - old) >= WHOLE or is_unspaced(words[0])}
    lengths = {len(words[0]) for words in whole if _is_short_unspaced(words)}
    wordings = {*_runs(new), *whole} - {*_runs(known), *_parts(known, lengths)}
    holding = _holding(new, old)
    reworded = {stems for rows in holding.values() for stems in rows}
    held = case.traffic.held(wordings | reworded, lambda text: _found_in(text, holding, lengths))
    for wording, found in held.items():
        if len(found.by) < (FEW if wording in whole else _nobodys(case, found)):
            how, words = ("shares", wording) if isinstance(wording, tuple) else ("has the words of", sorted(wording))
            yield case.finding("person", RULE, f"the candidate {how} {shown(' '.join(words))}", found.first.place)
    yield from _run_together(case)


@lru_cache(maxsize=8192)  # A search checks some dozens of candidates against the same texts.
def _read(text: str) -> list[Words]:
    """The content words of each sentence."""
    return [tuple(content_words(sentence)) for sentence, _ in sentences(text) if len(sentence) > SHORTEST]


def _found_in(
    text: SampleText, holding: Mapping[str, list[Stems]], lengths: Collection[int]
) -> Iterator[Words | Stems]:
    read = _read(text.text)
    yield from _runs(read)
    if text.author in FROM_OUTSIDE:
        yield from _parts(read, lengths)
        yield from _reworded(read, holding)


def _nobodys(case: GuardInput, found: Holders) -> float:
    """So many sources hold what is nobody's."""
    return case.traffic.most if found.first.author in FROM_OUTSIDE else case.traffic.many


def _runs(read: list[Words]) -> Iterator[Words]:
    words = [word for sentence in read for word in sentence]
    yield from runs(words, CONTENT_WORDS)
    for word in words:
        if is_unspaced(word):
            yield from (("".join(run),) for run in runs(word, CHARACTERS))


def _whole(text: str) -> Iterator[Words]:
    """Sentences that are too short for a run: they count if a trace holds all of one, also within another.

    A quoted term, or one in brackets, is no sentence of its own.
    """
    for sentence in _END.split(text):
        words = tuple(content_words(sentence)) if len(sentence) > SHORTEST else ()
        short = len(words) < CONTENT_WORDS and not any(map(is_unspaced, words))
        if (short and len(words) >= WHOLE) or _is_short_unspaced(words):
            yield words


def _is_short_unspaced(words: Words) -> bool:
    return len(words) == 1 and is_unspaced(words[0]) and SHORT <= len(words[0]) < CHARACTERS


def _parts(read: list[Words], lengths: Collection[int]) -> Iterator[Words]:
    """Whatever may be such a sentence; in scripts without spaces one of so many characters."""
    for words in read:
        for length in range(WHOLE, CONTENT_WORDS):
            yield from runs(words, length)
        for word in filter(is_unspaced, words):
            for length in lengths:
                yield from (("".join(run),) for run in runs(word, length))


def _holding(new: list[Words], old: Stems | set[str]) -> dict[str, list[Stems]]:
    """The new stems of each new sentence, by each of them; sentences with few new stems are left out."""
    found: dict[str, list[Stems]] = {}
    for stems in {_stems(words) - old for words in new}:
        for stem in stems if len(stems) >= SAME_WORDS else ():
            found.setdefault(stem, []).append(stems)
    return found


def _reworded(read: list[Words], holding: Mapping[str, list[Stems]]) -> Iterator[Stems]:
    """New sentences most of whose new words, by their beginnings, stand in one of these."""
    known = frozenset(holding)
    for theirs in dict.fromkeys(_stems(words) & known for words in read):
        counts = Counter(stems for stem in theirs for stems in holding[stem]) if len(theirs) >= SAME_WORDS else {}
        found = [stems for stems, same in counts.items() if same >= max(SAME_WORDS, MOST_WORDS * len(stems))]
        yield from sorted(found, key=sorted)


def _stems(words: Words) -> Stems:
    """Their endings differ with the grammar of a sentence."""
    return frozenset(word[:STEM] for word in words if not is_unspaced(word))


def _run_together(case: GuardInput) -> Findings:
    """Long words that a trace writes as several: `alwaysofferafreerefund`."""
    known = set(words_of(case.known))
    new = {word for word in words_of(case.text) if len(word) >= LETTERS and not is_unspaced(word)} - known
    for word in sorted(new):
        holder = case.traffic.holder(word)
        if holder and word not in words_of(holder.text):
            yield case.finding("person", RULE, f"the candidate shares {shown(word)} as one word", holder.place)
