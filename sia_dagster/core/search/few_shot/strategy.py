"""The strategy `few_shot`: finds which of the window's well-judged answers help as examples, how many, in which order.

No model proposes anything. Sets of examples are tried on train samples, and the best two race on the selection split.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sia_dagster.core.errors import SearchCapReached
from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.policy import Example
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Candidate, CandidateStatus
from sia_dagster.core.search.arms import best_first, covering_order, price_of, primary_metrics, raced, standing
from sia_dagster.core.search.causes import Complaints, shortfall
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.few_shot.details import without_details
from sia_dagster.core.search.few_shot.pool import Coverage, Shown, pool_of
from sia_dagster.core.text import count

NUMBERS: Final = (1, 2, 4, 8)
"""Of examples, those included that the policy has already: they compete with the others for their places."""
DOUBLED: Final = 0.01
"""Of the score's range, what twice as many examples are expected to gain before any is tried: where the answers do not
tell, more go on if they are short, fewer if they are long (`LENGTH_PENALTY`)."""
GOES_WELL: Final = 0.25
"""The weight of a request that went well, where one that lacks all of the score has 1: it should stay so."""
OF_EXAMPLES: Final = frozenset({"support", "copied text", "instruction from a trace", "shared text"})
"""Rules of the guard that an example of one's own traffic breaks by nature, which is why a person reads it. What any
other rule finds makes a sample no example."""
MOST_PASSED_OVER: Final = 24
"""Samples that the guard finds something in: each takes time, and may take a judge's answer."""


class FewShot:
    """Examples from the window's own traffic."""

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        """The best set of examples, after it the others with the reason; nothing where no sample can be shown."""
        return await _Search(desk).run()


