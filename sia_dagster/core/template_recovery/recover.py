"""Recovers templates from a window's prompts: rounds over what no template fits yet, then one count of all prompts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sia_dagster.core.template_recovery.alignment import common_length
from sia_dagster.core.template_recovery.families import FEWEST, families
from sia_dagster.core.template_recovery.learn import FEWEST_WORDS, Fixed, Learned, learn, weigh
from sia_dagster.core.template_recovery.template import (
    RecoveredTemplate,
    Recovery,
    Refusal,
    Template,
    name_slots,
    parse,
    shared_share,
)
from sia_dagster.core.template_recovery.tokenizing import shingles, words
from sia_dagster.core.template_recovery.variants import Period

CONSTANT: Final = 20
"""This many equal prompts are a template without slots."""
_MOST_PROMPTS: Final = 600
"""Prompts that one round learns from."""
_ROUNDS: Final = 6
_LINKED: Final = 0.6
_MISSES: Final = 0.1
_SHORT: Final = 3
_EXAMPLE: Final = 80
_PASSAGES: Final = "they differ in one passage alone, which may be a looked-up value or make them different calls"
_BESIDE: Final = "too many prompts that share half of its text were refused"
_ALONE: Final = "they share too little text with other prompts of the window"
_MOST: Final = 4
"""Up to this many alternatives are variants; more may be a store of texts, of which tomorrow brings others."""
_RUN: Final = 3
_SIMILAR: Final = 0.5
_DOUBT: Final = 0.1
_MOST_REFUSED: Final = 100
"""Refused prompts that are compared with templates."""


def recover(prompts: Sequence[str], times: Sequence[datetime] | None = None) -> Recovery:
    """The templates that the prompts of one window were filled from, and the prompts without one.

    Each prompt belongs to one span. `times`, one a prompt, distinguish two versions of a prompt from two values. The
    result depends on the prompts and their times, not on their order. A prompt that occurs 20 times and fits no other
    template is a template without slots; so is the only prompt of a window of five spans or more.

    Prompts are refused rather than guessed at: with fewer than five different prompts or six fixed words, and where the
    fixed words of some are missing in others.
    """
    counts = Counter(prompts)
    periods = _periods(prompts, times)
    often = {text for text, count in counts.items() if count >= CONSTANT or count == len(prompts) >= FEWEST}
    pool = sorted((text for text in counts if text not in often), key=_shuffled)
    found, reasons = _learned(pool, periods)
    doubtful = undecided_siblings(found)
    found -= doubtful
    left = sorted((text for text in counts if not _fits(found | doubtful, text)), key=_shuffled)
    found |= {fixed for fixed in _learned(left, periods)[0] if _is_nearly_constant(fixed, left)}
    left = [text for text in left if not _fits(found, text)]
    found |= {(text,) for text in left if text in often and _is_constant(text, left, counts, often)}
    reasons |= {text: _PASSAGES for text in counts if _fits(doubtful, text)}
    return count_prompts(counts, {name_slots(fixed) for fixed in found}, reasons)


def _is_constant(text: str, left: Sequence[str], counts: Mapping[str, int], often: Container[str]) -> bool:
    """Whether hardly any rarer prompt is similar: else it is one fill of a template that was not found."""
    own = Template(fixed=(text,))
    rare = [other for other in left if other not in often][:_MOST_PROMPTS]
    similar = sum(counts[o] for o in rare if shared_share(own, Template(fixed=(o,))) >= _LINKED)
    return similar <= _MISSES * counts[text]


def _is_nearly_constant(fixed: Fixed, prompts: Iterable[str]) -> bool:
    """Whether frequent prompts differ in a few words only, so that they are fills and not different calls."""
    read = [reading for prompt in prompts if (reading := parse(fixed, prompt)) is not None]
    longest = max((len(words(value)) for reading in read for value in reading.values), default=0)
    return longest <= _SHORT and weigh(fixed) >= CONSTANT


def _shuffled(text: str) -> bytes:
    """A sort key that depends on the text alone and is as good as random."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _periods(prompts: Sequence[str], times: Sequence[datetime] | None) -> dict[str, Period] | None:
    if times is None:
        return None
    periods: dict[str, Period] = {}
    for prompt, time in zip(prompts, times, strict=True):
        first, last = periods.get(prompt, (time, time))
        periods[prompt] = (min(first, time), max(last, time))
    return periods


