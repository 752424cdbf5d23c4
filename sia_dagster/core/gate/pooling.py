"""The holdout filled from earlier windows: more conversations, of nearly the same traffic, weighted as this window's.

Why post-stratified: pooling K windows with equal weights biases the gain by about (gap between strata of the traffic) x
(shift of their mix) x (K - 1) / K, which would have to stay under a tenth of the standard error, and the gap is not
known beforehand. So the pooled conversations are weighted to this window's mix of strata (Holt and Smith, Post
stratification, Journal of the Royal Statistical Society A 142, 1979), which removes that bias as far as the strata
distinguish the traffic, and a window whose mix is too different is left out.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import fsum, pi, sqrt
from typing import Final, NamedTuple

from sia_dagster.core.records.gate import HeldOut, PooledWindow
from sia_dagster.core.records.sample import Sample
from sia_dagster.core.traffic import Grouped, dimensions_of, group_conversations, relatives_of

DRIFT_LIMIT: Final = 0.25
"""A window whose mix of traffic is farther from this window's (total variation distance) is not pooled."""

RARE: Final = 0.05

FEW: Final = 5
"""Strata below the share RARE or with fewer than FEW conversations are merged: weights of a handful are noise."""

HEAVIEST: Final = 3.0
"""Post-stratification multiplies no weight by more, nor by less than its inverse, so that a few conversations do not
decide alone."""

OTHER: Final = "other"

Mix = Mapping[str, float]


class _Conversation(NamedTuple):
    id: str
    stratum: str
    samples: tuple[Sample, ...]


def pool(
    own: Sequence[Sample], earlier: Iterable[tuple[str, Sequence[Sample]]], seen: Sequence[Sample], *, limit: int
) -> HeldOut:
    """The window's `own` holdout, all of it, then conversations of `earlier` windows until there are `limit`.

    `earlier` are keys with held-out samples that can be replayed under the policy in force, the newest first; it is
    read no further than needed. Of a window come the conversations that no later window has and that are not relatives
    of a `seen` sample of train or selection (`relatives_of`): chosen and ordered by a hash, never by time, so that half
    of them is not half a week. A window is left out where its mix is farther from the mix of `own` and `seen` than
    `DRIFT_LIMIT` and what chance explains. `weights_of` gives them the mix of `own` and `seen`. No score
    is used. The same arguments give the same value.
    """
    stratum_of = _strata([*own, *seen])
    target = _conversations([*own, *seen], stratum_of)
    chosen, known = _conversations(own, stratum_of), _names(own)
    windows: dict[str, str] = {}
    pooled: list[PooledWindow] = []
    remaining = iter(earlier)
    while len(chosen) < limit and (window := next(remaining, None)):
        key, samples = window
        fresh = [sample for sample in samples if not _names([sample]) & known]
        known |= _names(samples)
        found = _conversations(unseen(fresh, seen), stratum_of)
        considered, used = _considered(key, found, target, limit - len(chosen))
        pooled.append(considered)
        chosen += used
        windows |= {sample.span_id: key for conversation in used for sample in conversation.samples}
    grouped = _in_groups(chosen, windows)
    return HeldOut(
        samples=grouped.samples,
        grouping=grouped.grouping,
        windows={sample.span_id: windows[sample.span_id] for sample in grouped.samples if sample.span_id in windows},
        strata={conversation.id: conversation.stratum for conversation in chosen} if windows else {},
        target=dict(sorted(Counter(c.stratum for c in target).items())) if windows else {},
        pooled=tuple(pooled),
    )


def own_holdout(samples: Sequence[Sample]) -> HeldOut:
    """A window's own held-out samples, in groups, in the order in which looks take them."""
    return pool(samples, (), (), limit=0)


def _in_groups(chosen: Sequence[_Conversation], windows: Mapping[str, str]) -> Grouped:
    """The chosen samples in groups: those of the newest window first, then by hash."""
    every = [sample for conversation in chosen for sample in conversation.samples]
    found = group_conversations(every, look_order)
    places = {key: place for place, key in enumerate(dict.fromkeys(windows.get(s.span_id, "") for s in every))}
    newest: dict[str, tuple[int, str]] = {}
    for sample in every:
        group = found.grouping.unit(sample.conversation_id)
        newest.setdefault(group, (places[windows.get(sample.span_id, "")], look_order(group)))
    ordered = sorted(found.samples, key=lambda sample: newest[found.grouping.unit(sample.conversation_id)])
    return found._replace(samples=tuple(ordered))


def weights_of(held_out: HeldOut, groups: Collection[str]) -> dict[str, float]:
    """By conversation id, what post-stratification multiplies the weights of `groups` by; missing is 1.

    A look at a part of the groups has another mix of traffic than all of them. It is each stratum's share of the target
    over its share of these conversations, capped, then with mean 1. No weights where the window's own conversations are
    alone.
    """
    own = [sample for sample in held_out.samples if held_out.unit(sample) in groups]
    if not held_out.strata or not any(sample.span_id in held_out.windows for sample in own):
        return {}
    names = dict.fromkeys(sample.conversation_id for sample in own)
    ours, pooled = _mixes(held_out.target, Counter(held_out.strata[name] for name in names))
    capped = {k: min(max(ours.get(k, 0.0) / share, 1 / HEAVIEST), HEAVIEST) for k, share in pooled.items()}
    mean = fsum(capped[k] * share for k, share in pooled.items())
    factors = {name: capped.get(held_out.strata[name], capped.get(OTHER, mean)) / mean for name in names}
    return {name: factor for name, factor in factors.items() if factor != 1.0}


