"""Which policy spoke in a window: every sample under the prompt that gave it, and what share each prompt has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sia_dagster.core.attribution.prompt_text import PromptText
from sia_dagster.core.attribution.same_call import same_call
from sia_dagster.core.attribution.slot_names import named_alike
from sia_dagster.core.attribution.speakers import Speaker, Voice, listen
from sia_dagster.core.records.policy import PolicyShare
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value, fingerprint


class Attribution(Value):
    """A window's samples with the prompt that each was sent under."""

    samples: tuple[Sample, ...] = ()
    """As they were given, with `template` and `variables` of the prompt that spoke; no template where it is the text
    itself."""
    policies: tuple[PolicyShare, ...] = ()
    """The prompts that spoke: the one in force first, then by share, then by text."""
    spoke: tuple[int, ...] = ()
    """The place in `policies` of each sample's prompt."""
    ambiguous: frozenset[str] = frozenset()
    """Span ids of samples whose prompt is refilled exactly, while their variables may have been others."""
    refused: tuple[str, ...] = ()
    """Why templates could not be recovered, one sentence a group of prompts."""


class _Heard(NamedTuple):
    sample: Sample
    voice: Voice


def attribute(samples: Sequence[Sample], known: Sequence[PolicyVersion], in_force: PolicyVersion | None) -> Attribution:
    """Say of every sample which prompt gave its system prompt, and of every prompt whether it is this loop's call.

    `known` are the registry's versions of that time, oldest first; the policy before the first of them counts as
    version 0. Without a policy in force, it is the prompt of most samples, ties by fingerprint. A prompt is this
    loop's if it is the registry's or shares text with one of these (`same_call`). A template that was recovered beside
    the policy in force takes its names of variables where a slot stands between the same words. The same samples give
    the same values in whatever order they come.
    """
    order = sorted(range(len(samples)), key=lambda place: (samples[place].start_time, samples[place].span_id))
    speakers = _registry(known, in_force)
    voices, refused = listen([samples[place] for place in order], speakers)
    heard = [_Heard(samples[place], voice) for place, voice in zip(order, voices, strict=True)]
    force = speakers[0].prompt if in_force else _commonest_prompt(heard)
    heard = [_under_names_of(force, each) for each in heard]
    shares = _shares(heard, force)
    places = {speaker: place for place, speaker in enumerate(shares)}
    back = [each for _, each in sorted(zip(order, heard, strict=True), key=lambda item: item[0])]
    return Attribution(
        samples=tuple(_attributed(each) for each in back),
        policies=tuple(shares.values()),
        spoke=tuple(places[each.voice.speaker] for each in back),
        ambiguous=frozenset(each.sample.span_id for each in heard if each.voice.ambiguous),
        refused=refused,
    )


def commonest(values: Iterable[Any]) -> Any:
    """The value that comes most often; of equally common ones the one with the smallest fingerprint."""
    first: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for value in values:
        key = fingerprint(value)
        first.setdefault(key, value)
        counts[key] += 1
    return first[min(counts, key=lambda key: (-counts[key], key))]


def _registry(known: Sequence[PolicyVersion], in_force: PolicyVersion | None) -> list[Speaker]:
    """The policy in force, the other versions from the newest back, and what the first one replaced; no text twice."""
    newest_first = sorted(known, key=lambda version: -version.version)
    entries = [(v.actions, v.version) for v in ([in_force] if in_force else []) + newest_first]
    entries += [(v.replaced, 0) for v in newest_first[-1:] if v.replaced]
    found: dict[object, Speaker] = {}
    for actions, version in entries:
        prompt = PromptText(text=actions.system_prompt, names=actions.variables)
        found.setdefault(_key(prompt.text, prompt.names), Speaker(prompt, "registry", version))
    return list(found.values())


def _key(text: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    return text, tuple(sorted(names))


def _commonest_prompt(heard: Sequence[_Heard]) -> PromptText:
    texts = [each.voice.speaker.prompt for each in heard]
    text = commonest(prompt.text for prompt in texts) if texts else ""
    return next((prompt for prompt in texts if prompt.text == text), PromptText(text=""))


def _under_names_of(force: PromptText, heard: _Heard) -> _Heard:
    """A recovered prompt other than the one in force under its names of variables; what cannot be so is as sent."""
    speaker, values, ambiguous = heard.voice
    if speaker.origin != "recovered" or speaker.prompt == force:
        return heard
    prompt = named_alike(speaker.prompt, force)
    if prompt is None:
        sent = Speaker(PromptText(text=heard.sample.system_prompt), "as_sent")
        return _Heard(heard.sample, Voice(sent, {}))
    renamed = {new: values[old] for old, new in zip(speaker.prompt.names, prompt.names, strict=True)}
    return _Heard(heard.sample, Voice(speaker._replace(prompt=prompt), renamed, ambiguous))


def _attributed(heard: _Heard) -> Sample:
    prompt = heard.voice.speaker.prompt
    template = prompt.text if prompt.names or heard.voice.speaker.origin == "recorded" else None
    variables = {**heard.sample.variables, **heard.voice.values}
    return heard.sample.model_copy(update={"template": template, "variables": variables})


def _shares(heard: Sequence[_Heard], force: PromptText) -> dict[Speaker, PolicyShare]:
    """In the order of `Attribution.policies`."""
    groups: dict[Speaker, list[Sample]] = {}
    for each in heard:
        groups.setdefault(each.voice.speaker, []).append(each.sample)
    ours = same_call([each.voice.speaker for each in heard], force)
    shares = {
        speaker: _share(speaker, group, in_force=speaker.prompt == force, same=speaker in ours, of=len(heard))
        for speaker, group in groups.items()
    }
    return dict(sorted(shares.items(), key=lambda i: (not i[1].in_force, -i[1].samples, i[1].system_prompt)))


def _share(speaker: Speaker, group: Sequence[Sample], *, in_force: bool, same: bool, of: int) -> PolicyShare:
    return PolicyShare(
        system_prompt=speaker.prompt.text,
        variables=speaker.prompt.names,
        origin=speaker.origin,
        version=speaker.version,
        in_force=in_force,
        same_call=same,
        samples=len(group),
        share=len(group) / of,
        names=_counted(sample.name for sample in group),
        models=_counted(sample.model for sample in group),
        first=group[0].start_time,
        last=group[-1].start_time,
    )


def _counted(values: Iterable[str]) -> Mapping[str, int]:
    """Most first; of equally many by name."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
