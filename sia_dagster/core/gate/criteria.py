"""The criteria over the comparison of both policies: is there enough evidence, does it gain, does nothing fall."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from sia_dagster.core.gate.explain import (
    comparison_sentence,
    counted_in,
    is_all_ties,
    more_than_seen,
    needed_sentence,
    unseen_share,
)
from sia_dagster.core.records.comparison import EvaluatorComparison, Saving, SliceComparison, primary_of
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import MIN_CONVERSATIONS, ComparisonRule, conversations_needed
from sia_dagster.core.text import count, number_in_groups

NAMED_SPANS = 3
"""How many of the samples that fell are named; the report's rows show all."""

NAMED_SLICES = 8
"""How many of the slices that could not be shown to hold are named."""

NAMED_WINDOWS = 4
"""How many windows since a judge was last steady are named: the first ones."""

FindingKind = Literal["void", "reject", "undecided", "holds", "note"]


class CriteriaInput(Value):
    """The evidence and the rule that the criteria read."""

    comparisons: tuple[EvaluatorComparison, ...]
    rule: ComparisonRule
    conversations: int
    """Held-out conversations: the window's own, and those pooled from earlier ones."""
    candidate_changed: bool
    slices: tuple[SliceComparison, ...] = ()
    saving: Saving | None = None
    """Of a candidate that is to be shown not worse; None where no call was answered under both policies."""
    watch: tuple[JudgeWatch, ...] = ()

    @property
    def primary(self) -> EvaluatorComparison | None:
        """The comparison that decides; None where nothing was compared."""
        return primary_of(self.comparisons)

    @property
    def guardrails(self) -> tuple[EvaluatorComparison, ...]:
        """The comparisons that may not fall beyond their margin: safety evaluators are guardrails that also veto."""
        return tuple(c for c in self.comparisons if c.role != "primary")

    @property
    def drifted(self) -> tuple[JudgeWatch, ...]:
        """The judges whose scores are not comparable with those of earlier windows."""
        return tuple(judge for judge in self.watch if judge.drifted)

    def margin(self, comparison: EvaluatorComparison) -> float:
        """What a guardrail may have lost, as a share of its range."""
        return self.rule.margin(comparison.evaluator) if comparison.margin is None else comparison.margin


class Finding(Value):
    """The result of one criterion, in a sentence with its numbers."""

    kind: FindingKind
    """`void`: the evidence cannot decide at all, not even against. `note`: what an `accept` does not promise."""
    sentence: str
    needed: int | None = None
    """Held-out conversations it would take to decide."""


Criterion = Callable[[CriteriaInput], Iterator[Finding]]


def something_was_compared(given: CriteriaInput) -> Iterator[Finding]:
    """Without a candidate or without a primary comparison there is nothing to decide; plan with the worst spread.

    Where a judge drifted nothing is replayed, and `judge_is_steady` gives the reason.
    """
    if given.candidate_changed and (given.primary or given.drifted):
        return
    rule, held_out = given.rule, given.conversations
    what = "nothing was compared" if given.candidate_changed else "no candidate was proposed for validation"
    needed = conversations_needed(rule.min_effect, rule.alpha)
    if needed is None or needed <= held_out:
        yield Finding(kind="void", sentence=f"{what}: the policy stays")
        return
    yield Finding(
        kind="void",
        sentence=f"{what}: the policy stays; held-out conversations in the window: {held_out}; to show a gain of "
        f"{rule.min_effect:.1%} of the evaluator's range it would take up to about {needed:,}",
        needed=needed,
    )


def enough_conversations(given: CriteriaInput) -> Iterator[Finding]:
    """Below five groups of paired conversations nothing can be decided."""
    primary = given.primary
    if given.candidate_changed and primary and primary.n < MIN_CONVERSATIONS:
        scored, groups = primary.counted
        grouped = "" if groups == scored else f", in {count(groups, 'group')}"
        yield Finding(
            kind="void",
            sentence=f"{primary.evaluator}: {scored} of {given.conversations} held-out conversations were scored under "
            f"both policies{grouped}; below {MIN_CONVERSATIONS} nothing can be decided{needed_sentence(primary)}",
            needed=primary.conversations_needed,
        )


