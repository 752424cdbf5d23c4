"""Windows in which people come back and ask what others ask, and nothing is better.

What changes for a user, or for a request, changes in all of its conversations. Beside the product, which counts groups,
stands the same test with each conversation counted by itself.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri

from bench.calibration import Array
from bench.gate_cells import LEVELS, RULES, Scenario, Yes, tested
from sia_dagster.core.records.sample import is_shared_by_all
from sia_dagster.core.statistics.intervals import MIN_CONVERSATIONS

Ids = npt.NDArray[np.intp]
RATE = 0.7
LONGEST = 50


class Traffic(NamedTuple):
    """Who asks what: (windows, conversations), ids that mean something within a window."""

    users: Ids
    requests: Ids


def alone(generator: np.random.Generator, count: int, n: int) -> Ids:
    return np.tile(np.arange(n), (count, 1))


def of_four(generator: np.random.Generator, count: int, n: int) -> Ids:
    """Four conversations a user, in any order."""
    return generator.permuted(alone(generator, count, n) // 4, axis=1)


def heavy_tail(generator: np.random.Generator, count: int, n: int) -> Ids:
    """1 to `LONGEST` conversations a user, of which m in proportion to 1 / m^2, as traffic has them."""
    sizes = np.arange(1, LONGEST + 1)
    share = 1 / sizes**2.0
    drawn = generator.choice(sizes, (count, n), p=share / share.sum())
    ends = drawn.cumsum(axis=1)
    users = (ends[:, None, :] <= np.arange(n)[None, :, None]).sum(axis=2)
    return generator.permuted(users, axis=1)


def returning(generator: np.random.Generator, count: int, n: int) -> Ids:
    """A base of users a quarter as many as conversations, any of whom may come in any window of the pool."""
    return generator.integers(max(8, n // 4), size=(count, n))


def copies(generator: np.random.Generator, count: int, n: int, share: float = 0.3) -> Ids:
    """A share of the conversations repeats the request of any other one."""
    requests = alone(generator, count, n)
    repeats = generator.random((count, n)) < share
    return np.where(repeats, generator.integers(n, size=(count, n)), requests)


Draw = Callable[[np.random.Generator, int, int], Ids]


def differences_of(generator: np.random.Generator, traffic: Traffic, user: float, request: float) -> Array:
    """Pass/fail under both policies; `user` and `request` are the shares of an answer's luck that they have in common.

    Half of what makes an answer pass is how hard its request is, under both policies (as in `calibration.passes`).
    """
    count, n = traffic.users.shape
    rows = np.arange(count)[:, None]
    hardness = generator.standard_normal((count, n))[rows, traffic.requests]

    def arm() -> Array:
        of_users, of_requests, own = generator.standard_normal((3, count, n))
        luck = np.sqrt(user) * of_users[rows, traffic.users] + np.sqrt(request) * of_requests[rows, traffic.requests]
        return np.asarray(luck + np.sqrt(1 - user - request) * own)

    limit = ndtri(RATE)
    old, new = (np.sqrt(0.5) * (hardness + arm()) < limit for _ in range(2))
    return np.asarray(new.astype(float) - old)


def joined(traffic: Traffic, *, requests: bool) -> Ids:
    """The group of each conversation: (windows, conversations)."""
    count, n = traffic.users.shape
    nodes = np.arange(count * n).reshape(count, n)
    first = np.arange(count)[:, None] * 2 * n
    edges = [(nodes, count * n + first + traffic.users)]
    if requests:
        edges.append((nodes, 3 * count * n + first + traffic.requests))
    rows, columns = (np.concatenate([edge[side].ravel() for edge in edges]) for side in (0, 1))
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(5 * count * n, 5 * count * n))
    return np.asarray(connected_components(graph, directed=False)[1][: count * n].reshape(count, n))


def grouped(traffic: Traffic) -> tuple[Ids, Yes]:
    """The groups as the product forms them (`group_conversations`), and which conversations are kept."""
    count, n = traffic.users.shape
    links = Traffic(_distinguishing(traffic.users), _distinguishing(traffic.requests))
    groups, kept = joined(links, requests=True), np.ones((count, n), dtype=bool)
    by_user = joined(links, requests=False)
    for window in range(count):
        largest = _commonest(groups[window])[1]
        longest = max(_commonest(ids[window])[1] for ids in links)
        if largest > n / 2 and largest > 2 * longest:
            groups[window] = by_user[window]
            _, first, asked = np.unique(links.requests[window], return_index=True, return_inverse=True)
            kept[window] = groups[window] == groups[window][first[asked]]
    return groups, kept


def _distinguishing(names: Ids) -> Ids:
    """The ids, with one of its own for each conversation of an id that nearly all have."""
    count, n = names.shape
    common = np.full((count, 1), -1)
    for window in range(count):
        name, held = _commonest(names[window])
        if is_shared_by_all(held, n):
            common[window] = name
    return np.where(names == common, n + np.arange(n), names)


def _commonest(names: Ids) -> tuple[int, int]:
    found, held = np.unique(names, return_counts=True)
    return int(found[held.argmax()]), int(held.max())


def by_group(differences: Array, groups: Ids, kept: Yes) -> list[Array]:
    """Each window's group means: of as many as it has groups."""
    found = []
    for window in range(len(differences)):
        own = kept[window]
        _, place, sizes = np.unique(groups[window][own], return_inverse=True, return_counts=True)
        found.append(np.bincount(place, differences[window][own]) / sizes)
    return found


