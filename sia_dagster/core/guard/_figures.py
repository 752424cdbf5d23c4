"""No other figure where the policy in force states one: 90 days of return where it has 30 is a change of its terms."""

import re
from collections.abc import Iterator
from typing import Final

from sia_dagster.core.guard._guard_input import Findings, GuardInput
from sia_dagster.core.guard._text import shown
from sia_dagster.core.guard._words import UNSPACED, words_of

RULE: Final = "changed figure"
_FIGURE: Final = re.compile(
    rf"(?P<sign>[$€£¥₹])[ ]?(?P<amount>\d[\d.,]{{0,11}})"
    rf"|(?P<number>\d[\d.,]{{0,11}})[ \t-]?(?P<unit>[%$€£¥₹]|[{UNSPACED}\uac00-\ud7a3]|[^\W\d_]{{1,20}})"
)
_BEGINNING: Final = 3
"""Letters of a unit by which it is known: `day` and `days`, `Tag` and `Tagen` are the same unit."""


def changes_no_figure(case: GuardInput) -> Findings:
    """A new number with a unit with which the policy in force has other numbers: a person must look."""
    known: dict[str, set[str]] = {}
    for unit, number, _ in _figures(case.known):
        known.setdefault(unit, set()).add(number)
    for unit, number, written in _figures(case.new_lines):
        if number not in known.get(unit, {number}):
            others = ", ".join(sorted(known[unit]))
            what = f"the candidate says {shown(written)}, where the policy in force has {others}"
            yield case.finding("person", RULE, what, case.traffic.origin(written))


def _figures(text: str) -> Iterator[tuple[str, str, str]]:
    """Unit, number and wording of each figure; of a unit only its beginning, since it may be inflected."""
    for match in _FIGURE.finditer(text):
        unit = match["sign"] or "".join(words_of(match["unit"])) or match["unit"]
        number = (match["amount"] or match["number"]).rstrip(".,")
        yield unit[:_BEGINNING], number, match[0]
