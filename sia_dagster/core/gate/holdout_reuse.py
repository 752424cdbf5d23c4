"""A holdout is looked at once: what a look was at, what it found, and what becomes of another try.

A verdict at level alpha errs with that probability once. Trying again on the same conversations, with another
candidate, another judge or answers drawn anew until they please, errs far more often; so the first look stands.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate.verdict import decide
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.gate import Arm, Look, MissingScore
from sia_dagster.core.records.report import ArmOutcome, ValidationReport, ValidationRow
from sia_dagster.core.records.sample import TimeWindow
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.value import fingerprint
from sia_dagster.core.statistics import comparison_rule
from sia_dagster.core.text import count

HOLDOUT_REUSED = "this window's holdout was looked at before"
"""How the reason of a verdict begins that is none, since the look was taken."""


_NOT_OF_THE_VERDICT = {"noise_conversations", "carry_windows"}


_DIGITS = 9


def look_fingerprint(loop: LoopConfig, update: PolicyUpdate, evaluators: Mapping[str, str]) -> str:
    """Fingerprint of what a verdict is about: both policies, the evaluators' fingerprints by name, and the rules.

    Settings that are the default count as not set, so that a later version's new ones leave old looks as they are.
    """
    rules = loop.validation.model_dump(mode="json", exclude=_NOT_OF_THE_VERDICT, exclude_defaults=True)
    roles = {each.name: [each.margin, each.safety] for each in loop.evaluators}
    policies = [actions.fingerprint if actions else None for actions in (update.baseline, update.candidate)]
    return fingerprint({"policies": policies, "evaluators": dict(evaluators), "rules": rules, "roles": roles})


def result_of(report: ValidationReport) -> str:
    """Fingerprint of what was found: every score of every row, and every comparison's numbers to nine digits."""
    return fingerprint(
        {
            "rows": [_scores(row) for row in report.rows],
            "comparisons": [_numbers(comparison) for comparison in report.comparisons],
        }
    )


def was_tested(report: ValidationReport, loop: LoopConfig) -> bool:
    """Whether the candidate's gain was tested at all, so that it could have been accepted.

    Void evidence (too few conversations, too many unscored rows, a judge that drifted) is no look: nothing was spent,
    and the window may be decided once it can be.
    """
    if report.candidate is None or report.primary is None:
        return False
    decision = decide(
        report.comparisons,
        comparison_rule(loop),
        conversations=report.conversations,
        candidate_changed=True,
        slices=report.slices,
        watch=report.watch,
    )
    return not decision.void


def look_of(
    report: ValidationReport, *, evidence: str, evaluators: Mapping[str, str], alpha: float, at: datetime
) -> Look:
    """The record of this verdict, which spends all of the window's `alpha`. The report must have been tested.

    A verdict that stops at its first look spends less than alpha, but what it left is nothing that another could use.
    """
    if report.baseline is None or report.candidate is None:
        raise ValueError(f"loop {report.loop}, window {report.window.key}: without a candidate nothing was looked at")
    primary = report.primary
    return Look(
        loop=report.loop,
        window=report.window,
        at=at,
        fingerprint=evidence,
        result=result_of(report),
        alpha_spent=alpha,
        verdict=report.verdict,
        baseline=report.baseline,
        candidate=report.candidate,
        evaluators=dict(evaluators),
        difference=primary.difference if primary else None,
        p_value=primary.p_value if primary else None,
        conversations=report.conversations,
        unscored=missing_scores(report.rows, [comparison.evaluator for comparison in report.comparisons]),
        carries_on=report.carries_on,
        carried=report.carried,
    )


def against(report: ValidationReport, look: Look, standing: Look) -> ValidationReport:
    """The report, if its look is the one that stands; else an inconclusive one that says first what was looked at.

    Equal evidence with equal numbers is the same look, whenever it was taken: a repeated run gives the same report.
    """
    if (look.fingerprint, look.result, look.verdict) == (standing.fingerprint, standing.result, standing.verdict):
        return report
    told = _drawn_again(standing) if look.fingerprint == standing.fingerprint else other_fingerprint(look, standing)
    return report.model_copy(
        update={
            "verdict": "inconclusive",
            "reasons": (told, *report.reasons),
            "samples_needed": None,
            "carries_on": look.candidate == standing.candidate and standing.carries_on,
        }
    )


