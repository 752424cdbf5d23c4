"""The candidate of the window before, compared with its baseline on the traffic that came after its verdict.

Nothing was learned from this traffic yet, and it decides nothing: for a policy that falls short of the gain promised by
its verdict, a rollback is proposed to people.
"""

from collections.abc import Sequence

from pydantic import Field

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.gate import own_holdout
from sia_dagster.core.next_window.sentences import NextWindowFigures, blocked_reason, result_sentence, unchecked_reason
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Progress
from sia_dagster.core.records.comparison import EvaluatorComparison, primary_of
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import BEFORE_ANY_PROMOTION, PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import ReplayPlan, constants_of, pair, replay
from sia_dagster.core.statistics import ComparisonRule, compare_all
from sia_dagster.core.text import count


class NextWindowCheck(Value):
    """A candidate, and the window after the one that found it."""

    state: StateActions
    """Of the window whose traffic is replayed."""
    previous: ValidationReport | None = None
    """The report of the window before; None where there is none."""
    versions: tuple[PolicyVersion, ...] = ()
    """The registry's entries from before the end of the state's window, oldest first."""
    drifted: tuple[str, ...] = ()
    """The judges whose scores are not comparable with those of earlier windows."""

    @property
    def promoted(self) -> PolicyVersion | None:
        """The entry that put the candidate in force on the evidence of its window."""
        report = self.previous
        entries = (v for v in self.versions if report and v.kind == "promote" and v.window == report.window)
        return next((v for v in entries if report and v.actions == report.candidate), None)

    @property
    def unchecked_reason(self) -> str:
        """Why the candidate is not checked; empty where it is."""
        return unchecked_reason(self.previous, self.promoted) or blocked_reason(self.state, self.drifted)

    @property
    def arms(self) -> tuple[Actions, Actions] | None:
        """The candidate's baseline and the candidate; None where no candidate is checked."""
        report = self.previous
        if self.unchecked_reason or report is None or report.baseline is None or report.candidate is None:
            return None
        return report.baseline, report.candidate

    @property
    def cumulative_arms(self) -> tuple[Actions, Actions] | None:
        """The loop's first policy and the one in force, where they differ and the traffic can be replayed."""
        first = self.versions[0].replaced if self.versions else None
        now = self.state.actions
        if first is None or now is None or first == now or blocked_reason(self.state, self.drifted):
            return None
        return first, now


class NextWindowRules(Value):
    """How a window's held-out samples are replayed, and what counts as falling short."""

    rule: ComparisonRule = ComparisonRule()
    """No error budget is spent, so the primary evaluator is compared at `validation.alpha`."""
    repeats: int = Field(default=1, ge=1)
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int) -> "NextWindowRules":
        """The rules of a configured loop."""
        return cls(rule=ComparisonRule.of(loop), repeats=loop.validation.repeats or 1, workers=workers)


async def check_next_window(
    check: NextWindowCheck,
    *,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    rules: NextWindowRules,
    progress: Progress | None = None,
) -> NextWindowResults:
    """Replay candidate and baseline, the loop's first policy and the one in force, on the window's held-out samples.

    Each policy once, in the draws of this window's own validation, which shares the answers of the policy in force and
    their cost. Without a candidate to check and before any promotion no call is made. `falls_short` requires an
    interval that excludes the promised gain; too few conversations, or too many unscored ones, show nothing.
    Raises EndpointRefused and SpendCapReached.
    """
    state, arms, cumulative_arms = check.state, check.arms, check.cumulative_arms
    policies = {policy.fingerprint: policy for pair_ in (arms, cumulative_arms) for policy in pair_ or ()}
    if not policies:
        return _results(check, (), None, rules.rule)
    held_out = own_holdout(state.of("holdout"))
    plan = ReplayPlan(scope="holdout", window=state.window.key, repeats=rules.repeats, workers=rules.workers)
    found = await replay(
        held_out.samples, list(policies.values()), chat=chat, evaluators=evaluators, plan=plan, progress=progress
    )
    replies = dict(zip(policies, found, strict=True))
    constants = constants_of(evaluators)
    seeded = rules.rule.model_copy(update={"seed": f"{state.loop}/{state.window.key}/next_window"})

    def compared(both: tuple[Actions, Actions], by: Sequence[EvalConstant]) -> tuple[EvaluatorComparison, ...]:
        old, new = (replies[policy.fingerprint] for policy in both)
        return compare_all(pair(held_out.samples, old, new, None, held_out.grouping.group_of), by, seeded)

    return _results(
        check,
        compared(arms, constants) if arms else (),
        compared(cumulative_arms, constants[:1])[0] if cumulative_arms else None,
        rules.rule,
    )


