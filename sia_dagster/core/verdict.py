"""The verdict: small criteria look at the evidence, and their findings are folded into one of three words.

A further rule of evidence is a further function in `CRITERIA`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from sia_dagster.core.comparison import MIN_CONVERSATIONS, WORST_SPREAD, ComparisonRule, conversations_needed
from sia_dagster.core.models import Value
from sia_dagster.core.results import EvaluatorComparison, Verdict

FindingKind = Literal["void", "reject", "undecided", "holds", "note"]


class Evidence(Value):
    """What the criteria look at."""

    comparisons: tuple[EvaluatorComparison, ...]
    rule: ComparisonRule
    conversations: int
    """Held-out conversations of the window."""
    candidate_changed: bool

    @property
    def primary(self) -> EvaluatorComparison | None:
        """The comparison that decides; None where nothing was compared."""
        return next((c for c in self.comparisons if c.role == "primary"), None)

    @property
    def guardrails(self) -> tuple[EvaluatorComparison, ...]:
        """The comparisons that may not fall."""
        return tuple(c for c in self.comparisons if c.role == "guardrail")


class Finding(Value):
    """What one criterion found, in a sentence with its numbers."""

    kind: FindingKind
    """`void`: the evidence cannot decide at all, not even against. `note`: what an `accept` does not promise."""
    sentence: str
    needed: int | None = None
    """Held-out conversations it would take to find otherwise."""


class Decision(Value):
    """The verdict with its reasons, the decisive first."""

    verdict: Verdict
    reasons: tuple[str, ...]
    samples_needed: int | None = None
    """Held-out conversations it would take to decide; None where it is decided or cannot be said."""


VERDICTS: dict[FindingKind, Verdict] = {
    "void": "inconclusive",
    "reject": "reject",
    "undecided": "inconclusive",
    "holds": "accept",
}
"""By the decisive kind, in the order in which kinds decide."""

Criterion = Callable[[Evidence], Iterator[Finding]]


def something_was_compared(evidence: Evidence) -> Iterator[Finding]:
    """Without a candidate or without a primary comparison there is nothing to decide; plan with the worst spread."""
    if evidence.candidate_changed and evidence.primary:
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
            f"under both policies; below {MIN_CONVERSATIONS} nothing can be decided{_plan(primary)}",
            needed=primary.conversations_needed,
        )


def most_rows_are_scored(evidence: Evidence) -> Iterator[Finding]:
    """Too many unscored samples void the evidence: what is missing is rarely missing at random."""
    for c in evidence.comparisons:
        if c.unscored > evidence.rule.max_unscored_share * c.samples:
            yield Finding(
                kind="void",
                sentence=f"{c.evaluator}: {c.unscored} of {c.samples} samples have no score under one of the policies "
                f"(at most {evidence.rule.max_unscored_share:.0%} may): see the errors of the rows",
            )


def candidate_is_scored_as_often(evidence: Evidence) -> Iterator[Finding]:
    """A candidate whose answers fail more often than the old ones may hide its losses among the unscored."""
    for c in evidence.comparisons:
        lost = c.unscored_candidate - c.unscored_baseline
        if lost > evidence.rule.guardrail_margin * c.samples:
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
            sentence=f"{c.evaluator} was the same under both policies in all {c.n} conversations{_plan(c)}",
            needed=_more(c),
        )
    elif c.ci_high < 0:
        yield Finding(kind="reject", sentence=f"{_told(c)}: the candidate is worse")
    elif c.ci_high < wanted:
        yield Finding(kind="reject", sentence=f"{_told(c)}: it cannot gain the {wanted:.2f} that is asked for")
    elif c.p_value <= evidence.rule.alpha and c.ci_low > 0 and c.difference >= wanted:
        yield Finding(kind="holds", sentence=_told(c))
    else:
        yield Finding(kind="undecided", sentence=f"{_told(c)}: not shown to be a gain{_plan(c)}", needed=_more(c))


def guardrails_hold(evidence: Evidence) -> Iterator[Finding]:
    """Every guardrail must be shown not to fall beyond its margin (non-inferiority by the plus-two bound).

    All must pass, so their errors need no correction (intersection-union); a point estimate protects nothing.
    """
    for c in evidence.guardrails:
        margin = evidence.rule.guardrail_margin * c.scale
        if c.ci_low is None or c.ci_high is None:
            sentence = f"{c.evaluator}: {c.n} conversations were scored under both policies, too few to protect it"
            yield Finding(kind="undecided", sentence=f"{sentence}{_plan(c)}", needed=c.conversations_needed)
        elif c.ci_high < -margin:
            yield Finding(kind="reject", sentence=f"{_told(c)}: it falls by more than its margin of {margin:.2f}")
        elif c.ci_low > -margin:
            yield Finding(kind="holds", sentence=f"{_told(c)}: no fall beyond its margin of {margin:.2f}")
        else:
            sentence = f"{_told(c)}: a fall beyond its margin of {margin:.2f} is not ruled out"
            needed = _more(c)
            about = f"; showing that it keeps it would take about {needed:,} held-out conversations" if needed else ""
            yield Finding(kind="undecided", sentence=f"{sentence}{about}", needed=needed)


def rare_collapse_is_unseen(evidence: Evidence) -> Iterator[Finding]:
    """An evaluator that never differed may still collapse rarely: unseen in n, it can be as common as 1 - alpha^(1/n).

    (With alpha 0.05 that is about 3/n, the rule of three.)
    """
    for c in evidence.comparisons:
        if c.n and is_all_ties(c):
            share = 1 - evidence.rule.alpha ** (1 / c.n)
            yield Finding(
                kind="note",
                sentence=f"{c.evaluator} never differed in {c.n} conversations; a rare collapse that no sample shows "
                f"(in fewer than {share:.1%} of conversations) stays unseen",
            )


CRITERIA: tuple[Criterion, ...] = (
    something_was_compared,
    enough_conversations,
    most_rows_are_scored,
    candidate_is_scored_as_often,
    primary_gains,
    guardrails_hold,
    rare_collapse_is_unseen,
)


def decide(
    comparisons: Sequence[EvaluatorComparison],
    rule: ComparisonRule,
    *,
    conversations: int,
    candidate_changed: bool,
    criteria: Sequence[Criterion] = CRITERIA,
) -> Decision:
    """Fold the criteria's findings: void evidence is `inconclusive`; one `reject` rejects; one undecided leaves open.

    `accept` takes that all hold. `conversations` counts the window's held-out ones, scored or not.
    """
    evidence = Evidence(
        comparisons=tuple(comparisons), rule=rule, conversations=conversations, candidate_changed=candidate_changed
    )
    return fold([finding for criterion in criteria for finding in criterion(evidence)])


def fold(findings: Sequence[Finding]) -> Decision:
    """One decision of many findings; the decisive kind's sentences come first, the rest in order."""
    kinds = {f.kind for f in findings}
    decisive: FindingKind = next((kind for kind in VERDICTS if kind in kinds), "void")
    verdict = VERDICTS[decisive]
    first = [f for f in findings if f.kind == decisive]
    rest = [f for f in findings if f.kind not in {decisive, "note"}]
    notes = [f for f in findings if f.kind == "note" and verdict == "accept"]
    reasons = tuple(f.sentence for f in [*first, *rest, *notes])
    needed = [f.needed for f in first if f.needed is not None and verdict == "inconclusive"]
    return Decision(verdict=verdict, reasons=reasons, samples_needed=max(needed, default=None))


