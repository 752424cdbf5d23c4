"""Records where policies were published: `<storage>/publications/<loop>/<target>.json`, the newest state a target."""

from pydantic import ValidationError

from sia_dagster.adapters.files.storage import StoragePath, first_fault, read_stored, write_atomically
from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.registry import Publication


class PublicationLog:
    """Records where a loop set its label on each platform, to notice when somebody else has moved it."""

    def __init__(self, root: StoragePath, loop: str) -> None:
        """`root` is the storage's root; `loop` the loop whose publications these are."""
        self._folder = root / "publications" / loop

    def last(self, target: str) -> Publication | None:
        """The target's last record; None if there is none. Raises PublishError naming the file."""
        path = self._path(target)
        try:
            found = Publication.model_validate_json(read_stored(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublishError(f"{path}: this record cannot be read ({error}); check `storage`") from error
        except ValidationError as error:
            message = f"{path}: this file is not a valid record of a publication ({first_fault(error)}); {_ADVICE}"
            raise PublishError(message) from error
        if found.target != target:
            raise PublishError(f"{path}: this file is the record of {found.target!r}, copied or renamed; {_ADVICE}")
        return found

    def record(self, publication: Publication) -> None:
        """Replace the target's record, completely or not at all. Raises PublishError if the storage refuses."""
        path = self._path(publication.target)
        try:
            write_atomically(path, (publication.model_dump_json(indent=2) + "\n").encode())
        except OSError as error:
            raise PublishError(
                f"{path}: the publication was made but cannot be recorded ({error}); let this process write to "
                "`storage` and publish again, which finds what was made"
            ) from error

    def _path(self, target: str) -> StoragePath:
        return self._folder / f"{target}.json"


_ADVICE = "restore it from a backup, or move it away and publish with `sia policy publish --force`"
