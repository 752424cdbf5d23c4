"""The templates of one family of prompts: align some, test the rest, generalise by what does not fit, divide."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.template_recovery.alignment import align
from sia_dagster.core.template_recovery.families import FEWEST
from sia_dagster.core.template_recovery.fixed_texts import fixed_texts
from sia_dagster.core.template_recovery.template import parse
from sia_dagster.core.template_recovery.tokenizing import shingles, tokenize, words
from sia_dagster.core.template_recovery.variants import NEGLIGIBLE, Division, Period, divide, is_undecided

Fixed = tuple[str, ...]
FEWEST_WORDS: Final = 6
_LEARNED_FROM: Final = 40
_ROUNDS: Final = 4
_COUNTEREXAMPLES: Final = 8
_COSTLY: Final = 5
"""A counterexample that costs this many fixed words or more comes from another variant."""
_MISSES: Final = 0.1
_DEEPEST: Final = 8
_QUOTES: Final = "there are few prompts, and in too many of them values quote the template's own words"
_UNDECIDED: Final = "a text recurs in some of few prompts: it may be a version of the prompt or a value"


class Learned(NamedTuple):
    """The result for one family."""

    templates: tuple[Fixed, ...] = ()
    refusals: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(reason, prompts)."""


def learn(prompts: Sequence[str], periods: Mapping[str, Period] | None, depth: int = 0) -> Learned:
    """The templates of different prompts that share text, or why there are none. `periods` are by prompt."""
    if len(prompts) < FEWEST:
        return _refused(
            f"there are fewer than {FEWEST} different prompts of this kind, too few to show a template", prompts
        )
    clean = _clean(prompts)
    if len(clean) < FEWEST:
        return _by_call(_QUOTES, prompts, periods, depth)
    fixed = _generalised(_common_texts(clean[:_LEARNED_FROM], len(prompts)), clean[:_LEARNED_FROM], prompts)
    fits = [prompt for prompt in prompts if parse(fixed, prompt) is not None]
    misses = [prompt for prompt in prompts if parse(fixed, prompt) is None]
    division = _divided(fixed, fits, periods)
    if division is not None:
        found = _learned_apart(division, fits, periods, depth)
    else:
        reason = _doubt(fixed, fits, clean, prompts)
        found = _by_call(reason, fits, periods, depth) if reason else Learned(templates=(fixed,))
    rest = [misses] if misses and len(misses) < len(prompts) else []
    return _joined(found, *(learn(part, periods, depth + 1) for part in rest))


def _by_call(reason: str, prompts: Sequence[str], periods: Mapping[str, Period] | None, depth: int) -> Learned:
    """The templates of prompts that do not fit one template but are calls that share a text; else a refusal."""
    division = divide(prompts, [periods[prompt] for prompt in prompts] if periods else None)
    if division is None or not division.sure or depth == _DEEPEST:
        return _refused(reason, prompts)
    return _learned_apart(division, prompts, periods, depth)


def _learned_apart(
    division: Division, prompts: Sequence[str], periods: Mapping[str, Period] | None, depth: int
) -> Learned:
    """Each part learned on its own. Unless the division is sure, one refused part refuses them all."""
    numbers = sorted(set(division.part))
    parts = [[p for p, own in zip(prompts, division.part, strict=True) if own == n] for n in numbers]
    if depth == _DEEPEST or _MISSES * len(prompts) < len(min(parts, key=len)) < FEWEST:
        return _refused(_UNDECIDED, prompts)
    found = _joined(*(learn(part, periods, depth + 1) for part in parts))
    refused = sum(len(texts) for _, texts in found.refusals)
    return found if division.sure or refused <= NEGLIGIBLE * len(prompts) else _refused(_UNDECIDED, prompts)


def weigh(fixed: Fixed) -> int:
    """Words of fixed text."""
    return sum(len(words(text)) for text in fixed)


def _refused(reason: str, prompts: Sequence[str]) -> Learned:
    return Learned(refusals=((reason, tuple(prompts)),))


