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
from sia_dagster.core.gate.not_worse import (
    candidate_costs_less,
    nothing_falls,
    slices_keep_their_level,
    traffic_keeps_its_level,
)
from sia_dagster.core.records.comparison import Question
from sia_dagster.core.records.report import Verdict
from sia_dagster.core.records.value import Value


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

_EVIDENCE: tuple[Criterion, ...] = (
    judge_is_steady,
    something_was_compared,
    enough_conversations,
    most_rows_are_scored,
    candidate_is_scored_as_often,
    candidate_is_judged_as_often,
    safety_vetoes,
)

CRITERIA: tuple[Criterion, ...] = (
    *_EVIDENCE,
    primary_gains,
    traffic_does_not_fall,
    guardrails_hold,
    no_slice_loses,
    rare_collapse_is_unseen,
)
"""Of a candidate that is to be shown better."""

NOT_WORSE: tuple[Criterion, ...] = (
    *_EVIDENCE,
    candidate_costs_less,
    nothing_falls,
    traffic_keeps_its_level,
    no_slice_loses,
    slices_keep_their_level,
    rare_collapse_is_unseen,
)
"""Of one that is to be shown as good for less money."""


BY_QUESTION: dict[Question, tuple[Criterion, ...]] = {"better": CRITERIA, "not_worse": NOT_WORSE}


def decide(given: CriteriaInput, criteria: Sequence[Criterion] | None = None) -> Decision:
    """Fold the findings of the question's criteria, or of those given.

    Void evidence is `inconclusive`; one `reject` rejects; one undecided leaves open; `accept` requires that all hold.
    A candidate that is as good for less money says so first.
    """
    chosen = BY_QUESTION[given.rule.question] if criteria is None else criteria
    decision = fold([finding for criterion in chosen for finding in criterion(given)])
    if decision.verdict != "accept" or given.saving is None:
        return decision
    return decision.model_copy(update={"reasons": (given.saving.in_words, *decision.reasons)})


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