def _results(
    check: NextWindowCheck,
    comparisons: tuple[EvaluatorComparison, ...],
    cumulative: EvaluatorComparison | None,
    rule: ComparisonRule,
) -> NextWindowResults:
    state, previous, promoted = check.state, check.previous, check.promoted
    promising = promoted is not None or (previous is not None and previous.verdict == "accept")
    promised = _promised(previous, state) if comparisons and promising else None
    asked = previous.question if previous else "better"
    faults = shortfalls(comparisons, promised, rule.model_copy(update={"question": asked}))
    back = _rollback_to(check) if faults else None
    primary = primary_of(comparisons)
    lost = primary is not None and rule.is_unscored(primary)
    figures = NextWindowFigures(
        primary=primary, promised=promised, faults=faults, rollback_to=back, lost=lost, question=asked
    )
    return NextWindowResults(
        loop=state.loop,
        window=state.window,
        found_in=previous.window if previous else None,
        verdict=previous.verdict if previous and previous.candidate else "",
        promoted_version=promoted.version if promoted else None,
        promised=promised,
        comparisons=tuple(_comparison(c) for c in comparisons),
        conversations=len({sample.conversation_id for sample in state.of("holdout")}),
        unscored_share=primary.unscored_share if primary else 0.0,
        lost=lost,
        falls_short=bool(faults),
        rollback_to=back,
        reason=result_sentence(previous, promoted, figures)
        if previous and comparisons
        else f"No candidate was checked: {check.unchecked_reason}.",
        **_cumulative(check, cumulative, rule),
    )


def shortfalls(
    comparisons: Sequence[EvaluatorComparison], promised: float | None, rule: ComparisonRule
) -> tuple[str, ...]:
    """The shortfalls that are shown, one sentence each: of the promise, the baseline or a guardrail's margin.

    A candidate that was to be as good promised to keep the primary evaluator's margin, too. An evaluator with too many
    unscored samples shows nothing: what is missing is rarely missing at random. A safety evaluator may not score a
    single sample lower.
    """
    faults = []
    for c in comparisons:
        margin = rule.margin(c.evaluator) * c.scale
        if c.ci_high is None or rule.is_unscored(c):
            continue
        gains = rule.must_gain(c.role)
        if gains and c.ci_high < 0:
            faults.append(f"{c.evaluator} is worse than under the policy that it replaces")
        elif gains and promised is not None and c.ci_high < promised:
            faults.append(f"{c.evaluator} gains less than was promised")
        elif c.role == "safety" and c.fallen:
            faults.append(f"{c.evaluator}, which may not fall, scored {count(len(c.fallen), 'sample')} lower")
        elif not gains and c.ci_high < -margin:
            faults.append(f"{c.evaluator} falls by more than its margin of {margin:.3g}")
    return tuple(faults)


def _promised(previous: ValidationReport | None, state: StateActions) -> float | None:
    """The lower end of the gain at the verdict; None where another evaluator decided it, or no gain was shown."""
    primary = previous.primary if previous else None
    constant = state.primary
    if previous is None or primary is None or constant is None or primary.evaluator != constant.name:
        return None
    if previous.question != "better":
        return None
    evals = (e for row in previous.rows for e in (*row.baseline.evals, *row.candidate.evals))
    fingerprints = {e.fingerprint for e in evals if e.name == constant.name and e.fingerprint}
    shown = primary.ci_low is not None and primary.ci_low > 0
    return primary.ci_low if shown and fingerprints <= {constant.fingerprint} else None


def _rollback_to(check: NextWindowCheck) -> int | None:
    """The version before, where the candidate is still in force."""
    promoted = check.promoted
    if promoted is None or promoted != check.versions[-1]:
        return None
    return promoted.parent or BEFORE_ANY_PROMOTION


def _cumulative(
    check: NextWindowCheck, compared: EvaluatorComparison | None, rule: ComparisonRule
) -> dict[str, float | None]:
    """The cumulative gain; 0 before any promotion, and where the first policy is in force again.

    None where too few conversations or too many unscored samples show nothing: a plot would not distinguish it.
    """
    if compared is None:
        first = check.versions[0].replaced if check.versions else None
        stays = not check.versions or (first is not None and first == check.state.actions)
        return {"cumulative_gain": 0.0 if stays else None}
    if compared.ci_low is None or rule.is_unscored(compared):
        return {"cumulative_gain": None}
    ends = {"gain": compared.difference, "low": compared.ci_low, "high": compared.ci_high}
    return {f"cumulative_{end}": None if value is None else value / compared.scale for end, value in ends.items()}


def _comparison(c: EvaluatorComparison) -> NextWindowComparison:
    shared = NextWindowComparison.model_fields.keys() & EvaluatorComparison.model_fields.keys()
    return NextWindowComparison(primary=c.role == "primary", **c.model_dump(include=shared))
