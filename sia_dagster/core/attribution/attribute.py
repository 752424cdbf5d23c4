"""Attributes a window's samples to the prompts that produced them, and counts the share of each prompt."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sia_dagster.core.attribution.prompt_sources import Match, PromptSource, as_sent, match_samples
from sia_dagster.core.attribution.prompt_text import PromptText, named_alike
from sia_dagster.core.attribution.same_call import same_call
from sia_dagster.core.records.policy import PolicyShare
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.value import Value, fingerprint


class Attribution(Value):
    """A window's samples and the prompts that produced them."""

    samples: tuple[Sample, ...] = ()
    """In the order given, with `template` and `variables` of their prompt; no template where the prompt is the text
    itself."""
    policies: tuple[PolicyShare, ...] = ()
    """The prompts: the one in force first, then by share, then by text."""
    places: tuple[int, ...] = ()
    """The place in `policies` of each sample's prompt."""
    ambiguous: frozenset[str] = frozenset()
    """Span ids of samples whose variables may have been others that fill in to the same prompt."""
    refused: tuple[str, ...] = ()
    """Why templates could not be recovered, one sentence a group of prompts."""


class _Attributed(NamedTuple):
    sample: Sample
    match: Match


def attribute(samples: Sequence[Sample], known: Sequence[PolicyVersion], in_force: PolicyVersion | None) -> Attribution:
    """Find the prompt that produced each sample, and whether that prompt belongs to this loop's call.

    `known` are the registry's versions of that time, oldest first; the policy before the first of them counts as
    version 0. Without a policy in force, the prompt of most samples takes its place, ties by fingerprint. A prompt is
    this loop's if it is the registry's or shares text with one of these (`same_call`). A recovered template takes the
    variable names of the policy in force where a slot stands between the same words. The result does not depend on the
    order of the samples.
    """
    order = sorted(range(len(samples)), key=lambda place: (samples[place].start_time, samples[place].span_id))
    sources = _registry(known, in_force)
    matches, refused = match_samples([samples[place] for place in order], sources)
    found = [_Attributed(samples[place], match) for place, match in zip(order, matches, strict=True)]
    force = sources[0].prompt if in_force else _commonest_prompt(found)
    found = [_under_names_of(force, each) for each in found]
    shares = _shares(found, force)
    places = {source: place for place, source in enumerate(shares)}
    back = [each for _, each in sorted(zip(order, found, strict=True), key=lambda item: item[0])]
    return Attribution(
        samples=tuple(_sample(each) for each in back),
        policies=tuple(shares.values()),
        places=tuple(places[each.match.source] for each in back),
        ambiguous=frozenset(each.sample.span_id for each in found if each.match.ambiguous),
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


def _registry(known: Sequence[PolicyVersion], in_force: PolicyVersion | None) -> list[PromptSource]:
    """The policy in force, the other versions from the newest back, and what the first one replaced; no text twice."""
    newest_first = sorted(known, key=lambda version: -version.version)
    entries = [(v.actions, v.version) for v in ([in_force] if in_force else []) + newest_first]
    entries += [(v.replaced, 0) for v in newest_first[-1:] if v.replaced]
    found: dict[object, PromptSource] = {}
    for actions, version in entries:
        prompt = PromptText(text=actions.system_prompt, names=actions.variables)
        found.setdefault(_key(prompt.text, prompt.names), PromptSource(prompt, "registry", version))
    return list(found.values())


def _key(text: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    return text, tuple(sorted(names))


def _commonest_prompt(found: Sequence[_Attributed]) -> PromptText:
    prompts = [each.match.source.prompt for each in found]
    text = commonest(prompt.text for prompt in prompts) if prompts else ""
    return next((prompt for prompt in prompts if prompt.text == text), PromptText(text=""))


def _under_names_of(force: PromptText, found: _Attributed) -> _Attributed:
    """A recovered prompt under the variable names of the one in force, or the text as sent if it cannot hold them."""
    source, values, ambiguous = found.match
    if source.origin != "recovered" or source.prompt == force:
        return found
    prompt = named_alike(source.prompt, force)
    if prompt is None:
        return _Attributed(found.sample, as_sent(found.sample))
    renamed = {new: values[old] for old, new in zip(source.prompt.names, prompt.names, strict=True)}
    return _Attributed(found.sample, Match(source._replace(prompt=prompt), renamed, ambiguous))


def _sample(found: _Attributed) -> Sample:
    source = found.match.source
    template = source.prompt.text if source.prompt.names or source.origin == "recorded" else None
    variables = {**found.sample.variables, **found.match.values}
    return found.sample.model_copy(update={"template": template, "variables": variables})


def _shares(found: Sequence[_Attributed], force: PromptText) -> dict[PromptSource, PolicyShare]:
    """In the order of `Attribution.policies`."""
    groups: dict[PromptSource, list[Sample]] = {}
    for each in found:
        groups.setdefault(each.match.source, []).append(each.sample)
    ours = same_call([each.match.source for each in found], force)
    shares = {
        source: _share(source, group, in_force=source.prompt == force, same=source in ours, of=len(found))
        for source, group in groups.items()
    }
    return dict(sorted(shares.items(), key=lambda i: (not i[1].in_force, -i[1].samples, i[1].system_prompt)))


def _share(source: PromptSource, group: Sequence[Sample], *, in_force: bool, same: bool, of: int) -> PolicyShare:
    return PolicyShare(
        system_prompt=source.prompt.text,
        variables=source.prompt.names,
        origin=source.origin,
        version=source.version,
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
    """Counts by value, most first, ties by value."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))
