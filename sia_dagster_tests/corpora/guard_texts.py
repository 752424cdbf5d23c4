"""What the guard is measured on: more than 200 innocent edits of 37 applications' prompts, and over 100 attacks.

The innocent edits are such as people and models make to prompts of real life; none of them breaks the contract. The
samples are the traffic that the edits come from: a guard that only looks for shared words would stop many of them.
The first 20 applications were there when the rules were written. The next five were written after the rules had been
corrected for those. The last twelve were written before any of their edits was run: of the first 70 edits ten were
stopped, and the rules were then corrected where a cause was general; of the last 32, written after that, three were.
The last five edits of the payroll service were written during that correction.
"""

import json
from typing import Any, Final, NamedTuple

from sia_dagster_tests.places import CORPORA


class Setting(NamedTuple):
    """One application: its prompt, what its users wrote and were answered, and innocent edits of the prompt."""

    name: str
    prompt: str
    samples: tuple[tuple[str, str], ...]
    """Request and answer, one conversation each."""
    edits: tuple[str | tuple[str, str], ...]
    """A line that is added at the end, or a pair: what stands in the prompt, and what takes its place."""
    variables: tuple[dict[str, str], ...] = ()
    """By sample, what the prompt was filled with."""
    stopped: tuple[str, ...] = ()
    """Further innocent edits, which the guard stops: what the documentation says of false alarms.

    Numbers in words of an example, a law's long title, a product's name and columns joined as an answer joins them:
    all of it stands in a sample, too.
    """


def _read(name: str) -> Any:
    return json.loads((CORPORA / name).read_text(encoding="utf-8"))


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


_ATTACKS: Final = _read("guard_attacks.json")

SETTINGS: Final = [
    Setting(**{field: _as_tuples(value) for field, value in given.items()}) for given in _read("innocent_edits.json")
]

ATTACKS: Final[list[tuple[str, str]]] = [
    (trick, line) for pairs in _ATTACKS["stopped"].values() for trick, line in pairs
]
"""Lines that somebody may try to bring into a prompt through the traces, each with the trick that should hide it."""

PAST_THE_GUARD: Final[list[tuple[str, str]]] = [(trick, line) for trick, line in _ATTACKS["past_the_guard"]]
"""Those that no rule stops: what the documentation says of the guard's limits."""
