"""The desk: all that a search strategy gets, so that none sees a held-out sample or goes around a rule.

Everything is paid from the search's cap, booked by purpose, and stored: a search that was killed takes the same way
again and pays for nothing twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.guard import ContractGuard
from sia_dagster.core.openinference import policy_settings
from sia_dagster.core.ports.model import ChatRequest
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Progress
from sia_dagster.core.prompting import Form, StructuredCalls
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Candidate, Edit, RaceResult
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.replay import ReplayPlan, constants_of, pair, replay
from sia_dagster.core.search.causes import Cause, names
from sia_dagster.core.search.metering import MeteredChat
from sia_dagster.core.search.race import Race, Stratum
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.statistics import compare_all
from sia_dagster.core.text import count
from sia_dagster.core.traffic import group_conversations

FEWEST_TO_CHOOSE: Final = 8
"""Groups of conversations of the selection split; fewer would choose by chance."""
STEP: Final = 2
"""Groups that a race asks for at a time, after the first."""
REPEATS: Final = 3
"""Answers to each selection sample at most, where scores of one policy differ by themselves."""


class WaitsForBatch(Exception):
    """Answers that the next step depends on come with a batch: the search is run again when they are there."""


@dataclass
class SearchWork:
    """What the strategies of one window share: its samples, its model, and the outcomes that were paid for."""

    state: StateActions
    chat: MeteredChat
    evaluators: Sequence[Evaluator]
    rules: SearchRules
    config: PolicyConfig
    progress: Progress | None = None
    outcomes: dict[tuple[str, str, int], ArmOutcome] = field(default_factory=dict)
    """By policy's fingerprint, span id and repeat."""
    forms: dict[str, StructuredCalls] = field(default_factory=dict)

    @cached_property
    def baseline(self) -> Actions:
        """The policy in force. Raises ValueError where there is none, which no search begins with."""
        if self.state.actions is None:
            raise ValueError("a search starts from a policy")
        return self.state.actions

    @cached_property
    def guard(self) -> ContractGuard:
        """The contract guard with this window's samples."""
        return ContractGuard(self.baseline, self.state.samples, self.rules.limits)

    @cached_property
    def constants(self) -> tuple[EvalConstant, ...]:
        """Of the evaluators that can score a replayed answer, the primary first."""
        return constants_of(self.evaluators)

    @cached_property
    def calls_a_row(self) -> int:
        """Answers that one replayed sample takes: the application's, and each judge's."""
        return 1 + sum(constant.kind == "llm_classify" for constant in self.constants)

    @cached_property
    def selection_groups(self) -> dict[str, tuple[Sample, ...]]:
        """The samples of the selection split by group of conversations, in an order seeded by the window."""
        grouped = group_conversations(self.state.of("selection"))
        found: dict[str, list[Sample]] = {}
        for sample in grouped.samples:
            group = grouped.grouping.group_of.get(sample.conversation_id, sample.conversation_id)
            found.setdefault(group, []).append(sample)
        return {group: tuple(found[group]) for group in sorted(found, key=self._place)}

    def _place(self, group: str) -> str:
        return sha256(f"race/{self.state.window.key}/{group}".encode("utf-8", "surrogatepass")).hexdigest()

    def known(self, actions: Actions, sample: Sample, repeat: int = 0) -> ArmOutcome | None:
        """The outcome that is known without a call: replayed before, or logged under this very policy."""
        found = self.outcomes.get((actions.fingerprint, sample.span_id, repeat))
        if found is None and repeat == 0 and is_logged_under(actions, sample):
            return ArmOutcome(output=sample.output, evals=sample.evals)
        return found

    async def answer(
        self, samples: Sequence[Sample], policies: Sequence[Actions], purpose: Literal["probe", "race"], repeat: int = 0
    ) -> None:
        """Replay and score what is not known yet, as one step: the cap pays for all of it or for nothing.

        Raises SearchCapReached and WaitsForBatch.
        """
        lacking = [
            (actions, [s for s in samples if self.known(actions, s, repeat) is None])
            for actions in {actions.fingerprint: actions for actions in policies}.values()
        ]
        self.chat.reserve(self.calls_a_row * sum(len(each) for _, each in lacking))
        scope: Literal["probe", "selection"] = "probe" if purpose == "probe" else "selection"
        plan = ReplayPlan(scope=scope, window=self.state.window.key, first_repeat=repeat, workers=self.rules.workers)
        with self.chat.purpose(purpose):
            for actions, needed in lacking:
                if needed:
                    (arm,) = await replay(
                        needed, [actions], chat=self.chat, evaluators=self.evaluators, plan=plan, progress=self.progress
                    )
                    self._keep(actions, arm)
        self.check_answers()

    def check_answers(self) -> None:
        """Raise WaitsForBatch where the last step's answers are still to come."""
        if self.chat.pending:
            raise WaitsForBatch

    def _keep(self, actions: Actions, arm: Mapping[tuple[str, int], ArmOutcome]) -> None:
        for (span_id, repeat), outcome in arm.items():
            self.outcomes[actions.fingerprint, span_id, repeat] = outcome

    def compared(self, candidate: Actions) -> tuple[EvaluatorComparison, ...]:
        """The candidate beside the policy in force, on the selection samples that were answered under both."""
        samples = [sample for group in self.selection_groups.values() for sample in group]
        old, new = (self._arm(actions, samples) for actions in (self.baseline, candidate))
        group_of = group_conversations(self.state.of("selection")).grouping.group_of
        rule = self.rules.rule.model_copy(update={"seed": f"{self.state.loop}/{self.state.window.key}/selection"})
        return compare_all(pair(samples, old, new, None, group_of), self.constants, rule)

    def _arm(self, actions: Actions, samples: Iterable[Sample]) -> dict[tuple[str, int], ArmOutcome]:
        return {
            (sample.span_id, repeat): outcome
            for sample in samples
            for repeat in range(REPEATS)
            if (outcome := self.known(actions, sample, repeat)) is not None
        }


