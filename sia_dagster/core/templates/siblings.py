"""Templates that differ in one passage alone: calls of their own, or one call with a text that it looks up?"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from sia_dagster.core.templates.alignment import common_length
from sia_dagster.core.templates.learn import FEWEST_WORDS, Fixed, weigh
from sia_dagster.core.templates.tokens import shingles, words

_MOST: Final = 4
"""So many alternatives are variants; more of them may be a store of texts of which others come tomorrow."""
_RUN: Final = 3


def undecided_siblings(templates: Iterable[Fixed]) -> set[Fixed]:
    """Those with slots of which five or more are equal but for a passage, and no two passages have words in common."""
    groups: defaultdict[tuple[Fixed, Fixed], set[Fixed]] = defaultdict(set)
    for fixed in templates:
        for place in range(len(fixed)) if len(fixed) > 1 else ():
            groups[fixed[:place], fixed[place + 1 :]].add(fixed)
    return {fixed for frame, group in groups.items() if _is_store(frame, sorted(group)) for fixed in group}


def _is_store(frame: tuple[Fixed, Fixed], group: Sequence[Fixed]) -> bool:
    if len(group) <= _MOST:
        return False
    texts = [fixed[len(frame[0])] for fixed in group]
    head = common_length(texts)
    tail = common_length([text[head:][::-1] for text in texts])
    runs = [set(shingles(words(text[head : len(text) - tail]), _RUN)) for text in texts]
    apart = len(set().union(*runs)) == sum(map(len, runs))
    return apart and weigh((*frame[0], texts[0][:head], texts[0][len(texts[0]) - tail :], *frame[1])) >= FEWEST_WORDS
