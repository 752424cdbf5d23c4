"""Carrying on: a candidate without a decision is tested again on the next window's new holdout.

One week seldom shows a real but small gain. Testing the same candidate again finds it more often than a new search:
measured, 61 % (40 conversations a week) and 91 % (80) of gains of 0.08 are found within four weeks.
"""

from collections.abc import Sequence

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.guard import ContractGuard
from sia_dagster.core.records.gate import Carried, Look
from sia_dagster.core.records.registry import PolicyDecision
from sia_dagster.core.records.search import CARRIED, Candidate, PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.search.search_policy import STAYS, concluded, screen
from sia_dagster.core.text import count

Undecided = tuple[Look, Carried]
"""The look that left a candidate undecided, and how often it was tried."""
LATE = 0.5
"""Tolerance as a share of a window's length: windows differ in length by month and by daylight saving time."""


def carried_candidate(
    looks: Sequence[Look], state: StateActions, validation: ValidationConfig, decisions: Sequence[PolicyDecision] = ()
) -> Undecided | None:
    """The undecided candidate that this window tries again; None where it searches anew.

    `looks` and people's `decisions` are those recorded before the window's end. Only the newest look of an earlier
    window counts: if that decided, or another candidate followed, nothing is carried. The candidate must have been
    tried in fewer than `carry_windows` windows, the newest of them at most as many windows ago, against the policy
    that is in force now and under the same fingerprints of the same evaluators: otherwise its results would be about
    something else. A candidate that a person rejected, and nobody approved since, is not tried again.
    """
    earlier = [look for look in looks if look.window.end <= state.window.start]
    newest = max(earlier, key=lambda look: look.window.end, default=None)
    if newest is None or not newest.carries_on:
        return None
    before = newest.carried
    carried = Carried(window=before.window if before else newest.window.key, times=before.times + 1 if before else 1)
    reach = (validation.carry_windows - 1 + LATE) * (state.window.end - state.window.start)
    fresh = state.window.start - newest.window.end <= reach and carried.times < validation.carry_windows
    same = newest.baseline == state.actions and newest.evaluators == state.evaluator_fingerprints
    latest = {decision.candidate: decision.kind for decision in decisions}
    rejected = latest.get(newest.candidate.fingerprint) == "reject"
    return (newest, carried) if fresh and same and not rejected else None


def carry_on(state: StateActions, undecided: Undecided, rules: SearchRules) -> PolicyUpdate:
    """The carried candidate goes on to validation without a call, if it still may; else `changed` is False.

    The contract guard checks it again with this window's samples: what was in no sample then may be in one now. A
    window from which nothing may be learned (`state.refusal`) does not try it either.
    """
    look, carried = undecided
    name = f"{CARRIED}{carried.window}"
    proposed = Candidate(
        name=name, actions=look.candidate, status="not_chosen", concerns=look.concerns, question=look.question
    )
    guard = ContractGuard(look.baseline, state.samples, rules.limits)
    (screened,) = screen([proposed], look.baseline, guard, carried=True)
    objection = state.refusal or "; ".join(screened.reasons)
    if objection:
        dropped = f"{STAYS}the candidate of {carried.window} is not tried again, since {objection}"
        return concluded(state, dropped, (screened,))
    tried = count(carried.times, "window")
    reason = f"the candidate of {carried.window} goes on without a new search, since {tried} could not decide it"
    chosen = screened.model_copy(update={"status": "chosen", "reasons": (reason,)})
    update = concluded(state, reason, (chosen,), chosen)
    kept = {"carried": carried, "question": look.question, "provenance": look.provenance}
    return update.model_copy(update=kept)


def search_after_carried(fresh: PolicyUpdate, dropped: PolicyUpdate) -> PolicyUpdate:
    """The outcome of the search after the carried candidate was dropped, which is named first, with the reason."""
    return fresh.model_copy(
        update={
            "candidates": (*dropped.candidates, *fresh.candidates),
            "reason": f"{fresh.reason} ({dropped.reason.removeprefix(STAYS)})",
        }
    )
