"""Decides which prompts of a window are versions of one call, and which belong to another call of the application."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from sia_dagster.core.attribution.prompt_sources import PromptSource
from sia_dagster.core.attribution.prompt_text import PromptText
from sia_dagster.core.template_recovery import shared_share

SAME_CALL_SHARE: Final = 0.3
"""From this share of common three-word runs on, two prompts are versions of one call."""
COMPARABLE_WORDS: Final = 8
"""Two prompts that both have fewer fixed words are too short to compare and count as versions of one call."""


def same_call(sources: Sequence[PromptSource], force: PromptText) -> frozenset[PromptSource]:
    """The sources that are versions of the call of `force`; `sources` has one entry a sample.

    Versions are the registry's prompts, and prompts that share text with the policy in force or with a registry prompt
    of the window. If there is none, the commonest prompt is taken for a complete rewrite of this call, since
    `traces.where` chose the spans: it and its versions are the call.
    """
    counts = Counter(sources)
    known = [source.prompt for source in counts if source.origin == "registry"]
    found = _versions(counts, [force, *known])
    if found or not counts:
        return found
    commonest = min(counts, key=lambda source: (-counts[source], source.prompt.text))
    return _versions(counts, [commonest.prompt])


def _versions(sources: Collection[PromptSource], known: Sequence[PromptText]) -> frozenset[PromptSource]:
    return frozenset(source for source in sources if any(_is_version(source.prompt, other) for other in known))


def _is_version(one: PromptText, other: PromptText) -> bool:
    if one == other or max(one.words, other.words) < COMPARABLE_WORDS:
        return True
    return shared_share(one.template, other.template) >= SAME_CALL_SHARE
