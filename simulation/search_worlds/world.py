"""A world: a task with its policies, samples as they would be logged, evaluators, models and the true score."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sia_dagster.core.config.loop import CodeConfig, LLMClassifyConfig
from sia_dagster.core.evaluators import build_evaluator
from sia_dagster.core.ports.model import ChatModel, ChatRequest
from sia_dagster.core.ports.roles import Evaluator
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Message, Sample, Split, TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.demo.simulation_rules import pick
from simulation.search_worlds.applications import APPLICATION, JUDGE, MARGIN, Truth
from simulation.search_worlds.explanations import Wording
from simulation.search_worlds.population import SHOPS
from simulation.search_worlds.proposing import Habits
from simulation.search_worlds.simulated_model import Options, SimulatedModel
from simulation.search_worlds.task import Task, read_policy

_FIRST_WEEK: Final = datetime(2026, 9, 28, tzinfo=UTC)
_TEMPLATE: Final = (
    "A shop's assistant has answered a message. Decide whether the answer is what this shop wants.\n\n"
    "The message:\n{input}\n\nThe answer:\n{output}"
)
_PARAMETERS: Final = {"temperature": 0.3}
_SECOND_SAMPLE: Final = 8
"""Every so many samples belong to the conversation of the one before."""
Result = TypeVar("Result")


class World:
    """One simulated task, with everything that a search needs and what it is measured by."""

    def __init__(self, task: Task, *, noise: bool = False, margin: float = MARGIN) -> None:
        """`noise` is how its models behave by default; by `margin` one of the cheaper models is worse."""
        self.task, self.noise, self._truth = task, noise, Truth(task, margin)
        self.name = task.name
        self.baseline = self._actions(task.prompt)
        self.best = self._actions(task.best_prompt).model_copy(update={"examples": task.best_examples})

    def model(
        self, seed: int, *, noise: bool | None = None, wording: Wording | None = None, habits: Habits | None = None
    ) -> SimulatedModel:
        """The world's models, with an empty store. `noise`: each draw is a new one, and the judge errs."""
        noisy = self.noise if noise is None else noise
        options = Options(seed=seed, noise=noisy, wording=wording or Wording(), habits=habits or Habits())
        return SimulatedModel(self._truth, options)

    def evaluators(self, chat: ChatModel | None) -> tuple[Evaluator, ...]:
        """The one evaluator of the world, the primary one."""
        if self.task.by_code:
            name = self.task.by_code.partition(":")[2]
            code = CodeConfig(name=name, kind="code", function=self.task.by_code)
            return (build_evaluator(code, chat=chat, template=None, primary=True),)
        judge = LLMClassifyConfig(
            name="is_right", kind="llm_classify", model=JUDGE, template=_TEMPLATE, rails=dict(self.task.rails)
        )
        return (build_evaluator(judge, chat=chat, template=_TEMPLATE, primary=True),)

    @property
    def constants(self) -> tuple[EvalConstant, ...]:
        """The evaluators' constants."""
        return tuple(evaluator.constant for evaluator in self.evaluators(None))

    @property
    def calls_a_sample(self) -> int:
        """Answers that it takes to answer one request and to judge the answer."""
        return 1 if self.task.by_code else 2

    def true_score(self, actions: Actions) -> float:
        """The expected score over the population of requests: nothing is drawn, the same policy has the same score."""
        return self._truth.score(actions.model, read_policy(self.task, actions.system_prompt, actions.examples))

    def samples(
        self,
        seed: int,
        *,
        train: int = 45,
        selection: int = 30,
        holdout: int = 60,
        window: int = 0,
        actions: Actions | None = None,
        model: SimulatedModel | None = None,
    ) -> tuple[Sample, ...]:
        """Fresh requests of a window with the answers and evaluations logged under `actions`, by default the baseline.

        Without `model` the answers are those of `model(seed)`. What was logged does not count in the calls of the model
        that a search then uses.
        """
        logged, policy = model or self.model(seed), actions or self.baseline
        sizes: tuple[tuple[Split, int], ...] = (("train", train), ("selection", selection), ("holdout", holdout))
        keys = [(split, place) for split, size in sizes for place in range(size)]
        rows = [self._logged(f"{self.name}/{seed}/{window}", split, place, policy) for split, place in keys]
        return _run(self._answered(rows, logged, policy))

    def state(self, samples: Sequence[Sample], actions: Actions | None = None, window: int = 0) -> StateActions:
        """The samples as the search gets them."""
        start = _FIRST_WEEK + timedelta(weeks=window)
        return StateActions(
            loop=self.name,
            window=TimeWindow(key=f"{start:%Y-%m-%d}", start=start, end=start + timedelta(weeks=1)),
            actions=actions or self.baseline,
            policy_version=window + 1,
            policy_share=1.0,
            samples=tuple(samples),
            eval_constants=self.constants,
        )

    def _actions(self, prompt: str) -> Actions:
        return Actions(system_prompt=prompt, model=APPLICATION, parameters=_PARAMETERS, variables=("shop",))

    def _logged(self, key: str, split: Split, place: int, policy: Actions) -> Sample:
        request = self.task.request(f"{key}/{split}/{place}")
        shop = {"shop": pick(SHOPS, key, split, str(place))}
        week = _FIRST_WEEK + timedelta(weeks=int(key.rpartition("/")[2]))
        first = place - (place % _SECOND_SAMPLE == 1)
        span = f"{key.replace('/', '-')}-{split}-{place:03}"
        return Sample(
            span_id=span,
            trace_id=f"trace-{span}",
            conversation_id=f"{key}/{split}/{first}",
            start_time=week + timedelta(minutes=37 * place),
            split=split,
            system_prompt=policy.render(shop),
            messages=(Message(role="user", content=request),),
            variables=shop,
            template=policy.system_prompt,
            name="ChatCompletion",
            model=policy.model,
            parameters=dict(policy.parameters),
            tags=(self.task.tag(request),),
        )

    async def _answered(self, rows: Sequence[Sample], model: SimulatedModel, policy: Actions) -> tuple[Sample, ...]:
        evaluators, found = self.evaluators(model), []
        for row in rows:
            messages = tuple(policy.messages(row.variables, row.messages))
            request = ChatRequest(
                model=policy.model, messages=messages, parameters=policy.parameters, draw=f"logged/{row.span_id}"
            )
            output = (await model.complete(request)).text
            answered = row.model_copy(update={"output": output})
            evals = tuple([await each.score(answered, f"logged/{row.span_id}") for each in evaluators])
            found.append(answered.model_copy(update={"evals": evals}))
        return tuple(found)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work` in a thread and loop of its own, so that code within a loop can ask for samples."""
    found: list[Result] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return found[0]
