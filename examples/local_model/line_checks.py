"""What a good line is: two evaluators of one answer each."""

import re
from collections.abc import Iterator

from sia_dagster.core.records.evaluation import EvalMetrics
from sia_dagster.core.records.sample import Sample

MOST_WORDS = 20
REQUIREMENTS = 5


def sums_up(sample: Sample) -> EvalMetrics:
    """One whole sentence of at most 20 words that names the customer and what was bought; a fifth of the score each."""
    faults = tuple(_faults(sample.output.strip(), sample.request))
    explanation = " ".join(faults) or "The line is as it should be."
    return EvalMetrics(name="sums_up", score=1 - len(faults) / REQUIREMENTS, explanation=explanation)


def is_plain(sample: Sample) -> bool:
    """The line is plain text: no second line, no list, no mark-up."""
    return not re.search(r"[\n*#`|]", sample.output.strip())


def _faults(line: str, note: str) -> Iterator[str]:
    customer, bought = re.findall(r"^(\w+) bought (.+?) on ", note)[0]
    if not re.search(r"[.!?][\"']?$", line):
        yield "The line is cut off."
    if len(re.findall(r"[.!?][\"']?(?=\s|$)", line)) > 1:
        yield "The line has several sentences."
    if len(line.split()) > MOST_WORDS:
        yield f"The line has more than {MOST_WORDS} words."
    if customer.casefold() not in line.casefold():
        yield "The line does not name the customer."
    if bought.split()[-1].casefold() not in line.casefold():
        yield "The line does not name what was bought."
