"""A year of one loop: 52 windows with pooling, looks, the error budget, and undecided candidates carried on.

Many loops at once. Whoever is promoted is what the next window starts from, with the answers that it gave. A pooled
conversation keeps its answers under a carried candidate, as those of the product come from the completion store.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from bench.calibration import Array
from bench.gate_cells import RULES, WEEKLY, Yes
from bench.gate_looks import LOOKS, Answers, Stopped, in_looks

WEEKS, ALIKE = 52, 0.5
Effects = Callable[[np.random.Generator, int, Array], Array]
"""True effects of the fresh candidates of a week, one a loop, by generator, week and what the loops gained so far."""


def no_better(_: np.random.Generator, week: int, gained: Array) -> Array:
    return np.zeros_like(gained)


def one_gain(effect: float, since: int = 0) -> Effects:
    """From week `since` on the search proposes what gains `effect`, until it is in force; all else changes nothing."""
    return lambda _, week, gained: np.where((gained < effect / 2) & (week >= since), effect, 0.0)


def proposed_once(effect: float, at: int) -> Effects:
    """In week `at` alone the search proposes what gains `effect`; all else changes nothing."""
    return lambda _, week, gained: np.full_like(gained, effect if week == at else 0.0)


def mixed(generator: np.random.Generator, week: int, gained: Array) -> Array:
    """Most proposals change nothing, one in five harms by 5 points, one in ten gains 8."""
    return generator.choice([0.0, -0.05, 0.08], len(gained), p=[0.7, 0.2, 0.1])


@dataclass(frozen=True)
class Plan:
    """What a loop has and spends."""

    effects: Effects
    n: int = 40
    """Held-out conversations a window."""
    alpha: float = WEEKLY
    pool: int = RULES.pool_windows
    carry: int = RULES.carry_windows
    limit: int = RULES.max_conversations
    grows: bool = False
    """Whether the windows in which a carried candidate was tried count beyond the limit: their answers are paid."""
    rate: float = 0.7
    weeks: int = WEEKS
    looks: int = LOOKS
    per_user: int = 1
    """Conversations of each user in each week; the same users come every week."""
    shared: float = 0.5
    """Of an answer's luck, what a user's conversations have in common, where `per_user` is above one."""
    by_group: bool = True
    """Whether a user counts once, as in the product."""

    def back(self, tries: int = 0) -> int:
        """Windows that the holdout takes in, the own one included."""
        fits = 1 + min(self.pool, max(0, self.limit // self.n - 1))
        return max(fits, 1 + min(self.pool, fits - 1 + tries)) if self.grows else fits

    @property
    def most(self) -> int:
        return self.back(self.carry - 1)


class Years(NamedTuple):
    """By loop, over its year."""

    promoted: Array
    false: Array
    """Promotions of what is no better, or worse."""
    naive: Array
    """Windows in which the fresh candidate's mean was above the old one's."""
    first: Array
    """The week of the first promotion, from 0; -1 for none."""
    gained: Array
    """The true pass rate at the end, less that at the start."""
    calls: Array
    """Mean share of a plain replay of the pooled holdout."""


class _Loops:
    """The state of many loops; arrays are (loops, weeks, n), weeks with the history that pooling reaches at first."""

    def __init__(self, generator: np.random.Generator, loops: int, plan: Plan) -> None:
        shape = (loops, plan.weeks + plan.most - 1, plan.n)
        self.generator, self.plan = generator, plan
        self.hardness = generator.standard_normal(shape, dtype=np.float32)
        # Two answers to each sample, of which the second is used where the first leave the result open.
        self.old, self.new = (generator.standard_normal((2, *shape), dtype=np.float32) for _ in range(2))
        users = (loops, plan.n // plan.per_user)
        self.user_old, self.user_new = (generator.standard_normal(users) for _ in range(2))
        self.rate = np.full(loops, plan.rate)
        self.effect = np.zeros(loops)
        self.tries = np.zeros(loops, dtype=int)
        self.naive = np.zeros(loops)

    def search(self, week: int) -> None:
        """A fresh candidate where none is carried: other answers to all conversations that are replayed."""
        fresh = self.tries == 0
        held = self.held(week, self.plan.most)
        drawn = self.generator.standard_normal((2, int(fresh.sum()), held.stop - held.start, self.plan.n))
        self.new[:, fresh, held] = drawn
        self.user_new[fresh] = self.generator.standard_normal(self.user_new[fresh].shape)
        found = self.plan.effects(self.generator, week, self.rate - self.plan.rate)
        self.effect = np.where(fresh, found, self.effect)

    def held(self, week: int, back: int) -> slice:
        end = week + self.plan.most
        return slice(end - back, end)

    def answers(self, which: Yes, week: int, back: int) -> Answers:
        """Own conversations first, then the newest earlier window's."""
        held = self.held(week, back)
        old_goal = ndtri(self.rate[which])[:, None, None]
        new_goal = ndtri(np.clip(self.rate + self.effect, 0.02, 0.98)[which])[:, None, None]
        root, hardness = np.sqrt(ALIKE), self.hardness[which, held]
        new, old = self.luck(self.new, self.user_new, which, held), self.luck(self.old, self.user_old, which, held)
        passed = root * (hardness + new) < new_goal
        differences = passed.astype(float) - (root * (hardness + old) < old_goal)
        if self.plan.per_user > 1 and self.plan.by_group:
            users = self.plan.n // self.plan.per_user
            # Conversation j of a week is with user j modulo the number of users.
            flat = differences.reshape(2, differences.shape[1], -1, users).mean(axis=2)
        else:
            flat = differences[:, :, ::-1].reshape(2, differences.shape[1], -1)
        return Answers(flat[0], flat.mean(axis=0), np.ones(flat.shape[1:]))

    def luck(self, own: npt.NDArray[np.float32], of_users: Array, which: Yes, held: slice) -> Array:
        """The luck of the answers of `which` loops in the weeks `held`: (2, loops, weeks, n)."""
        if self.plan.per_user == 1:
            return np.asarray(own[:, which, held])
        users = np.tile(of_users[which], (1, self.plan.per_user))[:, None]
        return np.asarray(np.sqrt(self.plan.shared) * users + np.sqrt(1 - self.plan.shared) * own[:, which, held])

    def decide(self, week: int) -> Stopped:
        """Loops with equally many conversations are decided together."""
        loops = len(self.tries)
        accepted, futile, undecided = np.zeros((3, loops), dtype=bool)
        found = Stopped(accepted, futile, undecided, np.zeros(loops))
        sizes = np.array([self.plan.back(int(tries)) for tries in self.tries])
        for back in np.unique(sizes):
            which = sizes == back
            drawn = self.answers(which, week, int(back))
            self.naive[which] += (drawn.once[:, : self.plan.n].mean(axis=1) > 0) & (self.tries[which] == 0)
            part = in_looks(drawn, self.plan.alpha, self.generator, self.plan.looks)
            for whole, own in zip(found, part, strict=True):
                whole[which] = own
        self.go_on(found, week)
        return found

    def go_on(self, found: Stopped, week: int) -> None:
        """Carry what is undecided, and put in force what was accepted."""
        self.tries = np.where(found.undecided & (self.tries + 1 < self.plan.carry), self.tries + 1, 0)
        held = self.held(week, self.plan.most)
        self.old[:, found.accepted, held] = self.new[:, found.accepted, held]
        self.user_old[found.accepted] = self.user_new[found.accepted]
        self.rate = np.where(found.accepted, np.clip(self.rate + self.effect, 0.02, 0.98), self.rate)


def years(generator: np.random.Generator, loops: int, plan: Plan) -> Years:
    """Simulate so many loops over `plan.weeks`."""
    state = _Loops(generator, loops, plan)
    promoted, false, calls = np.zeros((3, loops))
    first = np.full(loops, -1.0)
    for week in range(plan.weeks):
        state.search(week)
        found = state.decide(week)
        promoted += found.accepted
        false += found.accepted & (state.effect <= 0)
        first = np.where(found.accepted & (first < 0), week, first)
        calls += found.calls / plan.weeks
    return Years(promoted, false, state.naive, first, state.rate - plan.rate, calls)


def expected(counts: Array) -> tuple[float, float, float]:
    """Mean a loop-year with a 95 % interval (normal, of thousands of loops)."""
    half = 1.96 * float(counts.std(ddof=1)) / len(counts) ** 0.5
    return float(counts.mean()), float(counts.mean()) - half, float(counts.mean()) + half


def any_of(counts: Array) -> Yes:
    return np.asarray(counts > 0)
