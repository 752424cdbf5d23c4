"""Two policies under one evaluator: paired by conversation, tested and bounded with two keys.

Key one is a sign-flip permutation test, key two the lower bound of the *plus-two* interval; `core.verdict` asks for
both. Sources and measured size and power: docs/statistics.md.
"""

import bisect
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from sia_dagster.core.models import EvalConstant, Value
from sia_dagster.core.results import EvaluatorComparison, ValidationRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

MIN_CONVERSATIONS = 5
"""Below this nothing can be decided: with four conversations no sign-flip p is below 1/16."""
POWER = 0.8
"""Of the smallest detectable effect."""
WORST_SPREAD = 0.5
"""Planned with where none was measured: the largest standard deviation of scores in 0..1. (Two policies' scores of
one conversation agree enough that their differences seldom spread more.)"""
MOST_CONVERSATIONS = 1_000_000
"""A plan beyond this is no plan."""
INTRA_CLASS = 0.25
"""How alike samples of one conversation are taken to be when conversations of different length are weighted."""
RESAMPLES = 9999


class ComparisonRule(Value):
    """What counts as better. Shares are of an evaluator's range."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """One-sided: of the test and of each end of the interval, which so covers 1 - 2 alpha (90 % at 0.05)."""
    min_effect: float = Field(default=0.02, ge=0, lt=1)
    guardrail_margin: float = Field(default=0.05, gt=0, lt=1)
    max_unscored_share: float = Field(default=0.2, ge=0, le=1)
    seed: str = ""
    """Names the window (`loop/window key`); with the evaluator's name it seeds the permutations."""


class PairedScore(Value):
    """One conversation's mean score under both policies, in the evaluator's own units."""

    conversation_id: str
    baseline: float
    candidate: float
    samples: int = 1
    """The conversation's samples, counted before scoring: what it weighs may not depend on how scoring went."""


class PlusTwo(NamedTuple):
    """The plus-two interval of a weighted mean difference in -1..1 (numbers, or arrays over many windows)."""

    middle: "Array"
    variance: "Array"
    """Of one conversation's weighted difference, the three added ones included; never 0."""
    low: "Array"
    high: "Array"


def paired_scores(rows: Sequence[ValidationRow], constant: EvalConstant) -> tuple[tuple[PairedScore, ...], int]:
    """Pair both policies' scores by conversation, in order of first appearance; and count unscored samples.

    A sample's scores are means over the repeats that were scored under both policies, a conversation's are means
    over its scored samples. A sample without such a repeat is unscored; a conversation without a scored sample
    is left out.
    """
    conversations: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        pairs = conversations.setdefault(row.conversation_id, {}).setdefault(row.span_id, [])
        old, new = row.baseline.score(constant.name), row.candidate.score(constant.name)
        if old is not None and new is not None:
            pairs.append((old, new))
    paired = []
    for conversation_id, samples in conversations.items():
        if scored := [_mean_pair(pairs) for pairs in samples.values() if pairs]:
            old, new = _mean_pair(scored)
            paired.append(
                PairedScore(conversation_id=conversation_id, baseline=old, candidate=new, samples=len(samples))
            )
    return tuple(paired), sum(not pairs for samples in conversations.values() for pairs in samples.values())


def compare(
    rows: Sequence[ValidationRow],
    constant: EvalConstant,
    *,
    role: Literal["primary", "guardrail"],
    rule: ComparisonRule,
) -> EvaluatorComparison:
    """Compare both policies under one evaluator, in its own units; equal rows give equal numbers.

    Fewer than `MIN_CONVERSATIONS` paired conversations: means and a plan, no test and no interval.
    """
    pairs, unscored = paired_scores(rows, constant)
    scale = constant.high - constant.low if constant.high > constant.low else 1.0
    found = EvaluatorComparison(
        evaluator=constant.name,
        role=role,
        n=len(pairs),
        samples=len({row.span_id for row in rows}),
        unscored=unscored,
        unscored_baseline=_unscored((row.span_id, row.baseline.score(constant.name)) for row in rows),
        unscored_candidate=_unscored((row.span_id, row.candidate.score(constant.name)) for row in rows),
        scale=scale,
    )
    target = rule.guardrail_margin if role == "guardrail" else rule.min_effect
    if len(pairs) < 2:
        means = {"baseline_mean": pairs[0].baseline, "candidate_mean": pairs[0].candidate} if pairs else {}
        difference = {"difference": pairs[0].candidate - pairs[0].baseline} if pairs else {}
        plan = {"conversations_needed": conversations_needed(target, WORST_SPREAD, rule.alpha)}
        return found.model_copy(update=means | difference | plan)
    return found.model_copy(update=_numbers(pairs, found, rule, target))


def conversation_weights(samples: "Array") -> "Array":
    """The weight of conversations of `samples` samples: m / (1 + 0.25 (m - 1)), so a long one does not rule."""
    return samples / (1 + INTRA_CLASS * (samples - 1))


