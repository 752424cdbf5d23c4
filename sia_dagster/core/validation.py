"""The validation of one window: old and new policy on the held-out split, and the verdict."""

from collections.abc import Sequence

from pydantic import Field

from sia_dagster.core.comparison import ComparisonRule
from sia_dagster.core.config import LoopConfig
from sia_dagster.core.models import StateActions, Value
from sia_dagster.core.ports import ChatModel, Evaluator, Progress
from sia_dagster.core.replay import ReplayPlan, compare_all, comparison_rule, constants_of, pair, replay
from sia_dagster.core.results import EvaluatorComparison, PolicyUpdate, ValidationReport, ValidationRow
from sia_dagster.core.verdict import decide


class ValidationRules(Value):
    """How the held-out split is replayed and what counts as better."""

    rule: ComparisonRule = ComparisonRule()
    repeats: int = Field(default=1, ge=1)
    workers: int = 32

    @classmethod
    def of(cls, loop: LoopConfig, *, workers: int) -> "ValidationRules":
        """The rules of a configured loop."""
        return cls(rule=comparison_rule(loop), repeats=loop.validation.repeats, workers=workers)


async def validate(
    state: StateActions,
    update: PolicyUpdate,
    *,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    rules: ValidationRules,
    progress: Progress | None = None,
) -> ValidationReport:
    """Replay the held-out samples under both policies, compare every evaluator, and decide.

    Without a new policy or without held-out samples no call is made, and the verdict is `inconclusive` with the
    update's reason and the conversations it would take; so it is where too little of the window can be replayed.
    Fewer conversations than can decide are replayed all the same, since people read the rows. `spend` is left to the
    caller, and so is a share of failed rows that is too high to go on. Raises EndpointRefused and BudgetReached.
    """
    if state.refusal and update.changed:
        update = update.model_copy(update={"changed": False, "reason": state.refusal})
    rule = rules.rule.model_copy(update={"seed": f"{state.loop}/{state.window.key}/holdout"})
    holdout = state.of("holdout")
    plan = ReplayPlan(scope="holdout", window=state.window.key, repeats=rules.repeats, workers=rules.workers)
    rows: tuple[ValidationRow, ...] = ()
    if update.changed and update.baseline and update.actions:
        policies = [update.baseline, update.actions]
        old, new = await replay(holdout, policies, chat=chat, evaluators=evaluators, plan=plan, progress=progress)
        rows = pair(holdout, old, new)
    comparisons = compare_all(rows, constants_of(evaluators), rule) if update.changed else ()
    return _report(state, update, rule, comparisons, rows)


def _report(
    state: StateActions,
    update: PolicyUpdate,
    rule: ComparisonRule,
    comparisons: tuple[EvaluatorComparison, ...],
    rows: tuple[ValidationRow, ...],
) -> ValidationReport:
    conversations = len({sample.conversation_id for sample in state.of("holdout")})
    decision = decide(comparisons, rule, conversations=conversations, candidate_changed=update.changed)
    return ValidationReport(
        loop=state.loop,
        window=state.window,
        verdict=decision.verdict,
        reasons=decision.reasons if update.changed else (update.reason, *decision.reasons),
        baseline=update.baseline,
        candidate=update.actions if update.changed else None,
        alpha=rule.alpha,
        min_effect=rule.min_effect,
        guardrail_margin=rule.guardrail_margin,
        conversations=conversations,
        samples_needed=decision.samples_needed,
        comparisons=comparisons,
        rows=rows,
    )
