"""The search as it was: one round a window, the whole selection split for each candidate, new samples each window."""

from collections.abc import Sequence
from typing import Final

from bench.search_runs import Step, data
from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.search import SearchRules, search_policy
from sia_dagster.core.search.reflection import ReflectionUpdater
from simulation.search_worlds import PROPOSER, World

WINDOWS: Final = 8


async def today(world: World, seed: int, cap: int) -> Sequence[Step]:
    """What goes on to validation is taken to be adopted, and logged in the next window."""
    model, policy = world.model(seed), world.baseline
    steps, logged = [Step(0, policy)], 0
    for window in range(WINDOWS):
        samples = data(world, seed, window=window, actions=policy)
        logged += len(samples) * world.calls_a_sample
        update = await search_policy(
            world.state(samples, policy, window),
            updater=ReflectionUpdater(PolicyConfig(model=PROPOSER), model),
            chat=model,
            evaluators=world.evaluators(model),
            rules=SearchRules(),
        )
        if update.changed and update.candidate:
            policy = update.candidate
            steps.append(Step(model.total, policy, logged))
        if model.total >= cap:
            break
    return steps
