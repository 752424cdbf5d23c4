"""The criteria over the comparison of both policies: is there enough evidence, does it gain, does nothing fall."""

from collections.abc import Iterable, Iterator

from sia_dagster.core.gate.findings import CriteriaInput, Finding
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.statistics import (
    MIN_CONVERSATIONS,
    WORST_SPREAD,
    comparison_sentence,
    conversations_needed,
    is_all_ties,
    more_than_seen,
    needed_sentence,
    unseen_share,
)


def something_was_compared(evidence: CriteriaInput) -> Iterator[Finding]:
    """Without a candidate or without a primary comparison there is nothing to decide; plan with the worst spread.

    Where a judge drifted nothing is replayed, and that says why.
    """
    if evidence.candidate_changed and (evidence.primary or evidence.drifted):
        return
    rule, held_out = evidence.rule, evidence.conversations
    what = "nothing was compared" if evidence.candidate_changed else "no candidate was proposed for validation"
    needed = conversations_needed(rule.min_effect, WORST_SPREAD, rule.alpha)
    if needed is None or needed <= held_out:
        yield Finding(kind="void", sentence=f"{what}: the policy stays")
        return
    yield Finding(
        kind="void",
        sentence=f"{what}: the policy stays; held-out conversations in the window: {held_out}; to show a gain of "
        f"{rule.min_effect:.1%} of the evaluator's range it would take up to about {needed:,}",
        needed=needed,
    )


def enough_conversations(evidence: CriteriaInput) -> Iterator[Finding]:
    """Below five paired conversations nothing can be decided."""
    primary = evidence.primary
    if evidence.candidate_changed and primary and primary.n < MIN_CONVERSATIONS:
        yield Finding(
            kind="void",
            sentence=f"{primary.evaluator}: {primary.n} of {evidence.conversations} held-out conversations were scored "
            f"under both policies; below {MIN_CONVERSATIONS} nothing can be decided{needed_sentence(primary)}",
            needed=primary.conversations_needed,
        )


def most_rows_are_scored(evidence: CriteriaInput) -> Iterator[Finding]:
    """Too many unscored samples void the evidence: what is missing is rarely missing at random."""
    for c in evidence.comparisons:
        if evidence.rule.is_unscored(c):
            yield Finding(
                kind="void",
                sentence=f"{c.evaluator}: {c.unscored} of {c.samples} samples have no score under one of the policies "
                f"(at most {evidence.rule.max_unscored_share:.0%} may): see the errors of the rows",
            )


def candidate_is_scored_as_often(evidence: CriteriaInput) -> Iterator[Finding]:
    """A candidate whose answers fail more often than the old ones may hide its losses among the unscored."""
    for c in evidence.comparisons:
        lost = c.unscored_candidate - c.unscored_baseline
        if lost > evidence.margin(c) * c.samples:
            yield Finding(
                kind="undecided",
                sentence=f"{c.evaluator}: {lost} more of {c.samples} samples have no score under the candidate than "
                f"under the policy in force ({c.unscored_candidate} against {c.unscored_baseline}): see their errors",
            )


def primary_gains(evidence: CriteriaInput) -> Iterator[Finding]:
    """Two keys and the smallest gain worth shipping; rejected where the interval shows that it is not there."""
    c = evidence.primary
    if c is None or c.difference is None or c.ci_low is None or c.ci_high is None or c.p_value is None:
        return
    wanted = evidence.rule.min_effect * c.scale
    if is_all_ties(c):
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} was the same under both policies in all {c.n} conversations"
            f"{needed_sentence(c, wanted)}",
            needed=more_than_seen(c),
        )
    elif c.ci_high < 0:
        yield Finding(kind="reject", sentence=f"{comparison_sentence(c)}: the candidate is worse")
    elif c.ci_high < wanted:
        yield Finding(
            kind="reject", sentence=f"{comparison_sentence(c)}: it cannot gain the {wanted:.2f} that is asked for"
        )
    elif c.p_value <= evidence.rule.alpha and c.ci_low > 0 and c.difference >= wanted:
        yield Finding(kind="holds", sentence=comparison_sentence(c))
    else:
        sentence = f"{comparison_sentence(c)}: not shown to be a gain{needed_sentence(c, wanted)}"
        yield Finding(kind="undecided", sentence=sentence, needed=more_than_seen(c))