def _learned(pool: Sequence[str], periods: Mapping[str, Period] | None) -> tuple[set[Fixed], dict[str, str]]:
    """The templates of different prompts, and why there was none, by prompt."""
    found: set[Fixed] = set()
    reasons: dict[str, str] = {}
    for _ in range(_ROUNDS):
        sample = pool[:_MOST_PROMPTS]
        learned = [learn([sample[i] for i in group], periods) for group in families(sample)]
        new = {fixed for one in learned for fixed in one.templates} - found
        reasons |= _by_prompt(learned)
        found |= new
        pool = [text for text in pool if not _fits(new, text)]
        pool = [text for text in pool if text not in reasons] + [text for text in pool if text in reasons]
        if len(pool) < FEWEST or (not new and len(pool) <= _MOST_PROMPTS):
            break
    return found, reasons


def _by_prompt(learned: Iterable[Learned]) -> dict[str, str]:
    return {prompt: reason for one in learned for reason, prompts in one.refusals for prompt in prompts}


def _fits(templates: Iterable[Fixed], text: str) -> bool:
    return any(parse(fixed, text) is not None for fixed in templates)


def count_prompts(counts: Mapping[str, int], templates: Iterable[Template], reasons: Mapping[str, str]) -> Recovery:
    """Counts each prompt for the heaviest template that fits; drops templates with slots and fewer than five prompts.

    `counts` and `reasons` are by prompt; a prompt without a reason shares too little with the others.
    """
    kept = sorted(templates, key=lambda template: template.text)
    while True:
        recovery = Recovery(templates=tuple(RecoveredTemplate(template=t, prompts=0, distinct=0) for t in kept))
        owners: defaultdict[int | None, list[str]] = defaultdict(list)
        for text in sorted(counts):
            fit = recovery.match(text)
            owners[fit[0] if fit else None].append(text)
        enough = [t for i, t in enumerate(kept) if not t.names or len(owners[i]) >= FEWEST]
        own = {t: owners[i] for i, t in enumerate(kept) if t.names}
        doubtful = doubted(own, owners[None]) if enough == kept else set()
        if enough == kept and not doubtful:
            break
        reasons = {text: _BESIDE for t in doubtful for text in own[t]} | dict(reasons)
        kept = [t for t in enough if t not in doubtful]
    sizes = {t.text: (sum(counts[text] for text in owners[i]), len(owners[i])) for i, t in enumerate(kept)}
    kept.sort(key=lambda t: (-sizes[t.text][0], t.text))
    ranked = [RecoveredTemplate(template=t, prompts=sizes[t.text][0], distinct=sizes[t.text][1]) for t in kept]
    return Recovery(templates=_linked(ranked), refusals=_refusals(owners[None], counts, reasons))


def _linked(templates: Sequence[RecoveredTemplate]) -> tuple[RecoveredTemplate, ...]:
    """The templates, each with the places of the others that share most of its text."""

    def linked(one: RecoveredTemplate) -> tuple[int, ...]:
        others = ((i, other) for i, other in enumerate(templates) if other is not one)
        return tuple(i for i, other in others if shared_share(one.template, other.template) >= _LINKED)

    return tuple(one.model_copy(update={"linked": linked(one)}) for one in templates)


def _refusals(texts: Sequence[str], counts: Mapping[str, int], reasons: Mapping[str, str]) -> tuple[Refusal, ...]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        groups[reasons.get(text, _ALONE)].append(text)
    found = [
        Refusal(reason=reason, prompts=sum(counts[text] for text in group), example=_first_words(group[0]))
        for reason, group in groups.items()
    ]
    return tuple(sorted(found, key=lambda refusal: (-refusal.prompts, refusal.reason)))


def _first_words(text: str) -> str:
    """The beginning of the text on one line; an ellipsis marks a cut."""
    line = " ".join(text[: 4 * _EXAMPLE].split())
    return line if len(line) <= _EXAMPLE else line[: _EXAMPLE - 1] + "…"


def undecided_siblings(templates: Iterable[Fixed]) -> set[Fixed]:
    """Groups of five templates with slots or more that differ in one passage, where no two share a run of words."""
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
    """Templates for which more than a tenth of the prompts that share half of their text were refused.

    Such a template may hold a passage that only some prompts quote, and would not fit the next prompt.
    """
    sampled = sorted(refused)[:: max(1, len(refused) // _MOST_REFUSED)]
    scale = len(refused) / max(1, len(sampled))
    texts = [Template(fixed=(prompt,)) for prompt in sampled]
    found = set()
    for template in owners:
        fitting = sum(len(owners[other]) for other in owners if shared_share(template, other) >= _SIMILAR)
        unfit = scale * sum(shared_share(template, text) >= _SIMILAR for text in texts)
        if unfit > _DOUBT * (unfit + fitting):
            found.add(template)
    return found
