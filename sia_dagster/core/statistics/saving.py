"""What a candidate saves: the costs of the replayed calls under both policies, paired by group of conversations."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sia_dagster.core.records.comparison import Saving
from sia_dagster.core.records.report import ArmOutcome, ValidationRow
from sia_dagster.core.statistics.intervals import MIN_CONVERSATIONS, skew_corrected_interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def compare_costs(
    rows: Sequence[ValidationRow], alpha: float, weights: Mapping[str, float] | None = None
) -> Saving | None:
    """The share of the baseline's cost that the candidate saves, with its interval at one-sided `alpha` for each end.

    Rows that both policies answered count, so that neither seems cheaper for having failed; in USD where the price of
    each of their calls is known, else in tokens. None without such a row. The share is that of the bill: of all calls
    together, not of the mean group. With O and N the costs of a group's calls, times its `weights` (by conversation id,
    missing is 1), it is 1 - r with r = sum(N) / sum(O). The upper end of r is the least for which the interval of the
    mean of r O - N lies above 0 (Fieller, Journal of the Royal Statistical Society B 16, 1954), by the interval that
    scores have, in units of the dearest group: one that no window showed may cost as much, and nothing before. The
    lower end is that of O over N. No ends below five groups, or where so few exclude nothing.
    """
    pairs = [row for row in rows if _is_counted(row.baseline) and _is_counted(row.candidate)]
    if not pairs:
        return None
    priced = all(arm.cost_usd is not None for row in pairs for arm in (row.baseline, row.candidate))
    old, new = _by_group(pairs, priced=priced, weights=weights or {})
    calls = math.fsum((weights or {}).get(row.conversation_id, 1.0) for row in pairs)
    spent, spends = math.fsum(old), math.fsum(new)
    found = Saving(
        unit="usd" if priced else "tokens",
        n=len(old),
        conversations=len({row.conversation_id for row in pairs}),
        baseline=spent / calls,
        candidate=spends / calls,
        share=1 - spends / spent if spent else None,
        alpha=alpha,
    )
    return found.model_copy(update=_ends(old, new, alpha)) if len(old) >= MIN_CONVERSATIONS and spent else found


def _ends(old: Sequence[float], new: Sequence[float], alpha: float) -> dict[str, float]:
    """Both ends of the share; none where one cannot be told."""
    import numpy as np

    before, after = np.array(old), np.array(new)
    if not after.any():
        return {"low": 1.0, "high": 1.0}
    most, least = _highest_ratio(before, after, alpha), _highest_ratio(after, before, alpha)
    return {} if most is None or least is None else {"low": 1 - most, "high": 1 - 1 / least}


def _highest_ratio(old: "Array", new: "Array", alpha: float) -> float | None:
    """The upper end of new over old; None beyond `_FARTHEST` times the observed one."""
    import numpy as np

    ones, low = np.ones(len(old)), float(new.sum() / old.sum())
    high = low * _FARTHEST

    def is_excluded(ratio: float) -> bool:
        dearest = max(ratio * float(old.max()), float(new.max()))
        return bool(skew_corrected_interval((ratio * old - new) / dearest, ones, alpha).low > 0)

    if not is_excluded(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_excluded(middle) else (middle, high)
    return high


_FARTHEST = 100.0
_HALVINGS = 25


def _is_counted(arm: ArmOutcome) -> bool:
    return arm.error is None and arm.prompt_tokens > 0


def _by_group(
    rows: Sequence[ValidationRow], *, priced: bool, weights: Mapping[str, float]
) -> tuple[list[float], list[float]]:
    """The weighted costs of each group's calls under the baseline, and under the candidate."""
    old: dict[str, float] = {}
    new: dict[str, float] = {}
    for row in rows:
        weight = weights.get(row.conversation_id, 1.0)
        for sums, arm in ((old, row.baseline), (new, row.candidate)):
            cost = (arm.cost_usd or 0.0) if priced else float(arm.prompt_tokens + arm.completion_tokens)
            sums[row.unit] = sums.get(row.unit, 0.0) + weight * cost
    return list(old.values()), list(new.values())
