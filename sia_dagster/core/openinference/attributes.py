"""Reads OpenInference attributes, which arrive nested, flattened (`0.message.role`) or as JSON text."""

import json
from typing import Any

from sia_dagster.core.openinference.python_text import read_printed
from sia_dagster.core.text import storable

EMPTY_TEXTS = ("", "null", "[]", "{}")
"""Texts that mean "no value" in an exported column."""


def load_json(value: Any) -> Any:
    """The value of JSON text, None for one of EMPTY_TEXTS; anything but text is returned unchanged.

    What Python prints for a list or an object is read as well, since exports through pandas hold it. Raises ValueError
    for any other text, the one of JSON's reader.
    """
    if not isinstance(value, str):
        return value
    if value.strip() in EMPTY_TEXTS:
        return None
    try:
        loaded = json.loads(value)
    except ValueError:
        try:
            return storable(read_printed(value))
        except ValueError:
            pass
        raise
    # Only an escape can bring a lone surrogate into text that is whole itself.
    return storable(loaded) if "\\ud" in value or "\\uD" in value else loaded


def is_cut(text: str) -> bool:
    """Whether text that is no JSON begins as a list or an object and does not end as one: a limit cut it."""
    plain = text.strip()
    return plain[:1] in ("[", "{") and plain[-1:] != {"[": "]", "{": "}"}[plain[0]]


def load_object(value: Any) -> dict[str, Any]:
    """The JSON object in `value`, without its null entries; {} for anything but an object."""
    try:
        loaded = load_json(value)
    except (ValueError, RecursionError):
        return {}
    return {k: v for k, v in loaded.items() if v is not None} if isinstance(loaded, dict) else {}


def nest(value: Any) -> Any:
    """Expand dotted keys into objects and numbered keys into lists, at every depth; nulls are removed.

    `{"message.role": "user"}` becomes `{"message": {"role": "user"}}`, `{"0.a": 1, "1.a": 2}` becomes
    `[{"a": 1}, {"a": 2}]`. If a key is both a value and a prefix, the object is kept.
    """
    return _lists(_objects(value))


def _objects(value: Any) -> Any:
    if isinstance(value, list):
        return [_objects(item) for item in value]
    if not isinstance(value, dict):
        return value
    tree: dict[str, Any] = {}
    for key, item in value.items():
        if item is not None:
            _put(tree, key.split("."), _objects(item))
    return tree


def _put(tree: dict[str, Any], path: list[str], item: Any) -> None:
    """Put `item` at `path`; two objects at one path are merged."""
    first, rest = path[0], path[1:]
    there = tree.get(first)
    if rest:
        tree[first] = there if isinstance(there, dict) else {}
        _put(tree[first], rest, item)
    elif not isinstance(there, dict):
        tree[first] = item
    elif isinstance(item, dict):
        for key, inner in item.items():
            _put(there, [key], inner)


def _lists(value: Any) -> Any:
    if isinstance(value, list):
        return [_lists(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(item) for key, item in value.items()}
