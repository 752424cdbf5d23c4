"""Which prompt gave each sample's system prompt: the registry's, a recorded one, a recovered one, or only the text."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from sia_dagster.core.attribution.prompt_text import PromptText
from sia_dagster.core.openinference import placeholders
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.template_recovery import Recovery, recover

Origin = Literal["registry", "recorded", "recovered", "as_sent"]


class Speaker(NamedTuple):
    """One prompt that may have spoken."""

    prompt: PromptText
    origin: Origin
    version: int | None = None


class Voice(NamedTuple):
    """Who spoke in one sample, and with what variables."""

    speaker: Speaker
    values: Mapping[str, str]
    ambiguous: bool = False
    """Whether the values could be others that fill in to the same prompt."""


Listener = Callable[[Sample], Voice | None]
"""Says who spoke in a sample; None where it cannot."""


def listen(samples: Sequence[Sample], known: Sequence[Speaker]) -> tuple[tuple[Voice, ...], tuple[str, ...]]:
    """A voice for every sample, in order, and why templates could not be recovered, one sentence a group of prompts.

    Asked first are the prompts of `known` in their order; then what the spans record; then the templates that other
    spans of the window record; what is left gives recovered templates, or speaks as it was sent.
    """
    recorded = _recorded_speakers(samples)
    voices: list[Voice | None] = [None] * len(samples)
    others = list(recorded.values())
    for listener in (_by_known(known, others), _by_record(recorded), _by_known(others, exactly=False)):
        _ask(listener, samples, voices)
    unknown = [sample for sample, voice in zip(samples, voices, strict=True) if voice is None]
    recovery = recover([s.system_prompt for s in unknown], [s.start_time for s in unknown]) if unknown else Recovery()
    _ask(_by_recovery(recovery), samples, voices)
    refused = [f"{r.reason} ({r.prompts} of them, such as {r.example!r})" for r in recovery.refusals]
    heard = zip(samples, voices, strict=True)
    return tuple(voice or _as_sent(sample) for sample, voice in heard), tuple(refused)


def _ask(listener: Listener, samples: Sequence[Sample], voices: list[Voice | None]) -> None:
    for place, sample in enumerate(samples):
        if voices[place] is None:
            voices[place] = listener(sample)


def _by_known(speakers: Sequence[Speaker], recorded: Sequence[Speaker] = (), *, exactly: bool = True) -> Listener:
    """The first of these that the prompt is a fill of; with `exactly`, recorded variables are tried before.

    A fill that what the spans record shows to be wrong is none: `recorded` are the templates that the window's spans
    hold.
    """
    constant = {speaker.prompt.text: speaker for speaker in reversed(speakers) if not speaker.prompt.names}

    def heard(sample: Sample) -> Voice | None:
        if exactly and (speaker := _refilled(speakers, sample)):
            return Voice(speaker, {name: sample.variables[name] for name in speaker.prompt.names})
        if speaker := constant.get(sample.system_prompt):
            return Voice(speaker, {})
        for speaker in speakers:
            fill = speaker.prompt.read_back(sample.system_prompt)
            if fill and not (_denied(fill.values, sample) or _told_better(speaker.prompt, sample, recorded)):
                return Voice(speaker, fill.values, fill.ambiguous)
        return None

    return heard


def _denied(values: Mapping[str, str], sample: Sample) -> bool:
    """Whether the span says otherwise: a template that it records is one that refills, so its variables are true.

    A text that ends with a variable and a full stop fits whatever was written behind it by hand.
    """
    said = sample.variables if sample.template is not None else {}
    return any(said.get(name, value) != value for name, value in values.items())


def _told_better(prompt: PromptText, sample: Sample, recorded: Sequence[Speaker]) -> bool:
    """Whether a template that other spans record reads the same variables and leaves less of the text to them."""
    if sample.template is not None:
        return False
    fixed, names = len("".join(prompt.fixed)), set(prompt.names)
    others = (each.prompt for each in recorded if names and names <= set(each.prompt.names))
    return any(len("".join(other.fixed)) > fixed and other.read_back(sample.system_prompt) for other in others)


def _refilled(speakers: Sequence[Speaker], sample: Sample) -> Speaker | None:
    """The first with variables that the recorded ones fill in to the prompt that was sent."""
    named = (speaker for speaker in speakers if speaker.prompt.names)
    return next((s for s in named if s.prompt.refill(sample.variables) == sample.system_prompt), None)


def _recorded_speakers(samples: Sequence[Sample]) -> dict[str, Speaker]:
    """By text, that of most samples first; of equally many by text."""
    names: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for sample in samples:
        if sample.template is not None:
            names.setdefault(sample.template, set()).update(placeholders(sample.template, sample.variables))
            counts[sample.template] += 1
    ordered = sorted(counts, key=lambda text: (-counts[text], text))
    return {text: Speaker(PromptText(text=text, names=tuple(sorted(names[text]))), "recorded") for text in ordered}


def _by_record(recorded: Mapping[str, Speaker]) -> Listener:
    def heard(sample: Sample) -> Voice | None:
        if sample.template is None:
            return None
        speaker = recorded[sample.template]
        known = {name: sample.variables[name] for name in speaker.prompt.names if name in sample.variables}
        return Voice(speaker, known)

    return heard


def _by_recovery(recovery: Recovery) -> Listener:
    """A template without slots is the text as it was sent."""
    found = [PromptText(text=each.template.text, names=each.template.names) for each in recovery.templates]

    def heard(sample: Sample) -> Voice | None:
        matched = recovery.match(sample.system_prompt)
        if matched is None or not found[matched[0]].names:
            return None
        place, fill = matched
        return Voice(Speaker(found[place], "recovered"), fill.values, fill.ambiguous)

    return heard


def _as_sent(sample: Sample) -> Voice:
    return Voice(Speaker(PromptText(text=sample.system_prompt), "as_sent"), {})
