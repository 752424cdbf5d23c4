"""The A/A arm: how much scores vary under one policy, by answers and by judges separately."""

import statistics
from collections.abc import Sequence
from typing import Literal

from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import NoiseEstimate
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.replay import ReplayPlan, Replies, judge_replies, map_rows, replayable
from sia_dagster.core.statistics import MIN_CONVERSATIONS, paired_scores, skew_corrected_interval


def second_draw(plan: ReplayPlan) -> ReplayPlan:
    """The plan of the second answers and judgements of the rows of `plan`: once a sample, in other draws."""
    return plan.model_copy(update={"scope": "again", "repeats": 1})


def judges_of(evaluators: Sequence[Evaluator]) -> tuple[Evaluator, ...]:
    """The evaluators that may score the same output differently; a function of the output does not."""
    return tuple(each for each in replayable(evaluators) if each.constant.kind == "llm_classify")


def first_conversations(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """The samples of the first `most` conversations, in order."""
    chosen = set(list(dict.fromkeys(sample.conversation_id for sample in samples))[:most])
    return tuple(sample for sample in samples if sample.conversation_id in chosen)


async def judge_again(
    samples: Sequence[Sample],
    first: Replies,
    *,
    evaluators: Sequence[Evaluator],
    plan: ReplayPlan,
    progress: Progress | None = None,
) -> Replies:
    """The outputs of the first repeat in `first`, judged once more under the draws of `plan`.

    A sample without an answer there is left out. A second answer with the same text is the same judgement, which is
    paid for once. Raises EndpointRefused and SpendCapReached.
    """
    answered = [(s, outcome) for s in samples if (outcome := first[s.span_id, 0]).output is not None]
    found: dict[tuple[str, int], ArmOutcome] = {}
    failed = 0

    async def work(row: tuple[Sample, ArmOutcome]) -> ArmOutcome:
        sample, outcome = row
        evals = await judge_replies(sample, outcome.output or "", evaluators, plan.draw(sample, 0))
        return outcome.model_copy(update={"evals": evals})

    async for index, outcome in map_rows(answered, work, workers=plan.workers):
        found[answered[index][0].span_id, 0] = outcome
        failed += any(metrics.error for metrics in outcome.evals)
        if progress:
            progress(Advance(done=len(found), of=len(answered), what="noise judging", failed=failed))
    return found


def noise_of(
    kind: Literal["generation", "judge"], rows: Sequence[ValidationRow], constant: EvalConstant, alpha: float
) -> NoiseEstimate:
    """How the second scores (`candidate` of the rows) differ from the first (`baseline`) under one evaluator.

    Groups of conversations weigh alike, and the mean has its interval as in a verdict, at one-sided level `alpha` for
    each end. Fewer than two groups have no spread, fewer than MIN_CONVERSATIONS no interval.
    """
    pairs, _ = paired_scores(rows, constant)
    found = NoiseEstimate(
        kind=kind, evaluator=constant.name, conversations=sum(len(p.conversations) for p in pairs), groups=len(pairs)
    )
    if not pairs:
        return found
    import numpy as np

    differences = np.array([p.candidate - p.baseline for p in pairs])
    numbers = {
        "mean_difference": float(differences.mean()),
        "spread": statistics.stdev(differences.tolist()) if len(pairs) > 1 else None,
        "changed_share": _changed_share(rows, constant.name),
    }
    if len(pairs) >= MIN_CONVERSATIONS:
        bounds = skew_corrected_interval(differences / constant.scale, np.ones(len(pairs)), alpha)
        numbers |= {"ci_low": float(bounds.low) * constant.scale, "ci_high": float(bounds.high) * constant.scale}
    return found.model_copy(update=numbers)


def _changed_share(rows: Sequence[ValidationRow], evaluator: str) -> float:
    both = [(row.baseline.score(evaluator), row.candidate.score(evaluator)) for row in rows]
    scored = [(first, second) for first, second in both if first is not None and second is not None]
    return sum(first != second for first, second in scored) / len(scored)