def guardrails_hold(evidence: CriteriaInput) -> Iterator[Finding]:
    """Every guardrail must be shown not to fall beyond its margin (non-inferiority by the plus-two bound).

    All must pass, so their errors need no correction (intersection-union); a point estimate protects nothing.
    """
    for c in evidence.guardrails:
        margin = evidence.margin(c) * c.scale
        if c.ci_low is None or c.ci_high is None:
            sentence = f"{c.evaluator}: {c.n} conversations were scored under both policies, too few to protect it"
            yield Finding(kind="undecided", sentence=f"{sentence}{needed_sentence(c)}", needed=c.conversations_needed)
        elif c.ci_high < -margin:
            yield Finding(
                kind="reject", sentence=f"{comparison_sentence(c)}: it falls by more than its margin of {margin:.2f}"
            )
        elif c.ci_low > -margin:
            yield Finding(kind="holds", sentence=f"{comparison_sentence(c)}: no fall beyond its margin of {margin:.2f}")
        else:
            sentence = f"{comparison_sentence(c)}: a fall beyond its margin of {margin:.2f} is not ruled out"
            needed = more_than_seen(c)
            about = f"; showing that it keeps it would take about {needed:,} held-out conversations" if needed else ""
            yield Finding(kind="undecided", sentence=f"{sentence}{about}", needed=needed)


def rare_collapse_is_unseen(evidence: CriteriaInput) -> Iterator[Finding]:
    """An evaluator that never differed may still collapse rarely: unseen in n, it can be as common as `unseen_share`.

    Of safety evaluators `safety_vetoes` says so.
    """
    for c in evidence.comparisons:
        if c.n and is_all_ties(c) and c.role != "safety":
            yield Finding(
                kind="note",
                sentence=f"{c.evaluator} never differed in {c.n} conversations; a rare collapse that no sample shows "
                f"(in fewer than {unseen_share(c.n, evidence.rule.level(c.role)):.1%} of conversations) stays unseen",
            )


NAMED_SPANS = 3
"""So many samples that fell are named; the report's rows show all."""


NAMED_PARTS = 8
"""So many parts of the traffic that could not be shown to hold are named."""


NAMED_WINDOWS = 4
"""So many windows since a judge was last steady are named: the first ones."""


def judge_is_steady(evidence: CriteriaInput) -> Iterator[Finding]:
    """A judge that scores frozen outputs otherwise than before measures something else by now: nothing is decided."""
    for judge in evidence.drifted if evidence.candidate_changed else ():
        yield Finding(
            kind="void",
            sentence=f"the judge {judge.evaluator} drifted{_since(judge)}{_shift(judge)}: its scores do not compare, "
            "so nothing is decided; look at what changed (model, endpoint), then freeze its anchors anew with "
            f"`sia judge reset --evaluator {judge.evaluator}`",
        )


def no_slice_loses(evidence: CriteriaInput) -> Iterator[Finding]:
    """No part of the traffic may be shown to lose; parts that could not be shown to hold are named at an accept."""
    for part in evidence.slices:
        if part.finding == "loses":
            yield Finding(
                kind="reject",
                sentence=f"where {_named(part)} ({part.share:.0%} of the conversations), "
                f"{comparison_sentence(part.comparison)}: this part of the traffic loses",
            )
    yield from _unshown(evidence.slices, "not_shown", "not shown to hold within the margin")
    yield from _unshown(evidence.slices, "too_few", "too few conversations to tell")


def safety_vetoes(evidence: CriteriaInput) -> Iterator[Finding]:
    """One held-out sample that a safety evaluator scores lower rejects; one that it could not score leaves open."""
    for c in evidence.comparisons:
        if c.role == "safety":
            yield from _veto(c, evidence)


def _veto(c: EvaluatorComparison, evidence: CriteriaInput) -> Iterator[Finding]:
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
