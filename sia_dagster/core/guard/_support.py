"""An edit needs its causes in several conversations of different users: one account is one source."""

from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.text import count

SOURCES: Final = 3
"""Different users (conversations, where none is recorded) whose samples motivate an edit."""


def rests_on_several_sources(case: GuardInput) -> Findings:
    """Each new example, and each edit that rests on fewer than three sources: a person must look.

    An example shows one call, and whoever wrote that speaks in all later ones. Samples that are not of this window do
    not count. Nothing is found of edits where they are not known, or where the words of the policy stay as they are and
    only its model or parameters change.
    """
    new = [each for each in case.candidate.examples if each not in case.baseline.examples]
    if new:
        what = f"{count(len(new), 'new example')} of calls, each with the words of one conversation: read them"
        yield case.finding("person", "support", what)
    if case.edits is None or case.candidate.words == case.baseline.words:
        return
    if not case.edits and not new:
        yield case.finding("person", "support", "no edit names the samples that motivate the change")
    for number, edit in enumerate(case.edits, start=1):
        sources = {case.traffic.source_of[span] for span in edit.samples if span in case.traffic.source_of}
        if len(sources) < SOURCES:
            what = f"edit {number} rests on samples of {_counted(sources)}, and {SOURCES} are needed"
            yield case.finding("person", "support", what)


def _counted(sources: set[str]) -> str:
    """`2 users`; `1 conversation, since no user is recorded`."""
    users = sum(source.startswith("user ") for source in sources)
    kind = "user" if users == len(sources) and users else "source" if users else "conversation"
    counted = f"{len(sources) or 'no'} {kind}{'' if len(sources) == 1 else 's'}"
    return counted if users else f"{counted} (no user is recorded, so that each conversation is one)"
