"""The criteria of the second question, "as good for less money": it costs less, and nothing falls beyond its margin."""

from collections.abc import Iterator

from sia_dagster.core.gate.criteria import CriteriaInput, Finding, keeps_its_level, slice_sentence
from sia_dagster.core.records.comparison import Saving
from sia_dagster.core.text import conversations_in_groups


def candidate_costs_less(given: CriteriaInput) -> Iterator[Finding]:
    """A mean call must be shown to cost less."""
    found = given.saving
    if not given.comparisons:
        return
    if found is None or found.share is None or found.low is None or found.high is None:
        yield Finding(kind="undecided", sentence=f"{_unknown(found)}, so nothing shows that the candidate costs less")
    elif found.high < 0:
        yield Finding(kind="reject", sentence=f"{saving_sentence(found)}: the candidate costs more")
    elif found.is_shown:
        yield Finding(kind="holds", sentence=saving_sentence(found))
    else:
        yield Finding(kind="undecided", sentence=f"{saving_sentence(found)}: not shown to cost less")


def nothing_falls(given: CriteriaInput) -> Iterator[Finding]:
    """Every evaluator, the primary included, must be shown to keep its level within its margin; as of guardrails."""
    for c in given.comparisons:
        yield from keeps_its_level(c, given)


def traffic_keeps_its_level(given: CriteriaInput) -> Iterator[Finding]:
    """What holds by group is no comfort where the users or requests with most conversations fall beyond the margin."""
    c = given.primary
    if c and c.traffic_difference is not None and c.traffic_difference < -given.margin(c) * c.scale:
        yield Finding(
            kind="undecided",
            sentence=f"{c.evaluator} fell by {c.traffic_difference:+.2f} where each conversation counts: the users or "
            "requests with most of the traffic are answered worse; see the rows that fell",
        )


def slices_keep_their_level(given: CriteriaInput) -> Iterator[Finding]:
    """Each large slice must be shown to keep its level, and no tested one may be seen to fall beyond its margin.

    A smaller slice shows little either way; but the candidate has to show that it is as good, so a fall that is seen
    leaves it open. `no_slice_loses` rejects one that is shown.
    """
    for part in given.slices:
        if part.finding != "not_shown":
            continue
        margin = given.margin(part.comparison) * part.comparison.scale
        fell = (part.comparison.difference or 0.0) < -margin
        if fell or part.must_hold:
            seen = f"beyond its margin of {margin:.2f} in this part of the traffic"
            what = f"a fall {seen} is seen, though not shown" if fell else f"a fall {seen} is not ruled out"
            yield Finding(kind="undecided", sentence=f"{slice_sentence(part)}: {what}")


def saving_sentence(found: Saving) -> str:
    """What a call costs under both policies, and the share that is saved."""
    share, low, high = (f"{value or 0.0:+.0%}" for value in (found.share, found.low, found.high))
    saved = f"saves {share}, interval {low} to {high}, {conversations_in_groups(*found.counted)}"
    if found.unit == "usd":
        return f"1,000 calls cost {1000 * found.baseline:.3g} -> {1000 * found.candidate:.3g} USD ({saved})"
    return f"a call takes {found.baseline:,.0f} -> {found.candidate:,.0f} tokens ({saved})"


def _unknown(found: Saving | None) -> str:
    if found is None:
        return "no call that both policies answered has a count of its tokens"
    if found.share is None:
        return "the calls of the policy in force cost nothing"
    return f"{conversations_in_groups(*found.counted)} were answered under both policies, too few to compare costs"