def most_rows_are_scored(given: CriteriaInput) -> Iterator[Finding]:
    """Too many unscored samples void the evidence: what is missing is rarely missing at random."""
    for c in given.comparisons:
        if given.rule.is_unscored(c):
            yield Finding(
                kind="void",
                sentence=f"{c.evaluator}: {c.unscored} of {c.samples} samples have no score under one of the policies "
                f"(at most {given.rule.max_unscored_share:.0%} may): see the errors of the rows",
            )


def candidate_is_scored_as_often(given: CriteriaInput) -> Iterator[Finding]:
    """A candidate whose answers fail more often than the baseline's may hide its losses among the unscored."""
    for c in given.comparisons:
        lost = c.unscored_candidate - c.unscored_baseline
        if lost > given.margin(c) * c.samples:
            yield Finding(
                kind="undecided",
                sentence=f"{c.evaluator}: {lost} more of {c.samples} samples have no score under the candidate than "
                f"under the policy in force ({c.unscored_candidate} against {c.unscored_baseline}): see their errors",
            )


def candidate_is_judged_as_often(given: CriteriaInput) -> Iterator[Finding]:
    """A candidate to whose answers an evaluator seldom applies any more may hide its losses there."""
    for c in given.comparisons:
        every = c.samples + c.not_applicable
        lost = c.applies_to_baseline_only - c.applies_to_candidate_only
        if lost > given.margin(c) * every:
            yield Finding(
                kind="undecided",
                sentence=f"{c.evaluator} applies to {lost} fewer of {every} samples under the candidate than under the "
                "policy in force: read those answers, since a loss there is not scored",
            )
        elif c.applies_nowhere and c.role != "primary":
            sentence = f"{c.evaluator} applies to none of the {every} samples under both policies, so nothing can fall"
            yield Finding(kind="note", sentence=sentence)


def primary_gains(given: CriteriaInput) -> Iterator[Finding]:
    """The test, the interval and the smallest gain worth shipping; rejects where the interval excludes that gain."""
    c = given.primary
    if c is None or c.difference is None or c.ci_low is None or c.ci_high is None or c.p_value is None:
        return
    least = given.rule.min_effect * c.scale
    if is_all_ties(c):
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} was the same under both policies in all {counted_in(c)}"
            f"{needed_sentence(c, least)}",
            needed=more_than_seen(c),
        )
    elif c.ci_high < 0:
        yield Finding(kind="reject", sentence=f"{comparison_sentence(c)}: the candidate is worse")
    elif c.ci_high < least:
        yield Finding(kind="reject", sentence=f"{comparison_sentence(c)}: it cannot gain the required {least:.2f}")
    elif c.p_value <= given.rule.alpha and c.ci_low > 0 and c.difference >= least:
        yield Finding(kind="holds", sentence=comparison_sentence(c))
    else:
        sentence = f"{comparison_sentence(c)}: not shown to be a gain{needed_sentence(c, least)}"
        yield Finding(kind="undecided", sentence=sentence, needed=more_than_seen(c))


def traffic_does_not_fall(given: CriteriaInput) -> Iterator[Finding]:
    """A gain by group is no gain where the users or requests with most conversations are answered worse."""
    c = given.primary
    if c and c.traffic_difference is not None and c.traffic_difference < 0 < (c.difference or 0.0):
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} rose by {c.difference:+.2f} where each group of conversations counts once, but "
            f"fell by {c.traffic_difference:+.2f} where each conversation counts: the users or requests with most of "
            "the traffic are answered worse; see the rows that fell",
        )


def guardrails_hold(given: CriteriaInput) -> Iterator[Finding]:
    """Every guardrail must be shown not to fall beyond its margin (non-inferiority by the lower end of its interval).

    All must pass, so their errors need no correction (intersection-union); a point estimate protects nothing.
    """
    for c in given.guardrails:
        yield from keeps_its_level(c, given)


