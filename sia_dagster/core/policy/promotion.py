"""Promotion: a policy comes into force by an accepted verdict or by a person's override."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from sia_dagster.core.errors import PromotionRefused
from sia_dagster.core.gate import GateTerms
from sia_dagster.core.policy.rollback import rollback_of
from sia_dagster.core.ports.stores import DecisionStore, GateLog, PolicyStore
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion, Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value

A_PERSON_MUST_LOOK: Final = "a person must look at the candidate"
"""How the reason begins where the guard could not be sure."""
NOBODY = "a person"
"""The name in the record where none was given."""


class PromotionRequest(Value):
    """A request to decide on a window's candidate: by whom, when and why."""

    kind: Literal["auto", "approve", "reject", "override"]
    """`auto`: by the job itself, on an accepted verdict. `override`: although the gate does not accept it."""
    at: datetime
    by: str = ""
    note: str = ""
    report: str | None = None
    """The place of the window's report, for the registry."""

    @property
    def is_signed(self) -> bool:
        """Whether a person gave a name and a note."""
        return self.kind in {"approve", "override"} and bool(self.by.strip() and self.note.strip())


class PromotionStores(NamedTuple):
    """The stores that a promotion reads and writes."""

    policies: PolicyStore
    decisions: DecisionStore
    log: GateLog
    terms: GateTerms


def promote(report: ValidationReport, request: PromotionRequest, stores: PromotionStores) -> Promotion:
    """Carry out the request on the report's candidate, as far as the gate allows it.

    The whole gate is checked again from the stored records (`GateTerms.recheck`), and the candidate's baseline must
    still be in force. A person with a name and a note can override a gate that refuses, but not a broken contract or an
    outdated baseline. A candidate that was rejected or rolled back needs a person with a name and a note, and so does
    one at which the guard wants a person to look. A person's decision is recorded before anything comes into force. A
    refused request does not raise: `promoted` is None and `reason` gives the reason. A second call for the same window
    and candidate returns the entry of the first, also when another version came into force since. Raises PolicyError
    if the registry, GateLogError if the looks ledger cannot be read or written.
    """
    versions = stores.policies.versions()
    current = versions[-1] if versions else None
    if report.candidate is None:
        return not_promoted(report, _no_candidate(report))
    own = (v for v in versions if v.kind == "promote" and v.window == report.window)
    standing = next((v for v in own if v.actions == report.candidate), None)
    if request.kind == "reject":
        return _reject(report, request, stores, standing)
    if standing is not None:
        return _promotion(report, stores, _repeated(standing, current), standing)
    faults = _faults(report, current, stores)
    against = (*_rejected_before(report, request, stores), *_rolled_back_before(report, request, versions))
    doubts = () if faults else (*against, *stores.terms.recheck(report, stores.log), *_unread(report, request, stores))
    if reasons := faults or _blocking(doubts, request):
        return _promotion(report, stores, "; ".join(reasons))
    return _put_in_force(report, request, stores, current, overridden=bool(doubts))


def is_outdated(report: ValidationReport, current: PolicyVersion | None) -> bool:
    """Whether another policy than the report's baseline is in force by now."""
    return current is not None and current.actions != report.baseline


def promotion_entry(
    report: ValidationReport,
    candidate: Actions,
    request: PromotionRequest,
    *,
    parent: PolicyVersion | None,
    override: bool = False,
) -> PolicyVersion:
    """The registry entry that puts `candidate` in force by the report's verdict, after `parent`.

    The first entry of a loop keeps the policy it replaces, which no other entry holds.
    """
    return PolicyVersion(
        version=parent.version + 1 if parent else 1,
        loop=report.loop,
        kind="promote",
        actions=candidate,
        at=request.at,
        parent=parent.version if parent else None,
        replaced=report.baseline if parent is None else None,
        window=report.window,
        evidence=report.comparisons,
        saving=report.saving,
        provenance=report.provenance,
        report=request.report,
        concerns=report.concerns,
        by=_name(request),
        note=request.note,
        override=override,
    )


def not_promoted(report: ValidationReport, reason: str) -> Promotion:
    """A result without a promotion, with its reason."""
    return Promotion(loop=report.loop, window=report.window, reason=reason)


def latest_decision(decisions: Sequence[PolicyDecision], window: TimeWindow) -> PolicyDecision | None:
    """A person's last decision on this window's candidate; None where nobody decided."""
    return next((decision for decision in reversed(decisions) if decision.window == window), None)


def rejected_windows(decisions: Sequence[PolicyDecision]) -> frozenset[str]:
    """The keys of the windows whose candidate a person rejected, and nobody approved since."""
    latest = {decision.window.key: decision.kind for decision in decisions}
    return frozenset(window for window, kind in latest.items() if kind == "reject")


def _put_in_force(
    report: ValidationReport,
    request: PromotionRequest,
    stores: PromotionStores,
    current: PolicyVersion | None,
    *,
    overridden: bool,
) -> Promotion:
    """`overridden`: in spite of the gate's doubts."""
    assert report.candidate is not None
    if request.kind != "auto":
        # Recorded before the policy itself: nothing is in force past the gate without a record.
        stores.decisions.append(_decision(report, request, "override" if overridden else "approve"))
    entry = promotion_entry(report, report.candidate, request, parent=current, override=overridden)
    try:
        stored = stores.policies.append(entry)
    except PromotionRefused as refusal:
        return _promotion(report, stores, str(refusal))
    return _promotion(report, stores, _came_into_force(stored), stored)


