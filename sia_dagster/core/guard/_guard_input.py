"""One candidate before the guard: all that a rule may use."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sia_dagster.core.guard._limits import GuardLimits
from sia_dagster.core.guard._text import plain, raw_text
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.records.guard import GuardAction, GuardFinding
from sia_dagster.core.records.policy import Actions
from sia_dagster.core.records.search import Edit

MOST: Final = 200
"""New wordings that a rule examines: a text with more is nobody's edit, and would take minutes."""


@dataclass(frozen=True)
class GuardInput:
    """A candidate, the policy in force, the texts of the window's samples, and the loop's limits."""

    candidate: Actions
    baseline: Actions
    traffic: Traffic
    limits: GuardLimits
    edits: tuple[Edit, ...] | None = None
    """The edits that made the candidate; None where they are not known here."""

    @cached_property
    def text(self) -> str:
        """The candidate's text, in the form of `plain`."""
        return plain(raw_text(self.candidate))

    @cached_property
    def prompt(self) -> str:
        """The same without the examples: what stands in these alone may be a customer's, since a person reads them."""
        return plain(raw_text(self.candidate.model_copy(update={"examples": ()})))

    @cached_property
    def known(self) -> str:
        """The same of the policy in force: nothing that stands in it is held against a candidate."""
        return plain(raw_text(self.baseline))

    @cached_property
    def known_folded(self) -> str:
        """`known` without letter case."""
        return self.known.casefold()

    @cached_property
    def new_lines(self) -> str:
        """The lines of the candidate's text that the policy in force lacks, as one text."""
        known = set(self.known.split("\n"))
        return "\n".join(line for line in self.text.split("\n") if line not in known)

    def new_matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in the candidate's text whose wording (letter case aside) is not in the policy in force.

        Each wording once, and `MOST` of them: a rule needs the first that is wrong.
        """
        known, seen = {match[0].casefold() for match in pattern.finditer(self.known)}, 0
        for match in pattern.finditer(self.text):
            folded = match[0].casefold()
            if folded in known:
                continue
            known.add(folded)
            if folded not in self.known_folded:
                yield match
            seen += 1
            if seen >= MOST:
                return

    def sure(self, found: str) -> GuardAction:
        """`stop` for what a trace holds, too; else `person`: the updater or its model may have meant it as a form."""
        return "stop" if self.traffic.holds(found) else "person"

    def holds(self, action: GuardAction, rule: str, what: str, found: str) -> GuardFinding:
        """The finding of a rule that `found` breaks: what the candidate holds, and which sample holds it, too."""
        return self.finding(action, rule, f"the candidate holds {what}", self.traffic.origin(found))

    def finding(self, action: GuardAction, rule: str, what: str, source: str = "") -> GuardFinding:
        """A finding with its sentence: `rule: what, source`."""
        reason = f"{rule}: {what}, {source}" if source else f"{rule}: {what}"
        return GuardFinding(action=action, rule=rule, reason=reason, source=source)


Findings = Iterator[GuardFinding]
GuardRule = Callable[[GuardInput], Findings]


def stopping(rule: Callable[[GuardInput], str | None]) -> GuardRule:
    """A rule that gives its reason as a sentence `rule: what`, as one whose finding stops the candidate."""

    def findings(case: GuardInput) -> Findings:
        if reason := rule(case):
            yield GuardFinding(action="stop", rule=reason.partition(":")[0], reason=reason)

    return findings
