"""The format of stored documents: each names its own, and documents of earlier formats are read."""

from typing import Any, ClassVar, Final

from pydantic import model_validator

from sia_dagster.core.records.value import Value

FORMAT: Final = 2
"""The format that is written. Documents of format 1 have no `format` key."""

TABLE_FORMAT: Final = {"sia_format": str(FORMAT)}
"""The same for a stored Parquet table, in the metadata of its schema. Tables of format 1 have none, and are read."""


class Document(Value):
    """A value that is stored as a file of its own.

    Documents of format 1 are read under their old names (`renamed_in_2`); a document of a newer format than `FORMAT` is
    refused, since its meaning is not known here.
    """

    renamed_in_2: ClassVar[dict[str, str]] = {}
    """The keys of format 1 that were renamed, and their new names."""

    format: int = FORMAT

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, stored: Any) -> Any:
        if not isinstance(stored, dict):
            return stored
        given = stored.get("format", 1)
        if not isinstance(given, int) or given > FORMAT:
            raise ValueError(f"its format is {given}, and this version reads up to {FORMAT}: install a newer version")
        renamed = {cls.renamed_in_2.get(key, key) if given < 2 else key: value for key, value in stored.items()}
        return renamed | {"format": FORMAT}
