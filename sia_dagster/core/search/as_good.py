"""Whether a policy seems as good for less money: replayed on the selection split, which chooses and proves nothing."""

from collections.abc import Sequence
from typing import Final

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import RaceResult
from sia_dagster.core.search.racing import FEWEST_TO_CHOOSE, Hints, Racing, Turn
from sia_dagster.core.search.search_work import SearchWork
from sia_dagster.core.statistics import compare_costs
from sia_dagster.core.text import count

SURELY: Final = 1.0
"""Standard errors beyond its margin at which an evaluator ends the comparison: what is lost costs only time."""
_ANY_LEVEL: Final = 0.05
"""Of an interval that is not read."""


async def compared_for_less(work: SearchWork, new: Actions, turn: Turn | None = None) -> RaceResult:
    """Whether `new` seems to cost less than the policy in force and to keep every evaluator within its margin.

    Once one surely does not, no further answer is asked for; `as_good` has been compared on the whole split, or as far
    as the cap reaches. What was compared before costs nothing. Raises SearchCapReached and WaitsForBatch.
    """
    key = new.fingerprint
    if key not in work.for_less:
        work.for_less[key] = await _ForLess(work, new, work.baseline, Hints(), turn).result()
    return work.for_less[key]


async def saved_share(work: SearchWork, new: Actions, turn: Turn | None = None) -> float | None:
    """The share of its cost that a call saves under `new`, on the first groups of the selection split.

    The policy in force answers them, too, where only its logged answers are known, which have no count of tokens. None
    where no call was answered under both. Raises SearchCapReached and WaitsForBatch.
    """
    groups = list(work.selection_groups.values())[:FEWEST_TO_CHOOSE]
    samples = [sample for group in groups for sample in group]
    if turn is not None:
        await turn()
    await work.answer(samples, [new], "race")
    logged = [sample for sample in samples if not _is_counted(work.known(work.baseline, sample))]
    if logged:
        await work.answer(logged, [work.baseline], "race", repeat=1)
    found = compare_costs([row for sample in samples if (row := _row(work, new, sample))], _ANY_LEVEL)
    return None if found is None else found.share


def _row(work: SearchWork, new: Actions, sample: Sample) -> ValidationRow | None:
    old = [work.known(work.baseline, sample, repeat) for repeat in (0, 1)]
    baseline, candidate = next((each for each in old if _is_counted(each)), None), work.known(new, sample)
    if baseline is None or candidate is None:
        return None
    return ValidationRow(
        span_id=sample.span_id, conversation_id=sample.conversation_id, baseline=baseline, candidate=candidate
    )


def _is_counted(outcome: ArmOutcome | None) -> bool:
    return outcome is not None and outcome.prompt_tokens > 0


class _ForLess(Racing):
    """A comparison that ends with the first evaluator that surely falls beyond its margin."""

    async def result(self) -> RaceResult:
        sizes = sum(self._race.sizes)
        if sizes < FEWEST_TO_CHOOSE:
            few = f"the selection split has {count(sizes, 'conversation')}, too few to see whether it is as good"
            return RaceResult(decision="too_small", objection=few)
        saved = await saved_share(self._work, self._new, self._turn)
        if objection := _dear(saved):
            return RaceResult(decision="worse", objection=objection, saved=saved)
        while not (self._race.all_asked or self._broken(SURELY)):
            try:
                await self._ask(self._next_groups(), repeat=0)
            except SearchCapReached:
                if self._race.groups < FEWEST_TO_CHOOSE:
                    raise
                break
        objection = self._lacking() or self._broken(0.0)
        mean, error = self._race.estimate()
        return RaceResult(
            decision="worse" if objection else "as_good",
            groups=self._race.groups,
            mean=round(mean, 9),
            error=round(error, 9),
            objection=objection,
            saved=saved,
        )

    def _broken(self, errors: float) -> str:
        """The first evaluator that falls beyond its margin by so many standard errors; empty where none does."""
        if self._race.groups < self._race.fewest:
            return ""
        constants: Sequence[EvalConstant] = self._work.constants
        for constant in constants:
            mean, error = self._races[constant.name].estimate()
            margin = self._work.rules.rule.margin(constant.name)
            if constant.name in self._fallen:
                return f"{constant.name} falls in a sample, and it vetoes"
            if mean + errors * error < -margin:
                return f"{constant.name} falls by {-mean:.1%} of its range, beyond its margin of {margin:.1%}"
        return ""


def _dear(saved: float | None) -> str:
    if saved is None:
        return "no call that both policies answered has a count of its tokens, so its saving is not known"
    return "" if saved > 0 else f"a call costs {-saved:.0%} more" if saved < 0 else "a call costs the same"