def accepts(windows: list[Array], generator: np.random.Generator) -> dict[str, Yes]:
    """What the product accepts, at each level; windows of equally many groups are tested together."""
    found = {name: np.zeros(len(windows), dtype=bool) for name in LEVELS}
    sizes = np.array([len(means) for means in windows])
    for size in np.unique(sizes[sizes >= MIN_CONVERSATIONS]):
        places = np.flatnonzero(sizes == size)
        means = np.array([windows[place] for place in places])
        many = tested(means, np.ones(means.shape), generator)
        for name, alpha in LEVELS.items():
            found[name][places] = many.accepts(alpha)
    return found


def in_groups(users: Draw, requests: Draw, n: int, shared: tuple[float, float], pooled: int = 1) -> Scenario:
    """`n` own conversations, in a pool of up to `pooled` windows' as many as the product takes."""
    size = min(n * pooled, max(n, RULES.max_conversations))

    def windows(generator: np.random.Generator, count: int) -> Mapping[str, Array | Yes]:
        traffic = Traffic(users(generator, count, size), requests(generator, count, size))
        differences = differences_of(generator, traffic, *shared)
        units = by_group(differences, *grouped(traffic))
        product = accepts(units, generator)
        each = tested(differences, np.ones((count, size)), generator)
        number = np.array([len(means) for means in units])
        result: dict[str, Array | Yes] = {"naive": each.mean > 0, "groups": number}
        for name, alpha in LEVELS.items():
            result |= {f"accept_{name}": product[name], f"each_{name}": each.accepts(alpha)}
        return result

    return windows


GROUPED: dict[str, Callable[[int], Scenario]] = {
    "30 % repeat another's request": lambda n: in_groups(alone, copies, n, (0.0, 1.0)),
    "four conversations a user": lambda n: in_groups(of_four, alone, n, (0.5, 0.0)),
    "four a user, all that changes is shared": lambda n: in_groups(of_four, alone, n, (1.0, 0.0)),
    "four a user, and 30 % repeat": lambda n: in_groups(of_four, copies, n, (0.4, 0.6)),
    "1 to 50 a user": lambda n: in_groups(heavy_tail, alone, n, (0.8, 0.0)),
    "1 to 50 a user, and 30 % repeat": lambda n: in_groups(heavy_tail, copies, n, (0.4, 0.6)),
    "pooled from 4 windows, the same users": lambda n: in_groups(returning, alone, n, (0.8, 0.0), 5),
    "pooled, the same users, and 30 % repeat": lambda n: in_groups(returning, copies, n, (0.4, 0.6), 5),
}
