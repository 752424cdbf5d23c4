"""What every stored JSON document has in common: it says its format, and documents of earlier formats are read."""

from typing import Any, ClassVar, Final

from pydantic import model_validator

from sia_dagster.core.records.value import Value

FORMAT: Final = 2
"""The format that is written. 1 is what had no `format` key."""


class Document(Value):
    """A value that is a file of its own.

    Documents of format 1 are read under the names they used (`renamed_in_2`); one of a newer format than `FORMAT` is
    refused, since what it means is not known here.
    """

    renamed_in_2: ClassVar[dict[str, str]] = {}
    """The keys of format 1 that have another name since, and that name."""

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
