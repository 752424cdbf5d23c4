"""What puts a policy in force: a window's accepted evidence, or a person who goes back."""

from collections.abc import Sequence
from datetime import datetime

from sia_dagster.core.errors import PolicyNotFound, PromotionRefused
from sia_dagster.core.models import Actions
from sia_dagster.core.ports import PolicyStore
from sia_dagster.core.results import PolicyVersion, Promotion, ValidationReport

BEFORE_ANY_PROMOTION = 0
"""The version number under which the policy that the traces showed before the first promotion is restored."""


def promote(
    report: ValidationReport, *, store: PolicyStore, at: datetime, by: str, report_url: str | None = None
) -> Promotion:
    """Put the report's candidate in force at `at`, if its verdict is `accept` and its baseline still is in force.

    Never raises for evidence that does not allow it: `promoted` is None and `reason` says why. A second call for the
    same window and candidate returns the entry of the first, also when another version came into force since.
    Raises PolicyError if the registry cannot be read or written.
    """
    versions = store.versions()
    current = versions[-1] if versions else None
    if report.verdict != "accept" or report.candidate is None:
        return refused(report, f"the verdict is {report.verdict}, so the policy in force stays")
    earlier = next((v for v in versions if v.kind == "promote" and v.window == report.window), None)
    if earlier is not None and earlier.actions == report.candidate:
        return Promotion(loop=report.loop, window=report.window, promoted=earlier, reason=_repeated(earlier, current))
    if current is not None and is_outdated(report, current):
        return refused(report, _outdated(report, current))
    entry = promotion_entry(report, report.candidate, parent=current, at=at, by=by, report_url=report_url)
    try:
        stored = store.append(entry)
    except PromotionRefused as refusal:
        return refused(report, str(refusal))
    return Promotion(
        loop=report.loop,
        window=report.window,
        promoted=stored,
        reason=_came_into_force(stored),
    )


def is_outdated(report: ValidationReport, current: PolicyVersion | None) -> bool:
    """Whether another policy than the one that the report improves on is in force by now."""
    return current is not None and current.actions != report.baseline


def promotion_entry(
    report: ValidationReport,
    candidate: Actions,
    *,
    parent: PolicyVersion | None,
    at: datetime,
    by: str,
    report_url: str | None = None,
) -> PolicyVersion:
    """The registry entry that puts `candidate` in force on the report's evidence, after `parent`.

    The first entry of a loop keeps the policy it replaces, which no other entry holds.
    """
    return PolicyVersion(
        version=parent.version + 1 if parent else 1,
        loop=report.loop,
        kind="promote",
        actions=candidate,
        at=at,
        parent=parent.version if parent else None,
        replaced=report.baseline if parent is None else None,
        window=report.window,
        evidence=report.comparisons,
        report=report_url,
        by=by,
    )


def rollback(store: PolicyStore, to_version: int | None = None, *, at: datetime, by: str) -> PolicyVersion:
    """Put an earlier policy in force again, as a new entry; the history stays.

    `to_version` None is the version before the one in force, 0 the policy before any promotion. Raises PolicyNotFound
    if there is no such policy, PromotionRefused if it already is in force or the registry changed meanwhile.
    """
    versions = store.versions()
    if not versions:
        raise PolicyNotFound("no policy was ever promoted, so there is nothing to go back from")
    current = versions[-1]
    target = current.version - 1 if to_version is None else to_version
    actions = _actions_of(versions, target)
    restores = None if target == BEFORE_ANY_PROMOTION else target
    if actions == current.actions and not (current.kind == "rollback" and current.restores == restores):
        raise PromotionRefused(f"version {current.version}, which is in force, already is that policy")
    return store.append(
        PolicyVersion(
            version=current.version + 1,
            loop=current.loop,
            kind="rollback",
            actions=actions,
            at=at,
            parent=current.version,
            restores=restores,
            by=by,
        )
    )


def _actions_of(versions: Sequence[PolicyVersion], target: int) -> Actions:
    if target == BEFORE_ANY_PROMOTION:
        if versions[0].replaced is None:
            raise PolicyNotFound("the first promotion does not say which policy it replaced; roll back to a version")
        return versions[0].replaced
    found = next((v.actions for v in versions if v.version == target), None)
    if found is None:
        numbers = ", ".join(str(v.version) for v in versions)
        raise PolicyNotFound(f"there is no version {target}; there are {numbers}, and 0 for before any promotion")
    return found


def refused(report: ValidationReport, reason: str) -> Promotion:
    """Nothing was promoted, and why."""
    return Promotion(loop=report.loop, window=report.window, reason=reason)


def _came_into_force(entry: PolicyVersion) -> str:
    """The same sentence whenever the window is run: its bytes repeat."""
    return f"the evidence of window {entry.window.key if entry.window else ''} put version {entry.version} in force"


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