def _reject(
    report: ValidationReport, request: PromotionRequest, stores: PromotionStores, standing: PolicyVersion | None
) -> Promotion:
    decision = stores.decisions.append(_decision(report, request, "reject"))
    reason = _rejection(decision)
    if standing is not None:
        reason += (
            f"; version {standing.version}, which it had become before, stays in the registry: `sia policy rollback "
            f"--loop {report.loop}` goes back"
        )
    return _promotion(report, stores, reason)


def _faults(report: ValidationReport, current: PolicyVersion | None, stores: PromotionStores) -> tuple[str, ...]:
    """Reasons that nobody can override: the application would break, or the baseline is no longer in force."""
    if current is not None and is_outdated(report, current):
        return (_outdated(report, current),)
    return stores.terms.broken_contract(report)


def _rejected_before(report: ValidationReport, request: PromotionRequest, stores: PromotionStores) -> tuple[str, ...]:
    """A person's rejection stands until a person approves by name and with a note.

    It holds for the window, and for the candidate in any window, since it may have been carried.
    """
    decisions, candidate = stores.decisions.decisions(), report.candidate.fingerprint if report.candidate else ""
    of_candidate = next((each for each in reversed(decisions) if each.candidate == candidate), None)
    latest = (latest_decision(decisions, report.window), of_candidate)
    rejection = next((each for each in latest if each is not None and each.kind == "reject"), None)
    if rejection is None or request.is_signed:
        return ()
    return (f"{_rejection(rejection)}; to approve it after all, give your name and a note that says why",)


def _rolled_back_before(
    report: ValidationReport, request: PromotionRequest, versions: Sequence[PolicyVersion]
) -> tuple[str, ...]:
    """A policy that a person rolled back is put in force again only by a person, whatever the verdict."""
    rollback = rollback_of(report.candidate, versions) if report.candidate else None
    if rollback is None or request.is_signed:
        return ()
    why = f": {rollback.note}" if rollback.note else ""
    return (
        f"{rollback.by or NOBODY} rolled this policy back at {rollback.at.isoformat()}{why}; to put it in force again, "
        "give your name and a note that says why",
    )


def _unread(report: ValidationReport, request: PromotionRequest, stores: PromotionStores) -> tuple[str, ...]:
    """What the guard found that a person must look at: only by name and with a note the candidate comes into force."""
    if report.verdict != "accept" or request.is_signed:
        return ()
    found = stores.terms.concerns(report, stores.log)
    how = f"`sia policy promote --loop {report.loop} --window {report.window.key} --by YOU --note WHY` puts it in force"
    reasons = "; ".join(finding.reason for finding in found)
    return (f"{A_PERSON_MUST_LOOK} before it comes into force: {reasons}. {how}",) if found else ()


def _blocking(doubts: tuple[str, ...], request: PromotionRequest) -> tuple[str, ...]:
    """The doubts that stop this request: all, or none where a person overrides them by name and with a note."""
    if not doubts or request.kind != "override":
        return doubts
    return () if request.is_signed else ("an override is recorded: give your name and a note that says why", *doubts)


def _decision(
    report: ValidationReport, request: PromotionRequest, kind: Literal["approve", "reject", "override"]
) -> PolicyDecision:
    return PolicyDecision(
        number=1,
        loop=report.loop,
        window=report.window,
        kind=kind,
        candidate=report.candidate.fingerprint if report.candidate else "",
        verdict=report.verdict,
        at=request.at,
        by=_name(request),
        note=request.note,
    )


def _promotion(
    report: ValidationReport, stores: PromotionStores, reason: str, promoted: PolicyVersion | None = None
) -> Promotion:
    decision = latest_decision(stores.decisions.decisions(), report.window)
    return Promotion(loop=report.loop, window=report.window, promoted=promoted, reason=reason, decision=decision)


def _name(request: PromotionRequest) -> str:
    return request.by or ("auto" if request.kind == "auto" else NOBODY)


def _no_candidate(report: ValidationReport) -> str:
    return f"the verdict is {report.verdict}, and the window has no candidate: the policy in force stays"


def _rejection(decision: PolicyDecision) -> str:
    why = f": {decision.note}" if decision.note else ""
    return f"{decision.by} rejected the candidate of window {decision.window.key} at {decision.at.isoformat()}{why}"


def _came_into_force(entry: PolicyVersion) -> str:
    """The same sentence whenever the window is run, so that its bytes repeat."""
    window = entry.window.key if entry.window else ""
    if entry.override:
        return f"{entry.by} put version {entry.version} in force past the gate of window {window}: {entry.note}"
    return f"the evidence of window {window} put version {entry.version} in force"


def _repeated(earlier: PolicyVersion, current: PolicyVersion | None) -> str:
    if current is None or current.version == earlier.version:
        return _came_into_force(earlier)
    return (
        f"{_came_into_force(earlier)}; version {current.version} is in force since, and a repeated run does not change "
        f"that (`sia policy rollback --loop {earlier.loop} --to {earlier.version}` does)"
    )


def _outdated(report: ValidationReport, current: PolicyVersion) -> str:
    since = f"version {current.version}, in force since {current.at.isoformat()}"
    if current.at < report.window.end:
        return f"the window compared the candidate with another policy than {since}: run the window again"
    return (
        f"the window compared the candidate with another policy than {since}, which is after the window's end: a "
        "window that ends later compares with that version"
    )
