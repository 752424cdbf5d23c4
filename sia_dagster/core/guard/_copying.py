"""No text of a sample in a prompt: it would teach the answer to one case, and publish what a customer wrote."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from sia_dagster.core.guard._guard_input import GuardInput
from sia_dagster.core.guard._text import shown
from sia_dagster.core.guard._traffic import FROM_OUTSIDE, SampleText

WORDS = 8
"""In a row, the same in candidate and sample: too many for chance, and fewer than most sentences have."""
CHARACTERS = 16
"""The same for scripts that put no spaces between words (Chinese, Japanese, Thai, Khmer, Lao, Burmese)."""
SENTENCE: Final = 4
"""Words of the shortest sentence that may be somebody's instruction; `UNSPACED` characters without spaces."""
UNSPACED: Final = 8
_TOKEN = re.compile(r"\w+")
_NAME = re.compile(r"[^\W_]+(?:_[^\W_]+)+")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")
_SENTENCE: Final = re.compile(r"([^.!?:;\n\"()\u00ab\u00bb\u201c-\u201e\u3002\u300c\u300d\u061f]+)([?\u061f]?)")
Words = tuple[str, ...]


def copies_no_sample(case: GuardInput) -> str | None:
    """The first eight words in a row that a sample and the candidate hold and the baseline does not; None if none.

    Case, punctuation and line breaks do not hide a copy. A name of several words that stands in the policy in force
    (`order_id`) is one word: a list of a schema's columns is no copy.
    """
    names = frozenset(_NAME.findall(case.known.casefold()))
    new = set(_shingles(case.text, names)) - set(_shingles(case.known, names))
    found = next(case.traffic.holders(new, lambda each: _shingles(each.text, names)), None)
    return f"copied text: {shown(' '.join(found[0]))}, {found[1].place}" if found else None


def follows_no_trace(case: GuardInput) -> str | None:
    """The first new sentence of four to seven words that somebody wrote in a trace; None if none.

    In any language: a sentence of its own in the text of a user, a tool or a variable, held by few conversations, is
    no instruction of the application's. Questions do not count. One of four words stops a candidate that has it as a
    sentence of its own, a longer one anywhere. Longer ones than these are copied text.
    """
    own = {words for words, _ in _sentences(case.text)}
    parts = {run for words in own for length in range(SENTENCE + 1, WORDS) for run in _runs(words, length)}
    known = {words for words, _ in _sentences(case.known)}
    for words, holder in case.traffic.held_by_few((own | parts) - known, _statements_from_outside).items():
        if not _within(words, known):
            return f"instruction from a trace: {shown(' '.join(words))}, {holder.place}"
    return None


def _statements_from_outside(text: SampleText) -> Iterator[Words]:
    if text.author in FROM_OUTSIDE:
        yield from (words for words, is_question in _sentences(text.text) if not is_question)


def _within(words: Words, sentences: Iterable[Words]) -> bool:
    return any(words in set(_runs(known, len(words))) for known in sentences)


def _sentences(text: str) -> Iterator[tuple[Words, bool]]:
    """Each sentence as folded words (of unspaced scripts as one word), and whether it is a question."""
    for sentence, mark in _SENTENCE.findall(text.casefold()):
        words = tuple(_WORD.findall(sentence))
        unspaced = "".join(_UNSPACED.findall(sentence))
        if len(unspaced) >= UNSPACED:
            yield (unspaced,), bool(mark)
        elif len(words) >= SENTENCE:
            yield words, bool(mark)


def _shingles(text: str, names: Collection[str]) -> Iterator[Words]:
    """Runs of `WORDS` words, and of `CHARACTERS` characters of unspaced scripts; each of `names` is one word."""
    folded = text.casefold()
    tokens = ((token,) if token in names else _WORD.findall(token) for token in _TOKEN.findall(folded))
    yield from _runs([word for words in tokens for word in words], WORDS)
    for unspaced in _UNSPACED.findall(folded):
        yield from ((run,) for run in map("".join, _runs(unspaced, CHARACTERS)))


def _runs(items: Sequence[str], length: int) -> Iterator[Words]:
    return zip(*(items[start:] for start in range(length)), strict=False)
