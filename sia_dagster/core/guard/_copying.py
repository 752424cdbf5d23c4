"""No text of a sample in a prompt: it would teach the answer to one case, and publish what a customer wrote."""

import re
from collections.abc import Iterable, Iterator, Sequence

from sia_dagster.core.guard._text import plain, plain_text, said_in, shown
from sia_dagster.core.models import Actions, Sample

WORDS = 8
"""In a row, the same in candidate and sample: no chance, and still short of most sentences."""
CHARACTERS = 16
"""The same for scripts that put no spaces between words (Chinese, Japanese, Thai, Khmer, Lao, Burmese)."""
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")


def copies_no_sample(candidate: Actions, baseline: Actions, samples: Sequence[Sample]) -> str | None:
    """The first sample with eight words in a row that the candidate holds and the baseline does not; None if none.

    Case, punctuation and line breaks do not hide a copy.
    """
    new = set(_shingles(plain_text(candidate))) - set(_shingles(plain_text(baseline)))
    if not new:
        return None
    for sample in samples:
        for text in said_in(sample):
            if copied := next((shingle for shingle in _shingles(text) if shingle in new), None):
                return f"copied text: {shown(' '.join(copied))} is what sample {sample.span_id} says"
    return None


def _shingles(text: str) -> Iterator[tuple[str, ...]]:
    """Runs of `WORDS` words, and of `CHARACTERS` characters of unspaced scripts."""
    folded = plain(text).casefold()
    yield from _runs(_WORD.findall(folded), WORDS)
    for unspaced in _UNSPACED.findall(folded):
        yield from ((run,) for run in map("".join, _runs(unspaced, CHARACTERS)))


def _runs(items: Sequence[str], length: int) -> Iterable[tuple[str, ...]]:
    return zip(*(items[start:] for start in range(length)), strict=False)
