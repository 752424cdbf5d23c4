"""No search where scores of one and the same policy vary more than anything that could be gained.

A search and its validation are paid for even where chance alone decides. So the A/A arm of earlier windows, which
measured how two draws of one policy differ, says beforehand whether this window could show any gain at all.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

from sia_dagster.core.config.validation import ValidationConfig
from sia_dagster.core.records.evaluation import EvalConstant
from sia_dagster.core.records.gate import NoiseEstimate
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate
from sia_dagster.core.records.state import StateActions
from sia_dagster.core.search.search_policy import STAYS, concluded, nothing_to_learn
from sia_dagster.core.statistics import MIN_CONVERSATIONS, POWER, conversations_needed, detectable_effect
from sia_dagster.core.text import conversations_in_groups, count
from sia_dagster.core.traffic import group_conversations

NOISE_WINDOWS: Final = 4
"""Only so many of the newest windows count. A window that is not searched measures no noise, so a loop whose policy
stays for noise measures it anew after at most as many windows, and is never stopped for good."""
FEWEST_GROUPS: Final = 20
"""Of conversations, in all windows together: below it the spread is too uncertain to stop a search."""


class PlannedValidation(NamedTuple):
    """How a candidate of this window would be validated."""

    config: ValidationConfig
    alpha: float
    """The one-sided level of the window's verdict."""
    most_repeats: Callable[[int], int]
    """The replays of each sample where no look decides early, by the number of held-out conversations."""


class _Noise(NamedTuple):
    """The pooled noise of earlier windows."""

    kind: Literal["generation", "judge"]
    spread: float
    """Standard deviation of the difference of two draws of one group, in the evaluator's own units."""
    conversations: int
    groups: int
    windows: tuple[str, ...]
    """The newest first."""


class _Showable(NamedTuple):
    """The smallest gain that this window could show at best."""

    effect: float
    """As a share of the evaluator's range."""
    without_noise: float
    """The same if scores did not vary: what so few conversations leave open."""
    by_noise: float
    """The same if that were left open, and only the noise counted."""
    conversations: int
    """That it takes."""
    own: int
    """The window's own of them."""
    needed: int | None
    """The conversations that could show the largest possible gain; None beyond a million groups."""


def too_noisy_to_search(
    state: StateActions, earlier: Iterable[ValidationReport], planned: PlannedValidation
) -> PolicyUpdate | None:
    """The policy in force with the reason why nothing is searched for; None where a search may start. No call is made.

    Of `earlier` reports count, in any order, the NOISE_WINDOWS newest that ended before this window began: their noise
    under the primary evaluator of the same fingerprint and the policy in force. Fewer than FEWEST_GROUPS are no reason.
    The policy stays only if noise hides even the largest possible gain, that from the mean of the logged scores to the
    upper end of the range, in the best case: pooling fills the holdout as far as it may, and the candidate's own scores
    never vary, so that half of the variance of two draws is left, over the repeats. A window that is merely too small
    is searched as ever.
    """
    primary = state.primary
    if primary is None or primary.high <= primary.low or nothing_to_learn(state):
        return None
    noise = _pooled_noise(_reports_that_count(state, primary, earlier), primary.name)
    if noise is None:
        return None
    most = primary.high - _mean_score(state, primary.name)
    showable = _best_case(state, noise.spread / primary.scale, most / primary.scale, planned)
    if showable is None or not _is_hidden_by_noise(most / primary.scale, showable):
        return None
    return concluded(state, f"{STAYS}{_reason(primary, noise, showable, most)}", ())


def _is_hidden_by_noise(most: float, showable: _Showable) -> bool:
    """Whether the window cannot show the largest gain, and either could without the noise, or not for noise alone."""
    return showable.effect > most and (showable.without_noise <= most or showable.by_noise > most)


def _reports_that_count(
    state: StateActions, primary: EvalConstant, earlier: Iterable[ValidationReport]
) -> list[ValidationReport]:
    """The newest first; another policy's noise, or another evaluator's, says nothing about this window."""
    past = (report for report in earlier if report.window.end <= state.window.start)
    newest = sorted(past, key=attrgetter("window.end"), reverse=True)[:NOISE_WINDOWS]
    return [report for report in newest if report.baseline == state.actions and _scored_by(report, primary)]


def _scored_by(report: ValidationReport, primary: EvalConstant) -> bool:
    """Whether no row of the report was scored by another evaluator of the same name."""
    evals = (metrics for row in report.rows for metrics in row.baseline.evals if metrics.name == primary.name)
    return {metrics.fingerprint for metrics in evals if metrics.fingerprint} <= {primary.fingerprint}


