"""What an exam says in words: why nothing was examined, and what was found."""

from collections.abc import Sequence

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import MIN_CONVERSATIONS
from sia_dagster.core.text import count


class NextWindowFigures(Value):
    """What an exam compared and what it shows."""

    primary: EvaluatorComparison | None = None
    """The comparison that decides."""
    promised: float | None = None
    faults: tuple[str, ...] = ()
    """What falls short, in words."""
    rollback_to: int | None = None
    lost: bool = False
    """Whether too many samples have no score of the primary evaluator to show anything."""


def why_not_asked(state: StateActions, drifted: Sequence[str]) -> str:
    """Why a window's traffic cannot be replayed at all; empty where it can."""
    if drifted:
        return f"the judge drifted ({', '.join(drifted)}), so its scores do not compare with those of the verdict"
    if state.refusal:
        return state.refusal
    return "" if state.of("holdout") else "the window has no held-out samples"


def why_not_checked(found: ValidationReport | None, promoted: PolicyVersion | None) -> str:
    """Why the window before has no candidate to be examined; empty where it has.

    What came into force is examined whatever its verdict. Of the others a rejected one, one given up as futile and one
    that was not tested at all are not paid for again.
    """
    if found is None:
        return "there is no window before this one"
    dropped = "" if promoted else _dropped(found)
    return f"window {found.window.key} {dropped}" if dropped else ""


def _dropped(found: ValidationReport) -> str:
    if found.candidate is None:
        return "found no candidate"
    if found.verdict == "reject":
        return "rejected its candidate"
    if found.primary is None or found.primary.ci_low is None:
        return "could not test its candidate"
    futile = bool(found.interim_analyses) and found.interim_analyses[-1].outcome == "futile"
    return "gave its candidate up as futile" if futile else ""


def told(found: ValidationReport, promoted: PolicyVersion | None, seen: NextWindowFigures) -> str:
    """What an exam found, and what to do."""
    subject = _subject(found, promoted)
    if not seen.faults:
        return f"{subject} {_kept(seen)}."
    primary = _told(seen.primary) if seen.primary else ""
    return f"{subject} falls short: {'; '.join(seen.faults)} ({primary}). {_next_step(found, promoted, seen)}"


def _subject(found: ValidationReport, promoted: PolicyVersion | None) -> str:
    if promoted:
        return f"Version {promoted.version}, promoted by window {found.window.key},"
    kind = "accepted and not in force," if found.verdict == "accept" else "still undecided,"
    return f"The candidate of window {found.window.key}, {kind}"


def _kept(seen: NextWindowFigures) -> str:
    primary = seen.primary
    if primary and seen.lost:
        return (
            f"could not be examined: {primary.unscored} of {count(primary.samples, 'sample')} have no score of "
            f"{primary.evaluator} under one of the policies. Replays or judges failed: see what `sia check` says, then "
            "materialise next_window_results of this window again"
        )
    if primary is None or primary.ci_high is None:
        scored = primary.n if primary else 0
        return (
            f"could not be examined: {count(scored, 'conversation')} were scored under both policies, and below "
            f"{MIN_CONVERSATIONS} nothing can be said"
        )
    promise = "" if seen.promised is None else f", where at least {seen.promised:+.3g} was promised"
    return f"is not shown to fall short{promise} ({_told(primary)})"


def _told(c: EvaluatorComparison) -> str:
    """A comparison in numbers; of one that many samples of which are unscored that, too."""
    bounds = "" if c.ci_low is None or c.ci_high is None else f" [{c.ci_low:+.3g}, {c.ci_high:+.3g}]"
    unscored = f", {c.unscored} of {c.samples} samples without a score" if c.unscored else ""
    return f"{c.evaluator} {c.difference or 0.0:+.3g}{bounds} on {count(c.n, 'conversation')}{unscored}"


def _next_step(found: ValidationReport, promoted: PolicyVersion | None, seen: NextWindowFigures) -> str:
    if seen.rollback_to is not None:
        before = "the policy before any promotion" if seen.rollback_to == 0 else f"version {seen.rollback_to}"
        command = f"sia policy rollback --loop {found.loop} --to {seen.rollback_to}"
        return f"Put {before} in force again: `{command}`."
    if promoted:
        return "Another version came into force since, so no rollback is proposed."
    return "It is not in force: do not approve it on the evidence of its own window."