def is_all_ties(comparison: EvaluatorComparison) -> bool:
    """Whether no conversation differed: only then is the one-sided p of no difference exactly 1."""
    return comparison.difference == 0 and comparison.p_value == 1


def _told(c: EvaluatorComparison) -> str:
    """The comparison in a sentence with its numbers."""
    difference = c.difference or 0.0
    verb = "rose" if difference > 0 else "fell"
    moved = (
        f"{verb} from {c.baseline_mean:.2f} to {c.candidate_mean:.2f}"
        if difference
        else f"stayed at {c.candidate_mean:.2f}"
    )
    return (
        f"{c.evaluator} {moved} ({difference:+.2f}, interval {c.ci_low:+.2f} to {c.ci_high:+.2f}, "
        f"p = {c.p_value:.2g}, {c.n} conversations)"
    )


def _plan(c: EvaluatorComparison) -> str:
    """What this window could have seen and how many conversations it would take, as far as they are known."""
    seen, needed = c.minimum_detectable_effect, _more(c)
    could = f"; the smallest gain this window could have seen is {seen:.2f}" if seen is not None else ""
    return could + (f"; it would take about {needed:,} held-out conversations to decide" if needed else "")


def _more(c: EvaluatorComparison) -> int | None:
    """The plan, but more than there were: as many have just failed to decide."""
    return None if c.conversations_needed is None else max(c.conversations_needed, c.n + 1)
