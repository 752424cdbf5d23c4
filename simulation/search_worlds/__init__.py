"""Simulated tasks for searches of a better policy, each with a known best policy and a true score without noise.

    world = WORLDS["rules"]
    samples = world.samples(seed, train=45, selection=30, holdout=60)   # as logged under the baseline
    model = world.model(seed, noise=False)                               # a ChatModel: application, judge, proposer
    state = world.state(samples)                                         # what a search gets
    evaluators = world.evaluators(model)
    ...
    gain = world.true_score(found) - world.true_score(world.baseline)    # the most is that of world.best
    calls = model.total                                                  # by stage and model: model.calls

Models by name: `APPLICATION` answers requests, `JUDGE` judges, `PROPOSER` proposes; `SMALL`, `NARROW` and `LEAN` are
cheaper models of the application (`applications.py`). A task is one file: what answers may have wrong (`faults`), and
which sentences of a prompt mend it (`remedies`).
"""

from simulation.search_worlds.applications import APPLICATION, JUDGE, LEAN, MARGIN, NARROW, PRICES, PROPOSER, SMALL
from simulation.search_worlds.examples import Examples
from simulation.search_worlds.explanations import Wording
from simulation.search_worlds.fields import Fields
from simulation.search_worlds.labels import Labels
from simulation.search_worlds.proposing import Habits
from simulation.search_worlds.rules import Rules
from simulation.search_worlds.simulated_model import SimulatedModel
from simulation.search_worlds.slices import Slices
from simulation.search_worlds.world import World

__all__ = [
    "APPLICATION",
    "JUDGE",
    "LEAN",
    "MARGIN",
    "NARROW",
    "PRICES",
    "PROPOSER",
    "SMALL",
    "WORLDS",
    "Habits",
    "SimulatedModel",
    "Wording",
    "World",
]

WORLDS = {task.name: World(task) for task in (Rules(), Labels(), Fields(), Slices(), Examples())}
"""The tasks by name; they differ in kind."""
