"""What puts a policy in force: a window's accepted evidence, or a person's override."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from sia_dagster.core.errors import PromotionRefused
from sia_dagster.core.gate import GateTerms, broken_contract, recheck_gate
from sia_dagster.core.policy.rollback import taken_back
from sia_dagster.core.ports.stores import DecisionStore, GateLog, PolicyStore
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion, Promotion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.value import Value

NOBODY = "a person"
"""Who approved where no name was given."""


class PromotionRequest(Value):
    """What is to happen with a window's candidate, by whom, when and why."""

    kind: Literal["auto", "approve", "reject", "override"]
    """`auto`: the job itself, on accepted evidence. `override`: past a gate that does not accept it."""
    at: datetime
    by: str = ""
    note: str = ""
    report: str | None = None
    """Where the window's report is, for the registry."""

    @property
    def is_signed(self) -> bool:
        """Whether a person said who and why."""
        return self.kind in {"approve", "override"} and bool(self.by.strip() and self.note.strip())


class PromotionStores(NamedTuple):
    """What a promotion reads and writes."""

    policies: PolicyStore
    decisions: DecisionStore
    log: GateLog
    terms: GateTerms


def promote(report: ValidationReport, ruling: PromotionRequest, books: PromotionStores) -> Promotion:
    """Do with the report's candidate what the ruling says, as far as the gate allows it.

    The whole gate is checked again, from what is stored (`core.gate_again`), and the policy that the candidate improves
    on must still be in force. An override passes a gate that says no, by name and with a note; it never passes a
    broken contract or a policy that is gone. What was rejected or rolled back, only a person puts in force, by name and
    with a note. What a person decided is recorded before anything comes into force. Never raises for a ruling that
    is not followed: `promoted` is None and `reason` says why. A second call for the same window and candidate returns
    the entry of the first, also when another version came into force since. Raises PolicyError if the registry,
    GateLogError if the ledger cannot be read or written.
    """
    versions = books.policies.versions()
    current = versions[-1] if versions else None
    if report.candidate is None:
        return not_promoted(report, _no_candidate(report))
    own = (v for v in versions if v.kind == "promote" and v.window == report.window)
    standing = next((v for v in own if v.actions == report.candidate), None)
    if ruling.kind == "reject":
        return _reject(report, ruling, books, standing)
    if standing is not None:
        return _promotion(report, books, _repeated(standing, current), standing)
    faults = _faults(report, current, books)
    against = (*_rejected_before(report, ruling, books), *_taken_back(report, ruling, versions))
    doubted = () if faults else (*against, *recheck_gate(report, books.log, books.terms))
    if why_not := faults or _not_passed(doubted, ruling):
        return _promotion(report, books, "; ".join(why_not))
    return _put_in_force(report, ruling, books, current, passed=bool(doubted))


def is_outdated(report: ValidationReport, current: PolicyVersion | None) -> bool:
    """Whether another policy than the one that the report improves on is in force by now."""
    return current is not None and current.actions != report.baseline


def promotion_entry(
    report: ValidationReport,
    candidate: Actions,
    ruling: PromotionRequest,
    *,
    parent: PolicyVersion | None,
    override: bool = False,
) -> PolicyVersion:
    """The registry entry that puts `candidate` in force on the report's evidence, after `parent`.

    The first entry of a loop keeps the policy it replaces, which no other entry holds.
    """
    return PolicyVersion(
        version=parent.version + 1 if parent else 1,
        loop=report.loop,
        kind="promote",
        actions=candidate,
        at=ruling.at,
        parent=parent.version if parent else None,
        replaced=report.baseline if parent is None else None,
        window=report.window,
        evidence=report.comparisons,
        report=ruling.report,
        by=_name(ruling),
        note=ruling.note,
        override=override,
    )


def not_promoted(report: ValidationReport, reason: str) -> Promotion:
    """Nothing was promoted, and why."""
    return Promotion(loop=report.loop, window=report.window, reason=reason)


def latest_decision(decisions: Sequence[PolicyDecision], window: TimeWindow) -> PolicyDecision | None:
    """What a person said last about this window's candidate; None where nobody decided."""
    return next((decision for decision in reversed(decisions) if decision.window == window), None)


def rejected_windows(decisions: Sequence[PolicyDecision]) -> frozenset[str]:
    """The keys of the windows whose candidate a person rejected, and nobody approved since."""
    latest = {decision.window.key: decision.kind for decision in decisions}
    return frozenset(window for window, kind in latest.items() if kind == "reject")


def _put_in_force(
    report: ValidationReport,
    ruling: PromotionRequest,
    books: PromotionStores,
    current: PolicyVersion | None,
    *,
    passed: bool,
) -> Promotion:
    """`passed`: past doubts, which is an override."""
    assert report.candidate is not None
    if ruling.kind != "auto":
        # Before the policy itself: nothing stands in force past the gate without its record.
        books.decisions.append(_decision(report, ruling, "override" if passed else "approve"))
    entry = promotion_entry(report, report.candidate, ruling, parent=current, override=passed)
    try:
        stored = books.policies.append(entry)
    except PromotionRefused as refusal:
        return _promotion(report, books, str(refusal))
    return _promotion(report, books, _came_into_force(stored), stored)


