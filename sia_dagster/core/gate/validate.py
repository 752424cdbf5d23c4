"""The validation of one window: both policies on held-out conversations, look by look, and the verdict."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sia_dagster.core.gate.holdout_reuse import without_late_scores
from sia_dagster.core.gate.noise import first_conversations, judge_again, judges_of, noise_of, second_draw
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Analysis, PlannedLook, Trial, analyse
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.gate import HeldOut, NoiseEstimate
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.spend import total
from sia_dagster.core.replay import ReplayPlan, Replies, constants_of, pair, replay


class _Calls(NamedTuple):
    """The model, evaluators and plan of one validation."""

    chat: ChatModel
    evaluators: Sequence[Evaluator]
    plan: ReplayPlan
    progress: Progress | None


async def validate(
    trial: Trial,
    *,
    chat: ChatModel,
    evaluators: Sequence[Evaluator],
    rules: ValidationRules,
    progress: Progress | None = None,
) -> ValidationReport:
    """Replay the held-out samples under both policies, compare every evaluator, and decide.

    No call is made without a candidate or held-out samples, where too little of the window can be replayed, and where
    a judge has drifted: the verdict is then `inconclusive`, with the reason and the conversations it would take. Fewer
    conversations than can decide are still replayed, since people read the rows. Where an early look is
    clear or futile, the rest is not paid for. The policy in force is replayed a second time on
    a few conversations to measure noise. The report is complete but for what `Admission.finish` adds: the error budget
    and the cost. The caller checks the share of unscored rows. Raises EndpointRefused and SpendCapReached.
    """
    noise: tuple[NoiseEstimate, ...] = ()
    if trial.policies is None or not trial.holdout.samples:
        analyses: tuple[Analysis, ...] = (analyse(trial, (), constants_of(evaluators), rules=rules),)
    else:
        calls = _Calls(chat, evaluators, trial.plan(rules), progress)
        analyses, first = await _look(trial, trial.policies, calls, rules)
        noise = await _noise(trial, first, calls, rules)
    report = _report(trial, rules, analyses)
    return report.model_copy(update={"noise": noise, "spend": total(chat.spend.values())})


async def _look(
    trial: Trial, policies: Sequence[Actions], calls: _Calls, rules: ValidationRules
) -> tuple[tuple[Analysis, ...], Replies]:
    """The analyses of the looks taken, and the replies of the policy in force."""
    held_out, constants, looks = trial.holdout, constants_of(calls.evaluators), trial.looks(rules)
    most = len(held_out.samples) * looks[-1].repeats * len(policies)
    overall = _OverallProgress(calls.progress, most) if calls.progress else None
    old: dict[tuple[str, int], ArmOutcome] = {}
    new: dict[tuple[str, int], ArmOutcome] = {}
    analyses: list[Analysis] = []
    for number, look in enumerate(looks):
        if analyses and analyses[-1].taken.outcome != "go_on":
            break
        second_answers = look.repeats > calls.plan.repeats
        decides_nothing = second_answers and analyses[-1].only_ties_open
        missing = [] if decides_nothing else _not_replayed(held_out, look, calls.plan, old.keys())
        for fresh, plan in missing:
            progress = overall.next_part() if overall else None
            arms = await replay(
                fresh, policies, chat=calls.chat, evaluators=calls.evaluators, plan=plan, progress=progress
            )
            old |= arms[0]
            new |= arms[1]
        paired = pair(held_out.samples, old, new, calls.plan.windows, held_out.grouping.group_of)
        analyses.append(
            analyse(trial, without_late_scores(paired, trial.unscored), constants, rules=rules, look=number)
        )
    return tuple(analyses), old


def _not_replayed(
    held_out: HeldOut, look: PlannedLook, plan: ReplayPlan, replayed: Collection[tuple[str, int]]
) -> list[tuple[list[Sample], ReplayPlan]]:
    """The look's samples that were not replayed at all, and those that were, with the repeats that they lack."""
    chosen = set(look.groups)
    samples = [sample for sample in held_out.samples if held_out.unit(sample) in chosen]
    parts = [(done, [s for s in samples if ((s.span_id, 0) in replayed) == (done > 0)]) for done in (0, plan.repeats)]
    return [
        (lacking, plan.model_copy(update={"first_repeat": done, "repeats": look.repeats - done}))
        for done, lacking in parts
        if lacking and look.repeats > done
    ]