def _joined(*found: Learned) -> Learned:
    return Learned(
        templates=tuple(template for one in found for template in one.templates),
        refusals=tuple(refusal for one in found for refusal in one.refusals),
    )


def _clean(prompts: Sequence[str]) -> list[str]:
    """Prompts whose values do not quote the family's text: they repeat no run of its words more often than usual."""
    runs = [Counter(shingles(words(prompt), 5)) for prompt in prompts]
    spread = Counter(run for own in runs for run in own)
    core = {run for run, count in spread.items() if 10 * count >= 9 * len(prompts)}
    usual = {run: min(own[run] for own in runs if run in own) for run in core}
    return [p for p, own in zip(prompts, runs, strict=True) if all(own[run] <= usual[run] for run in core)]


def _common_texts(examples: Sequence[str], prompts: int) -> Fixed:
    """The fixed texts that the examples have in common; they were taken from `prompts` prompts."""
    return fixed_texts(align([tokenize(example) for example in examples]), prompts)


def _generalised(fixed: Fixed, learned_from: Sequence[str], prompts: Sequence[str]) -> Fixed:
    """The fixed texts without the words that cheap counterexamples lack."""
    examples = list(learned_from)
    for _ in range(_ROUNDS):
        misses = [prompt for prompt in prompts if parse(fixed, prompt) is None]
        taken = _cheap(fixed, examples, misses[:_COUNTEREXAMPLES], len(prompts))
        if not taken:
            break
        examples += taken
        fixed = _common_texts(examples, len(prompts))
    return fixed


def _cheap(fixed: Fixed, examples: Sequence[str], misses: Sequence[str], prompts: int) -> list[str]:
    """All misses if together they cost little, else those that cost little on their own."""
    if _cost(fixed, examples, misses, prompts) < _COSTLY:
        return list(misses)
    return [miss for miss in misses if _cost(fixed, examples, [miss], prompts) < _COSTLY]


def _cost(fixed: Fixed, examples: Sequence[str], misses: Sequence[str], prompts: int) -> int:
    """Words that are no longer fixed, or that a miss has where all examples have the same."""
    generalised = _common_texts([*examples, *misses], prompts)
    slots = zip(*(reading.values for p in (*examples, *misses) if (reading := parse(generalised, p))), strict=True)
    split = [values[len(examples) :] for values in slots if len(set(values[: len(examples)])) == 1]
    inserted = max((len(words(value)) for values in split for value in values), default=0)
    return max(weigh(fixed) - weigh(generalised), inserted)


def _doubt(fixed: Fixed, fits: Sequence[str], clean: Sequence[str], prompts: Sequence[str]) -> str | None:
    """Why the fixed texts are not reliable; None if they are."""
    if weigh(fixed) < FEWEST_WORDS:
        return f"the prompts have fewer than {FEWEST_WORDS} fixed words in common"
    if any(is_undecided(values, fixed) for values in _by_slot(fixed, fits)):
        return _UNDECIDED
    held_out = prompts if len(clean) > _LEARNED_FROM else clean[-(len(clean) // 4) :]
    learned_from = clean[: -(len(clean) // 4)]
    tried = fixed if len(clean) > _LEARNED_FROM else _common_texts(learned_from, len(prompts))
    misses = sum(parse(tried, prompt) is None for prompt in held_out)
    if misses > _MISSES * len(held_out):
        return "the fixed words that some of the prompts have in common are missing in others"
    return None


def _by_slot(fixed: Fixed, prompts: Sequence[str]) -> list[tuple[str, ...]]:
    """The values of each slot, prompt by prompt."""
    return list(zip(*(reading.values for p in prompts if (reading := parse(fixed, p)) is not None), strict=True))


def _divided(fixed: Fixed, fits: Sequence[str], periods: Mapping[str, Period] | None) -> Division | None:
    """The division by the first slot whose values show several variants; None if no slot does."""
    when = [periods[prompt] for prompt in fits] if periods else None
    found = (divide(values, when) for values in _by_slot(fixed, fits))
    return next((division for division in found if division is not None), None)
