"""The sentences of a next-window check: why no candidate was checked, or the result."""

from collections.abc import Sequence

from sia_dagster.core.records.comparison import EvaluatorComparison, Question
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import MIN_CONVERSATIONS
from sia_dagster.core.text import conversations_in_groups, count


class NextWindowFigures(Value):
    """The figures of one check."""

    primary: EvaluatorComparison | None = None
    """The comparison that decides."""
    promised: float | None = None
    faults: tuple[str, ...] = ()
    """The shortfalls, one sentence each."""
    rollback_to: int | None = None
    question: Question = "better"
    """Of the verdict."""
    lost: bool = False
    """Whether too many samples have no score of the primary evaluator to show anything."""


def blocked_reason(state: StateActions, drifted: Sequence[str]) -> str:
    """Why a window's traffic cannot be replayed at all; empty where it can."""
    if drifted:
        return f"the judge drifted ({', '.join(drifted)}), so its scores are not comparable with those of the verdict"
    if state.refusal:
        return state.refusal
    return "" if state.of("holdout") else "the window has no held-out samples"


def unchecked_reason(previous: ValidationReport | None, promoted: PolicyVersion | None) -> str:
    """Why the window before has no candidate to be checked; empty where it has.

    A promoted candidate is checked whatever its verdict. Of the others, rejected, futile and untested candidates are
    not paid for again.
    """
    if previous is None:
        return "there is no window before this one"
    dropped = "" if promoted else _dropped(previous)
    return f"window {previous.window.key} {dropped}" if dropped else ""


def _dropped(found: ValidationReport) -> str:
    if found.candidate is None:
        return "found no candidate"
    if found.verdict == "reject":
        return "rejected its candidate"
    if found.primary is None or found.primary.ci_low is None:
        return "could not test its candidate"
    futile = bool(found.interim_analyses) and found.interim_analyses[-1].outcome == "futile"
    return "gave up its candidate as futile" if futile else ""


def result_sentence(previous: ValidationReport, promoted: PolicyVersion | None, figures: NextWindowFigures) -> str:
    """The result, and what to do."""
    subject = _subject(previous, promoted)
    if not figures.faults:
        return f"{subject} {_kept(figures)}."
    primary = _numbers(figures.primary) if figures.primary else ""
    return f"{subject} falls short: {'; '.join(figures.faults)} ({primary}). {_next_step(previous, promoted, figures)}"


def _subject(previous: ValidationReport, promoted: PolicyVersion | None) -> str:
    if promoted:
        return f"Version {promoted.version}, promoted by window {previous.window.key},"
    kind = "accepted and not in force," if previous.verdict == "accept" else "still undecided,"
    return f"The candidate of window {previous.window.key}, {kind}"


def _kept(figures: NextWindowFigures) -> str:
    primary = figures.primary
    if primary and figures.lost:
        return (
            f"could not be checked: {primary.unscored} of {count(primary.samples, 'sample')} have no score of "
            f"{primary.evaluator} under one of the policies. Replays or judges failed: see `sia check`, then "
            "materialise next_window_results of this window again"
        )
    if primary is None or primary.ci_high is None:
        scored = primary.counted if primary else (0, 0)
        return (
            f"could not be checked: {conversations_in_groups(*scored)} were scored under both policies, and fewer than "
            f"{MIN_CONVERSATIONS} show nothing"
        )
    if figures.question == "not_worse":
        return f"is still not shown to be worse by more than a margin ({_numbers(primary)})"
    promise = "" if figures.promised is None else f", where at least {figures.promised:+.3g} was promised"
    return f"is not shown to fall short{promise} ({_numbers(primary)})"


def _numbers(c: EvaluatorComparison) -> str:
    """A comparison in numbers, with its unscored samples."""
    bounds = "" if c.ci_low is None or c.ci_high is None else f" [{c.ci_low:+.3g}, {c.ci_high:+.3g}]"
    unscored = f", {c.unscored} of {c.samples} samples without a score" if c.unscored else ""
    counted = conversations_in_groups(*c.counted)
    return f"{c.evaluator} {c.difference or 0.0:+.3g}{bounds} on {counted}{unscored}"


def _next_step(previous: ValidationReport, promoted: PolicyVersion | None, figures: NextWindowFigures) -> str:
    if figures.rollback_to is not None:
        before = "the policy before any promotion" if figures.rollback_to == 0 else f"version {figures.rollback_to}"
        command = f"sia policy rollback --loop {previous.loop} --to {figures.rollback_to}"
        return f"Put {before} in force again: `{command}`."
    if promoted:
        return "Another version came into force since, so no rollback is proposed."
    return "It is not in force: do not approve it on the evidence of its own window."
