"""The results on the next window's traffic as Markdown."""

from sia_dagster.core.records.next_window import NextWindowComparison, NextWindowResults
from sia_dagster.core.text import number_in_groups
from sia_dagster.reports.figures.gain import bounds
from sia_dagster.reports.markdown.tables import fenced, table
from sia_dagster.reports.wording import escape, interval, number, p_value, share, signed, visible


def next_window_markdown(found: NextWindowResults) -> str:
    """The finding, both policies by evaluator, and the cumulative gain."""
    parts = [escape(found.reason)]
    if found.rollback_to is not None:
        parts.append(fenced(f"sia policy rollback --loop {found.loop} --to {found.rollback_to}", "sh"))
    if found.comparisons:
        head = ("evaluator", "conversations", "policy before", "candidate", "difference", "interval", "p")
        parts.append(table(head, map(_row, found.comparisons), right=(1, 2, 3, 4, 6)))
    if found.promised is not None:
        parts.append(f"Promised at least {signed(found.promised)} at the verdict.")
    if found.cumulative_gain is not None:
        ends = bounds(found.cumulative_low, found.cumulative_high)
        gain = f"{share(found.cumulative_gain)}{ends} of the primary evaluator's range"
        parts.append(f"The policy in force over the loop's first policy, on this window's traffic: {gain}.")
    return "\n\n".join(parts)


def _row(each: NextWindowComparison) -> tuple[str, ...]:
    name = f"{escape(visible(each.evaluator))}{' (primary)' if each.primary else ''}"
    means = (number(each.baseline_mean), number(each.candidate_mean), signed(each.difference))
    return (
        name,
        number_in_groups(each.n if each.conversations is None else each.conversations, each.n),
        *means,
        interval(each.ci_low, each.ci_high) or "too few",
        p_value(each.p_value),
    )
