"""The exam of a policy: what a window's traffic says of the candidate that the window before found.

Nothing was learned from this traffic yet, and nothing is decided by it: a policy that falls short of what its verdict
promised is proposed to be rolled back, to people.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.next_window.sentences import NextWindowFigures, told, why_not_asked, why_not_checked
from sia_dagster.core.policy import BEFORE_ANY_PROMOTION
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Progress
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import ReplayPlan, Replies, constants_of, pair, replay
from sia_dagster.core.statistics import ComparisonRule, compare, comparison_rule
from sia_dagster.core.text import count

Arms = Mapping[str, Replies]
"""Replayed policies by fingerprint."""


class NextWindowCheck(Value):
    """What an exam is about."""

    state: StateActions
    """Of the window whose traffic examines."""
    found: ValidationReport | None = None
    """The verdict of the window before; None where there is no window before."""
    versions: tuple[PolicyVersion, ...] = ()
    """The registry's entries from before the end of the state's window, oldest first."""
    drifted: tuple[str, ...] = ()
    """The judges whose scores do not compare with those of earlier windows."""

    @property
    def promoted(self) -> PolicyVersion | None:
        """The entry that put the candidate in force on the evidence of its window."""
        found = self.found
        entries = (v for v in self.versions if found and v.kind == "promote" and v.window == found.window)
        return next((v for v in entries if found and v.actions == found.candidate), None)

    @property
    def unasked(self) -> str:
        """Why this window's traffic cannot be asked at all; empty where it can."""
        return why_not_asked(self.state, self.drifted)

    @property
    def unexamined(self) -> str:
        """Why the candidate is not examined; empty where it is."""
        return why_not_checked(self.found, self.promoted) or self.unasked

    @property
    def candidate(self) -> tuple[Actions, Actions] | None:
        """The policy it was to replace, and the candidate; None where there is none to be examined."""
        found = self.found
        if self.unexamined or found is None or found.baseline is None or found.candidate is None:
            return None
        return found.baseline, found.candidate

    @property
    def course(self) -> tuple[Actions, Actions] | None:
        """The loop's first policy and the one in force, where they differ and the traffic can be asked."""
        first = self.versions[0].replaced if self.versions else None
        now = self.state.actions
        return None if self.unasked or first is None or now is None or first == now else (first, now)


class NextWindowRules(Value):
    """How a window's held-out samples are replayed, and what counts as falling short."""

    rule: ComparisonRule = ComparisonRule()
    """Of the exam: no budget is spent by it, so that the primary evaluator is compared at `validation.alpha`."""
    repeats: int = Field(default=1, ge=1)
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int) -> "NextWindowRules":
        """The rules of a configured loop."""
        return cls(rule=comparison_rule(loop), repeats=loop.validation.repeats or 1, workers=workers)


async def check_next_window(
    paper: NextWindowCheck,
    *,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    rules: NextWindowRules,
    progress: Progress | None = None,
) -> NextWindowResults:
    """Replay candidate and old policy, the loop's first policy and the one in force, on the window's held-out samples.

    Each policy once, in the draws of this window's own validation: the answers of the policy in force are those that
    the validation pays for. Without a candidate to check and before any promotion no call is made. `falls_short`
    takes an interval that leaves out what was promised; too few conversations, or too many unscored ones, show nothing.
    Raises EndpointRefused and SpendCapReached.
    """
    candidate, course = paper.candidate, paper.course
    wanted = {p.fingerprint: p for policies in (candidate, course) for p in policies or ()}
    if not wanted:
        return _results(paper, (), None, rules.rule)
    state = paper.state
    holdout, policies = state.of("holdout"), list(wanted.values())
    plan = ReplayPlan(scope="holdout", window=state.window.key, repeats=rules.repeats, workers=rules.workers)
    found = await replay(holdout, policies, chat=chat, evaluators=evaluators, plan=plan, progress=progress)
    arms = dict(zip(wanted, found, strict=True))
    constants = constants_of(evaluators)
    return _results(
        paper,
        _compared(paper, arms, candidate, constants, rules.rule) if candidate else (),
        _compared(paper, arms, course, constants[:1], rules.rule)[0] if course else None,
        rules.rule,
    )


def _compared(
    paper: NextWindowCheck,
    arms: Arms,
    policies: tuple[Actions, Actions],
    constants: Sequence[EvalConstant],
    rule: ComparisonRule,
) -> tuple[EvaluatorComparison, ...]:
    """Two of the replayed policies under the evaluators."""
    state = paper.state
    old, new = (arms[policy.fingerprint] for policy in policies)
    rows = pair(state.of("holdout"), old, new)
    seeded = rule.model_copy(update={"seed": f"{state.loop}/{state.window.key}/next_window"})
    return tuple(compare(rows, constant, role=seeded.role(constant), rule=seeded) for constant in constants)


