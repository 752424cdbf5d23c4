"""What the strategies of one window share: samples, model, and outcomes, which are paid for once.

Everything is paid from the search's cap, booked by purpose, and stored: a search that was killed takes the same way
again and pays for nothing twice.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.guard import ContractGuard
from sia_dagster.core.openinference import policy_settings
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.progress import Progress
from sia_dagster.core.prompting import StructuredCalls
from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import RaceResult
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.replay import ReplayPlan, constants_of, pair, replay
from sia_dagster.core.search.metering import MeteredChat
from sia_dagster.core.search.rules import SearchRules
from sia_dagster.core.statistics import compare_all
from sia_dagster.core.traffic import group_conversations

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
    races: dict[tuple[str, str], RaceResult] = field(default_factory=dict)
    """By the fingerprints of the new and the old policy."""
    for_less: dict[str, RaceResult] = field(default_factory=dict)
    """By fingerprint, whether a policy seems as good as the one in force for less money."""
    forms: dict[str, StructuredCalls] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of replays: what one task of a strategy has answered, another does not ask again."""

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
        async with self.lock:
            lacking = [
                (actions, [s for s in samples if self.known(actions, s, repeat) is None])
                for actions in {actions.fingerprint: actions for actions in policies}.values()
            ]
            scope: Literal["probe", "selection"] = "probe" if purpose == "probe" else "selection"
            plan = ReplayPlan(
                scope=scope, window=self.state.window.key, first_repeat=repeat, workers=self.rules.workers
            )
            with self.chat.step(purpose, self.calls_a_row * sum(len(needed) for _, needed in lacking)):
                for actions, needed in lacking:
                    await self._replay(actions, needed, plan)
        self.check_answers()

    async def _replay(self, actions: Actions, samples: Sequence[Sample], plan: ReplayPlan) -> None:
        if samples:
            (arm,) = await replay(
                samples, [actions], chat=self.chat, evaluators=self.evaluators, plan=plan, progress=self.progress
            )
            for (span_id, repeat), outcome in arm.items():
                self.outcomes[actions.fingerprint, span_id, repeat] = outcome

    def failures(self) -> tuple[int, int]:
        """Answers of the policy that failed least, and those of them that have no score: an error that all share.

        A single policy's answers may fail for what it asks; those of all fail where an endpoint does.
        """
        rows: dict[str, list[bool]] = {}
        for (policy, _, _), outcome in self.outcomes.items():
            applies = not outcome.does_not_apply(self.constants[0].name)
            rows.setdefault(policy, []).append(applies and outcome.score(self.constants[0].name) is None)
        least = min(rows.values(), key=lambda failed: (sum(failed) / len(failed), -len(failed)), default=[])
        return len(least), sum(least)

    def check_answers(self) -> None:
        """Raise WaitsForBatch where the last step's answers are still to come."""
        if self.chat.pending:
            raise WaitsForBatch

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
