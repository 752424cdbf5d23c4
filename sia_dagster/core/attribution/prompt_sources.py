"""Finds the prompt that produced each sample: the registry's, a recorded or a recovered one, or the text as sent."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from sia_dagster.core.attribution.prompt_text import PromptText
from sia_dagster.core.openinference import placeholders
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.template_recovery import Recovery, recover

Origin = Literal["registry", "recorded", "recovered", "as_sent"]


class PromptSource(NamedTuple):
    """A prompt that may have produced samples."""

    prompt: PromptText
    origin: Origin
    version: int | None = None


class Match(NamedTuple):
    """The prompt that produced one sample, and the variables it was filled with."""

    source: PromptSource
    values: Mapping[str, str]
    ambiguous: bool = False
    """Whether other values fill in to the same prompt."""


Matcher = Callable[[Sample], Match | None]
"""Finds a sample's prompt; None if it cannot."""


def match_samples(
    samples: Sequence[Sample], known: Sequence[PromptSource]
) -> tuple[tuple[Match, ...], tuple[str, ...]]:
    """A match for every sample, in order, and why templates could not be recovered, one sentence a group of prompts.

    Tried are the prompts of `known` in their order; then the span's own recorded template; then the templates that
    other spans of the window record; then templates recovered from the samples that are left. Else the prompt is the
    text as it was sent.
    """
    recorded = _recorded_sources(samples)
    matches: list[Match | None] = [None] * len(samples)
    others = list(recorded.values())
    for matcher in (_by_known(known, others), _by_record(recorded), _by_known(others, exactly=False)):
        _fill_gaps(matcher, samples, matches)
    unknown = [sample for sample, match in zip(samples, matches, strict=True) if match is None]
    recovery = recover([s.system_prompt for s in unknown], [s.start_time for s in unknown]) if unknown else Recovery()
    _fill_gaps(_by_recovery(recovery), samples, matches)
    refused = [f"{r.reason} ({r.prompts} of them, such as {r.example!r})" for r in recovery.refusals]
    found = zip(samples, matches, strict=True)
    return tuple(match or as_sent(sample) for sample, match in found), tuple(refused)


def _fill_gaps(matcher: Matcher, samples: Sequence[Sample], matches: list[Match | None]) -> None:
    for place, sample in enumerate(samples):
        if matches[place] is None:
            matches[place] = matcher(sample)


def _by_known(
    sources: Sequence[PromptSource], recorded: Sequence[PromptSource] = (), *, exactly: bool = True
) -> Matcher:
    """Finds the first of these sources that fits; with `exactly`, recorded variables are tried first.

    Recovered values that contradict the recorded variables are discarded, and so are those for which a template of
    `recorded`, which other spans of the window hold, is the better fit.
    """
    constant = {source.prompt.text: source for source in reversed(sources) if not source.prompt.names}

    def match(sample: Sample) -> Match | None:
        if exactly and (source := _refilled(sources, sample)):
            return Match(source, {name: sample.variables[name] for name in source.prompt.names})
        if source := constant.get(sample.system_prompt):
            return Match(source, {})
        for source in sources:
            fill = source.prompt.read_back(sample.system_prompt)
            if fill and not (_contradicts(fill.values, sample) or _fits_less(source.prompt, sample, recorded)):
                return Match(source, fill.values, fill.ambiguous)
        return None

    return match


def _contradicts(values: Mapping[str, str], sample: Sample) -> bool:
    """Whether the span records other values: its template is known to refill, so its variables are true.

    A text that ends with a variable and a full stop fits whatever somebody wrote behind it.
    """
    true = sample.variables if sample.template is not None else {}
    return any(true.get(name, value) != value for name, value in values.items())


def _fits_less(prompt: PromptText, sample: Sample, recorded: Sequence[PromptSource]) -> bool:
    """Whether a template that other spans record has the same variables and explains more of the text."""
    if sample.template is not None:
        return False
    fixed, names = len("".join(prompt.fixed)), set(prompt.names)
    others = (each.prompt for each in recorded if names and names <= set(each.prompt.names))
    return any(len("".join(other.fixed)) > fixed and other.read_back(sample.system_prompt) for other in others)


def _refilled(sources: Sequence[PromptSource], sample: Sample) -> PromptSource | None:
    """The first source whose prompt, filled with the recorded variables, is the prompt that was sent."""
    named = (source for source in sources if source.prompt.names)
    return next((s for s in named if s.prompt.refill(sample.variables) == sample.system_prompt), None)


def _recorded_sources(samples: Sequence[Sample]) -> dict[str, PromptSource]:
    """The recorded templates by text, most samples first, ties by text."""
    names: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for sample in samples:
        if sample.template is not None:
            names.setdefault(sample.template, set()).update(placeholders(sample.template, sample.variables))
            counts[sample.template] += 1
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    return {text: PromptSource(PromptText(text=text, names=tuple(sorted(names[text]))), "recorded") for text in ordered}


def _by_record(recorded: Mapping[str, PromptSource]) -> Matcher:
    def match(sample: Sample) -> Match | None:
        if sample.template is None:
            return None
        source = recorded[sample.template]
        known = {name: sample.variables[name] for name in source.prompt.names if name in sample.variables}
        return Match(source, known)

    return match


def _by_recovery(recovery: Recovery) -> Matcher:
    """Finds recovered templates; those without slots are the text as it was sent."""
    found = [PromptText(text=each.template.text, names=each.template.names) for each in recovery.templates]

    def match(sample: Sample) -> Match | None:
        matched = recovery.match(sample.system_prompt)
        if matched is None or not found[matched[0]].names:
            return None
        place, fill = matched
        return Match(PromptSource(found[place], "recovered"), fill.values, fill.ambiguous)

    return match


def as_sent(sample: Sample) -> Match:
    """The match of a sample whose prompt is the text as it was sent."""
    return Match(PromptSource(PromptText(text=sample.system_prompt), "as_sent"), {})
