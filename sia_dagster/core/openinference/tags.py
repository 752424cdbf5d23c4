"""The tags of a call, in all the shapes that exports write them in."""

from typing import Any, Final

from sia_dagster.core.openinference.attributes import load_json, nest

MOST_CHARACTERS: Final = 80
"""Of one tag: it names a kind of traffic, in tables and sentences."""


def read_tags(value: Any) -> tuple[str, ...]:
    """The tags in a list, its JSON text or flattened attributes; other text is one tag. In their order, none twice.

    Tags are short names in one line: white space is folded, and what is longer is cut. What is no text or number is
    left out.
    """
    try:
        loaded = nest(load_json(value))
    except (ValueError, RecursionError):
        loaded = value
    items = loaded if isinstance(loaded, list) else [loaded]
    tags = (" ".join(str(item).split())[:MOST_CHARACTERS].strip() for item in items if isinstance(item, str | int))
    return tuple(dict.fromkeys(tag for tag in tags if tag))
