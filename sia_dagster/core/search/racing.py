"""A race of two policies on the selection split: which groups are asked, and what their answers say."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import RaceResult
from sia_dagster.core.search.causes import Cause, names
from sia_dagster.core.search.race import Race, Stratum
from sia_dagster.core.search.search_work import REPEATS, SearchWork
from sia_dagster.core.text import count

FEWEST_TO_CHOOSE: Final = 8
"""Groups of conversations of the selection split; fewer would choose by chance."""
STEP: Final = 2
"""Groups that a race asks for at a time, after the first."""

Turn = Callable[[], Awaitable[None]]
"""Waits until the next step may be taken; raises where it may not."""


class Hints(NamedTuple):
    """What is known of a policy before its race."""

    causes: Sequence[Cause] = ()
    """What it is to mend: samples that show it are asked first."""
    expected: float = 0.0
    """The gain that probes lead to expect, as a share of the evaluator's range."""


async def run_race(
    work: SearchWork, new: Actions, old: Actions, hints: Hints | None = None, turn: Turn | None = None
) -> RaceResult:
    """The result of `new` against `old`; a race that was run before costs nothing. `turn` is waited for at each step.

    Raises SearchCapReached and WaitsForBatch.
    """
    key = (new.fingerprint, old.fingerprint)
    if key not in work.races:
        work.races[key] = await Racing(work, new, old, hints or Hints(), turn).result()
    return work.races[key]


class Racing:
    """One race under way."""

    def __init__(self, work: SearchWork, new: Actions, old: Actions, hints: Hints, turn: Turn | None) -> None:
        self._work, self._new, self._old, self._turn = work, new, old, turn
        groups = work.selection_groups
        shown = {group for group, samples in groups.items() if any(_shows(sample, hints.causes) for sample in samples)}
        self._queues: tuple[list[str], list[str]] = ([], [])
        for group in groups:
            self._queues[0 if group in shown else 1].append(group)
        for queue in self._queues:  # Groups of which the old policy's outcome is known cost half.
            queue.sort(key=lambda group: any(work.known(old, sample) is None for sample in groups[group]))
        sizes = (len(self._queues[0]), len(self._queues[1]))
        self._primary, *others = work.constants
        self._races = {
            each.name: Race(sizes, expected=hints.expected if each.primary else 0.0) for each in work.constants
        }
        self._race = self._races[self._primary.name]
        self._others, self._fallen = others, set[str]()
        self._rows = self._unscored = 0

    async def result(self) -> RaceResult:
        """Ask until it is clear, or all groups were asked. Raises as `run_race`."""
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
        mean = self._race.shrunk_to_zero()
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
        least = self._race.fewest if not self._race.groups else STEP
        most = sum(self._race.sizes) if self._work.rules.in_batches else least
        picked: list[tuple[Stratum, str]] = []
        calls = 0
        while len(picked) < most and not self._race.all_asked:
            stratum = self._race.next_stratum()
            calls += self._calls(self._queues[stratum][0])
            if len(picked) >= least and calls > self._work.chat.left:
                self._race.asked[stratum] -= 1  # The cap pays for those before it.
                break
            picked.append((stratum, self._queues[stratum].pop(0)))
        return picked

    def _calls(self, group: str) -> int:
        policies, samples = (self._new, self._old), self._work.selection_groups[group]
        unknown = sum(self._work.known(policy, sample) is None for policy in policies for sample in samples)
        return self._work.calls_a_row * unknown

    async def _ask(self, picked: Sequence[tuple[Stratum, str]], repeat: int) -> None:
        groups = self._work.selection_groups
        samples = [sample for _, group in picked for sample in groups[group]]
        if self._turn is not None:
            await self._turn()
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


def _shows(sample: Sample, causes: Sequence[Cause]) -> bool:
    return any(names(metric, cause) for metric in sample.evals for cause in causes)