def _reject(
    report: ValidationReport, ruling: PromotionRequest, books: PromotionStores, standing: PolicyVersion | None
) -> Promotion:
    decision = books.decisions.append(_decision(report, ruling, "reject"))
    reason = _rejection(decision)
    if standing is not None:
        reason += (
            f"; version {standing.version}, which it had become before, stays in the registry: `sia policy rollback "
            f"--loop {report.loop}` goes back"
        )
    return _promotion(report, books, reason)


def _faults(report: ValidationReport, current: PolicyVersion | None, books: PromotionStores) -> tuple[str, ...]:
    """What nobody can override: the application would break, or the evidence is about a policy that is gone."""
    if current is not None and is_outdated(report, current):
        return (_outdated(report, current),)
    return broken_contract(report, books.terms)


def _rejected_before(report: ValidationReport, ruling: PromotionRequest, books: PromotionStores) -> tuple[str, ...]:
    """A person's rejection stands until a person says by name, and why, that it is approved after all.

    Of the window, and of the candidate in whatever window: one that was carried on is the same candidate.
    """
    decisions, candidate = books.decisions.decisions(), report.candidate.fingerprint if report.candidate else ""
    of_candidate = next((each for each in reversed(decisions) if each.candidate == candidate), None)
    latest = (latest_decision(decisions, report.window), of_candidate)
    rejection = next((each for each in latest if each is not None and each.kind == "reject"), None)
    if rejection is None or ruling.is_signed:
        return ()
    return (f"{_rejection(rejection)}; to approve it after all, give your name and a note that says why",)


def _taken_back(
    report: ValidationReport, ruling: PromotionRequest, versions: Sequence[PolicyVersion]
) -> tuple[str, ...]:
    """What a person rolled back is not put in force again unasked, on whatever evidence."""
    gone = taken_back(versions).get(report.candidate.fingerprint) if report.candidate else None
    if gone is None or ruling.is_signed:
        return ()
    why = f": {gone.note}" if gone.note else ""
    return (
        f"{gone.by or NOBODY} rolled this policy back at {gone.at.isoformat()}{why}; to put it in force again, give "
        "your name and a note that says why",
    )


def _not_passed(doubted: tuple[str, ...], ruling: PromotionRequest) -> tuple[str, ...]:
    """The doubts that stop this ruling: all of them, or none where a person overrides them by name and with a note."""
    if not doubted or ruling.kind != "override":
        return doubted
    return () if ruling.is_signed else ("an override is recorded: give your name and a note that says why", *doubted)


def _decision(
    report: ValidationReport, ruling: PromotionRequest, kind: Literal["approve", "reject", "override"]
) -> PolicyDecision:
    return PolicyDecision(
        number=1,
        loop=report.loop,
        window=report.window,
        kind=kind,
        candidate=report.candidate.fingerprint if report.candidate else "",
        verdict=report.verdict,
        at=ruling.at,
        by=_name(ruling),
        note=ruling.note,
    )


def _promotion(
    report: ValidationReport, books: PromotionStores, reason: str, promoted: PolicyVersion | None = None
) -> Promotion:
    decision = latest_decision(books.decisions.decisions(), report.window)
    return Promotion(loop=report.loop, window=report.window, promoted=promoted, reason=reason, decision=decision)


def _name(ruling: PromotionRequest) -> str:
    return ruling.by or ("auto" if ruling.kind == "auto" else NOBODY)


def _no_candidate(report: ValidationReport) -> str:
    return f"the verdict is {report.verdict}, and the window has no candidate: the policy in force stays"


def _rejection(decision: PolicyDecision) -> str:
    why = f": {decision.note}" if decision.note else ""
    return f"{decision.by} rejected the candidate of window {decision.window.key} at {decision.at.isoformat()}{why}"


def _came_into_force(entry: PolicyVersion) -> str:
    """The same sentence whenever the window is run: its bytes repeat."""
    window = entry.window.key if entry.window else ""
    if entry.override:
        return f"{entry.by} put version {entry.version} in force past the gate of window {window}: {entry.note}"
    return f"the evidence of window {window} put version {entry.version} in force"


def _repeated(earlier: PolicyVersion, current: PolicyVersion | None) -> str:
    if current is None or current.version == earlier.version:
        return _came_into_force(earlier)
    return (
        f"{_came_into_force(earlier)}; version {current.version} is in force since, and a repeated run does not undo "
        f"that (`sia policy rollback --loop {earlier.loop} --to {earlier.version}` does)"
    )


def _outdated(report: ValidationReport, current: PolicyVersion) -> str:
    since = f"version {current.version}, in force since {current.at.isoformat()}"
    if current.at < report.window.end:
        return f"the evidence compares with another policy than {since}: run the window again to compare with that one"
    return (
        f"the evidence compares with another policy than {since}, after this window's end: a window that ends "
        "later compares with that one"
    )
