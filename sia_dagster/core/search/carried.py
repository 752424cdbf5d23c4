"""Carrying on: a candidate that one window could not decide is tried again on the next window's fresh holdout.

A real but small gain is seldom shown in one week. Trying the same candidate again, instead of searching for another,
is what finds it: measured, 61 % (40 conversations a week) and 91 % (80) of gains of 0.08 within four weeks.
"""

from collections.abc import Collection, Sequence

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.records.gate import Carried, Look
from sia_dagster.core.records.registry import PolicyDecision
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.search_policy import SearchRules, screen
from sia_dagster.core.text import count

Undecided = tuple[Look, Carried]
"""The look that left a candidate open, and how often it was tried."""


LATE = 0.5
"""Of a window's length: by so much months and changes of the clock make windows differ."""


def carried_candidate(
    looks: Sequence[Look], state: StateActions, validation: ValidationConfig, rejected: Collection[str] = ()
) -> Undecided | None:
    """The undecided candidate that this window tries again; None where it searches anew.

    `looks` are those recorded before the window's end. It is the newest look of an earlier window that counts: if that
    decided, or another candidate followed, nothing is carried. The candidate must have been tried in fewer than
    `carry_windows` windows, the newest of them at most as many windows ago, against the policy that is in force now
    and under the same fingerprints of the same evaluators: else its evidence would be about something else. One of the
    `rejected` fingerprints is not tried again.
    """
    earlier = [look for look in looks if look.window.end <= state.window.start]
    newest = max(earlier, key=lambda look: look.window.end, default=None)
    if newest is None or not newest.carries_on:
        return None
    before = newest.carried
    carried = Carried(window=before.window if before else newest.window.key, times=before.times + 1 if before else 1)
    reach = (validation.carry_windows - 1 + LATE) * (state.window.end - state.window.start)
    fresh = state.window.start - newest.window.end <= reach and carried.times < validation.carry_windows
    same = newest.baseline == state.actions and newest.evaluators == fingerprints_of(state)
    refused = newest.candidate.fingerprint in rejected
    return (newest, carried) if fresh and same and not refused else None


def rejected_candidates(decisions: Sequence[PolicyDecision]) -> frozenset[str]:
    """The fingerprints of the candidates that a person rejected, and nobody approved since."""
    latest = {decision.candidate: decision.kind for decision in decisions}
    return frozenset(candidate for candidate, kind in latest.items() if kind == "reject")


def fingerprints_of(state: StateActions) -> dict[str, str]:
    """The evaluators' fingerprints by name."""
    return {constant.name: constant.fingerprint for constant in state.eval_constants}


def carry_on(state: StateActions, undecided: Undecided, rules: SearchRules) -> PolicyUpdate:
    """The carried candidate goes on to validation without a call, if it still may; else `changed` is False.

    It passes the contract guard again, with this window's samples: what was in no sample then may be in one now.
    Where nothing may be learned from the window (`state.refusal`) it is not tried either.
    """
    look, carried = undecided
    name = f"carried from {carried.window}"
    proposed = Candidate(name=name, actions=look.candidate, status="not_chosen")
    (screened,) = screen([proposed], look.baseline, state, rules)
    objection = state.refusal or "; ".join(screened.reasons)
    if objection:
        reason = f"the policy stays: the candidate of {carried.window} is not tried again, since {objection}"
    else:
        tried = count(carried.times, "window")
        reason = f"the candidate of {carried.window} goes on: {tried} could not decide it, so nothing new was searched"
        screened = screened.model_copy(update={"status": "chosen", "reasons": (reason,)})
    return PolicyUpdate(
        loop=state.loop,
        window=state.window,
        baseline=state.actions,
        candidate=state.actions if objection else look.candidate,
        changed=not objection,
        reason=reason,
        candidates=(screened,),
        carried=None if objection else carried,
    )


def search_after_carried(fresh: PolicyUpdate, dropped: PolicyUpdate) -> PolicyUpdate:
    """What the search found after the carried candidate could not go on, with that candidate and why at the head."""
    return fresh.model_copy(
        update={
            "candidates": (*dropped.candidates, *fresh.candidates),
            "reason": f"{fresh.reason} ({dropped.reason.removeprefix('the policy stays: ')})",
        }
    )
