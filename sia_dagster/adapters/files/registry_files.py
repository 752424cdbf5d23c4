"""The policy registry as numbered JSON files, one entry a file, added and never changed.

Policies are in `<storage>/policies/<loop>/000001.json` and so on, people's decisions beside them in `decisions/`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Generic, TypeVar

from pydantic import ValidationError

from sia_dagster.adapters.files.storage import (
    StoragePath,
    create_exclusively,
    file_names,
    first_fault,
    read_stored,
    zone_fault,
)
from sia_dagster.core.errors import PolicyError, PromotionRefused
from sia_dagster.core.records.registry import PolicyDecision, PolicyVersion
from sia_dagster.core.records.timeline import timeline

Entry = TypeVar("Entry", PolicyVersion, PolicyDecision)
_NAMED = 3
"""How many missing files an error names."""


class NumberedFiles(Generic[Entry]):
    """Entries of one kind in one folder; safe for several processes at once.

    A number is taken by creating its file exclusively, so two writers never share one, and an entry is complete or
    absent. All errors are PolicyError and name the file.
    """

    def __init__(self, folder: StoragePath, kind: type[Entry], noun: str) -> None:
        """`noun` is what errors call an entry: `entry of the registry`."""
        self._kind: type[Entry] = kind
        self._folder, self._noun = folder, noun

    def newest_first(self, *, complete: bool = True) -> Iterator[tuple[int, Entry]]:
        """Entries with their numbers, the newest first, each read when it is needed.

        With `complete` a number that is missing below the newest one is an error, before any entry is read.
        """
        try:
            names = file_names(self._folder)
        except OSError as error:
            raise PolicyError(f"{self._folder}: the registry cannot be listed ({error}); check `storage`") from error
        numbers = sorted((self._number(name) for name in names if name.endswith(".json")), reverse=True)
        if complete:
            self._refuse_gaps(numbers)
        for number in numbers:
            yield number, self._read(number)

    def _refuse_gaps(self, numbers: Sequence[int]) -> None:
        missing = numbers[0] - len(numbers) if numbers else 0
        if missing:
            there = set(numbers)
            first = islice((number for number in range(1, numbers[0]) if number not in there), _NAMED)
            shown = ", ".join(self.path(number).name for number in first)
            more = f" and {missing - _NAMED:,} more" if missing > _NAMED else ""
            raise PolicyError(
                f"{self._folder}: {shown}{more} is missing, though {self.path(numbers[0]).name} is there; restore it "
                f"from a backup, or move {self.path(numbers[0]).name} away if it does not belong to the registry: "
                "until then nothing is promoted and no window runs"
            )

    def create(self, number: int, entry: Entry) -> bool:
        """Write the entry under this number; False, without any change, if the number is taken."""
        try:
            return create_exclusively(self.path(number), (entry.model_dump_json(indent=2) + "\n").encode())
        except OSError as error:
            raise PolicyError(
                f"{self.path(number)}: the registry cannot be written ({error}); check that `storage` is a folder or "
                "URL that this process may write to (a local one needs a file system with hard links)"
            ) from error

    def path(self, number: int) -> StoragePath:
        """The file of the entry with that number."""
        return self._folder / f"{number:06d}.json"

    def _number(self, name: str) -> int:
        match = re.fullmatch(r"(\d{6,})\.json", name, re.ASCII)
        if match and int(match[1]) and self.path(int(match[1])).name == name:
            return int(match[1])
        raise PolicyError(
            f"{self._folder / name}: this file does not belong to the registry (000001.json and so on); move it away"
        )

    def _read(self, number: int) -> Entry:
        path = self.path(number)
        try:
            entry = self._kind.model_validate_json(read_stored(path))
        except OSError as error:
            raise PolicyError(f"{path}: this {self._noun} cannot be read ({error})") from error
        except ValidationError as error:
            raise PolicyError(
                f"{path}: this file is not a valid {self._noun} ({first_fault(error)}); restore it from a backup, "
                "or, if it is the newest, move it away to continue from the one before it"
            ) from error
        if fault := zone_fault(self._noun, entry.at, entry.window):
            raise PolicyError(f"{path}: {fault}")
        return entry


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PolicyFiles:
    """Implements `PolicyStore` over a folder or a URL; safe for several processes at once.

    The highest number is the policy in force.
    """

    def __init__(self, root: StoragePath, loop: str, *, now: Callable[[], datetime] = _utc_now) -> None:
        """`root` is the storage's root; `loop` the loop whose policies these are."""
        self._now = now
        self._folder = root / "policies" / loop
        self._files = NumberedFiles(self._folder, PolicyVersion, "entry of the registry")
        self._loop = loop

    def versions(self) -> tuple[PolicyVersion, ...]:
        """All entries, oldest first. Raises PolicyError naming an invalid file."""
        return tuple(reversed(list(self._newest_first())))

    def timeline(self) -> tuple[PolicyVersion, ...]:
        """All entries, oldest first, with the times from which windows count them. Raises PolicyError.

        The stored time, but of an entry from a machine whose clock was wrong the time that its number allows.
        """
        return timeline(self.versions(), self._now())

    def in_force(self, before: datetime | None = None) -> PolicyVersion | None:
        """The latest entry of the timeline with `at < before` (the newest of all, without `before`); None without one.

        Without `before` the newest file alone is read. Raises PolicyError; without `before` not for a gap below the
        newest entry, which an application goes on with.
        """
        if before is None:
            return next(self._newest_first(complete=False), None)
        return next((entry for entry in reversed(self.timeline()) if entry.at < before), None)

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        """Store `entry` under the next number and return it as stored; `entry.version` is ignored.

        `entry.parent` is the version that its author saw in force (None: no policy was promoted yet). An equal entry is
        returned instead of written again: a promotion of the same policy by the same window, or a rollback to the same
        version that is the newest entry. Raises PromotionRefused if another version than `parent` is in force, or, for
        a promotion, one newer than `entry.at`; PolicyError if the storage refuses.
        """
        self._check(entry)
        while True:
            versions = self.versions()
            if same := _same(versions, entry):
                return same
            newest = versions[-1] if versions else None
            _check_order(entry, newest)
            stored = entry.model_copy(update={"version": newest.version + 1 if newest else 1})
            if self._files.create(stored.version, stored):
                return stored

    def _check(self, entry: PolicyVersion) -> None:
        if entry.loop != self._loop:
            raise PolicyError(f"an entry of loop {entry.loop!r} cannot be stored in the registry of {self._loop!r}")
        if entry.at.tzinfo is None:
            raise PolicyError(f"the entry's time {entry.at.isoformat()} has no time zone; give an aware datetime")

    def _newest_first(self, *, complete: bool = True) -> Iterator[PolicyVersion]:
        """Entries, the newest first, each read when it is needed."""
        for number, entry in self._files.newest_first(complete=complete):
            if (entry.version, entry.loop) != (number, self._loop):
                raise PolicyError(
                    f"{self._files.path(number)}: this file holds version {entry.version} of loop "
                    f"{entry.loop!r}; it was copied or renamed: restore it from a backup or move it away"
                )
            yield entry


