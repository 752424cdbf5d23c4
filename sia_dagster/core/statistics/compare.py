"""Two policies under one evaluator, paired by group of conversations, with a test and an interval.

The test is a sign-flip permutation test, the interval is corrected for skewness; an `accept` (`core.gate`) needs both.
Sources and measured size and power: docs/statistics.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

from pydantic import Field

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.records.comparison import EvaluatorComparison, Question
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics.intervals import (
    MIN_CONVERSATIONS,
    RESAMPLES,
    conversations_needed,
    detectable_effect,
    planning_spread,
    resamples_for,
    sign_flip_p,
    skew_corrected_interval,
)

Role = Literal["primary", "guardrail", "safety"]


class ComparisonRule(Value):
    """What counts as better, or as not worse. Shares are of an evaluator's range."""

    question: Question = "better"
    """`not_worse`: the primary evaluator, too, may lose up to its margin, and must not lose more."""
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The primary evaluator's one-sided level, of the test and of each end of the interval. The interval covers
    1 - 2 alpha (90 % at 0.05)."""
    guardrail_alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """The same of every other evaluator, and of slices."""
    min_effect: float = Field(default=0.02, ge=0, lt=1)
    guardrail_margin: float = Field(default=0.05, gt=0, lt=1)
    margins: dict[str, float] = Field(default_factory=dict)
    """By evaluator, where its margin differs from `guardrail_margin`."""
    safety: tuple[str, ...] = ()
    """The evaluators that veto: not one sample may fall."""
    max_unscored_share: float = Field(default=0.2, ge=0, le=1)
    seed: str = ""
    """Names the window (`loop/window key`); with the evaluator's name it seeds the permutations."""

    @classmethod
    def of(cls, loop: LoopConfig) -> "ComparisonRule":
        """The rule of a configured loop, with every evaluator at `validation.alpha`."""
        given = loop.validation
        return cls(
            alpha=given.alpha,
            guardrail_alpha=given.alpha,
            min_effect=given.min_effect,
            guardrail_margin=given.guardrail_margin,
            margins={each.name: each.margin for each in loop.evaluators if each.margin is not None},
            safety=tuple(each.name for each in loop.evaluators if each.safety),
            max_unscored_share=given.max_unscored_share,
        )

    def role(self, constant: EvalConstant) -> Role:
        """The evaluator's role in the verdict."""
        if constant.primary:
            return "primary"
        return "safety" if constant.name in self.safety else "guardrail"

    def margin(self, evaluator: str) -> float:
        """The most that this evaluator may lose, as a share of its range, where it need not gain."""
        return self.margins.get(evaluator, self.guardrail_margin)

    def must_gain(self, role: Role) -> bool:
        """Whether an evaluator in this role has to show a gain; else it has to keep its level within its margin."""
        return role == "primary" and self.question == "better"

    def level(self, role: Role) -> float:
        """The one-sided level of an evaluator in this role."""
        return self.alpha if role == "primary" else self.guardrail_alpha

    def is_unscored(self, comparison: EvaluatorComparison) -> bool:
        """Whether too many samples are unscored to show anything: what is missing is rarely missing at random."""
        return comparison.unscored > self.max_unscored_share * comparison.samples

    def target(self, role: Role, evaluator: str) -> float:
        """The effect that conversations are planned for: the gain to show, or the loss to rule out."""
        return self.min_effect if self.must_gain(role) else self.margin(evaluator)


class PairedScore(Value):
    """One group's mean score under both policies, in the evaluator's own units."""

    unit: str
    """The group's id: that of the conversation where it is alone."""
    baseline: float
    candidate: float
    conversations: tuple[str, ...] = ()
    """The ids of the group's conversations with a scored sample."""


def paired_scores(rows: Sequence[ValidationRow], constant: EvalConstant) -> tuple[tuple[PairedScore, ...], int]:
    """The scores of both policies by group, in order of first appearance, and the number of unscored samples.

    A sample's scores are means over the repeats that were scored under both policies, a group's are means over its
    scored samples. A sample without such a repeat is unscored; a group without a scored sample is left out.
    """
    units: dict[str, dict[str, list[tuple[float, float]]]] = {}
    conversation_of: dict[str, str] = {}
    for row in rows:
        pairs = units.setdefault(row.unit, {}).setdefault(row.span_id, [])
        conversation_of[row.span_id] = row.conversation_id
        old, new = row.baseline.score(constant.name), row.candidate.score(constant.name)
        if old is not None and new is not None:
            pairs.append((old, new))
    paired = []
    for unit, samples in units.items():
        if scored := {span_id: _mean_pair(pairs) for span_id, pairs in samples.items() if pairs}:
            old, new = _mean_pair(scored.values())
            conversations = tuple(dict.fromkeys(conversation_of[span_id] for span_id in scored))
            paired.append(PairedScore(unit=unit, baseline=old, candidate=new, conversations=conversations))
    return tuple(paired), sum(not pairs for samples in units.values() for pairs in samples.values())


