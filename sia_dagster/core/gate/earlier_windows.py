"""Held-out samples of earlier windows that can be replayed under the policy in force now."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sia_dagster.core.attribution import attribute
from sia_dagster.core.config.loop import LoopConfig
from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.gate.pooling import pool, unseen
from sia_dagster.core.openinference import MappedSpans, samples_from_rows
from sia_dagster.core.ports.trace_store import ReadStoredWindow, TraceSource, span_query
from sia_dagster.core.records.gate import HeldOut, PooledWindow
from sia_dagster.core.records.registry import PolicyVersion
from sia_dagster.core.records.sample import Sample, TimeWindow
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.traffic import samples_of_the_call


class EarlierHoldout(NamedTuple):
    """The held-out samples of an earlier window that can be replayed, or why there are none."""

    samples: tuple[Sample, ...]
    """Oldest first, without evaluations and annotations: they are answered and judged anew."""
    reason: str = ""
    shown: tuple[Sample, ...] = ()
    """The samples of train and selection, which a candidate of that window was learned from and chosen on."""


def holdout_of_earlier(
    spans: MappedSpans, state: StateActions, registry: Sequence[PolicyVersion] = ()
) -> EarlierHoldout:
    """The held-out samples among an earlier window's `spans` that a replay under `state.actions` is faithful to.

    As for the window itself: samples of other calls, with unknown variables or that cannot be replayed are left out;
    where that leaves too little of the window, none of it is used. Versions of `registry` from after this window's
    end are ignored, so the samples do not depend on when this runs.
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
    """The registry's version of the policy in force, or an entry made for it where it was read from the traces."""
    if state.actions is None:
        return None
    recorded = (version for version in registry if version.version == state.policy_version)
    standing = PolicyVersion(version=0, loop=state.loop, kind="promote", actions=state.actions, at=state.window.start)
    return next(recorded, standing)


_UNKNOWN_TRAINING = (
    "the samples that the candidate was learned from cannot be read any more, so it may have seen this window"
)


class EarlierWindows(NamedTuple):
    """The windows before this one, and the places of their calls."""

    windows: Sequence[TimeWindow]
    """The newest first."""
    registry: Sequence[PolicyVersion]
    source: TraceSource | None
    stored: ReadStoredWindow

    def held_out(self, loop: LoopConfig, state: StateActions, *, learned_in: str | None = None) -> HeldOut:
        """The holdout of `state`, filled from these windows up to `validation.max_conversations`.

        `learned_in` is the window that found a carried candidate: windows before it give no relatives of the samples
        that it was learned from, and nothing at all where those cannot be read. A window's calls are its stored
        `traces` asset, else those of `source` for the same query, which are not stored; no more windows are read than
        needed. A window that cannot be read any more is named in `pooled` with the reason. A source that does not
        answer is a failure (TracesUnavailable): a holdout is evaluated once, so a minute without a network would leave
        this window with fewer conversations for good. The samples do not depend on which windows were materialised as
        long as the source returns the same spans: for windows that are not stored, a changed `where` or `sample_limit`,
        late spans and spans that the source has deleted change them.
        """
        return _HoldoutReader(loop, state, self, learned_in).pooled()


class _HoldoutReader:
    """Reads earlier windows one by one, and records why some give nothing."""

    def __init__(self, loop: LoopConfig, state: StateActions, earlier: EarlierWindows, learned_in: str | None) -> None:
        self._loop, self._state, self._earlier, self._learned_in = loop, state, earlier, learned_in
        self._reasons: dict[str, str] = {}

    def pooled(self) -> HeldOut:
        state, given = self._state, self._loop.validation
        own, seen = state.of("holdout"), (*state.of("train"), *state.of("selection"))
        windows = self._earlier.windows[: given.pool_windows]
        found = pool(own, self._holdouts(windows), seen, limit=given.max_conversations)
        explained = tuple(self._explained(window) for window in found.pooled)
        return found.model_copy(update={"pooled": explained})

    def _holdouts(self, windows: Sequence[TimeWindow]) -> Iterator[tuple[str, Sequence[Sample]]]:
        shown: tuple[Sample, ...] = ()
        unknown = False
        for window in windows:
            holdout = EarlierHoldout((), _UNKNOWN_TRAINING) if unknown else self._holdout(window)
            self._reasons[window.key] = holdout.reason
            yield window.key, unseen(holdout.samples, shown) if shown else holdout.samples
            if window.key == self._learned_in:
                shown, unknown = holdout.shown, not holdout.shown

    def _holdout(self, window: TimeWindow) -> EarlierHoldout:
        try:
            return holdout_of_earlier(self._spans(window), self._state, self._earlier.registry)
        except TracesUnavailable as error:
            raise TracesUnavailable(
                f"{error}. The holdout of window {window.key} was to be pooled, and without it this window would be "
                "decided for good on fewer conversations: run it again, or do without earlier windows "
                "(`validation.pool_windows: 0`)"
            ) from error
        except TraceError as error:
            return EarlierHoldout((), f"it cannot be read any more: {error}")

    def _explained(self, window: PooledWindow) -> PooledWindow:
        """The window with the reason why it could not be read or replayed, if there is one."""
        reason = self._reasons[window.window] or window.reason
        return window.model_copy(update={"reason": reason})

    def _spans(self, window: TimeWindow) -> MappedSpans:
        stored = self._earlier.stored(window.key)
        # If windows once had other bounds, the file of this key may hold later calls than this window's.
        if stored is not None and all(window.start <= row["start_time"] < window.end for row in stored):
            return samples_from_rows(stored)
        if self._earlier.source is None:
            raise TraceError("its traces are not stored, and there is no source to read them from")
        batches = self._earlier.source.spans(span_query(self._loop, window))
        sampled = (row for batch in batches for row in batch.filter(batch["sampled"]).to_pylist())
        return samples_from_rows(sampled)