def _same(versions: tuple[PolicyVersion, ...], entry: PolicyVersion) -> PolicyVersion | None:
    """The stored entry that equals this one, if there is one.

    A window promotes a policy once, whatever came after it: a repeated run never undoes a rollback. A rollback equals
    only the newest entry: going back to the same version later is a new event, and so is one whose time is before the
    newest entry's, which is from a machine whose clock is ahead.
    """
    if entry.kind == "promote" and entry.window is not None:
        return next((v for v in versions if _promotion_of(v) == _promotion_of(entry)), None)
    return next((v for v in versions[-1:] if _event(v) == _event(entry) and v.at <= entry.at), None)


def _promotion_of(entry: PolicyVersion) -> object:
    return entry.kind, entry.window, entry.actions


def _event(entry: PolicyVersion) -> object:
    return entry.kind, entry.restores, entry.actions


def _check_order(entry: PolicyVersion, newest: PolicyVersion | None) -> None:
    # A rollback is made now: a newer version is then from a machine whose clock is ahead, and must not outlast it.
    if newest is not None and newest.at > entry.at and entry.kind != "rollback":
        command = f"sia policy rollback --loop {entry.loop}"
        back = f", and `{command}` goes back" if newest.kind == "promote" else ""
        raise PromotionRefused(
            f"loop {entry.loop}: version {newest.version} came into force at {newest.at.isoformat()}, after "
            f"{entry.at.isoformat()}; the registry is never changed behind a newer policy. If a clock was wrong, "
            f"`{command} --to {newest.version}` records this policy with the right time{back}"
        )
    if (newest.version if newest else None) != entry.parent:
        seen = f"version {entry.parent}" if entry.parent else "no version"
        now = f"version {newest.version} is" if newest else "no version is"
        by = f" ({newest.by} did that at {newest.at.isoformat()})" if newest and newest.by else ""
        raise PromotionRefused(
            f"loop {entry.loop}: {now} in force now, while this change was made on {seen}{by}; look at "
            f"`sia policy list --loop {entry.loop}` and decide again"
        )