def _results(
    paper: NextWindowCheck,
    exam: tuple[EvaluatorComparison, ...],
    course: EvaluatorComparison | None,
    rule: ComparisonRule,
) -> NextWindowResults:
    state, found, promoted = paper.state, paper.found, paper.promoted
    promising = promoted is not None or (found is not None and found.verdict == "accept")
    promised = _promised(found, state) if exam and promising else None
    faults = shortfalls(exam, promised, rule)
    back = _rollback_to(paper) if faults else None
    primary = next((c for c in exam if c.role == "primary"), None)
    lost = primary is not None and rule.is_unscored(primary)
    seen = NextWindowFigures(primary=primary, promised=promised, faults=faults, rollback_to=back, lost=lost)
    return NextWindowResults(
        loop=state.loop,
        window=state.window,
        found_in=found.window if found else None,
        verdict=found.verdict if found and found.candidate else "",
        promoted_version=promoted.version if promoted else None,
        promised=promised,
        comparisons=tuple(_exam_of(comparison) for comparison in exam),
        conversations=len({sample.conversation_id for sample in state.of("holdout")}),
        unscored_share=primary.unscored_share if primary else 0.0,
        lost=lost,
        falls_short=bool(faults),
        rollback_to=back,
        reason=told(found, promoted, seen) if found and exam else f"Nothing was examined: {paper.unexamined}.",
        **_cumulative(paper, course, rule),
    )


def shortfalls(exam: Sequence[EvaluatorComparison], promised: float | None, rule: ComparisonRule) -> tuple[str, ...]:
    """What is shown to fall short, a sentence each: of the promise, of the old policy, of a guardrail's margin.

    An evaluator with too many unscored samples shows nothing: what is missing is rarely missing at random. A safety
    evaluator may not score one sample lower.
    """
    faults = []
    for c in exam:
        margin = rule.margin(c.evaluator) * c.scale
        if c.ci_high is None or rule.is_unscored(c):
            continue
        if c.role == "primary" and c.ci_high < 0:
            faults.append(f"{c.evaluator} is worse than under the policy that it replaces")
        elif c.role == "primary" and promised is not None and c.ci_high < promised:
            faults.append(f"{c.evaluator} gains less than was promised")
        elif c.role == "safety" and c.fallen:
            faults.append(f"{c.evaluator}, which may not fall, scored {count(len(c.fallen), 'sample')} lower")
        elif c.role != "primary" and c.ci_high < -margin:
            faults.append(f"{c.evaluator} falls by more than its margin of {margin:.3g}")
    return tuple(faults)


def _promised(found: ValidationReport | None, state: StateActions) -> float | None:
    """The lower end of the gain at the verdict; None where another evaluator decided it, or no gain was shown."""
    primary = found.primary if found else None
    constant = state.primary
    if found is None or primary is None or constant is None or primary.evaluator != constant.name:
        return None
    of_arms = (e for row in found.rows for e in (*row.baseline.evals, *row.candidate.evals))
    said = {e.fingerprint for e in of_arms if e.name == constant.name and e.fingerprint}
    shown = primary.ci_low is not None and primary.ci_low > 0
    return primary.ci_low if shown and said <= {constant.fingerprint} else None


def _rollback_to(paper: NextWindowCheck) -> int | None:
    """The version before, where the candidate still is the newest in force."""
    promoted = paper.promoted
    if promoted is None or promoted != paper.versions[-1]:
        return None
    return promoted.parent or BEFORE_ANY_PROMOTION


def _cumulative(
    paper: NextWindowCheck, course: EvaluatorComparison | None, rule: ComparisonRule
) -> dict[str, float | None]:
    """The cumulative gain; 0 before any promotion, and where the first policy is in force again.

    None where too few conversations or too many unscored samples show nothing: a plot would show it as any other.
    """
    if course is None:
        first = paper.versions[0].replaced if paper.versions else None
        stays = not paper.versions or (first is not None and first == paper.state.actions)
        return {"cumulative_gain": 0.0 if stays else None}
    if course.ci_low is None or rule.is_unscored(course):
        return {"cumulative_gain": None}
    ends = {"gain": course.difference, "low": course.ci_low, "high": course.ci_high}
    return {f"cumulative_{end}": None if value is None else value / course.scale for end, value in ends.items()}


def _exam_of(c: EvaluatorComparison) -> NextWindowComparison:
    return NextWindowComparison(
        evaluator=c.evaluator,
        primary=c.role == "primary",
        n=c.n,
        baseline_mean=c.baseline_mean,
        candidate_mean=c.candidate_mean,
        difference=c.difference,
        ci_low=c.ci_low,
        ci_high=c.ci_high,
        p_value=c.p_value,
    )