def unseen(samples: Sequence[Sample], seen: Sequence[Sample]) -> list[Sample]:
    """The samples without the conversations that hold a relative of a `seen` sample."""
    gone = {samples[place].conversation_id for place in relatives_of(seen, samples)}
    return [sample for sample in samples if sample.conversation_id not in gone]


def drift(one: Mix, other: Mix) -> float:
    """Total variation distance between two mixes: the share of the traffic that would have to change stratum."""
    return fsum(abs(one.get(each, 0.0) - other.get(each, 0.0)) for each in {**one, **other}) / 2


def drift_by_chance(mix: Mix, n: int, m: int) -> float:
    """The expected distance of two samples of `n` and `m` conversations of the same mix.

    Half the sum over strata of sqrt(2 p (1 - p) (1/n + 1/m) / pi): a share differs by a normal variable of variance
    p (1 - p) (1/n + 1/m), whose mean absolute value is sqrt(2 / pi) standard deviations.
    """
    return fsum(sqrt(2 * share * (1 - share) * (1 / n + 1 / m) / pi) for share in mix.values()) / 2


def _considered(
    key: str, found: Sequence[_Conversation], target: Sequence[_Conversation], room: int
) -> tuple[PooledWindow, list[_Conversation]]:
    """A window's record, and its conversations that are used."""
    if not found or not target:
        reason = "none of its held-out conversations can be used" if target else "this window has no traffic of its own"
        return PooledWindow(window=key, conversations=len(found), used=0, reason=reason), []
    own, other = (Counter(conversation.stratum for conversation in group) for group in (target, found))
    ours, theirs = _mixes(own, other)
    far = drift(ours, theirs)
    both = _mix(own + other, frozenset(ours) | frozenset(theirs))
    allowed = DRIFT_LIMIT + drift_by_chance(both, len(target), len(found))
    reason, used = "", list(found[:room])
    if far > allowed:
        reason, used = f"its mix of traffic differs too much ({far:.2f} away; up to {allowed:.2f} is pooled)", []
    elif len(found) > room:
        reason = "the limit of conversations is reached"
    return PooledWindow(window=key, conversations=len(found), used=len(used), drift=far, reason=reason), used


def _strata(samples: Sequence[Sample]) -> Callable[[Sample], str]:
    """The stratum of a sample: its tags where most samples have tags, else language, tools and long or not."""
    if 2 * sum(bool(sample.tags) for sample in samples) > len(samples):
        return lambda sample: ", ".join(dimensions_of(sample)["tag"])
    return _plain_stratum


def _plain_stratum(sample: Sample) -> str:
    found = dimensions_of(sample)
    (language,), (tools,), (length,) = found["language"], found["tools"], found["length"]
    return f"{language}, tools {tools}, {'long' if length == 'long' else 'not long'}"


def _conversations(samples: Sequence[Sample], stratum_of: Callable[[Sample], str]) -> list[_Conversation]:
    """The conversations in the order of looks, each in the stratum of most of its samples, ties by name."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.conversation_id, []).append(sample)
    found = []
    for name in sorted(groups, key=look_order):
        counts = Counter(stratum_of(sample) for sample in groups[name])
        commonest = sorted(counts, key=lambda stratum: (-counts[stratum], stratum))[0]
        found.append(_Conversation(name, commonest, tuple(groups[name])))
    return found


def _names(samples: Sequence[Sample]) -> set[tuple[str, str]]:
    """The ids of conversations and spans: an earlier window gives nothing that a later one has under either id."""
    return {name for s in samples for name in (("conversation", s.conversation_id), ("span", s.span_id))}


def look_order(conversation_id: str) -> str:
    """The sort key of held-out conversations: a hash of the id, so that a first look is a random half."""
    return hashlib.sha256(f"look/{conversation_id}".encode("utf-8", "surrogatepass")).hexdigest()


def _mixes(one: Mapping[str, int], other: Mapping[str, int]) -> tuple[Mix, Mix]:
    """The shares of the strata in both counts; those that are rare in both are merged."""
    common = {
        stratum
        for counts in (one, other)
        for stratum, count in counts.items()
        if count >= max(FEW, RARE * sum(counts.values()))
    }
    return _mix(one, common), _mix(other, common)


def _mix(counts: Mapping[str, int], common: Iterable[str]) -> Mix:
    names, merged = frozenset(common), Counter[str]()
    for stratum, count in counts.items():
        merged[stratum if stratum in names else OTHER] += count
    return {stratum: count / merged.total() for stratum, count in sorted(merged.items())}
