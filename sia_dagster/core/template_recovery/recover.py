"""From a window's prompts to templates: rounds over what no template fits yet, then one count of all prompts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sia_dagster.core.template_recovery.families import FEWEST, families
from sia_dagster.core.template_recovery.learn import Fixed, Learned, learn, weigh
from sia_dagster.core.template_recovery.parse import parse
from sia_dagster.core.template_recovery.siblings import doubted, undecided_siblings
from sia_dagster.core.template_recovery.template import (
    RecoveredTemplate,
    Recovery,
    Refusal,
    Template,
    name_slots,
    shared_share,
)
from sia_dagster.core.template_recovery.tokenizing import words
from sia_dagster.core.template_recovery.variants import Period

CONSTANT: Final = 20
"""So many equal prompts are a template without slots."""
_LOOKED_AT: Final = 600
_ROUNDS: Final = 6
_LINKED: Final = 0.6
_MISSES: Final = 0.1
_SHORT: Final = 3
_EXAMPLE: Final = 80
_PASSAGES: Final = "they differ in one passage alone: a text that is looked up or calls of their own, they do not tell"
_BESIDE: Final = "too many prompts that share half of their text were refused"
_ALONE: Final = "it shares too little text with other prompts of the window"


def recover(prompts: Sequence[str], times: Sequence[datetime] | None = None) -> Recovery:
    """The templates that the prompts of one window were filled from, and the prompts without one.

    Each prompt stands for one span. `times`, one a prompt, tell two versions of a prompt from two values. The result
    depends on the prompts and their times, not on their order. A prompt that is said 20 times and is no fill of
    another template is a template without slots; so is the only prompt of a window, from five spans on.

    Prompts are refused, never guessed at: those of fewer than five different fills or six fixed words, and those
    where the words found in some do not stand in the others.
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
    found |= {(text,) for text in left if text in often and _speaks_alone(text, left, counts, often)}
    reasons |= {text: _PASSAGES for text in counts if _fits(doubtful, text)}
    return count_prompts(counts, {name_slots(fixed) for fixed in found}, reasons)


def _speaks_alone(text: str, left: Sequence[str], counts: Mapping[str, int], often: Container[str]) -> bool:
    """Whether hardly any prompt is like it and yet another: else it is one fill of a template that was not found."""
    own = Template(fixed=(text,))
    rare = [other for other in left if other not in often][:_LOOKED_AT]
    like = sum(counts[o] for o in rare if shared_share(own, Template(fixed=(o,))) >= _LINKED)
    return like <= _MISSES * counts[text]


def _is_nearly_constant(fixed: Fixed, prompts: Iterable[str]) -> bool:
    """Whether prompts that are said often differ in a few words only: five fills or more, not calls of their own."""
    read = [reading for prompt in prompts if (reading := parse(fixed, prompt)) is not None]
    longest = max((len(words(value)) for reading in read for value in reading.values), default=0)
    return longest <= _SHORT and weigh(fixed) >= CONSTANT


def _shuffled(text: str) -> bytes:
    """A sort key that the text decides but nothing about it explains."""
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
    """The templates of different prompts, and by prompt why there was none."""
    found: set[Fixed] = set()
    reasons: dict[str, str] = {}
    for _ in range(_ROUNDS):
        looked_at = pool[:_LOOKED_AT]
        learned = [learn([looked_at[i] for i in group], periods) for group in families(looked_at)]
        new = {fixed for one in learned for fixed in one.templates} - found
        reasons |= _by_prompt(learned)
        found |= new
        pool = [text for text in pool if not _fits(new, text)]
        pool = [text for text in pool if text not in reasons] + [text for text in pool if text in reasons]
        if len(pool) < FEWEST or (not new and len(pool) <= _LOOKED_AT):
            break
    return found, reasons


def _by_prompt(learned: Iterable[Learned]) -> dict[str, str]:
    return {prompt: reason for one in learned for reason, prompts in one.refusals for prompt in prompts}


def _fits(templates: Iterable[Fixed], text: str) -> bool:
    return any(parse(fixed, text) is not None for fixed in templates)


def count_prompts(counts: Mapping[str, int], templates: Iterable[Template], reasons: Mapping[str, str]) -> Recovery:
    """Each prompt counted for the heaviest template that fits; those with slots and fewer than five are dropped.

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
    return tuple(
        one.model_copy(
            update={
                "linked": tuple(
                    i
                    for i, other in enumerate(templates)
                    if other is not one and shared_share(one.template, other.template) >= _LINKED
                )
            }
        )
        for one in templates
    )


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
    """The beginning on one line, cut with a mark."""
    line = " ".join(text[: 4 * _EXAMPLE].split())
    return line if len(line) <= _EXAMPLE else line[: _EXAMPLE - 1] + "…"