async def _noise(trial: Trial, first: Replies, calls: _Calls, rules: ValidationRules) -> tuple[NoiseEstimate, ...]:
    """The policy in force against itself, and its judges against themselves, on the window's own conversations.

    It does not depend on the looks' outcome, so that with batches all its requests go out in one round.
    """
    holdout, plan = trial.holdout, second_draw(calls.plan)
    own = [s for s in holdout.samples if s.span_id not in holdout.windows and (s.span_id, 0) in first]
    samples = first_conversations(own, rules.noise_conversations)
    if not samples or trial.policies is None:
        return ()
    chat, evaluators, progress = calls.chat, calls.evaluators, calls.progress
    (answers,) = await replay(
        samples, trial.policies[:1], chat=chat, evaluators=evaluators, plan=plan, progress=progress
    )
    judges = judges_of(evaluators)
    judgements = await judge_again(samples, first, evaluators=judges, plan=plan, progress=progress)
    group_of = holdout.grouping.group_of
    answered, judged = (pair(samples, first, second, None, group_of) for second in (answers, judgements))
    alpha = rules.rule.guardrail_alpha
    return tuple(noise_of("generation", answered, constant, alpha) for constant in constants_of(evaluators)) + tuple(
        noise_of("judge", judged, each.constant, alpha) for each in judges
    )


class _OverallProgress:
    """Reports the rows of all looks as one total, since people wait for all of them."""

    def __init__(self, progress: Progress, of: int) -> None:
        self._progress, self._of = progress, of
        self._before = self._last = (0, 0)

    def next_part(self) -> Progress:
        """The progress of the next part, counted on from the rows reported so far."""
        self._before = self._last
        return self._report

    def _report(self, advance: Advance) -> None:
        done, failed = self._last = (self._before[0] + advance.done, self._before[1] + advance.failed)
        self._progress(advance.model_copy(update={"done": done, "failed": failed, "of": self._of}))


def _report(trial: Trial, rules: ValidationRules, analyses: Sequence[Analysis]) -> ValidationReport:
    state, update, last, rule = trial.state, trial.update, analyses[-1], rules.rule
    decision = last.decision
    return ValidationReport(
        loop=state.loop,
        window=state.window,
        verdict=decision.verdict,
        reasons=last.reasons if trial.changed else (trial.untried_reason, *last.reasons),
        baseline=update.baseline,
        candidate=update.candidate if trial.changed else None,
        concerns=update.concerns if trial.changed else (),
        provenance=update.provenance if trial.changed else (),
        strategies=update.strategies,
        question=update.question,
        saving=last.saving,
        alpha=rule.alpha,
        min_effect=rule.min_effect,
        guardrail_margin=rule.guardrail_margin,
        conversations=trial.grouping.conversations,
        grouping=trial.grouping,
        design_effect=last.design_effect,
        samples_needed=decision.samples_needed,
        void=decision.void,
        comparisons=last.comparisons,
        interim_analyses=tuple(each.taken for each in analyses) if last.rows else (),
        pooled=trial.holdout.pooled,
        repeats=last.taken.repeats if last.rows else rules.repeats_for(trial.grouping.conversations),
        slices=last.slices,
        watch=trial.watch,
        carried=update.carried,
        carries_on=_carries_on(trial, rules, last),
        rows=last.rows,
    )


def _carries_on(trial: Trial, rules: ValidationRules, last: Analysis) -> bool:
    """Whether the next window tries the candidate again: it was tested, and neither decided nor futile."""
    carried = trial.update.carried
    times = (carried.times if carried else 0) + 1
    undecided = last.taken.outcome == "undecided" and not last.decision.void
    return trial.changed and undecided and times < rules.carry_windows