def compare(
    rows: Sequence[ValidationRow],
    constant: EvalConstant,
    *,
    role: Role,
    rule: ComparisonRule,
    weights: Mapping[str, float] | None = None,
    stands_for: Mapping[str, int] | None = None,
) -> EvaluatorComparison:
    """Compare both policies under one evaluator, in its own units; equal rows give equal numbers.

    Groups weigh alike: a large one may be the one that loses, and a window may not show it. `weights`, by conversation
    id, multiply a group's weight (the mean of its conversations') and were fixed before anything was scored; missing is
    1. `stands_for` says, by conversation id, how many left-out conversations ask what it asks. Fewer than
    `MIN_CONVERSATIONS` paired groups: means and a plan, no test and no interval.
    """
    every, rows = rows, _applicable(rows, constant.name)
    pairs, unscored = paired_scores(rows, constant)
    found = EvaluatorComparison(
        evaluator=constant.name,
        role=role,
        n=len(pairs),
        conversations=_conversations(pairs),
        samples=len({row.span_id for row in rows}),
        unscored=unscored,
        unscored_baseline=_unscored((row.span_id, row.baseline.score(constant.name)) for row in rows),
        unscored_candidate=_unscored((row.span_id, row.candidate.score(constant.name)) for row in rows),
        **_applicability(every, rows, constant.name),
        margin=None if rule.must_gain(role) else rule.margin(constant.name),
        fallen=_fallen(rows, constant.name) if role == "safety" else (),
        traffic_difference=_traffic_difference(rows, constant.name, stands_for or {}),
        scale=constant.scale,
        high=constant.high if constant.high > constant.low else None,
    )
    if len(pairs) < 2:
        means = {"baseline_mean": pairs[0].baseline, "candidate_mean": pairs[0].candidate} if pairs else {}
        difference = {"difference": pairs[0].candidate - pairs[0].baseline} if pairs else {}
        needed = conversations_needed(rule.target(role, constant.name), rule.level(role))
        return found.model_copy(update=means | difference | {"conversations_needed": needed})
    return found.model_copy(update=_numbers(pairs, found, rule, weights or {}))


def _numbers(
    pairs: Sequence[PairedScore], found: EvaluatorComparison, rule: ComparisonRule, factors: Mapping[str, float]
) -> dict[str, float | int | None]:
    """The numbers of a comparison that need at least two pairs."""
    import numpy as np

    scale, level, target = found.scale, rule.level(found.role), rule.target(found.role, found.evaluator)
    old, new = np.array([p.baseline for p in pairs]), np.array([p.candidate for p in pairs])
    weights = np.array([_factor(p, factors) for p in pairs])
    differences = (new - old) / scale
    bounds = skew_corrected_interval(differences, weights, level)
    spread = planning_spread(differences, weights, float(bounds.variance))
    gain = max(float(bounds.middle), target) if rule.must_gain(found.role) else target
    numbers: dict[str, float | int | None] = {
        "baseline_mean": float(np.average(old, weights=weights)),
        "candidate_mean": float(np.average(new, weights=weights)),
        "difference": float(np.average(new - old, weights=weights)),
        "conversations_needed": _in_conversations(conversations_needed(gain, level, spread), pairs),
    }
    if len(pairs) >= MIN_CONVERSATIONS:
        smallest = float(detectable_effect(len(pairs), spread, level))
        # Only an evaluator that must gain is decided by its p-value; the others by their interval.
        flips = resamples_for(level) if rule.must_gain(found.role) else RESAMPLES
        numbers |= {
            "ci_low": float(bounds.low) * scale,
            "ci_high": float(bounds.high) * scale,
            "p_value": sign_flip_p(weights * differences, f"{rule.seed}/{found.evaluator}", flips),
            "minimum_detectable_effect": smallest * scale if smallest <= 1 else None,
            "alpha": level,
        }
    return numbers


def p_of(c: EvaluatorComparison) -> float | None:
    """One-sided p of what an evaluator must show: a gain by sign flips, or that it lost no more than its margin.

    The latter is read off the interval: the distance from minus the margin in units of those standard errors that
    make its lower end. Only the conditional power of a look rests on it; the verdict is the interval's. None where
    nothing was tested.
    """
    from scipy.special import ndtr, ndtri

    if c.margin is None or c.p_value is None or c.ci_low is None or c.difference is None or c.alpha is None:
        return c.p_value
    error = (c.difference - c.ci_low) / -float(ndtri(c.alpha))
    return float(ndtr(-(c.difference + c.margin * c.scale) / error)) if error > 0 else 1.0


