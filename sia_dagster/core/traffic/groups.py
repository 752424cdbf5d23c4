"""Groups of conversations that resemble each other: those of one user, and those that ask the same.

Two conversations of a group are not two pieces of evidence: what changes for a user, or for a question, changes in all
of them. So a group counts once in every comparison, with the mean of its samples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.records.gate import Grouping
from sia_dagster.core.records.sample import FEWEST_TO_TELL, NOBODY, Sample, is_shared_by_all
from sia_dagster.core.text import count
from sia_dagster.core.traffic.near_duplicates import request_keys

Order = Callable[[str], str]


class Grouped(NamedTuple):
    """Samples whose conversations are in groups, and how the groups were formed."""

    samples: tuple[Sample, ...]
    """In the order given, without those that are left out."""
    grouping: Grouping


class _Links(NamedTuple):
    """The conversations by what links them, each in order."""

    users: Mapping[str, tuple[str, ...]]
    requests: Mapping[str, tuple[str, ...]]
    unused: tuple[tuple[str, ...], ...]
    """The conversations of a user's id or a request that nearly all have."""
    note: str


def group_conversations(samples: Sequence[Sample], order: Order = str) -> Grouped:
    """Group the conversations of `samples` by user and by near-duplicate requests, transitively (union-find).

    A group's id is its smallest conversation id. A user's id or a request that nearly all conversations have says
    nothing of who asks, and links none; nor does an id that stands for nobody (`NOBODY`). Where links through requests
    would chain most conversations into one group, they are not followed: of samples of different users that repeat a
    request the one whose conversation is first by `order` stays, and the others are left out. `note` says all this, and
    where a group holds most conversations. Scores play no part. The result does not depend on the order of the samples.
    """
    conversations = tuple(dict.fromkeys(sample.conversation_id for sample in samples))
    keys = request_keys(samples)
    links = _links(samples, keys, len(conversations))
    by_user = _joined(conversations, links.users.values())
    group_of = _joined(conversations, [*links.users.values(), *links.requests.values()])
    kept, notes = tuple(samples), [links.note]
    if len(conversations) >= FEWEST_TO_TELL and _largest(by_user) < _largest(group_of) > len(conversations) / 2:
        group_of, kept = by_user, _without_repeats(samples, keys, links, by_user, order)
        notes.append(
            "repeated requests would chain most conversations into one group, so "
            f"{count(len(samples) - len(kept), 'sample')} that repeat another user's request were left out instead"
        )
    left = tuple(dict.fromkeys(sample.conversation_id for sample in kept))
    if (largest := _largest({name: group_of[name] for name in left})) > len(left) / 2 and len(left) > 1:
        notes.append(f"{largest} of {len(left)} conversations are one group, which counts once")
    every = [*links.users.values(), *links.requests.values(), *links.unused]
    return Grouped(
        kept,
        Grouping(
            conversations=len(left),
            groups=len({group_of[name] for name in left}),
            group_of={name: group_of[name] for name in sorted(left) if group_of[name] != name},
            left_out=len(samples) - len(kept),
            note="; ".join(filter(None, notes)),
            resembling=_resembling(conversations, every) if links.unused else {},
        ),
    )


def _links(samples: Sequence[Sample], keys: Sequence[str], conversations: int) -> _Links:
    users = _conversations_by((_person(sample.user_id) for sample in samples), samples)
    users.pop("", None)
    requests = _conversations_by(keys, samples)
    shared = {
        what: [name for name, held in found.items() if is_shared_by_all(len(held), conversations)]
        for what, found in (("user id", users), ("request", requests))
    }
    notes = [
        f"one {what} has {len(found[name])} of {conversations} conversations, so it does not group them"
        for (what, names), found in zip(shared.items(), (users, requests), strict=True)
        for name in names
    ]
    unused = tuple(
        found.pop(name) for names, found in zip(shared.values(), (users, requests), strict=True) for name in names
    )
    return _Links(users, requests, unused, "; ".join(notes))


def _person(user_id: str) -> str:
    return "" if user_id.casefold() in NOBODY else user_id


def _conversations_by(names: Iterable[str], samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for name, sample in zip(names, samples, strict=True):
        found.setdefault(name, {})[sample.conversation_id] = None
    return {name: tuple(held) for name, held in found.items()}


def _joined(conversations: Sequence[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    """The group of each conversation: the smallest id of those that `links` join to it."""
    parent = {name: name for name in conversations}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, *others in links:
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return {name: root(name) for name in conversations}


def _largest(group_of: Mapping[str, str]) -> int:
    sizes: dict[str, int] = {}
    for group in group_of.values():
        sizes[group] = sizes.get(group, 0) + 1
    return max(sizes.values(), default=0)


def _without_repeats(
    samples: Sequence[Sample], keys: Sequence[str], links: _Links, group_of: Mapping[str, str], order: Order
) -> tuple[Sample, ...]:
    """The samples without those whose request another group asks, in a conversation that comes first by `order`."""
    first = {key: group_of[min(held, key=order)] for key, held in links.requests.items()}
    return tuple(
        sample
        for sample, key in zip(samples, keys, strict=True)
        if first.get(key, group_of[sample.conversation_id]) == group_of[sample.conversation_id]
    )


def _resembling(conversations: Sequence[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    return {name: group for name, group in sorted(_joined(conversations, links).items()) if group != name}
