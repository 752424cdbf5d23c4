"""Stored verdicts as the gate leaves them: the report, and the look that its ledger recorded with it."""

import tempfile
from datetime import datetime
from pathlib import Path

from sia_dagster.adapters.files.gate_files import GateFiles
from sia_dagster.adapters.files.registry_files import DecisionFiles, PolicyFiles
from sia_dagster.core.gate.holdout_reuse import look_of
from sia_dagster.core.gate.recheck import GateTerms
from sia_dagster.core.policy.promotion import PromotionRequest, PromotionStores
from sia_dagster.core.policy.promotion import promote as promote_by
from sia_dagster.core.records.comparison import EvaluatorComparison, Saving
from sia_dagster.core.records.gate import InterimAnalysis
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import Promotion
from sia_dagster.core.records.report import ValidationReport, Verdict
from sia_dagster.core.records.sample import TimeWindow

EVALUATORS = {"correctness": "f1", "is_brief": "f2"}


BETTER = EvaluatorComparison(
    evaluator="correctness",
    role="primary",
    n=60,
    samples=60,
    baseline_mean=0.39,
    candidate_mean=0.68,
    difference=0.29,
    ci_low=0.15,
    ci_high=0.41,
    p_value=0.0004,
    alpha=0.0095,
)


KEPT = EvaluatorComparison(
    evaluator="is_brief",
    n=60,
    samples=60,
    baseline_mean=0.98,
    candidate_mean=0.97,
    difference=-0.01,
    ci_low=-0.03,
    ci_high=0.02,
    p_value=0.6,
    alpha=0.05,
    margin=0.05,
)


def report(
    window: TimeWindow, baseline: Actions, candidate: Actions | None, *, loop: str = "desk", verdict: Verdict = "accept"
) -> ValidationReport:
    """A report whose own numbers give `accept`, whatever its word is."""
    return ValidationReport(
        loop=loop,
        window=window,
        verdict=verdict,
        reasons=("so it is",),
        baseline=baseline,
        candidate=candidate,
        alpha=0.0096,
        min_effect=0.02,
        guardrail_margin=0.05,
        conversations=60,
        comparisons=(BETTER, KEPT),
        interim_analyses=(InterimAnalysis(conversations=60, alpha=0.0095, p_value=0.0004, outcome="accept"),),
    )


KEPT_LEVEL = BETTER.model_copy(
    update={
        "candidate_mean": 0.38,
        "difference": -0.01,
        "ci_low": -0.04,
        "ci_high": 0.02,
        "p_value": 0.7,
        "margin": 0.05,
    }
)
"""The primary evaluator, within its margin."""


SAVED = Saving(
    unit="usd", n=60, conversations=60, baseline=0.0009, candidate=0.0003, share=0.667, low=0.6, high=0.72, alpha=0.0095
)


def as_good(window: TimeWindow, baseline: Actions, candidate: Actions) -> ValidationReport:
    """A report of a candidate that is as good for a third of the money."""
    asked = {"question": "not_worse", "saving": SAVED, "comparisons": (KEPT_LEVEL, KEPT)}
    return report(window, baseline, candidate).model_copy(update=asked)


def record(root: Path, found: ValidationReport) -> None:
    """Write the look of this report to the ledger under `root`, as the gate does when it decides."""
    look = look_of(found, fingerprint="e", evaluators=EVALUATORS, alpha=0.0096, at=found.window.end)
    GateFiles(root, found.loop).record_look(look)


def store(folder: Path, found: ValidationReport, *, looked_at: bool = True) -> None:
    """The asset's document in a project's `folder`, with its look unless the window was decided before the ledger."""
    path = folder / ".sia" / "assets" / found.loop / "validation_results" / f"{found.window.key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(found.model_dump_json(), encoding="utf-8")
    if looked_at:
        record(folder / ".sia", found)


def stores(root: Path, store: PolicyFiles | None = None, terms: GateTerms | None = None) -> PromotionStores:
    """Registry, decisions and ledger under `root`."""
    return PromotionStores(
        policies=store or PolicyFiles(root, "desk"),
        decisions=DecisionFiles(root, "desk"),
        log=GateFiles(root, "desk"),
        terms=terms or GateTerms(),
    )


def promote(
    found: ValidationReport, *, store: PolicyFiles, at: datetime, by: str, report_url: str | None = None
) -> Promotion:
    """Approve the report over `store`, with a ledger and decisions of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if found.candidate is not None:
            record(root, found)
        ruling = PromotionRequest(kind="approve", at=at, by=by, report=report_url)
        return promote_by(found, ruling, stores(root, store))
