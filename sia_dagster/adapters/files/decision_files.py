"""What people decided, as files beside the registry: `<storage>/policies/<loop>/decisions/000001.json`."""

from datetime import datetime

from sia_dagster.adapters.files.numbered_files import NumberedFiles
from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.errors import PolicyError
from sia_dagster.core.records.registry import PolicyDecision


class DecisionFiles:
    """Plays `DecisionStore` over a folder or a URL; safe for several processes at once."""

    def __init__(self, root: StoragePath, loop: str) -> None:
        """`root` is the storage's root; `loop` the loop whose candidates were decided on."""
        self._files = NumberedFiles(root / "policies" / loop / "decisions", PolicyDecision, "decision")
        self._loop = loop

    def decisions(self, before: datetime | None = None) -> tuple[PolicyDecision, ...]:
        """All with `at < before` (all, without `before`), oldest first. Raises PolicyError naming a broken file."""
        found = [self._checked(number, entry) for number, entry in self._files.newest_first()]
        return tuple(entry for entry in reversed(found) if before is None or entry.at < before)

    def append(self, decision: PolicyDecision) -> PolicyDecision:
        """Store it under the next number and return it as stored; `decision.number` is not looked at.

        The window's newest decision said again, by the same person with the same note, is returned instead of written
        again. Raises PolicyError if the storage refuses.
        """
        self._check(decision)
        while True:
            standing = self.decisions()
            newest = next((d for d in reversed(standing) if d.window == decision.window), None)
            if newest is not None and _said(newest) == _said(decision):
                return newest
            stored = decision.model_copy(update={"number": standing[-1].number + 1 if standing else 1})
            if self._files.create(stored.number, stored):
                return stored

    def _check(self, decision: PolicyDecision) -> None:
        if decision.loop != self._loop:
            raise PolicyError(f"a decision on loop {decision.loop!r} cannot stand in the registry of {self._loop!r}")
        if decision.at.tzinfo is None:
            raise PolicyError(f"the decision's time {decision.at.isoformat()} has no time zone; give an aware datetime")

    def _checked(self, number: int, entry: PolicyDecision) -> PolicyDecision:
        if (entry.number, entry.loop) != (number, self._loop):
            raise PolicyError(
                f"{self._files.path(number)}: this file says it is decision {entry.number} on loop {entry.loop!r}; it "
                "was copied or renamed: restore it from a backup or move it away"
            )
        return entry


def _said(decision: PolicyDecision) -> object:
    """What makes two decisions one: all but the number and the time."""
    return decision.model_dump(exclude={"number", "at"})
