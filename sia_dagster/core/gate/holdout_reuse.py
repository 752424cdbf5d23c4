"""A holdout is evaluated once: the record of that look, and the refusal of later attempts on it.

A verdict at level alpha errs with that probability once. Trying again on the same conversations, with another
candidate, another judge or redrawn answers, errs far more often; so the first look stands.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import Arm, Look, MissingScore
from sia_dagster.core.records.report import HOLDOUT_REUSED, ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.value import fingerprint as fingerprint_of
from sia_dagster.core.text import conversations_in_groups

_NOT_OF_THE_VERDICT = {"noise_conversations", "carry_windows"}

_DIGITS = 9
STATISTICS = 2
"""The way in which numbers follow from scores: another one gives other verdicts on the same holdout. 2: by groups of
conversations, corrected for skewness, in up to five looks."""


def look_fingerprint(loop: LoopConfig, update: PolicyUpdate, evaluators: Mapping[str, str]) -> str:
    """Fingerprint of a verdict's subject: both policies, the evaluators' fingerprints by name, and the rules.

    Settings at their default are left out, so that settings of later versions do not change old fingerprints.
    """
    rules = loop.validation.model_dump(mode="json", exclude=_NOT_OF_THE_VERDICT, exclude_defaults=True)
    rules["statistics"] = STATISTICS
    roles = {each.name: [each.margin, each.safety] for each in loop.evaluators}
    policies = [actions.fingerprint if actions else None for actions in (update.baseline, update.candidate)]
    question = {} if update.question == "better" else {"question": update.question}
    told = {"policies": policies, "evaluators": dict(evaluators), "rules": rules, "roles": roles}
    return fingerprint_of(told | question)


def result_of(report: ValidationReport) -> str:
    """Fingerprint of the result: every score of every row, and every comparison's numbers to nine digits.

    So are those of the saving, where that is the question.
    """
    saved = report.saving
    ends = () if saved is None else (saved.baseline, saved.candidate, saved.share, saved.low, saved.high)
    return fingerprint_of(
        {
            "rows": [_scores(row) for row in report.rows],
            "comparisons": [_numbers(comparison) for comparison in report.comparisons],
            **({"saving": [_rounded(end) for end in ends]} if ends else {}),
        }
    )


def was_tested(report: ValidationReport) -> bool:
    """Whether the candidate's gain was tested at all, so that it could have been accepted.

    Void evidence (too few conversations, too many unscored rows, a drifted judge) is no look: it spends nothing, and
    the window may be decided later.
    """
    return report.candidate is not None and report.primary is not None and not report.void


def look_of(
    report: ValidationReport, *, fingerprint: str, evaluators: Mapping[str, str], alpha: float, at: datetime
) -> Look:
    """The record of this verdict, which spends all of the window's `alpha`. The report must have been tested.

    A verdict that stops at its first look spends less than alpha, but no other verdict could use the rest.
    """
    if report.baseline is None or report.candidate is None:
        raise ValueError(
            f"loop {report.loop}, window {report.window.key}: without a candidate there is no look to record"
        )
    primary = report.primary
    return Look(
        loop=report.loop,
        window=report.window,
        at=at,
        fingerprint=fingerprint,
        result=result_of(report),
        alpha_spent=alpha,
        verdict=report.verdict,
        baseline=report.baseline,
        candidate=report.candidate,
        question=report.question,
        evaluators=dict(evaluators),
        difference=primary.difference if primary else None,
        p_value=primary.p_value if primary else None,
        conversations=report.conversations,
        groups=report.grouping.groups if report.grouping else None,
        unscored=missing_scores(report.rows, [comparison.evaluator for comparison in report.comparisons]),
        concerns=report.concerns,
        provenance=report.provenance,
        carries_on=report.carries_on,
        carried=report.carried,
    )


def report_under_first_look(report: ValidationReport, look: Look, standing: Look) -> ValidationReport:
    """The report, if its look is the one that stands; else an inconclusive one whose first reason names that look.

    The same fingerprint with the same numbers is the same look: a repeated run gives the same report.
    """
    if (look.fingerprint, look.result, look.verdict) == (standing.fingerprint, standing.result, standing.verdict):
        return report
    same = look.fingerprint == standing.fingerprint
    reason = _redrawn_reason(standing) if same else reuse_reason(look, standing)
    return report.model_copy(
        update={
            "verdict": "inconclusive",
            "reasons": (reason, *report.reasons),
            "samples_needed": None,
            "carries_on": look.candidate == standing.candidate and standing.carries_on,
        }
    )


def reuse_reason(look: Look, standing: Look) -> str:
    """The reason for refusing another attempt: the look that stands, its result, and what differs now."""
    changes = {
        "another candidate": look.candidate != standing.candidate,
        "another question": look.question != standing.question,
        "another policy in force": look.baseline != standing.baseline,
        "other evaluators": look.evaluators != standing.evaluators,
    }
    rules = "other rules (`validation`, or those of another version)"
    different = [what for what, changed in changes.items() if changed] or [rules]
    return f"{_look_sentence(standing)}. This is {' and '.join(different)}; {_ONCE}"


def covering_look(looks: Sequence[Look], window: TimeWindow) -> Look | None:
    """The look of the window that overlaps most with this one, where other windows cover at least half of this one.

    After a change of `start`, `window` or `timezone`, windows with new keys hold conversations that were evaluated
    already. `looks` are all looks ever taken; windows of one schedule never overlap, so the order in which they run
    changes nothing.
    """
    shared = {look.window.key: _shared(look.window, window) for look in looks if look.window.key != window.key}
    if sum(shared.values(), timedelta()) < (window.end - window.start) / 2:
        return None
    return max(looks, key=lambda look: (shared.get(look.window.key, timedelta()), look.window.key))


def other_window_reason(look: Look) -> str:
    """The reason for refusing a window whose conversations were evaluated under other window bounds."""
    cut = f"as part of window {look.window.key}, when `start`, `window` or `timezone` were different"
    return f"{_look_sentence(look)}, {cut}; {_ONCE}"


def _shared(one: TimeWindow, other: TimeWindow) -> timedelta:
    return max(timedelta(), min(one.end, other.end) - max(one.start, other.start))


_ONCE = (
    "a holdout is evaluated once, since repeated attempts on the same conversations find gains that are not there: "
    "the next window decides anew"
)


def _look_sentence(standing: Look) -> str:
    gain = "" if standing.difference is None else f", difference {standing.difference:+.2f}"
    return (
        f"{HOLDOUT_REUSED}, at {standing.at.isoformat(timespec='minutes')}, for the candidate "
        f"{standing.candidate.fingerprint}: {standing.verdict}{gain}, {conversations_in_groups(*standing.counted)}"
    )


def _redrawn_reason(standing: Look) -> str:
    return (
        f"{_look_sentence(standing)}. It is the same candidate, but its scores differ: answers were drawn again (was "
        f"the completion store moved or emptied?) or the traces changed; {_ONCE}"
    )


def _scores(row: ValidationRow) -> list[object]:
    evals = (arm.evals for arm in (row.baseline, row.candidate))
    arms = [{each.name: each.score for each in metrics if each.score is not None} for metrics in evals]
    return [row.span_id, row.repeat, *arms]


def _numbers(comparison: EvaluatorComparison) -> list[object]:
    numbers = (comparison.difference, comparison.ci_low, comparison.ci_high, comparison.p_value)
    return [comparison.evaluator, comparison.role, comparison.n, *map(_rounded, numbers)]


def _rounded(value: float | None) -> float | None:
    # Adding 0 makes -0.0 the same as 0.0.
    return None if value is None else round(value, _DIGITS) + 0.0


TOO_LATE = "it had no score when this holdout was evaluated, and later scores do not count"


def missing_scores(rows: Sequence[ValidationRow], evaluators: Collection[str]) -> tuple[MissingScore, ...]:
    """The scores of `evaluators` that are missing in `rows`, in their order; one that does not apply is not missing."""
    return tuple(missing for row in rows for missing in _missing(row, evaluators))


def without_late_scores(rows: Sequence[ValidationRow], missing: Collection[MissingScore]) -> tuple[ValidationRow, ...]:
    """The rows, with an error in place of every score that is `missing`."""
    gone = defaultdict[tuple[str, int], set[tuple[Arm, str]]](set)
    for each in missing:
        gone[each.span_id, each.repeat].add((each.arm, each.evaluator))
    return tuple(_cut(row, late) if (late := gone.get((row.span_id, row.repeat))) else row for row in rows)


def _missing(row: ValidationRow, evaluators: Collection[str]) -> Iterator[MissingScore]:
    for arm, outcome in _arms(row).items():
        for evaluator in evaluators:
            if outcome.score(evaluator) is None and not outcome.does_not_apply(evaluator):
                yield MissingScore(span_id=row.span_id, repeat=row.repeat, arm=arm, evaluator=evaluator)


def _cut(row: ValidationRow, late: Collection[tuple[Arm, str]]) -> ValidationRow:
    cut: dict[str, ArmOutcome] = {}
    for arm, outcome in _arms(row).items():
        evals = tuple(_without_score(each) if (arm, each.name) in late else each for each in outcome.evals)
        cut[arm] = outcome.model_copy(update={"evals": evals})
    return row.model_copy(update=cut)


def _without_score(metrics: EvalMetrics) -> EvalMetrics:
    return metrics.model_copy(
        update={"score": None, "label": None, "error": metrics.error or TOO_LATE, "not_applicable": False}
    )


def _arms(row: ValidationRow) -> dict[Arm, ArmOutcome]:
    return {"baseline": row.baseline, "candidate": row.candidate}
