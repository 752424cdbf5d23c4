"""The desk: all that a search strategy gets, so that none sees a held-out sample or goes around a rule."""

import asyncio
from collections.abc import Iterable, Sequence

from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.ports.model import ChatRequest
from sia_dagster.core.prompting import Form, StructuredCalls
from sia_dagster.core.prompting.structured_answer import Answer
from sia_dagster.core.records.comparison import Question
from sia_dagster.core.records.evaluation import EvalConstant, EvalMetrics
from sia_dagster.core.records.guard import GuardFinding
from sia_dagster.core.records.policy import Actions, Example
from sia_dagster.core.records.report import ArmOutcome
from sia_dagster.core.records.sample import Message, Sample
from sia_dagster.core.records.search import Candidate, Edit, RaceResult
from sia_dagster.core.records.value import JsonObject
from sia_dagster.core.replay import judge_replies, replayable
from sia_dagster.core.search.as_good import saved_share
from sia_dagster.core.search.causes import Cause
from sia_dagster.core.search.racing import FEWEST_TO_CHOOSE, Hints, run_race
from sia_dagster.core.search.search_work import SearchWork


class Desk:
    """What one strategy works with. Scores are in the evaluators' own units, higher is better."""

    def __init__(self, work: SearchWork, start: Actions, strategy: str) -> None:
        """A desk for `strategy`, which begins with the policy `start`."""
        self._work, self._start, self._strategy = work, start, strategy
        self._offered: list[Candidate] = []
        self._closed = False
        self.ended = ""
        """Why the strategy proposes nothing further, in a sentence; set by the strategy."""

    @property
    def strategy(self) -> str:
        """Its name."""
        return self._strategy

    @property
    def start(self) -> Actions:
        """The policy to improve: the one in force, or what an earlier strategy of this window has found."""
        return self._start

    @property
    def offered(self) -> tuple[Candidate, ...]:
        """What was offered so far, in order."""
        return tuple(self._offered)

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
        return self._work.known(actions, sample) if sample in self.train else None

    async def propose(self, messages: Sequence[JsonObject], form: Form, *, draw: str) -> Answer:
        """Ask `policy.model` once, for an answer of this form; `draw` names the question among those of this search.

        An answer that cannot be used is a value with `problem`. Raises SearchCapReached.
        """
        await self._turn()
        work = self._work
        calls = work.forms.setdefault(form.name, StructuredCalls(work.chat, form))
        request = ChatRequest(
            model=work.config.model, messages=tuple(messages), draw=f"update/{self.strategy}/{draw}", stage="update"
        )
        with work.chat.step("propose", 1):
            answer = await calls.ask(request)
        work.check_answers()
        if not answer.too_long:
            return answer
        hint = f"{answer.problem}; policy.max_context_tokens makes the question shorter"
        return answer.model_copy(update={"problem": hint})

    def guard(
        self, actions: Actions, edits: Sequence[Edit] | None = None, question: Question = "better"
    ) -> tuple[GuardFinding, ...]:
        """What the contract guard finds in a policy, compared with the one in force; empty where it passes."""
        return self._work.guard.check(actions, edits, question)

    async def probe(self, actions: Actions, span_ids: Iterable[str], *, repeat: int = 0) -> dict[str, ArmOutcome]:
        """Answers and scores of train samples under `actions`, by span id; what is known costs nothing.

        `repeat` counts further draws of the same answers from 1. Raises KeyError for a sample that is not of the train
        split, and SearchCapReached.
        """
        known = {sample.span_id: sample for sample in self.train}
        samples = [known[span_id] for span_id in dict.fromkeys(span_ids)]
        await self._turn()
        await self._work.answer(samples, [actions], "probe", repeat)
        return {
            sample.span_id: outcome
            for sample in samples
            if (outcome := self._work.known(actions, sample, repeat)) is not None
        }

    async def score(self, span_id: str, shown: Example) -> tuple[EvalMetrics, ...]:
        """What the evaluators say of a train sample with another request and answer, all else as it was recorded.

        The primary one's result comes first. Raises KeyError for a sample of another split, and SearchCapReached.
        """
        sample, work = {each.span_id: each for each in self.train}[span_id], self._work
        await self._turn()
        asked = sample.model_copy(update={"messages": (Message(role="user", content=shown.input),)})
        draw = f"example/{work.state.window.key}/{span_id}"
        with work.chat.step("probe", self.calls_a_row - 1):
            metrics = await judge_replies(asked, shown.output, replayable(work.evaluators), draw)
        work.check_answers()
        return metrics

    async def race(
        self, new: Actions, old: Actions | None = None, *, causes: Sequence[Cause] = (), expected: float = 0.0
    ) -> RaceResult:
        """Compare two policies on the selection split; numbers alone come back. `old` is by default `start`.

        Samples that show one of `causes` are asked first; `expected` is the gain that probes lead to expect, as a share
        of the evaluator's range (0..1). Raises SearchCapReached.
        """
        hints = Hints(causes, min(1.0, max(0.0, expected)))
        return await run_race(self._work, new, old or self.start, hints, self._turn)

    async def saving(self, new: Actions) -> float | None:
        """The share of a call's cost that is saved under `new`, beside the policy in force; None where it is unknown.

        On a few conversations of the selection split. Raises SearchCapReached.
        """
        return await saved_share(self._work, new, self._turn)

    @property
    def selection_size(self) -> int:
        """Groups of conversations of the selection split; 0 where they are too few to choose by."""
        size = len(self._work.selection_groups)
        return size if size >= FEWEST_TO_CHOOSE else 0

    async def selection_scores(self, actions: Actions, places: Sequence[int]) -> tuple[float, ...]:
        """The primary evaluator's mean score in groups of the selection split, as shares of its range: numbers alone.

        Places count from 0, in an order seeded by the window. For strategies that compare in a way of their own; `race`
        takes fewer answers. What is known costs nothing. Raises SearchCapReached.
        """
        groups = [*self._work.selection_groups.values()]
        asked = [groups[place] for place in places]
        await self._turn()
        await self._work.answer([sample for group in asked for sample in group], [actions], "race")
        outcomes = [[self._work.known(actions, sample) or ArmOutcome() for sample in group] for group in asked]
        return tuple(sum(each.share(self.constants[0]) for each in group) / len(group) for group in outcomes)

    def won(self, actions: Actions) -> tuple[RaceResult, ...]:
        """The races by which `actions` is better than `start`: its own, and those of the policies it beat; or none."""
        return self._won(actions.fingerprint, frozenset())

    def _won(self, new: str, later: frozenset[str]) -> tuple[RaceResult, ...]:
        for (winner, old), result in self._work.races.items():
            if winner == new and old not in later and result.decision in ("better", "too_small"):
                before = () if old == self.start.fingerprint else self._won(old, later | {new})
                if before or old == self.start.fingerprint:
                    return (*before, result)
        return ()

    def raced(self, actions: Actions) -> RaceResult | None:
        """The last race of `actions` against another policy."""
        new = actions.fingerprint
        return next((result for (winner, _), result in reversed(self._work.races.items()) if winner == new), None)

    def offer(self, candidate: Candidate) -> None:
        """Keep a candidate even if the search ends early; of several, the last one counts first."""
        if not isinstance(candidate, Candidate):
            raise TypeError(f"a Candidate is offered, not {type(candidate).__name__}")
        self._offered.append(candidate.model_copy(update={"strategy": self.strategy}))

    def close(self) -> None:
        """Refuse all further calls: a task that outlives its strategy must not spend what the next one may."""
        self._closed = True

    async def _turn(self) -> None:
        """Before every call, so that its time limit can stop a strategy that goes on whatever is raised."""
        await asyncio.sleep(0)
        if self._closed:
            raise RuntimeError(f"the search of {self.strategy} has ended, and its desk is closed")
