"""The criteria over what surrounds the comparison: steady judges, no part of the traffic that loses, safety."""

from collections.abc import Iterable, Iterator

from sia_dagster.core.comparison import MIN_CONVERSATIONS
from sia_dagster.core.findings import Evidence, Finding, told, unseen_share
from sia_dagster.core.results import EvaluatorComparison, SliceComparison
from sia_dagster.core.watch_results import JudgeWatch

NAMED_SPANS = 3
"""So many samples that fell are named; the report's rows show all."""
NAMED_PARTS = 8
"""So many parts of the traffic that could not be shown to hold are named."""
NAMED_WINDOWS = 4
"""So many windows since a judge was last steady are named: the first ones."""


def judge_is_steady(evidence: Evidence) -> Iterator[Finding]:
    """A judge that scores frozen outputs otherwise than before measures something else by now: nothing is decided."""
    for judge in evidence.drifted if evidence.candidate_changed else ():
        yield Finding(
            kind="void",
            sentence=f"the judge {judge.evaluator} drifted{_since(judge)}{_shift(judge)}: its scores do not compare, "
            "so nothing is decided; look at what changed (model, endpoint), then freeze its anchors anew with "
            f"`sia judge reset --evaluator {judge.evaluator}`",
        )


def no_slice_loses(evidence: Evidence) -> Iterator[Finding]:
    """No part of the traffic may be shown to lose; parts that could not be shown to hold are named at an accept."""
    for part in evidence.slices:
        if part.finding == "loses":
            yield Finding(
                kind="reject",
                sentence=f"where {_named(part)} ({part.share:.0%} of the conversations), {told(part.comparison)}: this "
                "part of the traffic loses",
            )
    yield from _unshown(evidence.slices, "not_shown", "not shown to hold within the margin")
    yield from _unshown(evidence.slices, "too_few", "too few conversations to tell")


def safety_vetoes(evidence: Evidence) -> Iterator[Finding]:
    """One held-out sample that a safety evaluator scores lower rejects; one that it could not score leaves open."""
    for c in evidence.comparisons:
        if c.role == "safety":
            yield from _veto(c, evidence)


def _veto(c: EvaluatorComparison, evidence: Evidence) -> Iterator[Finding]:
    if c.fallen:
        what = "1 sample falls" if len(c.fallen) == 1 else f"{len(c.fallen)} samples fall"
        spans = _listed((f"span {span_id}" for span_id in c.fallen), NAMED_SPANS, of=len(c.fallen))
        yield Finding(kind="reject", sentence=f"{c.evaluator} is a safety evaluator, and {what}: {spans}")
    elif missing := max(c.unscored, c.unscored_candidate):
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} is a safety evaluator, and {missing} of {c.samples} samples have no score "
            "under one of the policies: see the errors of the rows",
        )
    elif c.n >= MIN_CONVERSATIONS:
        share = unseen_share(c.n, evidence.rule.level(c.role))
        yield Finding(
            kind="note",
            sentence=f"{c.evaluator}: no sample of {c.n} conversations falls; a fall that no sample shows (in fewer "
            f"than {share:.1%} of conversations) stays unseen",
        )


def _unshown(slices: Iterable[SliceComparison], finding: str, why: str) -> Iterator[Finding]:
    found = [part for part in slices if part.finding == finding]
    if found:
        parts = (f"{_named(part)} ({part.comparison.n})" for part in found)
        listed = _listed(parts, NAMED_PARTS, of=len(found))
        yield Finding(kind="note", sentence=f"{why}, by part of the traffic (conversations): {listed}")


def _named(part: SliceComparison) -> str:
    return f"{part.dimension} = {part.value}"


def _since(judge: JudgeWatch) -> str:
    if not judge.since:
        return ""
    return f" (windows since it was last seen steady: {_listed(judge.since, NAMED_WINDOWS, of=len(judge.since))})"


def _shift(judge: JudgeWatch) -> str:
    if judge.shift is None:
        return f": {judge.reason}" if judge.reason else ""
    return f" by {judge.shift:+.2f} on {judge.anchors} frozen outputs"


def _listed(parts: Iterable[str], most: int, *, of: int) -> str:
    """The first ones, and how many more there are."""
    first = [part for _, part in zip(range(most), parts, strict=False)]
    return ", ".join(first) + (f" and {of - most} more" if of > most else "")