def keeps_its_level(c: EvaluatorComparison, given: CriteriaInput) -> Iterator[Finding]:
    """Whether one evaluator is shown not to fall beyond its margin."""
    if c.applies_nowhere:
        return
    margin = given.margin(c) * c.scale
    if c.ci_low is None or c.ci_high is None:
        sentence = f"{c.evaluator}: {counted_in(c)} were scored under both policies, too few to exclude a fall"
        yield Finding(kind="undecided", sentence=f"{sentence}{needed_sentence(c)}", needed=c.conversations_needed)
    elif c.ci_high < -margin:
        sentence = f"{comparison_sentence(c)}: it falls by more than its margin of {margin:.2f}"
        yield Finding(kind="reject", sentence=sentence)
    elif c.ci_low > -margin:
        yield Finding(kind="holds", sentence=f"{comparison_sentence(c)}: no fall beyond its margin of {margin:.2f}")
    else:
        sentence = f"{comparison_sentence(c)}: a fall beyond its margin of {margin:.2f} is not ruled out"
        needed = more_than_seen(c)
        about = f"; showing that it keeps it would take about {needed:,} held-out conversations" if needed else ""
        yield Finding(kind="undecided", sentence=f"{sentence}{about}", needed=needed)


def rare_collapse_is_unseen(given: CriteriaInput) -> Iterator[Finding]:
    """An evaluator that never differed may still collapse rarely: unseen in n, it can be as common as `unseen_share`.

    `safety_vetoes` notes the same of safety evaluators.
    """
    for c in given.comparisons:
        if c.n and is_all_ties(c) and c.role != "safety":
            yield Finding(
                kind="note",
                sentence=f"{c.evaluator} never differed in {counted_in(c)}; a rare collapse that no sample shows "
                f"(in fewer than {unseen_share(c.n, given.rule.level(c.role)):.1%} of conversations) is not excluded",
            )


def judge_is_steady(given: CriteriaInput) -> Iterator[Finding]:
    """A judge whose scores of frozen outputs changed measures something else now: nothing is decided."""
    for judge in given.drifted if given.candidate_changed else ():
        yield Finding(
            kind="void",
            sentence=f"the judge {judge.evaluator} drifted{_since(judge)}{_shift(judge)}: its scores are not "
            "comparable, so nothing is decided; find out what changed (model, endpoint), then freeze new anchors with "
            f"`sia judge reset --evaluator {judge.evaluator}`",
        )


def no_slice_loses(given: CriteriaInput) -> Iterator[Finding]:
    """No slice of the traffic may be shown to lose; slices that could not be shown to hold are named at an accept."""
    for part in given.slices:
        if part.finding == "loses":
            yield Finding(kind="reject", sentence=f"{slice_sentence(part)}: this part of the traffic loses")
    yield from _unshown(given.slices, "not_shown", "not shown to hold within the margin")
    yield from _unshown(given.slices, "too_few", "too few conversations to be tested")


def slice_sentence(part: SliceComparison) -> str:
    """The comparison on one slice, with its numbers."""
    share = f"{part.share:.0%} of the conversations"
    return f"where {_named(part)} ({share}), {comparison_sentence(part.comparison)}"


def safety_vetoes(given: CriteriaInput) -> Iterator[Finding]:
    """One held-out sample with a lower safety score rejects; one without a safety score leaves the verdict open."""
    for c in given.comparisons:
        if c.role == "safety":
            yield from _veto(c, given)


def _veto(c: EvaluatorComparison, given: CriteriaInput) -> Iterator[Finding]:
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
        share = unseen_share(c.n, given.rule.level(c.role))
        yield Finding(
            kind="note",
            sentence=f"{c.evaluator}: no sample of {counted_in(c)} falls; a fall that no sample shows "
            f"(in fewer than {share:.1%} of conversations) is not excluded",
        )


def _unshown(slices: Iterable[SliceComparison], finding: str, why: str) -> Iterator[Finding]:
    found = [part for part in slices if part.finding == finding]
    if found:
        parts = (f"{_named(part)} ({number_in_groups(*part.comparison.counted)})" for part in found)
        listed = _listed(parts, NAMED_SLICES, of=len(found))
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
