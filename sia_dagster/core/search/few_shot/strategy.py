"""The strategy `few_shot`: finds which of the window's well-judged answers help as examples, how many, in which order.

No model proposes anything. Sets of examples are tried on train samples, and the best two race on the selection split.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.guard import stops
from sia_dagster.core.records.policy import Example
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.records.search import Candidate
from sia_dagster.core.search.arms import best_first, covering_order, price_of, primary_metrics, raced, standing
from sia_dagster.core.search.causes import find_causes, shortfall
from sia_dagster.core.search.desk import Desk
from sia_dagster.core.search.few_shot.details import without_details
from sia_dagster.core.search.few_shot.pool import Coverage, Shown, pool_of
from sia_dagster.core.text import count

NUMBERS: Final = (1, 2, 4, 8)
"""Of examples; a policy never has more than the last."""
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
        """The best set of examples, after it those that lost to none; nothing where no sample can be shown."""
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
        desk, primary = self.desk, self.desk.constants[0]
        room = NUMBERS[-1] - len(desk.start.examples)
        if why := self._nothing_to_do(room):
            desk.ended = why
            return []
        shown = await self._examples(2 * room)
        if not shown:
            return []
        numbers = self._sets(_in_order(shown[:number]) for number in _numbers(min(room, len(shown))))
        if numbers:
            causes = find_causes(self.metrics, primary)
            probes = covering_order(causes, self.metrics, primary, {each.span_id for each in shown})
            best, *others = await best_first(desk, numbers, probes, self._prices(numbers))
            sets = [best, *self._like(best, shown)]
            ranked = await best_first(desk, sets, probes, self._prices(sets))
            found = await raced(desk, [*ranked, *others], self.metrics, causes)
            desk.ended = f"{count(len(self.sets), 'set')} of examples were tried"
            return [*found, *self.stopped]
        desk.ended = "no set of examples passes the guard"
        return self.stopped

    def _nothing_to_do(self, room: int) -> str:
        primary = self.desk.constants[0]
        if not self.metrics:
            return f"{primary.name} scored none of the {count(len(self.desk.train), 'sample')} of the train split"
        if not any(shortfall(metric, primary) for metric in self.metrics.values()):
            return f"all {count(len(self.metrics), 'scored sample')} of the train split have the best score"
        return "" if room > 0 else f"the policy has {count(len(self.desk.start.examples), 'example')}, and no more help"

    async def _examples(self, most: int) -> list[Shown]:
        """Samples that can be shown, without what identifies somebody, those that cover most first."""
        pool, primary = pool_of(self.desk, self.answers), self.desk.constants[0]
        weights = {span: max(GOES_WELL, shortfall(metric, primary) or 0.0) for span, metric in self.metrics.items()}
        coverage = Coverage({span: self.train[span].request for span in weights}, weights)
        left, found, passed_over = list(pool.shown), list[Shown](), 0
        while left and len(found) < most and passed_over < MOST_PASSED_OVER:
            left.remove(picked := coverage.best_of(left))
            if (safe := await self._without_details(picked, len(found))) is None:
                passed_over += 1
            else:
                found.append(safe)
                coverage.take(safe)
        if not found:
            losses = {**pool.left_out, "hold what the guard finds": passed_over}
            why = ", ".join(f"{number} {reason}" for reason, number in losses.items() if number)
            self.desk.ended = f"no train sample can be an example: {why}"
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
        """A candidate for each set, but for those that the guard stops: too long, or too dear."""
        found = list[Candidate]()
        for shown in sets:
            examples = (*self.desk.start.examples, *(each.example for each in shown))
            actions = self.desk.start.model_copy(update={"examples": examples})
            name = f"few_shot-{len(self.sets) + 1}"
            self.sets[name] = tuple(shown)
            reasons = tuple(finding.reason for finding in stops(self.desk.guard(actions)))
            spans, invented = ", ".join(each.span_id for each in shown), sum(each.invented for each in shown)
            candidate = Candidate(
                name=name,
                actions=actions,
                status="stopped_by_guard" if reasons else "not_chosen",
                reasons=reasons,
                thoughts=f"The new examples are the samples {spans}; names and numbers in {invented} of them are invented.",
            )
            (self.stopped if reasons else found).append(candidate)
        return found

    def _prices(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        return {
            each.name: price_of(self.desk, each.actions) - DOUBLED * math.log2(len(self.sets[each.name]))
            for each in candidates
        }

    def _like(self, best: Candidate, shown: Sequence[Shown]) -> list[Candidate]:
        """As many examples as `best` has: in the other order, and others that cover most after them."""
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
