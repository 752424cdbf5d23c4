"""One candidate before the guard: all that a rule may use."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sia_dagster.core.guard._limits import GuardLimits
from sia_dagster.core.guard._text import plain, raw_text
from sia_dagster.core.guard._traffic import Traffic
from sia_dagster.core.records.policy import Actions


@dataclass(frozen=True)
class GuardInput:
    """A candidate, the policy in force, the texts of the window's samples, and the loop's limits."""

    candidate: Actions
    baseline: Actions
    traffic: Traffic
    limits: GuardLimits

    @cached_property
    def text(self) -> str:
        """The candidate's text, in the form of `plain`."""
        return plain(raw_text(self.candidate))

    @cached_property
    def known(self) -> str:
        """The same of the policy in force: nothing that stands in it is held against a candidate."""
        return plain(raw_text(self.baseline))

    def new_matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches in the candidate's text whose wording (letter case aside) is not in the policy in force."""
        known = self.known.casefold()
        return (match for match in pattern.finditer(self.text) if match[0].casefold() not in known)

    def holds(self, rule: str, what: str, found: str) -> str:
        """The reason of a rule that `found` breaks: what the candidate holds, and which sample holds it, too."""
        return f"{rule}: the candidate holds {what}, {self.traffic.origin(found)}"
