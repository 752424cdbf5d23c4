"""Templates beside others, or beside what was refused: calls of their own, or one call with a text that it looks up?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sia_dagster.core.template_recovery.alignment import common_length
from sia_dagster.core.template_recovery.learn import FEWEST_WORDS, Fixed, weigh
from sia_dagster.core.template_recovery.template import Template, shared_share
from sia_dagster.core.template_recovery.tokenizing import shingles, words

_MOST: Final = 4
"""So many alternatives are variants; more of them may be a store of texts of which others come tomorrow."""
_RUN: Final = 3
_KIN: Final = 0.5
_DOUBT: Final = 0.1
_SAMPLED: Final = 100


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


def doubted(owners: Mapping[Template, Sequence[str]], refused: Sequence[str]) -> set[Template]:
    """Templates beside which more than a tenth of the prompts that share half of their text were refused.

    A passage that some prompts quote could be a part of such a template, and the next prompt does not fit it.
    """
    sampled = sorted(refused)[:: max(1, len(refused) // _SAMPLED)]
    scale = len(refused) / max(1, len(sampled))
    texts = [Template(fixed=(prompt,)) for prompt in sampled]
    found = set()
    for template in owners:
        kin = sum(len(owners[other]) for other in owners if shared_share(template, other) >= _KIN)
        like = scale * sum(shared_share(template, text) >= _KIN for text in texts)
        if like > _DOUBT * (like + kin):
            found.add(template)
    return found