def _pooled_noise(reports: Sequence[ValidationReport], evaluator: str) -> _Noise | None:
    """The root mean square of the windows' spreads, weighted by groups; None where too few were measured.

    Answers generated twice where there are any, which includes the judge's noise; else answers judged twice.
    """
    for kind in ("generation", "judge"):
        found = [
            (report.window.key, estimate.spread, estimate)
            for report in reports
            for estimate in report.noise
            if (estimate.kind, estimate.evaluator) == (kind, evaluator) and estimate.spread is not None
        ]
        groups = sum(_groups(estimate) for _, _, estimate in found)
        if groups >= FEWEST_GROUPS:
            square = math.fsum(spread**2 * _groups(estimate) for _, spread, estimate in found) / groups
            conversations = sum(estimate.conversations for _, _, estimate in found)
            return _Noise(kind, math.sqrt(square), conversations, groups, tuple(key for key, _, _ in found))
    return None


def _groups(estimate: NoiseEstimate) -> int:
    return estimate.counted[1]


def _mean_score(state: StateActions, evaluator: str) -> float:
    """Of the logged answers; `nothing_to_learn` has made sure that some are scored."""
    scores = [score for sample in state.samples if (score := sample.score(evaluator)) is not None]
    return math.fsum(scores) / len(scores)


def _best_case(state: StateActions, spread: float, most: float, planned: PlannedValidation) -> _Showable | None:
    """Over all holdouts that pooling may lead to; None where even the largest is too small to decide anything.

    Not only over the largest, since fewer conversations may be replayed more often: for each number of repeats the
    largest holdout that has it counts. `spread` and `most` are shares of the range.
    """
    grouping, given = group_conversations(state.of("holdout")).grouping, planned.config
    own = grouping.conversations
    largest = max(own, min(given.max_conversations, own * (1 + given.pool_windows)))
    groups_of = {size: math.ceil(size * grouping.groups / own) for size in range(max(own, 1), largest + 1)}
    sizes = {planned.most_repeats(size): size for size, groups in groups_of.items() if groups >= MIN_CONVERSATIONS}
    if not sizes:
        return None
    cases = [
        (_detectable(groups_of[size], _least_spread(spread, repeats), planned.alpha), size, repeats)
        for repeats, size in sizes.items()
    ]
    effect, best, repeats = min(cases)
    # The default repeats few conversations alone, so a larger window is planned without.
    planning = _least_spread(spread, planned.most_repeats(max(largest, given.max_conversations)))
    needed = conversations_needed(most, planned.alpha, planning)
    in_conversations = None if needed is None else math.ceil(needed * own / grouping.groups)
    return _Showable(
        effect=effect,
        without_noise=_detectable(groups_of[best], 0.0, planned.alpha),
        by_noise=_detectable_in_large_samples(groups_of[best], _least_spread(spread, repeats), planned.alpha),
        conversations=best,
        own=own,
        needed=in_conversations,
    )


def _detectable(groups: int, spread: float, alpha: float) -> float:
    return float(detectable_effect(groups, spread, alpha))


def _detectable_in_large_samples(groups: int, spread: float, alpha: float) -> float:
    """By the normal approximation, with the same power: (z(1 - alpha) + z(power)) spread / sqrt(n)."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)) * spread / math.sqrt(groups)


def _least_spread(spread: float, repeats: int) -> float:
    return spread / math.sqrt(2 * repeats)


def _reason(primary: EvalConstant, noise: _Noise, showable: _Showable, most: float) -> str:
    effect = showable.effect * primary.scale
    digits = 2 if f"{effect:.2f}" != f"{most:.2f}" else 4
    pooled = ", those of earlier windows included," if showable.conversations > showable.own else ""
    gain = f"show a gain of {effect:.{digits}f} or more" if showable.effect <= 1 else "show no gain at all"
    drawn = "draws" if noise.kind == "generation" else "judgements"
    return (
        f"scores of one and the same policy vary so much that no gain could be shown in this window: under "
        f"{primary.name} two {drawn} of its answers differ by {noise.spread:.2f} (standard deviation "
        f"of a conversation, over {conversations_in_groups(noise.conversations, noise.groups)} of "
        f"{_windows(noise.windows)}), so "
        f"{count(showable.conversations, 'held-out conversation')}{pooled} can at best {gain}, and at most "
        f"{most:.{digits}f} can be gained; {_what_helps(primary, showable.needed)} would help"
    )


def _windows(newest_first: Sequence[str]) -> str:
    *others, last = reversed(newest_first)
    return f"windows {', '.join(others)} and {last}" if others else f"window {last}"


def _what_helps(primary: EvalConstant, needed: int | None) -> str:
    steadier = "a judge that repeats its scores (clearer labels, another model), "
    size = f" (about {count(needed, 'held-out conversation')})" if needed else ""
    return (
        f"{steadier if primary.kind == 'llm_classify' else ''}more replays of each sample (`validation.repeats`), "
        f"longer windows, or more calls a window{size}"
    )