def _conversations(pairs: Sequence[PairedScore]) -> int:
    return sum(len(pair.conversations) for pair in pairs)


def _traffic_difference(rows: Sequence[ValidationRow], evaluator: str, stands_for: Mapping[str, int]) -> float | None:
    """The mean difference where each conversation counts, and those that it stands for; None without a pair."""
    found: dict[str, list[float]] = {}
    for row in rows:
        old, new = row.baseline.score(evaluator), row.candidate.score(evaluator)
        if old is not None and new is not None:
            found.setdefault(row.conversation_id, []).append(new - old)
    if not found:
        return None
    counts = {name: 1 + stands_for.get(name, 0) for name in found}
    return math.fsum(counts[name] * math.fsum(held) / len(held) for name, held in found.items()) / sum(counts.values())


def _factor(pair: PairedScore, factors: Mapping[str, float]) -> float:
    return math.fsum(factors.get(name, 1.0) for name in pair.conversations) / len(pair.conversations)


def _in_conversations(groups: int | None, pairs: Sequence[PairedScore]) -> int | None:
    """The conversations of so many groups, if they are as large as these."""
    return None if groups is None else math.ceil(groups * _conversations(pairs) / len(pairs))


def _applicable(rows: Sequence[ValidationRow], evaluator: str) -> Sequence[ValidationRow]:
    """The rows without those to which the evaluator does not apply under a policy; a failure under the other stays."""
    return [
        row
        for row in rows
        if _failed(row.baseline, evaluator)
        or _failed(row.candidate, evaluator)
        or not (row.baseline.does_not_apply(evaluator) or row.candidate.does_not_apply(evaluator))
    ]


def _failed(arm: ArmOutcome, evaluator: str) -> bool:
    return arm.score(evaluator) is None and not arm.does_not_apply(evaluator)


def _applicability(
    rows: Sequence[ValidationRow], applicable: Sequence[ValidationRow], evaluator: str
) -> dict[str, int]:
    """The samples that are left out, and those to which the evaluator applies under one of the policies alone."""
    left_out = {row.span_id for row in rows} - {row.span_id for row in applicable}
    sides = [
        (row.span_id, row.baseline.score(evaluator) is None, row.candidate.does_not_apply(evaluator))
        for row in rows
        if row.baseline.does_not_apply(evaluator) != row.candidate.does_not_apply(evaluator)
    ]
    return {
        "not_applicable": len(left_out),
        "applies_to_baseline_only": len({span for span, unscored, gone in sides if gone and not unscored}),
        "applies_to_candidate_only": len({span for span, _, gone in sides if not gone}),
    }


def _mean_pair(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Means of both sides, exactly rounded, so that equal scores in another order are a tie."""
    old, new = zip(*pairs, strict=True)
    return math.fsum(old) / len(old), math.fsum(new) / len(new)


def _unscored(scores: Iterable[tuple[str, float | None]]) -> int:
    """The number of samples without a score: a repeat counts as its share of the sample, the sum is rounded up.

    A policy whose answers fail in most repeats is not as good as the repeats that succeeded.
    """
    missing: dict[str, list[bool]] = {}
    for span_id, score in scores:
        missing.setdefault(span_id, []).append(score is None)
    return math.ceil(sum(Fraction(sum(repeats), len(repeats)) for repeats in missing.values()))


def _fallen(rows: Sequence[ValidationRow], evaluator: str) -> tuple[str, ...]:
    """The samples with a lower mean score under the candidate, over the repeats that were scored under both."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        old, new = row.baseline.score(evaluator), row.candidate.score(evaluator)
        if old is not None and new is not None:
            pairs.setdefault(row.span_id, []).append((old, new))
    means = {span_id: _mean_pair(scored) for span_id, scored in pairs.items()}
    return tuple(span_id for span_id, (old, new) in means.items() if new < old)


def compare_all(
    rows: Sequence[ValidationRow],
    constants: Sequence[EvalConstant],
    rule: ComparisonRule,
    weights: Mapping[str, float] | None = None,
    stands_for: Mapping[str, int] | None = None,
) -> tuple[EvaluatorComparison, ...]:
    """Both policies under every evaluator, in the evaluators' order; all else as `compare` takes it."""
    return tuple(
        compare(rows, constant, role=rule.role(constant), rule=rule, weights=weights, stands_for=stands_for)
        for constant in constants
    )