class DecisionFiles:
    """Implements `DecisionStore` over a folder or a URL; safe for several processes at once."""

    def __init__(self, root: StoragePath, loop: str, *, now: Callable[[], datetime] = _utc_now) -> None:
        """`root` is the storage's root; `loop` the loop whose candidates were decided on."""
        self._now = now
        self._files = NumberedFiles(root / "policies" / loop / "decisions", PolicyDecision, "decision")
        self._loop = loop

    def decisions(self, before: datetime | None = None) -> tuple[PolicyDecision, ...]:
        """All with `at < before` (all, without `before`), oldest first. Raises PolicyError naming a broken file.

        As in the registry's timeline, a decision from a machine whose clock was wrong counts as its number allows.
        """
        found = [self._checked(number, entry) for number, entry in self._files.newest_first()][::-1]
        if before is None:
            return tuple(found)
        times = timeline(found, self._now())
        return tuple(entry for entry, counted in zip(found, times, strict=True) if counted.at < before)

    def append(self, decision: PolicyDecision) -> PolicyDecision:
        """Store it under the next number and return it as stored; `decision.number` is ignored.

        If it repeats the window's newest decision, by the same person with the same note, that one is returned instead
        of written again. Raises PolicyError if the storage refuses.
        """
        self._check(decision)
        while True:
            known = self.decisions()
            newest = next((d for d in reversed(known) if d.window == decision.window), None)
            if newest is not None and _content(newest) == _content(decision):
                return newest
            stored = decision.model_copy(update={"number": known[-1].number + 1 if known else 1})
            if self._files.create(stored.number, stored):
                return stored

    def _check(self, decision: PolicyDecision) -> None:
        if decision.loop != self._loop:
            raise PolicyError(
                f"a decision on loop {decision.loop!r} cannot be stored in the registry of {self._loop!r}"
            )
        if decision.at.tzinfo is None:
            raise PolicyError(f"the decision's time {decision.at.isoformat()} has no time zone; give an aware datetime")

    def _checked(self, number: int, entry: PolicyDecision) -> PolicyDecision:
        if (entry.number, entry.loop) != (number, self._loop):
            raise PolicyError(
                f"{self._files.path(number)}: this file holds decision {entry.number} on loop {entry.loop!r}; it "
                "was copied or renamed: restore it from a backup or move it away"
            )
        return entry


def _content(decision: PolicyDecision) -> object:
    """What equal decisions have in common: all but the number and the time."""
    return decision.model_dump(exclude={"number", "at"})
