"""Held-out samples under both policies, ordered by the change of their score."""

from collections.abc import Sequence
from typing import Literal

from sia_dagster.core.records.report import ValidationReport, ValidationRow
from sia_dagster.core.records.value import Value

Which = Literal["worst", "most_improved", "unchanged", "unscored"]


class SamplePair(Value):
    """One sample with its score under the old and the new policy, by the evaluator that decides."""

    row: ValidationRow
    old: float | None
    new: float | None

    @property
    def change(self) -> float | None:
        """New minus old; None where one of them has no score."""
        return None if self.old is None or self.new is None else self.new - self.old


def paired(rows: Sequence[ValidationRow], primary: str) -> tuple[SamplePair, ...]:
    """Each row with its two scores by `primary`, in the order given; rows to which it does not apply are left out."""
    return tuple(
        SamplePair(row=r, old=r.baseline.score(primary), new=r.candidate.score(primary))
        for r in rows
        if not (r.baseline.does_not_apply(primary) or r.candidate.does_not_apply(primary))
    )


def pick(pairs: Sequence[SamplePair], which: Which, limit: int) -> tuple[SamplePair, ...]:
    """At most `limit` pairs.

    `worst`: those that lost most, then those that stayed below the best score seen, lowest first. `most_improved`:
    those that gained most. `unchanged`: equal scores, lowest first. `unscored`: one output has no score. Ties by span
    and repeat.
    """
    return tuple(sorted(_kind(pairs, which), key=lambda pair: _rank(pair, which))[:limit])


def lost(pairs: Sequence[SamplePair], limit: int) -> tuple[SamplePair, ...]:
    """Only pairs that scored lower under the new policy, those that lost most first."""
    return tuple(pair for pair in pick(pairs, "worst", len(pairs)) if (pair.change or 0.0) < 0)[:limit]


def primary_name(report: ValidationReport) -> str:
    """The evaluator that decides, else the first one that scored anything; empty where nothing was scored."""
    if report.primary is not None:
        return report.primary.evaluator
    evals = [e.name for row in report.rows for arm in (row.baseline, row.candidate) for e in arm.evals]
    return evals[0] if evals else ""


def _kind(pairs: Sequence[SamplePair], which: Which) -> list[SamplePair]:
    if which == "unscored":
        return [pair for pair in pairs if pair.change is None]
    scored = [(pair, pair.change, pair.new) for pair in pairs if pair.change is not None and pair.new is not None]
    if which == "most_improved":
        return [pair for pair, change, _ in scored if change > 0]
    if which == "unchanged":
        return [pair for pair, change, _ in scored if change == 0]
    best = max((max(new, new - change) for _, change, new in scored), default=0.0)
    return [pair for pair, change, new in scored if change < 0 or (change == 0 and new < best)]


def _rank(pair: SamplePair, which: Which) -> tuple[float, float, str, int]:
    change, new = pair.change or 0.0, pair.new or 0.0
    return (-change if which == "most_improved" else change, new, pair.row.span_id, pair.row.repeat)
