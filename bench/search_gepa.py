"""The gepa library used plainly: its own loop and defaults, over the world's models, without a store or a guard."""

import asyncio
import importlib
from collections.abc import Coroutine, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

from bench.search_runs import Step, data
from sia_dagster.core.ports.model import ChatRequest
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.replay import judge_replies
from simulation.search_worlds import PROPOSER, SimulatedModel, World

COMPONENT = "system_prompt"
Result = TypeVar("Result")


async def gepa(world: World, seed: int, cap: int) -> Sequence[Step]:
    """One proposal an iteration, as the library does by default."""
    return await _optimized(world, seed, cap, {})


async def gepa_parallel(world: World, seed: int, cap: int) -> Sequence[Step]:
    """Two parents with two proposals each an iteration, of which the best two stay, as its guide shows it."""
    sampling = importlib.import_module("gepa.strategies.proposal_sampling")
    selection = importlib.import_module("gepa.strategies.proposal_selection")
    chosen = {
        "sampling_strategy": sampling.PxNSampling(p=2, n=2),
        "selection_strategy": selection.TopKImprovements(k=2),
    }
    return await _optimized(world, seed, cap, chosen)


async def _optimized(world: World, seed: int, cap: int, chosen: Mapping[str, Any]) -> Sequence[Step]:
    library: Any = importlib.import_module("gepa")
    model, samples = world.model(seed), data(world, seed)
    adapter = _Adapter(world, model)
    await asyncio.to_thread(
        library.optimize,
        seed_candidate={COMPONENT: world.baseline.system_prompt},
        trainset=[sample for sample in samples if sample.split == "train"],
        valset=[sample for sample in samples if sample.split == "selection"],
        adapter=adapter,
        reflection_lm=adapter.reflect,
        stop_callbacks=lambda _: model.total >= cap,
        callbacks=[adapter],
        logger=adapter,
        seed=seed,
        track_best_outputs=False,
        **chosen,
    )
    return adapter.steps


class _Adapter:
    """The library's view of a world: answers and scores of a batch, and what it shows its reflecting model."""

    propose_new_texts = None

    def __init__(self, world: World, model: SimulatedModel) -> None:
        self._world, self._model = world, model
        self._evaluators = world.evaluators(model)
        self._loop, self._numbers = asyncio.get_running_loop(), count()
        self._batch: Any = importlib.import_module("gepa.core.adapter").EvaluationBatch
        self.steps = [Step(0, world.baseline)]

    def evaluate(self, batch: Sequence[Sample], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        actions = self._actions(candidate)
        rows = [self._waited(self._row(sample, actions)) for sample in batch]
        outputs, scores = [row["Generated Outputs"] for row in rows], [row["score"] for row in rows]
        return self._batch(outputs=outputs, scores=scores, trajectories=rows if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        shown = [{name: text for name, text in row.items() if name != "score"} for row in eval_batch.trajectories]
        return dict.fromkeys(components_to_update, shown)

    def reflect(self, prompt: str) -> str:
        messages = ({"role": "user", "content": prompt},)
        request = ChatRequest(model=PROPOSER, messages=messages, draw=f"gepa/{next(self._numbers)}", stage="update")
        return self._waited(self._model.complete(request)).text

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        """What the library would give back if it stopped now."""
        if event["is_best_program"] and event["iteration"]:
            self.steps.append(Step(self._model.total, self._actions(event["candidate"])))

    def log(self, message: str) -> None:
        """Nothing is printed."""

    def _actions(self, candidate: Mapping[str, str]) -> Actions:
        return self._world.baseline.model_copy(update={"system_prompt": candidate[COMPONENT]})

    async def _row(self, sample: Sample, actions: Actions) -> dict[str, Any]:
        draw = f"gepa/{next(self._numbers)}"
        messages = tuple(actions.messages(sample.variables, sample.messages))
        request = ChatRequest(
            model=actions.model, messages=messages, parameters=actions.parameters, draw=draw, stage="replay"
        )
        output = (await self._model.complete(request)).text
        (metrics,) = await judge_replies(sample, output, self._evaluators, draw)
        said = f"{metrics.label or ''} {metrics.explanation}".strip()
        return {"Inputs": sample.request, "Generated Outputs": output, "Feedback": said, "score": metrics.score or 0.0}

    def _waited(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
