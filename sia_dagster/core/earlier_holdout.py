"""What an earlier window's calls are for this window's verdict: held-out samples under the policy in force now."""

from collections.abc import Sequence
from typing import NamedTuple

from sia_dagster.core.attribution import attribute
from sia_dagster.core.baseline import samples_of_the_call
from sia_dagster.core.models import Sample, StateActions
from sia_dagster.core.openinference.samples import MappedSpans
from sia_dagster.core.results import PolicyVersion


class EarlierHoldout(NamedTuple):
    """The held-out samples of an earlier window that can be replayed, or why there are none."""

    samples: tuple[Sample, ...]
    """Oldest first, without what anybody said of them: they are answered and judged anew."""
    reason: str = ""
    shown: tuple[Sample, ...] = ()
    """Those of train and selection: what a candidate of that window was learned from and chosen on."""


def holdout_of_earlier(
    spans: MappedSpans, state: StateActions, registry: Sequence[PolicyVersion] = ()
) -> EarlierHoldout:
    """The held-out samples among an earlier window's `spans` that a replay under `state.actions` is faithful to.

    As for the window itself: another call's are left out, and those whose variables are not known or that cannot be
    replayed; where that leaves too little of the window, nothing of it is used. Versions of `registry` from after
    this window's end are not looked at, so the samples do not depend on when this is asked.
    """
    in_force = _in_force(state, registry)
    if in_force is None:
        return EarlierHoldout((), "no policy is in force")
    known = [version for version in registry if version.at < state.window.end]
    ordered = sorted(spans.samples, key=lambda s: (s.start_time, s.span_id))
    usable = samples_of_the_call(attribute(ordered, known or [in_force], in_force), in_force.actions)
    if usable.refusal:
        return EarlierHoldout((), usable.refusal)
    held_out = (sample for sample in usable.samples if sample.split == "holdout")
    shown = tuple(sample for sample in usable.samples if sample.split != "holdout")
    return EarlierHoldout(tuple(s.model_copy(update={"evals": (), "annotations": ()}) for s in held_out), shown=shown)


def _in_force(state: StateActions, registry: Sequence[PolicyVersion]) -> PolicyVersion | None:
    """The registry's version of the policy in force; where it was read from the traces, an entry that stands for it."""
    if state.actions is None:
        return None
    recorded = (version for version in registry if version.version == state.policy_version)
    standing = PolicyVersion(version=0, loop=state.loop, kind="promote", actions=state.actions, at=state.window.start)
    return next(recorded, standing)
