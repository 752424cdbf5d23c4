"""The held-out samples that a verdict rests on: the window's own, and those of the windows before it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sia_dagster.core.errors import TraceError, TracesUnavailable
from sia_dagster.core.evidence import HeldOut, PooledWindow
from sia_dagster.core.models import Sample, StateActions, TimeWindow
from sia_dagster.core.ports import TraceSource
from sia_dagster.core.results import PolicyVersion
from sia_dagster.wiring.stages import LoopSession
from sia_dagster.wiring.stores import span_query

if TYPE_CHECKING:
    from sia_dagster.adapters.span_table import SampledSpans
    from sia_dagster.adapters.storage import StoragePath
    from sia_dagster.core.earlier_holdout import EarlierHoldout
    from sia_dagster.core.openinference.samples import MappedSpans

Stored = Callable[[str], "SampledSpans | None"]
"""The sampled calls of a window by its key; None where they were not stored.

Raises TraceError for a damaged file, TracesUnavailable where the storage does not answer.
"""

_BLIND = "what the candidate was learned from cannot be read any more, so nobody knows what it has seen of this window"


class Earlier(NamedTuple):
    """The windows before, and where their calls are."""

    windows: Sequence[TimeWindow]
    """The newest first."""
    registry: Sequence[PolicyVersion]
    source: TraceSource | None
    stored: Stored


def held_out(session: LoopSession, state: StateActions, earlier: Earlier, *, learned_in: str | None = None) -> HeldOut:
    """The holdout of `state`, filled from `earlier` windows up to `validation.max_conversations`.

    `learned_in` is the window that found the candidate, where it is carried: windows before that one give nothing that
    is a relative of what was learned from there, and nothing at all where that cannot be read.
    A window's calls are its stored `traces` asset, else what `source` gives to the same question, which is not kept;
    no further window is read than needed. One that cannot be read any more is named in `pooled` with the reason, and is
    no failure. A source that does not answer is one (TracesUnavailable): a holdout is looked at once, so that a minute
    without a network would leave this window with fewer conversations for good. So the samples do not depend on which
    windows were materialised, as long as the source says of a window what it said before: a changed `where` or
    `sample_limit`, or a span that came late, counts for windows that are not stored, and a source that forgets old
    spans has those alone that were.
    """
    return _Reader(session, state, earlier, learned_in).pooled()


def stored_in(folder: "StoragePath") -> Stored:
    """The `traces` assets of a loop, `<folder>/<window key>.parquet`."""

    def stored(key: str) -> "SampledSpans | None":
        from sia_dagster.adapters.span_table import read_sampled

        path = folder / f"{key}.parquet"
        try:
            with path.open("rb") as file:
                return read_sampled(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            # What Parquet finds wrong with a file has no number, the system's own errors have.
            if getattr(error, "errno", None) is not None:
                raise TracesUnavailable(f"{path} cannot be read now ({reason}); check `storage`") from error
            raise TraceError(f"{path} cannot be read ({reason}); materialise its asset again") from error

    return stored


class _Reader:
    """Reads earlier windows one by one, and remembers why some give nothing."""

    def __init__(self, session: LoopSession, state: StateActions, earlier: Earlier, learned_in: str | None) -> None:
        self._session, self._state, self._earlier, self._learned_in = session, state, earlier, learned_in
        self._reasons: dict[str, str] = {}

    def pooled(self) -> HeldOut:
        from sia_dagster.core.pooling import pool

        state, given = self._state, self._session.loop.validation
        own, seen = state.of("holdout"), (*state.of("train"), *state.of("selection"))
        windows = self._earlier.windows[: given.pool_windows]
        found = pool(own, self._holdouts(windows), seen, limit=given.max_conversations)
        told = tuple(self._told(window) for window in found.pooled)
        return found.model_copy(update={"pooled": told})

    def _holdouts(self, windows: Sequence[TimeWindow]) -> Iterator[tuple[str, Sequence[Sample]]]:
        from sia_dagster.core.earlier_holdout import EarlierHoldout
        from sia_dagster.core.pooling import unseen

        shown: tuple[Sample, ...] = ()
        blind = False
        for window in windows:
            holdout = EarlierHoldout((), _BLIND) if blind else self._holdout(window)
            self._reasons[window.key] = holdout.reason
            yield window.key, unseen(holdout.samples, shown) if shown else holdout.samples
            if window.key == self._learned_in:
                shown, blind = holdout.shown, not holdout.shown

    def _holdout(self, window: TimeWindow) -> "EarlierHoldout":
        from sia_dagster.core.earlier_holdout import EarlierHoldout, holdout_of_earlier

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

    def _told(self, window: PooledWindow) -> PooledWindow:
        """With the reason why nothing could be read or replayed, where that is why."""
        reason = self._reasons[window.window] or window.reason
        return window.model_copy(update={"reason": reason})

    def _spans(self, window: TimeWindow) -> "MappedSpans":
        from sia_dagster.core.openinference.samples import samples_from_rows

        kept = self._earlier.stored(window.key)
        # Where windows were cut otherwise once, the file of this key may hold what came later than this window.
        if kept is not None and all(window.start <= row["start_time"] < window.end for row in kept.rows):
            return samples_from_rows(kept.rows)
        if self._earlier.source is None:
            raise TraceError("its traces are not stored, and there is no source to read them from")
        batches = self._earlier.source.spans(span_query(self._session.loop, window))
        sampled = (row for batch in batches for row in batch.filter(batch["sampled"]).to_pylist())
        return samples_from_rows(sampled)
