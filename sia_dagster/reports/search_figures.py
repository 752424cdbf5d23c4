"""What a search used and promised: its strategies, and the gain on selection beside the gain on the holdout."""

from collections.abc import Sequence
from typing import Final

from sia_dagster.core.cost import PromptLength
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.registry import BEFORE_ANY_PROMOTION
from sia_dagster.core.records.report import ValidationReport
from sia_dagster.core.records.search import PolicyUpdate, RaceResult, StrategyRun
from sia_dagster.core.records.spend import Spend
from sia_dagster.core.records.value import Value
from sia_dagster.core.text import count
from sia_dagster.reports.wording import NOTHING, dollars, of_range, signed, usd

PURPOSES: Final = ("propose", "probe", "race")
WINNERS_CURSE: Final = (
    "The selection split chose the candidate, so its gain there is more often too large than too small (the winner's "
    "curse). The holdout chose nothing: its gain is the one to expect."
)
SHOWN: Final = 12
"""Windows, and versions of the prompt, that are shown; the others are counted."""
STRATEGY_HEAD: Final = ("strategy", *PURPOSES, "all answers", "cost", "gain on selection", "why it ended")
SELECTION_HEAD: Final = ("window", "selection, shrunk", "selection, observed", "holdout")
LENGTH_HEAD: Final = ("system prompt", "tokens", "a week")
Row = tuple[str, ...]
RACES: Final = {
    "better": "won",
    "worse": "lost",
    "unclear": "unclear",
    "too_small": "too few conversations to choose by",
}


class GainPair(Value):
    """One window's gain on selection beside the same candidate's on the holdout, as shares of the range."""

    window: str
    shrunk: float | None
    observed: float | None
    holdout: float | None


def strategy_rows(update: PolicyUpdate) -> tuple[Row, ...]:
    """What each strategy used, in the order in which they ran, under STRATEGY_HEAD."""
    return tuple(
        (
            run.strategy,
            *(f"{run.calls.get(purpose, 0):,}" for purpose in PURPOSES),
            f"{run.total:,}",
            usd(Spend(calls=run.total, cost_usd=run.cost_usd)),
            signed(run.gain, 0.1),
            run.ended or NOTHING,
        )
        for run in update.strategies
    )


def search_cost(runs: Sequence[StrategyRun]) -> float | None:
    """In USD, of all answers of all strategies, stored ones as well; None where a price is unknown."""
    known = [run.cost_usd for run in runs if run.cost_usd is not None]
    return round(sum(known), 9) if len(known) == len(runs) else None


def race_sentence(race: RaceResult) -> str:
    """How a candidate's last race ended."""
    if race.decision == "too_small":
        return "Not raced: the selection split has too few conversations to choose by."
    compared = f"{of_range(race.mean)} (shrunk; standard error {race.error:.3f}) on {count(race.groups, 'group')}"
    return f"Race {RACES[race.decision]}: {compared}{f'; {race.objection}' if race.objection else ''}."


def gain_pairs(update: PolicyUpdate, report: ValidationReport, looks: Sequence[Look]) -> tuple[GainPair, ...]:
    """The windows whose search chose a candidate that was compared, oldest first, this one last.

    Earlier windows are read from the looks ledger. Windows that tried a carried candidate again chose nothing.
    """
    earlier = sorted(
        (look for look in looks if look.selected and look.window.end <= report.window.start),
        key=lambda look: look.window.end,
    )
    pairs = [
        GainPair(
            window=look.window.key,
            shrunk=look.selected.shrunk,
            observed=look.selected.observed,
            holdout=None if look.difference is None else look.difference / look.selected.scale,
        )
        for look in earlier
        if look.selected and look.question == "better"
    ]
    now, primary = update.selected, report.primary
    if now is not None and update.question == "better":
        held_out = primary.difference / primary.scale if primary and primary.difference is not None else None
        pairs.append(GainPair(window=report.window.key, shrunk=now.shrunk, observed=now.observed, holdout=held_out))
    return tuple(pairs)


def gain_rows(pairs: Sequence[GainPair]) -> tuple[Row, ...]:
    """The last of them, under SELECTION_HEAD."""
    return tuple(
        (pair.window, *(signed(value, 0.1) for value in (pair.shrunk, pair.observed, pair.holdout)))
        for pair in pairs[-SHOWN:]
    )


def gain_sentence(pairs: Sequence[GainPair]) -> str:
    """The winner's curse in words, and over several windows how large it was."""
    both = [(p.observed, p.holdout) for p in pairs if p.observed is not None and p.holdout is not None]
    left_out = len(pairs) - SHOWN
    parts = [WINNERS_CURSE]
    if len(both) > 1:
        chosen, held_out = (sum(values) / len(both) for values in zip(*both, strict=True))
        means = f"{of_range(chosen)} as observed on selection, and {signed(held_out, 0.1)} on the holdout"
        parts.append(f"On average of {count(len(both), 'window')} it was {means}.")
    if left_out > 0:
        parts.append(f"{count(left_out, 'earlier window')} {'is' if left_out == 1 else 'are'} not shown.")
    return " ".join(parts)


def length_rows(lengths: Sequence[PromptLength]) -> tuple[Row, ...]:
    """The first and the last of them, under LENGTH_HEAD."""
    shown = lengths if len(lengths) <= SHOWN else (lengths[0], *lengths[-SHOWN + 1 :])
    return tuple(
        (_name(each), f"{each.tokens:,}", NOTHING if each.usd_a_week is None else dollars(each.usd_a_week))
        for each in shown
    )


def length_sentence(lengths: Sequence[PromptLength]) -> str:
    """What the table counts, and how many versions it leaves out."""
    left_out = f" {count(len(lengths) - SHOWN, 'version')} between are not shown." if len(lengths) > SHOWN else ""
    return f"Tokens by estimate, and their price at this window's calls; answers are not included.{left_out}"


def _name(length: PromptLength) -> str:
    if length.version is None:
        return "candidate"
    return f"version {length.version}" if length.version != BEFORE_ANY_PROMOTION else "before any promotion"
