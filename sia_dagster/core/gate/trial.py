"""What is validated, and the analysis of one look at its rows."""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from sia_dagster.core.gate.criteria import CriteriaInput
from sia_dagster.core.gate.explain import is_all_ties
from sia_dagster.core.gate.pooling import own_holdout, weights_of
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.verdict import Decision, decide
from sia_dagster.core.records.comparison import EvaluatorComparison, Saving, SliceComparison, primary_of
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import Grouping, HeldOut, InterimAnalysis, MissingScore
from sia_dagster.core.records.judge_report import JudgeWatch
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import Value
from sia_dagster.core.replay import ReplayPlan
from sia_dagster.core.statistics import (
    DESIGNS,
    ComparisonRule,
    adjusted_rules,
    compare_all,
    compare_costs,
    compare_slices,
    conditional_power,
    design_effect,
    p_of,
    paired_scores,
    plan_looks,
)

OUTCOMES: dict[str, Literal["accept", "reject", "undecided"]] = {
    "accept": "accept",
    "reject": "reject",
    "inconclusive": "undecided",
}


class Trial(Value):
    """A candidate, the held-out conversations that it is tried on, and the state of the judges."""

    state: StateActions
    update: PolicyUpdate
    held_out: HeldOut | None = None
    """None: the window's own holdout."""
    watch: tuple[JudgeWatch, ...] = ()
    unscored: tuple[MissingScore, ...] = ()
    """Scores that were missing when this holdout was evaluated before: they do not count now, either."""

    @property
    def changed(self) -> bool:
        """Whether there is a candidate, and enough of the window can be replayed to try it."""
        return self.update.changed and not self.state.refusal

    @property
    def untried_reason(self) -> str:
        """The reason where nothing is tried; empty where something is."""
        if self.changed:
            return ""
        return (self.state.refusal if self.update.changed else None) or self.update.reason

    @property
    def policies(self) -> tuple[Actions, Actions] | None:
        """The baseline and the candidate; None where no call is made, such as where a judge has drifted."""
        old, new = self.update.baseline, self.update.candidate
        if not self.changed or old is None or new is None or any(judge.drifted for judge in self.watch):
            return None
        return old, new

    @cached_property
    def holdout(self) -> HeldOut:
        """The held-out samples in groups; the window's own by hash, so that half of them is not half a week."""
        return own_holdout(self.state.of("holdout")) if self.held_out is None else self.held_out

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of held-out conversations, in the order in which looks take them."""
        return tuple(dict.fromkeys(self.holdout.unit(sample) for sample in self.holdout.samples))

    @cached_property
    def grouping(self) -> Grouping:
        """How the held-out conversations are grouped, with both counts."""
        counts = {"conversations": self.conversations(self.groups), "groups": len(self.groups)}
        return self.holdout.grouping.model_copy(update=counts)

    def conversations(self, groups: Collection[str]) -> int:
        """The number of held-out conversations in `groups`."""
        chosen = set(groups)
        return len({s.conversation_id for s in self.holdout.samples if self.holdout.unit(s) in chosen})

    def looks(self, rules: ValidationRules) -> tuple["PlannedLook", ...]:
        """The looks at the held-out groups; none without any."""
        conversations = self.grouping.conversations
        planned, repeats = plan_looks(self.groups, rules.looks_for(conversations)), rules.repeats_for(conversations)
        last = DESIGNS[len(planned)].second_answers if planned else False
        return tuple(
            PlannedLook(groups, repeats + 1 if last and place == len(planned) - 1 else repeats)
            for place, groups in enumerate(planned)
        )

    def plan(self, rules: ValidationRules) -> ReplayPlan:
        """How the held-out samples are replayed."""
        return ReplayPlan(
            scope="holdout",
            window=self.state.window.key,
            windows=self.holdout.windows,
            repeats=rules.repeats_for(self.grouping.conversations),
            workers=rules.workers,
        )


class PlannedLook(NamedTuple):
    """What is replayed by a look."""

    groups: tuple[str, ...]
    repeats: int
    """Replays of each sample."""


class Analysis(NamedTuple):
    """The result of one look."""

    comparisons: tuple[EvaluatorComparison, ...]
    slices: tuple[SliceComparison, ...]
    decision: Decision
    taken: InterimAnalysis
    rows: tuple[ValidationRow, ...] = ()
    design_effect: float | None = None
    """Of what most conversations share, under the primary evaluator; None where nothing is shared, or not estimated."""
    only_ties_open: bool = False
    """Whether nothing is open but guardrails that never differed, such as a check that every answer passes.

    Second answers to the same samples decide nothing then; only more conversations, or a later look's level, exclude a
    rare fall.
    """
    saving: Saving | None = None
    """Where that is the question."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons of the decision; futility comes first."""
        if self.taken.outcome != "futile":
            return self.decision.reasons
        chance = self.taken.conditional_power or 0
        futile = (
            f"given up after {self.taken.conversations} held-out conversations: if the rest are like these, the chance "
            f"that all of them together show a gain is {'below 0.1%' if chance < 0.001 else f'{chance:.1%}'}"
        )
        return (futile, *self.decision.reasons)


