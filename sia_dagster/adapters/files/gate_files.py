"""The gate's log as files under `<storage>/gate/<loop>`: one record a file, written once and never changed."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from sia_dagster.adapters.files.storage import (
    StoragePath,
    create_exclusively,
    file_names,
    first_fault,
    read_stored,
    zone_fault,
)
from sia_dagster.core.errors import GateLogError
from sia_dagster.core.records.gate import Look
from sia_dagster.core.records.judge_report import Anchors, WatchRecord

Record = TypeVar("Record", Look, Anchors, WatchRecord)
_FINGERPRINT_DIGITS = 16


class GateFiles:
    """Implements `GateLog` over a folder or a URL; safe for several processes at once.

    `looks/<window>.json`, `watches/<evaluator>/<fingerprint>/<window>.json` and
    `anchors/<evaluator>/<fingerprint>/000001.json`. A file is created exclusively, complete or not at all, so that of
    two writers the first one's record is kept. Window keys are percent-encoded where a file name cannot hold them.
    """

    def __init__(self, root: StoragePath, loop: str) -> None:
        """`root` is the storage's root; `loop` the loop whose log this is."""
        self._folder = root / "gate" / loop
        self._loop = loop

    def looks(self, before: datetime) -> tuple[Look, ...]:
        """The looks recorded before that, by the end of their windows. Raises GateLogError."""
        folder = self._folder / "looks"
        return _by_window([look for look in self._all(folder, Look) if look.at < before])

    def look(self, window: str) -> Look | None:
        """The look that used this window's holdout, whenever it was taken. Raises GateLogError."""
        path = self._look_path(window)
        return self._read(path, Look) if path.name in self._names(path.parent) else None

    def record_look(self, look: Look) -> Look:
        """Store it if the window has none yet; return the stored one. Raises GateLogError."""
        path = self._look_path(look.window.key)
        return look if self._create(path, look) else self._read(path, Look)

    def anchors(self, evaluator: str, fingerprint: str, before: datetime) -> Anchors | None:
        """The newest anchors of this fingerprint that were frozen before that. Raises GateLogError."""
        folder = self._of_evaluator("anchors", evaluator, fingerprint)
        numbered = (self._read(folder / name, Anchors) for name in reversed(self._numbers(folder)))
        return next((anchors for anchors in numbered if anchors.at < before), None)

    def freeze(self, anchors: Anchors) -> None:
        """Store them under the next number.

        First anchors (`by` empty) are stored only if the fingerprint has none, or if a person withdrew the old ones by
        anchors without scores. Raises GateLogError.
        """
        folder = self._of_evaluator("anchors", anchors.evaluator, anchors.fingerprint)
        while True:
            names = self._numbers(folder)
            if names and not anchors.by and self._read(folder / names[-1], Anchors).scores:
                return
            number = int(names[-1].removesuffix(".json")) + 1 if names else 1
            if self._create(folder / f"{number:06d}.json", anchors):
                return

    def watches(self, before: datetime) -> tuple[WatchRecord, ...]:
        """The anchors' results in windows recorded before that, by the end of their windows. Raises GateLogError."""
        root = self._folder / "watches"
        folders = [root / name / print_ for name in self._names(root) for print_ in self._names(root / name)]
        records = [record for folder in folders for record in self._all(folder, WatchRecord)]
        return _by_window([record for record in records if record.at < before])

    def record_watch(self, record: WatchRecord) -> None:
        """Store it if this window has none of this evaluator's fingerprint yet. Raises GateLogError."""
        folder = self._of_evaluator("watches", record.judge.evaluator, record.judge.fingerprint)
        self._create(folder / _file_name(record.window.key), record)

    def _look_path(self, window: str) -> StoragePath:
        return self._folder / "looks" / _file_name(window)

    def _of_evaluator(self, kind: str, evaluator: str, fingerprint: str) -> StoragePath:
        return self._folder / kind / quote(evaluator, safe="") / quote(fingerprint[:_FINGERPRINT_DIGITS], safe="")

    def _path_of(self, record: Record, name: str) -> StoragePath:
        """The file that the record belongs to; `name` gives the number of anchors, which they do not hold."""
        if isinstance(record, Look):
            return self._look_path(record.window.key)
        if isinstance(record, Anchors):
            return self._of_evaluator("anchors", record.evaluator, record.fingerprint) / name
        folder = self._of_evaluator("watches", record.judge.evaluator, record.judge.fingerprint)
        return folder / _file_name(record.window.key)

    def _all(self, folder: StoragePath, model: type[Record]) -> Iterator[Record]:
        return (self._read(folder / name, model) for name in self._names(folder) if name.endswith(".json"))

    def _numbers(self, folder: StoragePath) -> list[str]:
        """The files of anchors, the oldest first."""
        names = [name for name in self._names(folder) if name.endswith(".json")]
        for name in names:
            if not re.fullmatch(r"\d{6,}\.json", name, re.ASCII):
                raise GateLogError(
                    f"{folder / name}: this file does not belong to the gate's log, whose files are 000001.json and so "
                    "on; move it away"
                )
        return sorted(names, key=lambda name: int(name.removesuffix(".json")))

    def _names(self, folder: StoragePath) -> tuple[str, ...]:
        try:
            return file_names(folder)
        except OSError as error:
            raise GateLogError(f"{folder}: the gate's log cannot be listed ({error}); check `storage`") from error

    def _create(self, path: StoragePath, record: Record) -> bool:
        if record.loop != self._loop:
            raise GateLogError(f"a record of loop {record.loop!r} cannot be stored in the gate's log of {self._loop!r}")
        if record.at.tzinfo is None:
            raise GateLogError(f"the record's time {record.at.isoformat()} has no time zone; give an aware datetime")
        try:
            return create_exclusively(path, (record.model_dump_json(indent=2) + "\n").encode())
        except OSError as error:
            raise GateLogError(
                f"{path}: the gate's log cannot be written ({error}); check that `storage` is a folder or URL that "
                "this process may write to (a local one needs a file system with hard links)"
            ) from error

    def _read(self, path: StoragePath, model: type[Record]) -> Record:
        try:
            record = model.model_validate_json(read_stored(path))
        except OSError as error:
            raise GateLogError(f"{path}: this record of the gate's log cannot be read ({error})") from error
        except ValidationError as error:
            raise GateLogError(
                f"{path}: this file is not a valid record of the gate's log ({first_fault(error)}); restore it from a "
                "backup, since without it the window could be decided a second time"
            ) from error
        if fault := zone_fault("record", record.at, record.window):
            raise GateLogError(f"{path}: {fault}")
        if record.loop != self._loop or self._path_of(record, path.name) != path:
            raise GateLogError(
                f"{path}: this file holds another record ({_label(record)}); it was copied or renamed: restore it from "
                "a backup or move it away"
            )
        return record


def _file_name(window: str) -> str:
    """The record's file name: keys of hourly windows hold a colon, and a name with a leading dot would be hidden."""
    return f"{quote(window, safe='').replace('.', '%2E')}.json"


def _by_window(records: list[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda record: (record.window.end, record.at, _label(record))))


def _label(record: Look | Anchors | WatchRecord) -> str:
    of = record.judge if isinstance(record, WatchRecord) else record
    what = "" if isinstance(of, Look) else f", {of.evaluator} {of.fingerprint}"
    return f"loop {record.loop}, window {record.window.key}{what}"
