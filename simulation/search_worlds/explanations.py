"""How the simulated judge explains itself: one clause for each fault, worded and ordered by hash."""

from collections.abc import Sequence
from typing import Final

from sia_dagster.core.records.value import Value
from sia_dagster.demo.simulation_rules import draw, pick
from simulation.search_worlds.task import Lack

_GOOD: Final = (
    "Everything that is needed is there.",
    "The answer is right.",
    "Nothing is missing.",
    "It fits the request.",
)
_ASIDES: Final = (
    "The tone is friendly.",
    "It reads well.",
    "The length is fine.",
    "It is polite throughout.",
    "",
    "",
    "",
)
_OPENINGS: Final = ("", "", "The answer falls short: ", "Not acceptable, since ", "Problems: ", "I find that ")


class Wording(Value):
    """The shares of explanations that are hard to read."""

    garbled: float = 0.05
    """Letters and words are lost: nobody can read it."""
    chinese: float = 0.05


def explain(lacks: Sequence[Lack], wording: Wording, *key: str) -> str:
    """One or several clauses, in one of the forms in which models write."""
    if not lacks:
        return pick(_GOOD, *key, "good")
    how = draw(*key, "how")
    if how < wording.chinese:
        return "\uff1b".join(lack.fault.chinese for lack in lacks) + "。"
    ordered = sorted(lacks, key=lambda lack: draw(*key, "order", lack.fault.name))
    clauses = [pick(lack.fault.says, *key, "says", lack.fault.name).format(lack.detail) for lack in ordered]
    text = _joined(clauses, *key)
    return _garbled(text, *key) if how < wording.chinese + wording.garbled else text


def _joined(clauses: Sequence[str], *key: str) -> str:
    form = pick(("list", "sentence", "sentences"), *key, "form")
    aside = pick(_ASIDES, *key, "aside")
    if form == "list" and len(clauses) > 1:
        said = " ".join(f"({place}) {clause}." for place, clause in enumerate(clauses, start=1))
    elif form == "sentence":
        said = f"{pick(_OPENINGS, *key, 'opening')}{', and '.join(clauses)}."
    else:
        said = " ".join(f"{clause[0].upper()}{clause[1:]}." for clause in clauses)
    return f"{aside} {said}" if aside and draw(*key, "first") < 0.5 else f"{said} {aside}".strip()


def _garbled(text: str, *key: str) -> str:
    """The text without every second word or so, and with other words cut."""
    words = [word for place, word in enumerate(text.split()) if draw(*key, "drop", str(place)) < 0.55]
    return " ".join(word[: max(2, len(word) // 2)] for word in words) or "n/a"
