"""The policy registry as files: `<storage>/policies/<loop>/000001.json`, one entry a file, never changed."""

from collections.abc import Iterator
from datetime import datetime

from sia_dagster.adapters.files.numbered_files import NumberedFiles
from sia_dagster.adapters.files.storage import StoragePath
from sia_dagster.core.errors import PolicyError, PromotionRefused
from sia_dagster.core.records.registry import PolicyVersion


class PolicyFiles:
    """Plays `PolicyStore` over a folder or a URL; safe for several processes at once.

    The highest number is the policy in force.
    """

    def __init__(self, root: StoragePath, loop: str) -> None:
        """`root` is the storage's root; `loop` the loop whose policies these are."""
        self._folder = root / "policies" / loop
        self._files = NumberedFiles(self._folder, PolicyVersion, "entry of the registry")
        self._loop = loop

    def versions(self) -> tuple[PolicyVersion, ...]:
        """All entries, oldest first. Raises PolicyError naming a file that is no entry."""
        return tuple(reversed(list(self._newest_first())))

    def in_force(self, before: datetime | None = None) -> PolicyVersion | None:
        """The latest entry with `at < before` (of all, without `before`); None where there is none.

        Reads the listing and the files from the newest back to the answer, no others. Raises PolicyError.
        """
        return next((entry for entry in self._newest_first() if before is None or entry.at < before), None)

    def append(self, entry: PolicyVersion) -> PolicyVersion:
        """Store `entry` under the next number and return it as stored; `entry.version` is not looked at.

        `entry.parent` is the version that its author saw in force (None: no policy was promoted yet). A promotion of
        the same policy by the same window that is already there, or a rollback to the same version that is the newest
        entry, is returned instead of written again. Raises PromotionRefused if another version than `parent` is in
        force, or one newer than `entry.at`; PolicyError if the storage refuses.
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
            raise PolicyError(f"an entry of loop {entry.loop!r} cannot stand in the registry of {self._loop!r}")
        if entry.at.tzinfo is None:
            raise PolicyError(f"the entry's time {entry.at.isoformat()} has no time zone; give an aware datetime")

    def _newest_first(self) -> Iterator[PolicyVersion]:
        """Entries from the newest back, each read when it is asked for."""
        for number, entry in self._files.newest_first():
            if (entry.version, entry.loop) != (number, self._loop):
                raise PolicyError(
                    f"{self._files.path(number)}: this file says it is version {entry.version} of loop "
                    f"{entry.loop!r}; it was copied or renamed: restore it from a backup or move it away"
                )
            yield entry


def _same(versions: tuple[PolicyVersion, ...], entry: PolicyVersion) -> PolicyVersion | None:
    """The entry that makes writing this one a repetition.

    A window promotes a policy once, whatever came after it: a repeated run never undoes a rollback. A rollback repeats
    only the newest entry: going back to the same version a second time is a new event.
    """
    if entry.kind == "promote" and entry.window is not None:
        return next((v for v in versions if _promotion_of(v) == _promotion_of(entry)), None)
    return next((v for v in versions[-1:] if (v.kind, v.restores, v.actions) == _event(entry)), None)


def _promotion_of(entry: PolicyVersion) -> object:
    return entry.kind, entry.window, entry.actions


def _event(entry: PolicyVersion) -> object:
    return entry.kind, entry.restores, entry.actions


def _check_order(entry: PolicyVersion, newest: PolicyVersion | None) -> None:
    if newest is not None and newest.at > entry.at:
        raise PromotionRefused(
            f"loop {entry.loop}: version {newest.version} came into force at {newest.at.isoformat()}, after "
            f"{entry.at.isoformat()}; the registry is never changed behind a newer policy"
        )
    if (newest.version if newest else None) != entry.parent:
        seen = f"version {entry.parent}" if entry.parent else "no version"
        now = f"version {newest.version} is" if newest else "no version is"
        raise PromotionRefused(
            f"loop {entry.loop}: {now} in force now, while this change was made on {seen}; look at "
            f"`sia policy list --loop {entry.loop}` and decide again"
        )
