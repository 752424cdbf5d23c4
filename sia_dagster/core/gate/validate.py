"""The validation of one window: old and new policy on held-out conversations, in one or two looks, and the verdict."""

from collections.abc import Sequence
from typing import NamedTuple

from sia_dagster.core.gate.holdout_reuse import without_late_scores
from sia_dagster.core.gate.noise import first_conversations, judge_again, judges_of, noise_of, second_draw
from sia_dagster.core.gate.rules import ValidationRules
from sia_dagster.core.gate.trial import Analysis, Trial, analyse
from sia_dagster.core.ports.model import ChatModel
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Advance, Progress
from sia_dagster.core.records.gate import NoiseEstimate
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationReport
from sia_dagster.core.replay import ReplayPlan, Replies, constants_of, pair, replay
from sia_dagster.core.statistics import plan_looks


class _Calls(NamedTuple):
    """Where the calls of one validation go."""

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

    Without a new policy or without held-out samples no call is made, and the verdict is `inconclusive` with the
    update's reason and the conversations it would take; so it is where too little of the window can be replayed, and
    where a judge has drifted. Fewer conversations than can decide are replayed all the same, since people read the
    rows. With two looks the first half decides where it is clear or hopeless, and the rest is not paid for. Beside it
    the policy in force is asked a second time on a few conversations, to tell noise. `spend`, `budget` and `cost` are
    left to the caller, and so is a share of failed rows that is too high to go on. Raises EndpointRefused and
    SpendCapReached.
    """
    if trial.policies is None or not trial.evidence.samples:
        return _report(trial, rules, (analyse(trial, (), constants_of(evaluators), rules=rules),))
    calls = _Calls(chat, evaluators, trial.plan(rules), progress)
    analyses, first = await _look(trial, trial.policies, calls, rules)
    noise = await _noise(trial, first, calls, rules)
    return _report(trial, rules, analyses, noise)


async def _look(
    trial: Trial, policies: Sequence[Actions], calls: _Calls, rules: ValidationRules
) -> tuple[tuple[Analysis, ...], Replies]:
    """The looks that it took, and what the policy in force answered."""
    samples, plan, constants = trial.evidence.samples, calls.plan, constants_of(calls.evaluators)
    told = _InAll(calls.progress, len(samples) * plan.repeats * len(policies)) if calls.progress else None
    old: dict[tuple[str, int], ArmOutcome] = {}
    new: dict[tuple[str, int], ArmOutcome] = {}
    analyses: list[Analysis] = []
    for number, conversations in enumerate(plan_looks(trial.conversations, rules.looks)):
        if analyses and analyses[-1].taken.outcome != "go_on":
            break
        chosen = set(conversations)
        fresh = [s for s in samples if s.conversation_id in chosen and (s.span_id, 0) not in old]
        progress = told.from_here() if told else None
        arms = await replay(fresh, policies, chat=calls.chat, evaluators=calls.evaluators, plan=plan, progress=progress)
        old |= arms[0]
        new |= arms[1]
        rows = without_late_scores(pair(samples, old, new, plan.windows), trial.unscored)
        analyses.append(analyse(trial, rows, constants, rules=rules, look=number))
    return tuple(analyses), old


async def _noise(trial: Trial, first: Replies, calls: _Calls, rules: ValidationRules) -> tuple[NoiseEstimate, ...]:
    """The policy in force against itself, and its judges against themselves, on the window's own conversations.

    It is asked whatever the looks found: with batches all that can be asked goes out in one round.
    """
    evidence, plan = trial.evidence, second_draw(calls.plan)
    own = [s for s in evidence.samples if s.span_id not in evidence.windows and (s.span_id, 0) in first]
    samples = first_conversations(own, rules.noise_conversations)
    if not samples or trial.policies is None:
        return ()
    (answers,) = await replay(
        samples,
        trial.policies[:1],
        chat=calls.chat,
        evaluators=calls.evaluators,
        plan=plan,
        progress=calls.progress,
    )
    words = await judge_again(
        samples, first, evaluators=judges_of(calls.evaluators), plan=plan, progress=calls.progress
    )
    answered, judged = pair(samples, first, answers), pair(samples, first, words)
    alpha = rules.rule.guardrail_alpha
    return tuple(
        noise_of("generation", answered, constant, alpha) for constant in constants_of(calls.evaluators)
    ) + tuple(noise_of("judge", judged, each.constant, alpha) for each in judges_of(calls.evaluators))


class _InAll:
    """Tells the rows of all looks as one: people wait for all, and what failed at the first look stays failed."""

    def __init__(self, progress: Progress, of: int) -> None:
        self._progress, self._of = progress, of
        self._before = self._last = (0, 0)

    def from_here(self) -> Progress:
        """Where the next look's rows are told: after those told so far."""
        self._before = self._last
        return self._tell

    def _tell(self, advance: Advance) -> None:
        done, failed = self._last = (self._before[0] + advance.done, self._before[1] + advance.failed)
        self._progress(advance.model_copy(update={"done": done, "failed": failed, "of": self._of}))


def _report(
    trial: Trial, rules: ValidationRules, analyses: Sequence[Analysis], noise: tuple[NoiseEstimate, ...] = ()
) -> ValidationReport:
    state, update, last, rule = trial.state, trial.update, analyses[-1], rules.rule
    decision, evidence = last.decision, trial.evidence
    return ValidationReport(
        loop=state.loop,
        window=state.window,
        verdict=decision.verdict,
        reasons=last.reasons if trial.changed else (trial.why_not, *last.reasons),
        baseline=update.baseline,
        candidate=update.candidate if trial.changed else None,
        alpha=rule.alpha,
        min_effect=rule.min_effect,
        guardrail_margin=rule.guardrail_margin,
        conversations=len(trial.conversations),
        samples_needed=decision.samples_needed,
        comparisons=last.comparisons,
        interim_analyses=tuple(each.taken for each in analyses) if last.rows else (),
        pooled=evidence.pooled,
        repeats=rules.repeats_for(len(trial.conversations)),
        slices=last.slices,
        noise=noise,
        watch=trial.watch,
        carried=update.carried,
        carries_on=_carries_on(trial, rules, last),
        rows=last.rows,
    )


def _carries_on(trial: Trial, rules: ValidationRules, last: Analysis) -> bool:
    """Whether the next window tries the candidate again: it was tested, and neither decided nor hopeless."""
    carried = trial.update.carried
    times = (carried.times if carried else 0) + 1
    open_still = last.taken.outcome == "undecided" and not last.decision.void
    return trial.changed and open_still and times < rules.carry_windows
