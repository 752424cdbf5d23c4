"""The verdict: each criterion examines the evidence, and their findings are folded into one of three verdicts.

A new rule is a new function in `CRITERIA`.
"""

from collections.abc import Sequence

from sia_dagster.core.gate.criteria import (
    CriteriaInput,
    Criterion,
    Finding,
    FindingKind,
    candidate_is_judged_as_often,
    candidate_is_scored_as_often,
    enough_conversations,
    guardrails_hold,
    judge_is_steady,
    most_rows_are_scored,
    no_slice_loses,
    primary_gains,
    rare_collapse_is_unseen,
    safety_vetoes,
    something_was_compared,
    traffic_does_not_fall,
)
from sia_dagster.core.records.comparison import EvaluatorComparison, SliceComparison
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.report import Verdict
from sia_dagster.core.records.value import Value
from sia_dagster.core.statistics import ComparisonRule


class Decision(Value):
    """The verdict with its reasons, the decisive first."""

    verdict: Verdict
    reasons: tuple[str, ...]
    samples_needed: int | None = None
    """Held-out conversations it would take to decide; None where it is decided or cannot be said."""
    void: bool = False
    """Whether the evidence could not decide at all; `inconclusive` and not void: tested and undecided."""


VERDICTS: dict[FindingKind, Verdict] = {
    "void": "inconclusive",
    "reject": "reject",
    "undecided": "inconclusive",
    "holds": "accept",
}
"""By the decisive kind of finding, in the order of precedence."""

CRITERIA: tuple[Criterion, ...] = (
    judge_is_steady,
    something_was_compared,
    enough_conversations,
    most_rows_are_scored,
    candidate_is_scored_as_often,
    candidate_is_judged_as_often,
    safety_vetoes,
    primary_gains,
    traffic_does_not_fall,
    guardrails_hold,
    no_slice_loses,
    rare_collapse_is_unseen,
)


def decide(
    comparisons: Sequence[EvaluatorComparison],
    rule: ComparisonRule,
    *,
    conversations: int,
    candidate_changed: bool,
    slices: Sequence[SliceComparison] = (),
    watch: Sequence[JudgeWatch] = (),
) -> Decision:
    """The verdict by all criteria. `conversations` counts the held-out ones, scored or not."""
    given = CriteriaInput(
        comparisons=tuple(comparisons),
        rule=rule,
        conversations=conversations,
        candidate_changed=candidate_changed,
        slices=tuple(slices),
        watch=tuple(watch),
    )
    return decide_on(given)


def decide_on(given: CriteriaInput, criteria: Sequence[Criterion] = CRITERIA) -> Decision:
    """Fold the criteria's findings: void evidence is `inconclusive`; one `reject` rejects; one undecided leaves open.

    `accept` requires that all hold.
    """
    return fold([finding for criterion in criteria for finding in criterion(given)])


def fold(findings: Sequence[Finding]) -> Decision:
    """The decision from many findings; the decisive kind's sentences come first, the rest in order."""
    kinds = {f.kind for f in findings}
    decisive: FindingKind = next((kind for kind in VERDICTS if kind in kinds), "void")
    verdict = VERDICTS[decisive]
    first = [f for f in findings if f.kind == decisive]
    rest = [f for f in findings if f.kind not in {decisive, "note"}]
    notes = [f for f in findings if f.kind == "note" and verdict == "accept"]
    reasons = tuple(f.sentence for f in [*first, *rest, *notes])
    needed = [f.needed for f in first if f.needed is not None and verdict == "inconclusive"]
    return Decision(verdict=verdict, reasons=reasons, samples_needed=max(needed, default=None), void=decisive == "void")
