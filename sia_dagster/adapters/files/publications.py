"""Where each policy was published: `<storage>/publications/<loop>/<target>.json`, the newest state a target."""

from pydantic import ValidationError

from sia_dagster.adapters.files.storage import StoragePath, first_fault, write_atomically
from sia_dagster.core.errors import PublishError
from sia_dagster.core.records.registry import Publication


class PublicationLog:
    """Remembers where a loop left its label on each platform, so that it sees when somebody else moved it."""

    def __init__(self, root: StoragePath, loop: str) -> None:
        """`root` is the storage's root; `loop` the loop whose publications these are."""
        self._folder = root / "publications" / loop

    def last(self, target: str) -> Publication | None:
        """What was recorded last for this target; None where nothing was. Raises PublishError naming the file."""
        path = self._path(target)
        try:
            found = Publication.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PublishError(f"{path}: this record cannot be read ({error}); check `storage`") from error
        except ValidationError as error:
            told = f"{path}: this file is no record of a publication ({first_fault(error)}); {_MEND}"
            raise PublishError(told) from error
        if found.target != target:
            raise PublishError(f"{path}: this file is the record of {found.target!r}, copied or renamed; {_MEND}")
        return found

    def record(self, publication: Publication) -> None:
        """Keep it in place of the one before, whole or not at all. Raises PublishError if the storage refuses."""
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


_MEND = "restore it from a backup, or move it away and publish with `sia policy publish --force`"
