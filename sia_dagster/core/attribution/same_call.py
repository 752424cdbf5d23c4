"""Which prompts of a window are versions of one call, and which are another call of the application."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from sia_dagster.core.attribution.prompt_text import PromptText
from sia_dagster.core.attribution.speakers import Speaker
from sia_dagster.core.template_recovery import shared_share

SAME_CALL_SHARE: Final = 0.3
"""From this share of common three-word runs on, two prompts are versions of one call."""
TELLING_WORDS: Final = 8
"""Two prompts that both have fewer fixed words share too little to tell calls apart by, and count as one call's."""


def same_call(spoken: Sequence[Speaker], force: PromptText) -> frozenset[Speaker]:
    """Those of the speakers of a window, one entry a sample, that are versions of the call of `force`.

    Versions are the registry's prompts, and what shares text with the policy in force or with one of these that
    speaks in the window. Where there is none, the commonest prompt is taken for this call rewritten as a whole, since
    `traces.where` chose the spans: it and its versions are the call.
    """
    counts = Counter(spoken)
    known = [speaker.prompt for speaker in counts if speaker.origin == "registry"]
    found = _kin(counts, [force, *known])
    if found or not counts:
        return found
    commonest = min(counts, key=lambda speaker: (-counts[speaker], speaker.prompt.text))
    return _kin(counts, [commonest.prompt])


def _kin(speakers: Collection[Speaker], known: Sequence[PromptText]) -> frozenset[Speaker]:
    return frozenset(speaker for speaker in speakers if any(_versions(speaker.prompt, other) for other in known))


def _versions(one: PromptText, other: PromptText) -> bool:
    if one == other or max(one.words, other.words) < TELLING_WORDS:
        return True
    return shared_share(one.template, other.template) >= SAME_CALL_SHARE
