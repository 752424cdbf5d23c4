"""Groups of conversations that resemble each other: those of one user, and those that ask the same.

Two conversations of a group are not two pieces of evidence: what changes for a user, or for a question, changes in all
of them. So a group counts once in every comparison, with the mean of its samples.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.records.gate import Grouping
from sia_dagster.core.records.sample import FEWEST_TO_TELL, Sample, is_shared_by_all, person
from sia_dagster.core.text import count
from sia_dagster.core.traffic.near_duplicates import folded_keys, request_keys
from sia_dagster.core.traffic.similar_texts import similar_pairs

Order = Callable[[str], str]


class Grouped(NamedTuple):
    """Samples whose conversations are in groups, and how the groups were formed."""

    samples: tuple[Sample, ...]
    """In the order given, without those of conversations that are left out."""
    grouping: Grouping


class _Links(NamedTuple):
    """The conversations by what links them, each in order."""

    users: Mapping[str, Sequence[str]]
    requests: Mapping[str, Sequence[str]]
    """By the first request's key, or that of one with nearly the same words."""
    unused: tuple[tuple[str, ...], ...]
    """The conversations of a user's id or a request that nearly all have."""
    note: str


def group_conversations(samples: Sequence[Sample], order: Order = str) -> Grouped:
    """Group the conversations of `samples` by user and by near-duplicate first requests, transitively (union-find).

    A group's id is its smallest conversation id. Requests are near-duplicates with equal `folded_keys` or nearly the
    same words (`similar_pairs`). A user's id or a request that nearly all conversations have says nothing of who asks,
    and links none; nor does an id that stands for nobody (`person`). Where links through requests would chain most
    conversations into one group, they are not followed: of conversations of different users that repeat a request those
    of the user who has the first by `order` stay, the others are left out. `note` says all this, and where a group
    holds most conversations. Scores play no part. The result does not depend on the order of the samples.
    """
    first = _first_samples(samples)
    links = _links(first)
    by_user = _joined(first, links.users.values())
    group_of = _joined(first, [*links.users.values(), *links.requests.values()])
    kept, notes = tuple(first), [links.note]
    if len(first) >= FEWEST_TO_TELL and _is_chain(_largest(group_of), links, len(first)):
        group_of, kept = by_user, _without_repeats(first, links, by_user, order)
        left_out = count(len(first) - len(kept), "conversation")
        notes.append(
            "repeated requests would chain most conversations into one group, so "
            f"{left_out} that repeat another user's request were left out instead"
        )
    if (largest := _largest({name: group_of[name] for name in kept})) > len(kept) / 2 and len(kept) > 1:
        notes.append(f"{largest} of {len(kept)} conversations are one group, which counts once")
    every = [*links.users.values(), *links.requests.values(), *links.unused]
    stays = set(kept)
    return Grouped(
        tuple(sample for sample in samples if sample.conversation_id in stays),
        Grouping(
            conversations=len(kept),
            groups=len({group_of[name] for name in kept}),
            group_of={name: group_of[name] for name in sorted(kept) if group_of[name] != name},
            left_out=len(first) - len(kept),
            note="; ".join(filter(None, notes)),
            resembling=_resembling(first, every) if links.unused else {},
        ),
    )


def _is_chain(largest: int, links: _Links, conversations: int) -> bool:
    """Whether most conversations are in one group of which no single user or request has half."""
    longest = max(map(len, (*links.users.values(), *links.requests.values())), default=0)
    return largest > conversations / 2 and largest > 2 * longest


def _first_samples(samples: Sequence[Sample]) -> dict[str, Sample]:
    """The oldest sample of each conversation: what brought the user there. Later turns depend on the answers."""
    first: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda s: (s.start_time.timestamp(), s.span_id)):
        first.setdefault(sample.conversation_id, sample)
    return first


def _links(first: Mapping[str, Sample]) -> _Links:
    users: dict[str, list[str]] = {}
    for name, sample in first.items():
        users.setdefault(person(sample.user_id), []).append(name)
    users.pop("", None)
    requests = _by_request(first)
    found = {"user id": users, "request": requests}
    shared = [
        (what, name)
        for what, held in found.items()
        for name, conversations in held.items()
        if is_shared_by_all(len(conversations), len(first))
    ]
    notes = [
        f"one {what} has {len(found[what][name])} of {len(first)} conversations, so it does not group them"
        for what, name in shared
    ]
    unused = tuple(tuple(found[what].pop(name)) for what, name in shared)
    return _Links(users, requests, unused, "; ".join(notes))


def _by_request(first: Mapping[str, Sample]) -> dict[str, list[str]]:
    """The conversations by their first request: equal keys, and keys of nearly the same words, are one request."""
    # In a handful of conversations numbers may well be all that differs.
    keys_of = folded_keys if len(first) >= FEWEST_TO_TELL else request_keys
    keys = dict(zip(first, keys_of(tuple(first.values())), strict=True))
    texts = {key: _text(first[name]) for name, key in sorted(keys.items(), reverse=True) if key}
    names = sorted(texts)
    pairs = ((names[one], names[other]) for one, other in similar_pairs([texts[name] for name in names]))
    request_of = _joined(names, pairs)
    found: dict[str, list[str]] = {}
    for name, key in keys.items():
        if key:
            found.setdefault(request_of[key], []).append(name)
    return found


def _text(sample: Sample) -> str:
    return sample.request or "\n".join(value for _, value in sorted(sample.variables.items()))


def _joined(names: Iterable[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    """The group of each name: the smallest of those that `links` join to it."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, *others in links:
        for other in others:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return {name: root(name) for name in parent}


def _largest(group_of: Mapping[str, str]) -> int:
    return max(Counter(group_of.values()).values(), default=0)


def _without_repeats(
    first: Mapping[str, Sample], links: _Links, group_of: Mapping[str, str], order: Order
) -> tuple[str, ...]:
    """The conversations without those whose request another group asks, in one that comes first by `order`."""
    asked_by = {name: group_of[min(held, key=order)] for held in links.requests.values() for name in held}
    return tuple(name for name in first if asked_by.get(name, group_of[name]) == group_of[name])


def _resembling(conversations: Iterable[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    return {name: group for name, group in sorted(_joined(conversations, links).items()) if group != name}
