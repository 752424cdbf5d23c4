"""Numbered JSON files of one folder (`000001.json` and so on): added, never changed, read from the newest back."""

import re
from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from sia_dagster.adapters.files.storage import StoragePath, create_exclusively, file_names, first_fault
from sia_dagster.core.errors import PolicyError

Entry = TypeVar("Entry", bound=BaseModel)


class NumberedFiles(Generic[Entry]):
    """Entries of one kind; safe for several processes at once.

    Numbers are taken by creating the file exclusively, so two writers never share one, and an entry is complete or
    absent. All errors are PolicyError and name the file.
    """

    def __init__(self, folder: StoragePath, kind: type[Entry], noun: str) -> None:
        """`noun` says in errors what a file should be: `entry of the registry`."""
        self._folder, self._kind, self._noun = folder, kind, noun

    def newest_first(self) -> Iterator[tuple[int, Entry]]:
        """Entries with their numbers from the newest back, each read when it is asked for."""
        try:
            names = file_names(self._folder)
        except OSError as error:
            raise PolicyError(f"{self._folder}: the registry cannot be listed ({error}); check `storage`") from error
        numbers = (self._number(name) for name in names if name.endswith(".json"))
        for number in sorted(numbers, reverse=True):
            yield number, self._read(number)

    def create(self, number: int, entry: Entry) -> bool:
        """Write the entry under this number; False if the number is taken, and then nothing is changed."""
        try:
            return create_exclusively(self.path(number), (entry.model_dump_json(indent=2) + "\n").encode())
        except OSError as error:
            raise PolicyError(
                f"{self.path(number)}: the registry cannot be written ({error}); check that `storage` is a folder or "
                "URL that this process may write to (a local one needs a file system with hard links)"
            ) from error

    def path(self, number: int) -> StoragePath:
        """Where the entry of that number is."""
        return self._folder / f"{number:06d}.json"

    def _number(self, name: str) -> int:
        if match := re.fullmatch(r"(\d{6,})\.json", name, re.ASCII):
            return int(match[1])
        raise PolicyError(
            f"{self._folder / name}: this file is none of the registry's (000001.json and so on); move it away"
        )

    def _read(self, number: int) -> Entry:
        path = self.path(number)
        try:
            return self._kind.model_validate_json(path.read_bytes())
        except OSError as error:
            raise PolicyError(f"{path}: this {self._noun} cannot be read ({error})") from error
        except ValidationError as error:
            raise PolicyError(
                f"{path}: this file is no {self._noun} ({first_fault(error)}); restore it from a backup, "
                "or move it away to continue from the one before it"
            ) from error