class Desk:
    """What one strategy works with. Scores are in the evaluators' own units, higher is better."""

    def __init__(self, work: SearchWork, start: Actions, strategy: str) -> None:
        """A desk for `strategy`, which begins with the policy `start`."""
        self._work = work
        self.strategy = strategy
        """Its name."""
        self.start = start
        """The policy to improve: the one in force, or what an earlier strategy of this window has found."""
        self.offered: list[Candidate] = []
        self.races: dict[tuple[str, str], RaceResult] = {}
        """Results by the fingerprints of the new and the old policy."""
        self.ended = ""
        """Why the strategy proposes nothing further, in a sentence; set by the strategy."""

    @property
    def baseline(self) -> Actions:
        """The policy in force."""
        return self._work.baseline

    @property
    def config(self) -> PolicyConfig:
        """The section `policy` of the loop."""
        return self._work.config

    @property
    def train(self) -> tuple[Sample, ...]:
        """The samples to learn from, with the scores and explanations (`evals`) of their logged outputs."""
        return self._work.state.of("train")

    @property
    def constants(self) -> tuple[EvalConstant, ...]:
        """What each evaluator measures, the primary one first; those that cannot score a replayed answer left out."""
        return self._work.constants

    @property
    def calls_left(self) -> int:
        """Answers of models that the search's cap still allows."""
        return self._work.chat.left

    @property
    def calls_a_row(self) -> int:
        """Answers that one replayed sample takes: the application's, and each judge's."""
        return self._work.calls_a_row

    def known(self, actions: Actions, sample: Sample) -> ArmOutcome | None:
        """The answer of a train sample and its scores, if they were probed or logged under this very policy."""
        return self._work.known(actions, sample) if sample.split == "train" else None

    async def propose(self, messages: Sequence[JsonObject], form: Form, *, draw: str) -> Answer:
        """Ask `policy.model` once, for an answer of this form; `draw` names the question among those of this search.

        An answer that cannot be used is a value with `problem`. Raises SearchCapReached.
        """
        work = self._work
        work.chat.reserve(1)
        calls = work.forms.setdefault(form.name, StructuredCalls(work.chat, form))
        request = ChatRequest(
            model=work.config.model, messages=tuple(messages), draw=f"update/{self.strategy}/{draw}", stage="update"
        )
        with work.chat.purpose("propose"):
            answer = await calls.ask(request)
        work.check_answers()
        return answer

    def guard(self, actions: Actions, edits: Sequence[Edit] | None = None) -> tuple[GuardFinding, ...]:
        """What the contract guard finds in a policy, compared with the one in force; empty where it passes."""
        return self._work.guard.check(actions, edits)

    async def probe(self, actions: Actions, span_ids: Iterable[str], *, repeat: int = 0) -> dict[str, ArmOutcome]:
        """Answers and scores of train samples under `actions`, by span id; what is known costs nothing.

        `repeat` counts further draws of the same answers from 1. Raises KeyError for a sample that is not of the train
        split, and SearchCapReached.
        """
        known = {sample.span_id: sample for sample in self.train}
        samples = [known[span_id] for span_id in dict.fromkeys(span_ids)]
        await self._work.answer(samples, [actions], "probe", repeat)
        return {
            sample.span_id: outcome
            for sample in samples
            if (outcome := self._work.known(actions, sample, repeat)) is not None
        }

    async def race(
        self, new: Actions, old: Actions | None = None, *, causes: Sequence[Cause] = (), expected: float = 0.0
    ) -> RaceResult:
        """Compare two policies on the selection split; numbers alone come back. `old` is by default `start`.

        Samples that show one of `causes` are asked first; `expected` is the gain that probes lead to expect, as a share
        of the evaluator's range. Raises SearchCapReached.
        """
        old = old or self.start
        key = (new.fingerprint, old.fingerprint)
        if key not in self.races:
            self.races[key] = await _Racing(self._work, new, old, causes, expected).result()
        return self.races[key]

    def won(self, actions: Actions) -> tuple[RaceResult, ...]:
        """The races by which `actions` is better than `start`: its own, and those of the policies it beat; or none."""
        return self._won(actions.fingerprint)

    def _won(self, new: str, unseen: int = 100) -> tuple[RaceResult, ...]:
        for (winner, old), result in self.races.items():
            if winner == new and result.decision in ("better", "too_small") and unseen:
                before = () if old == self.start.fingerprint else self._won(old, unseen - 1)
                if before or old == self.start.fingerprint:
                    return (*before, result)
        return ()

    def offer(self, candidate: Candidate) -> None:
        """Keep a candidate even if the search ends early; of several, the last one counts first."""
        self.offered.append(candidate.model_copy(update={"strategy": self.strategy}))