def analyse(
    trial: Trial,
    rows: Sequence[ValidationRow],
    constants: Sequence[EvalConstant],
    *,
    rules: ValidationRules,
    look: int = 0,
) -> Analysis:
    """The verdict on the rows of one look, counted from 0, at the levels of that look.

    Only the last look ends undecided. An earlier one goes on where nothing could be decided (rows that failed, or wait
    for a batch), and is `futile` below the design's conditional power at the loosest level of the rule: at the window's
    own level many real gains would be given up that later windows can still show. Without rows the sample size is
    planned with all conversations, at the whole level.
    """
    planned = trial.looks(rules) or (PlannedLook((), 1),)
    looks = planned if rows else planned[-1:]
    rule = adjusted_rules(_rule_of(trial, rules), len(looks))[look]
    holdout = trial.holdout
    groups, repeats = looks[look]
    given = weights_of(holdout, groups), holdout.grouping.stands_for
    comparisons = compare_all(rows, constants, rule, *given) if trial.policies else ()
    slices = _slices(holdout.samples, rows, constants, rule=rule, rules=rules)
    saving = compare_costs(rows, rule.alpha, given[0]) if rule.question == "not_worse" else None
    seen = _Seen(trial, rule, slices, saving, trial.conversations(groups))
    decision = seen.decide(comparisons)
    ties = decision.verdict != "accept" and seen.decide(_without_ties(comparisons)).verdict == "accept"
    primary = primary_of(comparisons)
    taken = InterimAnalysis(
        conversations=seen.conversations,
        groups=len(groups),
        repeats=1 + max((row.repeat for row in rows), default=repeats - 1),
        alpha=rule.alpha,
        p_value=p_of(primary) if primary else None,
        outcome=OUTCOMES[decision.verdict],
    )
    if taken.outcome == "undecided" and look < len(looks) - 1:
        taken = _on_the_way(taken, decision, rules.rule, (len(looks), look))
    effect = _design_effect(holdout, rows, constants)
    return Analysis(comparisons, slices, decision, taken, tuple(rows), effect, ties, saving)


def _rule_of(trial: Trial, rules: ValidationRules) -> ComparisonRule:
    """The window's rule for what the search asks of its candidate."""
    seed = f"{trial.state.loop}/{trial.state.window.key}/holdout"
    return rules.rule.model_copy(update={"seed": seed, "question": trial.update.question})


class _Seen(NamedTuple):
    """What a decision rests on besides the comparisons."""

    trial: Trial
    rule: ComparisonRule
    slices: tuple[SliceComparison, ...]
    saving: Saving | None
    conversations: int

    def decide(self, comparisons: Sequence[EvaluatorComparison]) -> Decision:
        return decide(
            CriteriaInput(
                comparisons=tuple(comparisons),
                rule=self.rule,
                conversations=self.conversations,
                candidate_changed=self.trial.changed,
                slices=self.slices,
                watch=self.trial.watch,
                saving=self.saving,
            )
        )


def _without_ties(comparisons: Sequence[EvaluatorComparison]) -> list[EvaluatorComparison]:
    return [c for c in comparisons if c.role == "primary" or not is_all_ties(c)]


def _design_effect(holdout: HeldOut, rows: Sequence[ValidationRow], constants: Sequence[EvalConstant]) -> float | None:
    primary = next((constant for constant in constants if constant.primary), None)
    if primary is None or not holdout.grouping.resembling:
        return None
    return design_effect(paired_scores(rows, primary)[0], holdout.grouping.resembling)


def _on_the_way(
    taken: InterimAnalysis, decision: Decision, rule: ComparisonRule, place: tuple[int, int]
) -> InterimAnalysis:
    """The outcome of an undecided look before the last: go on, or futile. `place`: of how many looks, and which."""
    if decision.void or taken.p_value is None:
        return taken.model_copy(update={"outcome": "go_on"})
    power, most = (
        float(conditional_power(taken.p_value, alpha, *place))
        for alpha in (rule.alpha, max(rule.alpha, rule.guardrail_alpha))
    )
    futile = most < DESIGNS[place[0]].futile_below[place[1]]
    return taken.model_copy(update={"outcome": "futile" if futile else "go_on", "conditional_power": power})


def _slices(
    samples: Sequence[Sample],
    rows: Sequence[ValidationRow],
    constants: Sequence[EvalConstant],
    *,
    rule: ComparisonRule,
    rules: ValidationRules,
) -> tuple[SliceComparison, ...]:
    """The slices of the traffic under the primary evaluator."""
    primary = next((constant for constant in constants if constant.primary), None)
    if primary is None or not rows:
        return ()
    known = {sample.span_id: sample for sample in samples}
    return compare_slices(rows, known, primary, rule=rule, dimensions=rules.slices, minimum=rules.slice_conversations)