def plus_two(differences: "Array", weights: "Array", alpha: float) -> PlusTwo:
    """The interval of the weighted mean difference over the last axis, at one-sided level `alpha` for each end.

    Half a conversation at +1, half at -1 and one tie are added (Agresti and Min, Statistics in Medicine 24, 2005,
    for matched proportions; this form with weights is ours), so that ties never give zero width. Differences lie
    in -1..1; the ends are cut there.
    """
    import numpy as np
    from scipy.special import stdtrit

    size = differences.shape[-1] + 2
    scaled = weights / weights.mean(axis=-1, keepdims=True)
    middle = (scaled * differences).sum(axis=-1) / size
    around = (scaled**2 * (differences - middle[..., None]) ** 2).sum(axis=-1)
    added = (1 - middle) ** 2 / 2 + (1 + middle) ** 2 / 2 + middle**2
    variance = (around + added) / size
    half = stdtrit(size - 1, 1 - alpha) * np.sqrt(variance / (size - 1))
    return PlusTwo(middle, variance, np.maximum(middle - half, -1.0), np.minimum(middle + half, 1.0))


def sign_flip_p(weighted: "Array", seed: str) -> float:
    """One-sided p of "the mean of the weighted differences is above 0": exact up to 13 conversations.

    Beyond, `RESAMPLES` sign flips drawn from a generator seeded by a hash of `seed`. All ties give 1.
    """
    import numpy as np
    from scipy.stats import permutation_test

    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    result = permutation_test(
        (weighted,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, MOST_CONVERSATIONS // len(weighted)),
        alternative="greater",
        rng=generator,
    )
    return float(result.pvalue)


def detectable_effect(conversations: int, spread: float, alpha: float) -> float:
    """The smallest effect that `conversations` show with 80 % power: (t(1-alpha) + t(.8)) spread / sqrt(n).

    `spread` is the standard deviation of a conversation's weighted difference; both in the same unit.
    """
    from scipy.special import stdtrit

    freedom = conversations - 1
    quantiles = stdtrit(freedom, 1 - alpha) + stdtrit(freedom, POWER)
    return float(quantiles * spread / math.sqrt(conversations))


def conversations_needed(effect: float, spread: float, alpha: float) -> int | None:
    """The fewest conversations whose smallest detectable effect is at most `effect`; None beyond a million."""
    if detectable_effect(MOST_CONVERSATIONS, spread, alpha) > effect:
        return None
    sizes = range(MIN_CONVERSATIONS, MOST_CONVERSATIONS + 1)
    return sizes[bisect.bisect_left(sizes, True, key=lambda n: detectable_effect(n, spread, alpha) <= effect)]


def _numbers(
    pairs: Sequence[PairedScore], found: EvaluatorComparison, rule: ComparisonRule, target: float
) -> dict[str, float | int | None]:
    """Everything of a comparison that takes at least two pairs."""
    import numpy as np

    scale = found.scale
    old, new = np.array([p.baseline for p in pairs]), np.array([p.candidate for p in pairs])
    weights = conversation_weights(np.array([p.samples for p in pairs], dtype=float))
    differences = (new - old) / scale
    bounds = plus_two(differences, weights, rule.alpha)
    spread = _spread(differences, weights, float(bounds.variance))
    gain = max(float(bounds.middle), target) if found.role == "primary" else target
    numbers: dict[str, float | int | None] = {
        "baseline_mean": float(np.average(old, weights=weights)),
        "candidate_mean": float(np.average(new, weights=weights)),
        "difference": float(np.average(new - old, weights=weights)),
        "conversations_needed": conversations_needed(gain, spread, rule.alpha),
    }
    if len(pairs) >= MIN_CONVERSATIONS:
        smallest = detectable_effect(len(pairs), spread, rule.alpha)
        numbers |= {
            "ci_low": float(bounds.low) * scale,
            "ci_high": float(bounds.high) * scale,
            "p_value": sign_flip_p(weights * differences, f"{rule.seed}/{found.evaluator}"),
            "minimum_detectable_effect": smallest * scale if smallest <= 1 else None,
        }
    return numbers


def _spread(differences: "Array", weights: "Array", plus_two_variance: float) -> float:
    """The standard deviation that plans with: the sample's own, but no smaller than the plus-two one.

    A window of ties, or nearly so, has almost no spread of its own, yet it could not have shown a tiny gain.
    """
    import numpy as np

    scaled = weights / weights.mean()
    around = float((scaled**2 * (differences - np.average(differences, weights=weights)) ** 2).sum())
    return math.sqrt(max(around / (len(differences) - 1), plus_two_variance))


def _mean_pair(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Means of both sides; exactly rounded, so that equal scores in another order are a tie."""
    old, new = zip(*pairs, strict=True)
    return math.fsum(old) / len(old), math.fsum(new) / len(new)


def _unscored(scores: Iterable[tuple[str, float | None]]) -> int:
    """How many samples have no score in any repeat."""
    scored: dict[str, bool] = {}
    for span_id, score in scores:
        scored[span_id] = scored.get(span_id, False) or score is not None
    return sum(not has for has in scored.values())
