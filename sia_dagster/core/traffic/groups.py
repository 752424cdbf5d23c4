"""Groups of conversations that resemble each other: those of one user, and those that ask the same.

Two conversations of a group are not two pieces of evidence: what changes for a user, or for a question, changes in all
of them. So a group counts once in every comparison, with the mean of its samples.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sia_dagster.core.records.gate import Grouping
from sia_dagster.core.records.sample import FEWEST_TO_TELL, Sample, in_order, is_shared_by_all, people_of
from sia_dagster.core.text import count
from sia_dagster.core.traffic.near_duplicates import folded_keys, request_keys
from sia_dagster.core.traffic.similar_texts import leaders_of

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
    same words (`leaders_of`). A user's id or a request that nearly all conversations have says nothing of who asks,
    and links none; nor does an id that stands for nobody. Where links through requests would chain most
    conversations into one group, they are not followed: of conversations of different users that repeat a request those
    of the user who has the first by `order` stay, the others are left out. `note` says all this, and where a group
    holds most conversations. Scores play no part. The result does not depend on the order of the samples.
    """
    first = _first_samples(samples)
    links = _links(first, people_of(samples))
    by_user = _joined(first, links.users.values())
    group_of = _joined(first, [*links.users.values(), *links.requests.values()])
    kept, stands_for, notes = tuple(first), dict[str, int](), [links.note]
    if len(first) >= FEWEST_TO_TELL and _is_chain(_largest(group_of), links, len(first)):
        group_of = by_user
        kept, stands_for = _without_repeats(first, links, by_user, order)
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
            stands_for=stands_for,
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
    for sample in in_order(samples):
        first.setdefault(sample.conversation_id, sample)
    return first


def _links(first: Mapping[str, Sample], people: Mapping[str, str]) -> _Links:
    users: dict[str, list[str]] = {}
    for name, who in people.items():
        users.setdefault(who, []).append(name)
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
    request_of = _similar_requests({key: first[name] for name, key in sorted(keys.items(), reverse=True) if key})
    found: dict[str, list[str]] = {}
    for name, key in keys.items():
        if key:
            found.setdefault(request_of[key], []).append(name)
    return found


def _similar_requests(asked: Mapping[str, Sample]) -> dict[str, str]:
    """By key, that of the request it is taken for: one with the same prompt and nearly the same words."""
    by_prompt: dict[str, list[str]] = {}
    for key in sorted(asked):
        by_prompt.setdefault(asked[key].system_prompt, []).append(key)
    taken_for: dict[str, str] = {}
    for keys in by_prompt.values():
        leaders = leaders_of([_text(asked[key]) for key in keys])
        taken_for |= {key: keys[leader] for key, leader in zip(keys, leaders, strict=True)}
    return taken_for


def _text(sample: Sample) -> str:
    """All that is asked, in words; empty where pictures or tool calls are a part of it."""
    parts = [part for message in sample.messages for part in message.parts]
    if any(message.tool_calls for message in sample.messages) or any(part.get("type") != "text" for part in parts):
        return ""
    said = [message.content or "" for message in sample.messages]
    return "\n".join([*said, *(value for _, value in sorted(sample.variables.items()))])


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
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The conversations without those whose request another group asks, in one that comes first by `order`.

    With them, for how many left-out ones each of these stands.
    """
    asked_first = {name: min(held, key=order) for held in links.requests.values() for name in held}
    kept = tuple(name for name in first if group_of[asked_first.get(name, name)] == group_of[name])
    left_out = first.keys() - set(kept)
    return kept, dict(sorted(Counter(asked_first[name] for name in left_out).items()))


def _resembling(conversations: Iterable[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    return {name: group for name, group in sorted(_joined(conversations, links).items()) if group != name}
