"""Where each sentence of a candidate's prompt comes from that the loop wrote, in this window or in earlier ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.records.policy import SentenceOrigin
from sia_dagster.core.records.search import Candidate, Edit
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.text import sentences


class _Step(NamedTuple):
    """A policy that the search went through on its way to the chosen one."""

    candidate: Candidate
    sentences: frozenset[str]


def provenance_of(
    state: StateActions, candidates: Sequence[Candidate], chosen: Candidate | None
) -> tuple[SentenceOrigin, ...]:
    """The origins of the sentences of the chosen policy, in order; without a choice, those of the policy in force.

    A sentence that stands in the policy in force keeps its origin, or has none, since the loop did not write it. Any
    other was written in this window: its race is that of the first policy with it, its cause and samples are those of
    the edit that it is from. Where no edit accounts for it, as in a prompt written anew, it has no cause.
    """
    if chosen is None:
        return state.provenance
    before = _sentences(state.actions.system_prompt) if state.actions else frozenset()
    known = {origin.text: origin for origin in state.provenance}
    steps, found = _steps(candidates, chosen), list[SentenceOrigin]()
    for text in dict.fromkeys(text for _, text in sentences(chosen.actions.system_prompt)):
        if text not in before:
            found.append(_written(text, steps, state.window.key))
        elif text in known:
            found.append(known[text])
    return tuple(found)


def _sentences(prompt: str) -> frozenset[str]:
    return frozenset(text for _, text in sentences(prompt))


def _steps(candidates: Sequence[Candidate], chosen: Candidate) -> list[_Step]:
    """The policies that won their races, as they followed one another: strategies in turn, edits by their number."""
    turn: Mapping[str, int] = {name: place for place, name in enumerate(dict.fromkeys(c.strategy for c in candidates))}
    won = [c for c in candidates if c is not chosen and c.race is not None and c.race.decision == "better"]
    won.sort(key=lambda c: (turn[c.strategy], len(c.edits)))
    return [_Step(c, _sentences(c.actions.system_prompt)) for c in (*won, chosen)]


def _written(text: str, steps: Sequence[_Step], window: str) -> SentenceOrigin:
    step = next(step.candidate for step in steps if text in step.sentences)
    edit, race = _edit_of(text, step.edits), step.race
    return SentenceOrigin(
        text=text,
        window=window,
        strategy=step.strategy,
        samples=edit.samples if edit else (),
        cause=edit.cause if edit else "",
        probed=edit.probed if edit else 0,
        mended=edit.mended if edit else 0,
        gain=race.mean if race is not None and race.decision == "better" else None,
    )


def _edit_of(text: str, edits: Sequence[Edit]) -> Edit | None:
    """The edit that wrote the sentence, or else the longest part of it."""
    whole = next((edit for edit in edits if text in edit.text), None)
    parts = [edit for edit in edits if edit.text.strip() and edit.text.strip() in text]
    return whole or max(parts, key=lambda edit: len(edit.text), default=None)
