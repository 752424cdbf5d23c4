"""Sentences that state a comparison and how many conversations it would need."""

from sia_dagster.core.records.comparison import EvaluatorComparison
from sia_dagster.core.text import conversations_in_groups


def counted_in(c: EvaluatorComparison) -> str:
    """`160 conversations of 61 groups`, that were scored under both policies."""
    return conversations_in_groups(*c.counted)


def comparison_sentence(c: EvaluatorComparison) -> str:
    """The comparison in a sentence with its numbers; for one that has an interval."""
    difference = c.difference or 0.0
    verb = "rose" if difference > 0 else "fell"
    moved = (
        f"{verb} from {c.baseline_mean:.2f} to {c.candidate_mean:.2f}"
        if difference
        else f"stayed at {c.candidate_mean:.2f}"
    )
    return (
        f"{c.evaluator} {moved} ({difference:+.2f}, interval {c.ci_low:+.2f} to {c.ci_high:+.2f}, "
        f"p = {c.p_value:.2g}, {counted_in(c)})"
    )


def needed_sentence(c: EvaluatorComparison, least: float = 0.0) -> str:
    """The smallest gain this window could have shown and the conversations it would take, as far as they are known.

    `least` is the required gain in the evaluator's units; more than the possible gain is never shown.
    """
    needed, most = more_than_seen(c), c.most_gain
    limit = ""
    if most is not None and least > most:
        limit = f"; no more than {most:.2f} can be gained, and {least:.2f} is required (`validation.min_effect`)"
    return (
        limit
        + _detectable(c)
        + (f"; it would take about {needed:,} held-out conversations to decide" if needed else "")
    )


def _detectable(c: EvaluatorComparison) -> str:
    smallest, most = c.minimum_detectable_effect, c.most_gain
    if c.is_too_small:
        room = f", and no more than {most:.2f} can be gained" if most is not None else ""
        power = (
            "even a gain of the evaluator's full range would be detected with less than 80 % power"
            if smallest is None
            else f"only a gain of {smallest:.2f} would be detected with 80 % power"
        )
        return f"; this window is too small to show a gain: {power}{room}"
    return f"; the smallest gain this window could have shown is {smallest:.2f}" if smallest is not None else ""


def more_than_seen(c: EvaluatorComparison) -> int | None:
    """The planned conversations, but at least one more than there were: those did not suffice."""
    return None if c.conversations_needed is None else max(c.conversations_needed, c.counted[0] + 1)


def is_all_ties(comparison: EvaluatorComparison) -> bool:
    """Whether no conversation differed: only then is the one-sided p of no difference exactly 1."""
    return comparison.difference == 0 and comparison.p_value == 1


def unseen_share(n: int, alpha: float) -> float:
    """The largest share of an event that none of `n` conversations shows: 1 - alpha^(1/n), at that one-sided level.

    (At .05 that is about 3/n, the rule of three: Hanley and Lippman-Hand, JAMA 249, 1983.)
    """
    return float(1 - alpha ** (1 / n))
