"""No text of a sample in a prompt: it would teach the answer to one case, and publish what a customer wrote."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import sentences, shown
from sia_dagster.core.guard._traffic import FROM_OUTSIDE, SampleText
from sia_dagster.core.guard._words import UNSPACED as UNSPACED_SCRIPTS
from sia_dagster.core.guard._words import Words, runs
from sia_dagster.core.records.guard import GuardAction

WORDS = 8
"""In a row, the same in candidate and sample: too many for chance, and fewer than most sentences have."""
CHARACTERS = 16
"""The same for scripts that put no spaces between words (Chinese, Japanese, Thai, Khmer, Lao, Burmese)."""
SENTENCE: Final = 4
"""Words of the shortest sentence that may be somebody's instruction; `UNSPACED` characters without spaces."""
UNSPACED: Final = 8
LONG_UNSPACED: Final = 10
"""Characters of a sentence without spaces that is no chance."""
_QUOTED: Final = re.compile(
    r"[\"\u201c\u201d\u201e\u00ab\u300c][^\"\u201c-\u201e\u00bb\u300d\n]{1,200}[\"\u201c\u201d\u00bb\u300d]"
)
_TOKEN = re.compile(r"\w+")
_NAME = re.compile(r"[^\W_]+(?:_[^\W_]+)+")
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(rf"[{UNSPACED_SCRIPTS}]+")


def copies_no_sample(case: GuardInput) -> Findings:
    """Eight words in a row that a sample and the candidate hold and the baseline does not.

    Case, punctuation and line breaks do not hide a copy. A name of several words that stands in the policy in force
    (`order_id`) is one word: a list of a schema's columns is no copy. What few users, tools or variables hold stops;
    what many hold, the application answered or a judge explained may be the application's own phrase. An example of a
    call repeats one by nature: what stands in examples alone is for a person, as they are (`_support`).
    """
    names = frozenset(_NAME.findall(case.known_folded))
    of_prompt, known = set(_shingles(case.prompt, names)), set(_shingles(case.known, names))
    new = set(_shingles(case.text, names)) - known
    for words, found in case.traffic.held(new, lambda each: _shingles(each.text, names)).items():
        sure = words in of_prompt and found.first.author in FROM_OUTSIDE and len(found.by) < case.traffic.many
        action: GuardAction = "stop" if sure else "person"
        yield case.finding(action, "copied text", shown(" ".join(words)), found.first.place)


def follows_no_trace(case: GuardInput) -> Findings:
    """New sentences of four to seven words that somebody wrote in a trace.

    In any language: a sentence of its own in the text of a user, a tool or a variable, held by few sources, is no
    instruction of the application's. Questions do not count. One of four words counts where the candidate has it as a
    sentence of its own, a longer one anywhere. Longer ones than these are copied text. It stops if it has five words
    or more in the prompt outside of quotes: a shorter one may be chance, a quoted one an example.
    """
    own, unquoted = ({words for words, _ in _sentences(text)} for text in (case.text, _QUOTED.sub("\n", case.prompt)))
    known = {words for words, _ in _sentences(case.known)}
    within = set(_parts(known, SENTENCE))
    asked = (own | set(_parts(own, SENTENCE + 1))) - known - within
    sure = unquoted | set(_parts(unquoted, SENTENCE + 1))
    for words, holder in case.traffic.held_by_few(asked, _statements_from_outside).items():
        long = len(words) > SENTENCE or len(words[0]) > LONG_UNSPACED
        action: GuardAction = "stop" if long and words in sure else "person"
        yield case.finding(action, "instruction from a trace", shown(" ".join(words)), holder.place)


def _statements_from_outside(text: SampleText) -> Iterator[Words]:
    if text.author in FROM_OUTSIDE:
        yield from (words for words, is_question in _sentences(text.text) if not is_question)


def _parts(sentences: Iterable[Words], shortest: int) -> Iterator[Words]:
    """Each run of words of the sentences that is shorter than a copy."""
    return (run for words in sentences for length in range(shortest, WORDS) for run in runs(words, length))


def _sentences(text: str) -> Iterator[tuple[Words, bool]]:
    """Each sentence as folded words (of unspaced scripts as one word), and whether it is a question."""
    for sentence, is_question in sentences(text.casefold()):
        words = tuple(_WORD.findall(sentence))
        unspaced = "".join(_UNSPACED.findall(sentence))
        if len(unspaced) >= UNSPACED:
            yield (unspaced,), is_question
        elif len(words) >= SENTENCE:
            yield words, is_question


def _shingles(text: str, names: Collection[str]) -> Iterator[Words]:
    """Runs of `WORDS` words, and of `CHARACTERS` characters of unspaced scripts; each of `names` is one word."""
    folded = text.casefold()
    tokens = ((token,) if token in names else _WORD.findall(token) for token in _TOKEN.findall(folded))
    yield from runs([word for words in tokens for word in words], WORDS)
    for unspaced in _UNSPACED.findall(folded):
        yield from ((run,) for run in map("".join, runs(unspaced, CHARACTERS)))