@dataclass
class _Search:
    desk: Desk
    train: dict[str, Sample] = field(init=False)
    """By span id."""
    answers: dict[str, ArmOutcome] = field(init=False)
    metrics: dict[str, EvalMetrics] = field(init=False)
    sets: dict[str, tuple[Shown, ...]] = field(default_factory=dict)
    """By the candidate's name."""
    stopped: list[Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train = {sample.span_id: sample for sample in self.desk.train}
        self.answers = standing(self.desk)
        self.metrics = primary_metrics(self.desk, self.answers)

    async def run(self) -> Sequence[Candidate]:
        desk = self.desk
        if why := self._nothing_to_do():
            desk.ended = why
            return []
        shown = await self._examples()
        if not any(each.span_id for each in shown):
            return []
        numbers = self._sets(_in_order(shown[:number]) for number in _numbers(len(shown)))
        if not numbers:
            desk.ended = "no set of examples passes the guard"
            return self.stopped
        try:
            found = await self._compared(numbers, shown)
            desk.ended = f"{count(len(self.sets), 'set')} of examples were tried"
        except SearchCapReached as error:
            desk.ended = str(error)
            found = [each.model_copy(update={"reasons": (str(error),)}) for each in numbers]
        return [*found, *self.stopped]

    async def _compared(self, numbers: Sequence[Candidate], shown: Sequence[Shown]) -> list[Candidate]:
        """How many, then in which order and which others; the best of all in front, if it won its race."""
        desk, primary = self.desk, self.desk.constants[0]
        causes = Complaints.of(self.metrics, primary).causes(self.metrics)
        probes = covering_order(causes, self.metrics, primary, {each.span_id for each in shown})
        best, *others = await best_first(desk, numbers, probes, self._prices(numbers))
        sets = [best, *self._like(best, shown)]
        ranked = await best_first(desk, sets, probes, self._prices(sets))
        return await raced(desk, [*ranked, *others], self.metrics, causes)

    def _nothing_to_do(self) -> str:
        primary = self.desk.constants[0]
        if not self.metrics:
            return f"{primary.name} scored none of the {count(len(self.desk.train), 'sample')} of the train split"
        if not any(shortfall(metric, primary) for metric in self.metrics.values()):
            return f"all {count(len(self.metrics), 'scored sample')} of the train split have the best score"
        return ""

    async def _examples(self) -> list[Shown]:
        """What can be shown, without what identifies somebody, those that cover most first.

        Sets `desk.ended` where that is nothing new.
        """
        pool, primary = pool_of(self.desk, self.answers), self.desk.constants[0]
        weights = {span: max(GOES_WELL, shortfall(metric, primary) or 0.0) for span, metric in self.metrics.items()}
        coverage = Coverage({span: self.train[span].request for span in weights}, weights)
        left = [*(Shown(example=example) for example in self.desk.start.examples), *pool.shown]
        found, passed_over = list[Shown](), 0
        while left and len(found) < NUMBERS[-1] and passed_over < MOST_PASSED_OVER:
            left.remove(picked := coverage.best_of(left))
            safe = await self._without_details(picked, len(found)) if picked.span_id else picked
            if safe is None:
                passed_over += 1
            else:
                found.append(safe)
                coverage.take(safe)
        if not any(each.span_id for each in found):
            losses = {**pool.left_out, "hold what the guard finds": passed_over}
            why = ", ".join(f"{number} {reason}" for reason, number in losses.items() if number)
            self.desk.ended = f"no train sample can be a new example: {why}"
        return found

    async def _without_details(self, shown: Shown, turn: int) -> Shown | None:
        """The sample as it is where the guard finds nothing of somebody in it; else with invented names and numbers.

        None where something is left, or where an evaluator gives the changed answer a lower score.
        """
        if not self._finds(shown.example):
            return shown
        changed = without_details(shown.example, self._written, self._holders, turn)
        if changed is None or changed == shown.example or self._finds(changed):
            return None
        before = {metric.name: metric.score for metric in self.answers[shown.span_id].evals}
        for metric in await self.desk.score(shown.span_id, changed):
            known = before.get(metric.name)
            if known is not None and (metric.score is None or metric.score < known):
                return None
        return Shown(span_id=shown.span_id, example=changed, invented=True)

    def _finds(self, example: Example) -> bool:
        """Whether the guard finds something in the example that is not so of every example."""
        alone = self.desk.baseline.model_copy(update={"examples": (*self.desk.baseline.examples, example)})
        return any(finding.rule not in OF_EXAMPLES for finding in self.desk.guard(alone))

    @cached_property
    def _written(self) -> tuple[str, ...]:
        """What the policy and the train samples say."""
        texts = (text for sample in self.desk.train for text in (sample.request, sample.output))
        return (self.desk.start.system_prompt, *texts)

    def _holders(self, text: str) -> int:
        """The sources whose requests and answers hold `text`."""
        return len({s.source for s in self.desk.train if text in s.request or text in s.output})

    def _sets(self, sets: Iterable[Sequence[Shown]]) -> list[Candidate]:
        """A candidate for each set that is another than the policy's, but for those that the guard stops."""
        found = list[Candidate]()
        for shown in sets:
            actions = self.desk.start.model_copy(update={"examples": tuple(each.example for each in shown)})
            if actions == self.desk.start:
                continue
            name = f"few_shot-{len(self.sets) + 1}"
            self.sets[name] = tuple(shown)
            reasons = tuple(finding.reason for finding in stops(self.desk.guard(actions)))
            spans, invented = [each.span_id for each in shown if each.span_id], sum(each.invented for each in shown)
            thoughts = f"New examples are the samples {', '.join(spans)}; names and numbers of {invented} are invented."
            status: CandidateStatus = "stopped_by_guard" if reasons else "not_chosen"
            candidate = Candidate(name=name, actions=actions, status=status, reasons=reasons, thoughts=thoughts)
            (self.stopped if reasons else found).append(candidate)
        return found

    def _prices(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        return {
            each.name: price_of(self.desk, each.actions) - DOUBLED * math.log2(len(self.sets[each.name]))
            for each in candidates
        }

    def _like(self, best: Candidate, shown: Sequence[Shown]) -> list[Candidate]:
        """As many examples as `best` has: in the other order, and of those that it does not have."""
        number, same = len(self.sets[best.name]), self.sets[best.name]
        others = [same[::-1]] if number > 1 else []
        others += [_in_order(shown[at : at + number]) for at in range(number, len(shown) - number + 1, number)]
        return self._sets(others[: self.desk.config.candidates - 1])


def _numbers(most: int) -> list[int]:
    """The numbers of examples to try."""
    return sorted({number for number in NUMBERS if number <= most} | {most})


def _in_order(shown: Sequence[Shown]) -> tuple[Shown, ...]:
    """The one that covers most last, next to the request."""
    return tuple(reversed(shown))