def other_fingerprint(look: Look, standing: Look) -> str:
    """Why another try is none, in words: what was looked at, when, what it gave, and what is different now."""
    changes = {
        "another candidate": look.candidate != standing.candidate,
        "another policy in force": look.baseline != standing.baseline,
        "other evaluators": look.evaluators != standing.evaluators,
    }
    different = [what for what, changed in changes.items() if changed] or ["other rules (`validation`)"]
    return f"{_looked(standing)}. This is {' and '.join(different)}; {_ONCE}"


def covering_look(looks: Sequence[Look], window: TimeWindow) -> Look | None:
    """The look of another window that shares most with this one, where all of them together take half of it or more.

    Windows that were cut otherwise before (`start`, `window`, `timezone`) had the same conversations: under its new key
    a window would be decided on them a second time. `looks` are all there are, whenever they were taken; windows cut
    alike never share anything, so that the order in which they run changes nothing.
    """
    shared = {look.window.key: _shared(look.window, window) for look in looks if look.window.key != window.key}
    if sum(shared.values(), timedelta()) < (window.end - window.start) / 2:
        return None
    return max(looks, key=lambda look: (shared.get(look.window.key, timedelta()), look.window.key))


def cut_otherwise(look: Look) -> str:
    """Why a window that was cut otherwise before is not decided, in words."""
    cut = f"as part of window {look.window.key}, when `start`, `window` or `timezone` were others"
    return f"{_looked(look)}, {cut}; {_ONCE}"


def _shared(one: TimeWindow, other: TimeWindow) -> timedelta:
    return max(timedelta(), min(one.end, other.end) - max(one.start, other.start))


def is_holdout_reuse(report: ValidationReport) -> bool:
    """Whether the report is no verdict, since the window's holdout was used for another one."""
    return any(reason.startswith(HOLDOUT_REUSED) for reason in report.reasons)


_ONCE = (
    "a holdout is looked at once, since trying again on the same conversations finds gains that are not there: "
    "the next window decides anew"
)


def _looked(standing: Look) -> str:
    gain = "" if standing.difference is None else f", difference {standing.difference:+.2f}"
    return (
        f"{HOLDOUT_REUSED}, at {standing.at.isoformat(timespec='minutes')}, for the candidate "
        f"{standing.candidate.fingerprint}: {standing.verdict}{gain}, {count(standing.conversations, 'conversation')}"
    )


def _drawn_again(standing: Look) -> str:
    return (
        f"{_looked(standing)}. It is the same candidate, but the scores are others: answers were drawn again (was the "
        f"completion store moved or emptied?) or the traces changed; {_ONCE}"
    )


def _scores(row: ValidationRow) -> list[object]:
    evals = (arm.evals for arm in (row.baseline, row.candidate))
    arms = [{each.name: each.score for each in said if each.score is not None} for said in evals]
    return [row.span_id, row.repeat, *arms]


def _numbers(comparison: EvaluatorComparison) -> list[object]:
    seen = (comparison.difference, comparison.ci_low, comparison.ci_high, comparison.p_value)
    # Adding 0 makes -0.0 the same as 0.0.
    rounded = (None if value is None else round(value, _DIGITS) + 0.0 for value in seen)
    return [comparison.evaluator, comparison.role, comparison.n, *rounded]


TOO_LATE = "it had no score when this holdout was looked at, and what came later does not count"


def missing_scores(rows: Sequence[ValidationRow], evaluators: Collection[str]) -> tuple[MissingScore, ...]:
    """Those of `evaluators` that are missing in `rows`, in their order."""
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
            if outcome.score(evaluator) is None:
                yield MissingScore(span_id=row.span_id, repeat=row.repeat, arm=arm, evaluator=evaluator)


def _cut(row: ValidationRow, late: Collection[tuple[Arm, str]]) -> ValidationRow:
    cut: dict[str, ArmOutcome] = {}
    for arm, outcome in _arms(row).items():
        evals = tuple(_unsaid(said) if (arm, said.name) in late else said for said in outcome.evals)
        cut[arm] = outcome.model_copy(update={"evals": evals})
    return row.model_copy(update=cut)


def _unsaid(said: EvalMetrics) -> EvalMetrics:
    return said.model_copy(update={"score": None, "label": None, "error": said.error or TOO_LATE})


def _arms(row: ValidationRow) -> dict[Arm, ArmOutcome]:
    return {"baseline": row.baseline, "candidate": row.candidate}