class _Racing:
    """One race: which groups are asked, and what their answers say."""

    def __init__(self, work: SearchWork, new: Actions, old: Actions, causes: Sequence[Cause], expected: float) -> None:
        self._work, self._new, self._old = work, new, old
        groups = work.selection_groups
        shown = {group for group, samples in groups.items() if any(_shows(sample, causes) for sample in samples)}
        self._queues: tuple[list[str], list[str]] = ([], [])
        for group in groups:
            self._queues[0 if group in shown else 1].append(group)
        for queue in self._queues:  # Groups of which the old policy's outcome is known cost half.
            queue.sort(key=lambda group: any(work.known(old, sample) is None for sample in groups[group]))
        sizes = (len(self._queues[0]), len(self._queues[1]))
        self._primary, *others = work.constants
        self._races = {each.name: Race(sizes, expected=expected if each.primary else 0.0) for each in work.constants}
        self._race = self._races[self._primary.name]
        self._others, self._fallen = others, set[str]()
        self._rows = self._unscored = 0

    async def result(self) -> RaceResult:
        if sum(self._race.sizes) < FEWEST_TO_CHOOSE:
            return RaceResult(decision="too_small", groups=0)
        decision = self._race.decision()
        while decision == "unclear" and not self._race.all_asked:
            await self._ask(self._next_groups(), repeat=0)
            decision = self._race.decision()
        repeat = 1
        while decision == "unclear" and repeat < REPEATS and self._race.is_noisy:
            await self._ask([(s, group) for s in (0, 1) for group in self._race.found[s]], repeat=repeat)
            decision, repeat = self._race.decision(), repeat + 1
        mean, _ = self._race.shrunk()
        error = self._race.estimate()[1]
        objection = self._lacking() or (self._objection() if decision == "better" else "")
        return RaceResult(
            decision="worse" if objection else decision,
            groups=self._race.groups,
            mean=round(mean, 9),
            error=round(error, 9) if error < float("inf") else 1.0,
            objection=objection,
        )

    def _next_groups(self) -> list[tuple[Stratum, str]]:
        fewest = self._race.fewest if not self._race.groups else STEP
        size = sum(self._race.sizes) if self._work.rules.in_batches else fewest
        picked: list[tuple[Stratum, str]] = []
        while len(picked) < size and not self._race.all_asked:
            stratum = self._race.next_stratum()
            picked.append((stratum, self._queues[stratum].pop(0)))
        return picked

    async def _ask(self, picked: Sequence[tuple[Stratum, str]], repeat: int) -> None:
        groups = self._work.selection_groups
        samples = [sample for _, group in picked for sample in groups[group]]
        await self._work.answer(samples, [self._new, self._old], "race", repeat)
        for stratum, group in picked:
            for constant in self._work.constants:
                self._compare(stratum, group, constant, repeat)

    def _compare(self, stratum: Stratum, group: str, constant: EvalConstant, repeat: int) -> None:
        """Add the group's mean difference. An answer without a score, where the old one has one, is the worst."""
        found = []
        for sample in self._work.selection_groups[group]:
            old, new = (self._score(actions, sample, repeat, constant) for actions in (self._old, self._new))
            if constant is self._primary:
                self._rows, self._unscored = self._rows + 1, self._unscored + (new is None)
            if old is not None and new is not None:
                found.append((new - old) / constant.scale)
            elif old is not None and constant is self._primary:
                found.append((constant.low - old) / constant.scale)
        difference = sum(found) / len(found) if found else 0.0
        if difference < 0 and constant.name in self._work.rules.rule.safety:
            self._fallen.add(constant.name)
        self._races[constant.name].add(stratum, group, difference)

    def _score(self, actions: Actions, sample: Sample, repeat: int, constant: EvalConstant) -> float | None:
        outcome = self._work.known(actions, sample, repeat)
        return None if outcome is None else outcome.score(constant.name)

    def _lacking(self) -> str:
        allowed = self._work.rules.rule.max_unscored_share
        if not self._rows or self._unscored <= allowed * self._rows:
            return ""
        return (
            f"{self._unscored} of {count(self._rows, 'answer')} could not be scored by {self._primary.name} (allowed: "
            f"{allowed:.0%}): replays or judges failed, so run `sia check`"
        )

    def _objection(self) -> str:
        for constant in self._others:
            mean, margin = self._races[constant.name].estimate()[0], self._work.rules.rule.margin(constant.name)
            if constant.name in self._fallen:
                return f"{constant.name} falls in a sample, and it vetoes"
            if mean < -margin:
                return f"{constant.name} falls by {-mean:.1%} of its range, beyond its margin of {margin:.1%}"
        return ""


def is_logged_under(actions: Actions, sample: Sample) -> bool:
    """Whether the logged answer is one of this very policy: its text, model and settings."""
    if actions.examples or sample.model != actions.model or not sample.evals:
        return False
    if policy_settings(sample.parameters) != policy_settings(actions.parameters):
        return False
    try:
        return sample.system_prompt == actions.render(sample.variables if actions.variables else None)
    except KeyError:
        return False


def _shows(sample: Sample, causes: Sequence[Cause]) -> bool:
    return any(names(metric, cause) for metric in sample.evals for cause in causes)
