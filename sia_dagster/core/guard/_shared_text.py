"""No wording from outside in an edit: whoever wrote it would write the policy.

Here a person must look, where `_copying` stops: fewer words in common may be chance.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
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
SAME_WORDS: Final = 3
MOST_WORDS: Final = 0.6
"""So many of a sentence's new words, and this share of them, make it another's in other words."""
STEM: Final = 5
"""Letters."""
WHOLE: Final = 2
"""Content words of the shortest sentence that is not the application's only because a trace has it, too."""


def shares_no_text(case: GuardInput) -> Findings:
    """What the candidate newly shares with a text from outside.

    Four content words in a row, a whole sentence of fewer, words that are written as one, or the words of a sentence
    in another order; letter case, accents, punctuation, line breaks, letters written apart and digits for letters
    aside. Texts from outside are those of users,
    tools and variables, the application's answers to them, and judges' explanations. What most users or tools repeat
    belongs to nobody, and so does what many answers or explanations repeat.
    """
    for read in (_content_runs, _whole_sentences):
        new = set(read(case.text)) - set(read(case.known))
        if found := _shared(case, new, read):
            words, text = found
            yield case.finding("person", RULE, f"the candidate shares {shown(' '.join(words))}", text.place)
    yield from _run_together(case)
    yield from _reworded(case)


def _shared(
    case: GuardInput, new: Collection[Words], read: Callable[[str], Iterator[Words]]
) -> tuple[Words, SampleText] | None:
    """The first of `new` that a text from outside holds and that does not belong to the application."""
    held = case.traffic.held(new, lambda text: read(text.text) if _may_hold(text, read) else ())
    return next(((words, found.first) for words, found in held.items() if _is_somebodys(case, found)), None)


def _may_hold(text: SampleText, read: Callable[[str], Iterator[Words]]) -> bool:
    """Whole sentences count where people and tools wrote them: the application answers in the policy's own."""
    return read is not _whole_sentences or text.author in FROM_OUTSIDE


def _is_somebodys(case: GuardInput, found: Holders) -> bool:
    limit = case.traffic.most if found.first.author in FROM_OUTSIDE else case.traffic.many
    return len(found.by) < limit


def _content_runs(text: str) -> Iterator[Words]:
    words = content_words(text)
    yield from runs(words, CONTENT_WORDS)
    for word in words:
        if is_unspaced(word):
            yield from (("".join(run),) for run in runs(word, CHARACTERS))


def _whole_sentences(text: str) -> Iterator[Words]:
    for sentence, is_question in sentences(text):
        words = content_words(sentence)
        if len(words) >= WHOLE and not is_question:
            yield tuple(words)


def _run_together(case: GuardInput) -> Findings:
    """Long words that a trace writes as several: `alwaysofferafreerefund`."""
    known = set(words_of(case.known))
    new = {word for word in words_of(case.text) if len(word) >= LETTERS and not is_unspaced(word)} - known
    for word in sorted(new):
        holder = case.traffic.holder(word)
        if holder and word not in words_of(holder.text):
            yield case.finding("person", RULE, f"the candidate shares {shown(word)} as one word", holder.place)


def _reworded(case: GuardInput) -> Findings:
    """New sentences most of whose new words, by their beginnings, stand in one sentence of a user or a tool."""
    known = _stems(case.known)
    new = {stems for sentence, _ in sentences(case.new_lines) if len(stems := _stems(sentence) - known) >= SAME_WORDS}
    holding: dict[str, list[frozenset[str]]] = {}
    for stems in new:
        for stem in stems:
            holding.setdefault(stem, []).append(stems)
    held = case.traffic.held(new, lambda text: _reworded_in(text, holding))
    for stems, found in held.items():
        if _is_somebodys(case, found):
            shared = shown(" ".join(sorted(stems)))
            yield case.finding("person", RULE, f"a new sentence has the words of another: {shared}", found.first.place)


def _reworded_in(text: SampleText, holding: Mapping[str, list[frozenset[str]]]) -> Iterator[frozenset[str]]:
    if text.author not in FROM_OUTSIDE:
        return
    shared = frozenset(holding)
    for theirs in {_stems(sentence) & shared for sentence, _ in sentences(text.text)}:
        counts = Counter(stems for stem in theirs for stems in holding[stem]) if len(theirs) >= SAME_WORDS else {}
        yield from (stems for stems, same in counts.items() if same >= max(SAME_WORDS, MOST_WORDS * len(stems)))


def _stems(sentence: str) -> frozenset[str]:
    """The beginnings of the content words: their endings differ with the grammar of a sentence."""
    return frozenset(word[:STEM] for word in content_words(sentence) if not is_unspaced(word))
