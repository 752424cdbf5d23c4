"""The criteria over the comparison of both policies: is there enough evidence, does it gain, does nothing fall."""

from collections.abc import Iterator

from sia_dagster.core.comparison import MIN_CONVERSATIONS, WORST_SPREAD, conversations_needed
from sia_dagster.core.findings import Evidence, Finding, is_all_ties, more_than_seen, plan, told, unseen_share


def something_was_compared(evidence: Evidence) -> Iterator[Finding]:
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


def enough_conversations(evidence: Evidence) -> Iterator[Finding]:
    """Below five paired conversations nothing can be decided."""
    primary = evidence.primary
    if evidence.candidate_changed and primary and primary.n < MIN_CONVERSATIONS:
        yield Finding(
            kind="void",
            sentence=f"{primary.evaluator}: {primary.n} of {evidence.conversations} held-out conversations were scored "
            f"under both policies; below {MIN_CONVERSATIONS} nothing can be decided{plan(primary)}",
            needed=primary.conversations_needed,
        )


def most_rows_are_scored(evidence: Evidence) -> Iterator[Finding]:
    """Too many unscored samples void the evidence: what is missing is rarely missing at random."""
    for c in evidence.comparisons:
        if evidence.rule.is_unscored(c):
            yield Finding(
                kind="void",
                sentence=f"{c.evaluator}: {c.unscored} of {c.samples} samples have no score under one of the policies "
                f"(at most {evidence.rule.max_unscored_share:.0%} may): see the errors of the rows",
            )


def candidate_is_scored_as_often(evidence: Evidence) -> Iterator[Finding]:
    """A candidate whose answers fail more often than the old ones may hide its losses among the unscored."""
    for c in evidence.comparisons:
        lost = c.unscored_candidate - c.unscored_baseline
        if lost > evidence.margin(c) * c.samples:
            yield Finding(
                kind="undecided",
                sentence=f"{c.evaluator}: {lost} more of {c.samples} samples have no score under the candidate than "
                f"under the policy in force ({c.unscored_candidate} against {c.unscored_baseline}): see their errors",
            )


def primary_gains(evidence: Evidence) -> Iterator[Finding]:
    """Two keys and the smallest gain worth shipping; rejected where the interval shows that it is not there."""
    c = evidence.primary
    if c is None or c.difference is None or c.ci_low is None or c.ci_high is None or c.p_value is None:
        return
    wanted = evidence.rule.min_effect * c.scale
    if is_all_ties(c):
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} was the same under both policies in all {c.n} conversations{plan(c, wanted)}",
            needed=more_than_seen(c),
        )
    elif c.ci_high < 0:
        yield Finding(kind="reject", sentence=f"{told(c)}: the candidate is worse")
    elif c.ci_high < wanted:
        yield Finding(kind="reject", sentence=f"{told(c)}: it cannot gain the {wanted:.2f} that is asked for")
    elif c.p_value <= evidence.rule.alpha and c.ci_low > 0 and c.difference >= wanted:
        yield Finding(kind="holds", sentence=told(c))
    else:
        sentence = f"{told(c)}: not shown to be a gain{plan(c, wanted)}"
        yield Finding(kind="undecided", sentence=sentence, needed=more_than_seen(c))


def guardrails_hold(evidence: Evidence) -> Iterator[Finding]:
    """Every guardrail must be shown not to fall beyond its margin (non-inferiority by the plus-two bound).

    All must pass, so their errors need no correction (intersection-union); a point estimate protects nothing.
    """
    for c in evidence.guardrails:
        margin = evidence.margin(c) * c.scale
        if c.ci_low is None or c.ci_high is None:
            sentence = f"{c.evaluator}: {c.n} conversations were scored under both policies, too few to protect it"
            yield Finding(kind="undecided", sentence=f"{sentence}{plan(c)}", needed=c.conversations_needed)
        elif c.ci_high < -margin:
            yield Finding(kind="reject", sentence=f"{told(c)}: it falls by more than its margin of {margin:.2f}")
        elif c.ci_low > -margin:
            yield Finding(kind="holds", sentence=f"{told(c)}: no fall beyond its margin of {margin:.2f}")
        else:
            sentence = f"{told(c)}: a fall beyond its margin of {margin:.2f} is not ruled out"
            needed = more_than_seen(c)
            about = f"; showing that it keeps it would take about {needed:,} held-out conversations" if needed else ""
            yield Finding(kind="undecided", sentence=f"{sentence}{about}", needed=needed)


def rare_collapse_is_unseen(evidence: Evidence) -> Iterator[Finding]:
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
