"""The window of `report_cases` with everything that the full gate finds: looks, pooling, noise, parts, judges, cost."""

from datetime import timedelta

from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.gate import ErrorBudget, InterimAnalysis, NoiseEstimate, PooledWindow, TrafficCost
from sia_dagster.core.records.gate import Look as LedgerLook
from sia_dagster.core.records.judge_report import JudgeWatch, Probe
from sia_dagster.core.records.policy import PolicyShare
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster_tests.worlds import report_cases as cases

COST = TrafficCost(
    calls_a_week=12_400,
    baseline_prompt_tokens=212,
    candidate_prompt_tokens=251,
    baseline_completion_tokens=64,
    candidate_completion_tokens=71,
    baseline_usd=0.87,
    candidate_usd=1.0,
)


STEADY = JudgeWatch(
    evaluator="correctness",
    fingerprint=cases.CORRECTNESS.fingerprint,
    anchors=30,
    anchored_in="2026-07-06",
    shift=-0.02,
    ci_low=-0.08,
    ci_high=0.04,
    disagreement=0.07,
    noise=0.05,
    kappa=0.71,
    probes=(Probe(kind="position", n=20, shift=0.0), Probe(kind="verbosity", n=20, shift=0.02)),
    reason="30 anchors scored as when they were frozen",
)


UNWATCHED = JudgeWatch(
    evaluator="tone", fingerprint=cases.TONE.fingerprint, reason="no anchors were frozen before this window's end"
)


def compared(
    n: int, difference: float | None, low: float | None = None, high: float | None = None
) -> EvaluatorComparison:
    """The primary evaluator on a part of the traffic."""
    new = None if difference is None else 0.41 + difference
    return EvaluatorComparison(
        evaluator="correctness",
        role="primary",
        n=n,
        samples=n,
        baseline_mean=None if difference is None else 0.41,
        candidate_mean=new,
        difference=difference,
        ci_low=low,
        ci_high=high,
        alpha=0.05,
    )


def part(dimension: str, value: str, finding: str, comparison: EvaluatorComparison) -> SliceComparison:
    return SliceComparison.model_validate(
        {
            "dimension": dimension,
            "value": value,
            "share": comparison.n / 58,
            "finding": finding,
            "comparison": comparison,
        }
    )


SLICES = (
    part("language", "en", "holds", compared(38, 0.31, 0.12, 0.44)),
    part("language", "de", "not_shown", compared(20, 0.04, -0.21, 0.27)),
    part("length", "long", "too_few", compared(7, None)),
    part("tag", "vip", "too_few", compared(3, None)),
)


NOISE = (
    NoiseEstimate(
        kind="generation",
        evaluator="correctness",
        conversations=20,
        mean_difference=0.02,
        ci_low=-0.09,
        ci_high=0.11,
        spread=0.24,
        changed_share=0.1,
    ),
    NoiseEstimate(
        kind="judge",
        evaluator="correctness",
        conversations=20,
        mean_difference=0.0,
        ci_low=-0.04,
        ci_high=0.04,
        spread=0.08,
        changed_share=0.05,
    ),
)


def state() -> StateActions:
    spoke = PolicyShare(
        system_prompt=cases.OLD.system_prompt,
        origin="as_sent",
        in_force=True,
        samples=40,
        share=1.0,
        first=cases.WINDOW.start,
        last=cases.WINDOW.end,
    )
    return cases.state().model_copy(update={"calls": 12_400, "policies": (spoke,)})


def report() -> ValidationReport:
    primary, brief, tone = cases.comparisons()
    levels = {"alpha": 0.0096}
    guarded = {"alpha": 0.05, "margin": 0.1}
    return cases.report().model_copy(
        update={
            "comparisons": (
                primary.model_copy(update=levels),
                brief.model_copy(update=guarded),
                tone.model_copy(update=guarded),
            ),
            "alpha": 0.0096,
            "interim_analyses": (
                InterimAnalysis(conversations=29, alpha=0.0003, p_value=0.006, conditional_power=0.93, outcome="go_on"),
                InterimAnalysis(conversations=58, alpha=0.0095, p_value=0.0004, outcome="accept"),
            ),
            "pooled": (
                PooledWindow(window="2026-09-21", conversations=14, used=14, drift=0.06),
                PooledWindow(window="2026-09-14", conversations=12, used=9, drift=0.11, reason="the limit is reached"),
                PooledWindow(window="2026-09-07", conversations=15, used=0, drift=0.48, reason="its traffic differs"),
            ),
            "slices": SLICES,
            "noise": NOISE,
            "watch": (STEADY, UNWATCHED),
            "error_budget": ErrorBudget(false_promotions_a_year=0.5, alpha=0.0096, spent=0.0096, left=0.26),
            "cost": COST,
        }
    )


def looks(weeks: int = 24) -> tuple[LedgerLook, ...]:
    """A look in each of the weeks before the window, one of them an accept, and none in every fifth."""
    found = []
    for back in range(weeks, 0, -1):
        start = cases.WINDOW.start - timedelta(weeks=back)
        window = cases.WINDOW.model_copy(
            update={"key": f"{start:%Y-%m-%d}", "start": start, "end": start + timedelta(weeks=1)}
        )
        if back % 5:
            found.append(
                LedgerLook(
                    loop="message_desk",
                    window=window,
                    at=window.end,
                    fingerprint=f"e{back}",
                    result=f"r{back}",
                    alpha_spent=0.0096,
                    verdict="accept" if back == 12 else "inconclusive",
                    baseline=cases.OLD,
                    candidate=cases.NEW,
                )
            )
    return tuple(found)
