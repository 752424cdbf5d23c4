"""Our own searches on the benchmark's tasks: strategies at their desk, over one window of logged answers or several."""

from collections.abc import Sequence
from functools import partial

from bench.search_runs import SELECTION, TRAIN, Step, Strategy, data
from sia_dagster.core.config.loop import PolicyConfig
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Candidate, PolicyUpdate
from sia_dagster.core.search import (
    STRATEGIES,
    Desk,
    MeteredChat,
    SearchRules,
    SearchStrategy,
    SearchWork,
    search_policy,
)
from simulation.search_worlds import PROPOSER, World


async def searched(
    world: World, seed: int, cap: int, *, strategies: Sequence[str], windows: int = 1, start: Actions | None = None
) -> Sequence[Step]:
    """What wins its race is a step; what goes on counts as adopted, and is logged in the next window."""
    model, policy = world.model(seed), start or world.baseline
    steps, logged = [Step(0, policy)], 0
    config = PolicyConfig(model=PROPOSER, updater=tuple(strategies), search_calls=cap)
    for window in range(windows):
        samples = data(world, seed, window=window, actions=policy)
        logged += (TRAIN + SELECTION) * world.calls_a_sample
        chat = MeteredChat(model, config)
        work = SearchWork(world.state(samples, policy, window), chat, world.evaluators(chat), SearchRules(), config)
        note = partial(_note, steps, model, logged)
        update: PolicyUpdate = await search_policy(
            work, {name: _Noted(STRATEGIES[name](), note) for name in strategies}
        )
        if update.changed and update.candidate:
            policy = update.candidate
            steps.append(Step(model.total, policy, logged))
    return [*steps, Step(model.total, policy, logged)]


def _note(steps: list[Step], model: object, logged: int, candidate: Candidate) -> None:
    steps.append(Step(getattr(model, "total", 0), candidate.actions, logged))


class _Noted:
    """A strategy of which each offer is a step."""

    def __init__(self, strategy: SearchStrategy, note: partial[None]) -> None:
        self._strategy, self._note = strategy, note

    async def search(self, desk: Desk) -> Sequence[Candidate]:
        offer = desk.offer

        def noted(candidate: Candidate) -> None:
            self._note(candidate)
            offer(candidate)

        desk.offer = noted  # type: ignore[method-assign]
        return await self._strategy.search(desk)


def of(*strategies: str, windows: int = 1) -> Strategy:
    """The benchmark's strategy that runs these, one after the other."""
    return partial(searched, strategies=strategies, windows=windows)
