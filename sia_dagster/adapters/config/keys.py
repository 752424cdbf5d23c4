"""The keys of `sia.yaml`, by the configuration's models."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from sia_dagster.core.config.fields import holds_no_password
from sia_dagster.core.config.loop import ProjectConfig

Key = tuple[str | int, ...]
_DATABASE = ("llm", "completions")
TAGS = ("kind", "source")
"""Keys that select one of several kinds of a section."""


def dotted(key: Key) -> str:
    """`loops.0.window`, as people read and write it."""
    return ".".join(str(part) for part in key)


def is_secret(key: Key) -> bool:
    """Whether the value at `key` must be the name of an environment variable."""
    of_a_loop = key[:1] == ("loops",) and key[2:] in (("notify", "webhook"), ("traces", "api_key"))
    of_a_stage = key[:2] == ("llm", "stages") and key[3:] == ("api_key",)
    return key in (("llm", "api_key"), _DATABASE) or of_a_stage or of_a_loop


def is_condition(key: Key) -> bool:
    """Whether the value at `key` is a trace store's condition, whose variables are filled in as the query is sent."""
    return key[:1] == ("loops",) and key[2:] == ("traces", "where")


def is_public(key: Key, value: object) -> bool:
    """Whether `value` may be written at the key of a secret: a database's address without a password."""
    address = key == _DATABASE and isinstance(value, str) and "://" in value and "${" not in value
    return address and holds_no_password(str(value))


def known_keys(location: Sequence[str | int]) -> tuple[str, ...]:
    """The keys of the section at `location`, a pydantic error's location, which may hold union tags."""
    models: tuple[type[BaseModel], ...] = (ProjectConfig,)
    for part in location:
        models = _step(models, part)
    return tuple(sorted({name for model in models for name in model.model_fields}))


def without_tags(location: Sequence[str | int]) -> Key:
    """`location` as a path in the file, without pydantic's union tags."""
    models: tuple[type[BaseModel], ...] = (ProjectConfig,)
    key: list[str | int] = []
    for part in location:
        if not _tagged(models, part):
            key.append(part)
        models = _step(models, part)
    return tuple(key)


def nearest_key(name: str, location: Sequence[str | int]) -> str:
    """A hint for an unknown key: the nearest known one, else all keys of the section."""
    known = known_keys(location)
    if close := get_close_matches(name, known, n=1, cutoff=0.6):
        return f"did you mean `{close[0]}`?"
    return f"known here: {', '.join(known)}"


def _step(models: tuple[type[BaseModel], ...], part: str | int) -> tuple[type[BaseModel], ...]:
    if tagged := _tagged(models, part):
        return tagged
    fields = [model.model_fields[part] for model in models if isinstance(part, str) and part in model.model_fields]
    return tuple(m for field in fields for m in _models_of(field.annotation)) if fields else models


def _tagged(models: tuple[type[BaseModel], ...], part: str | int) -> tuple[type[BaseModel], ...]:
    """The models of a union whose tag is `part`."""
    return tuple(
        model
        for model in models
        for tag in TAGS
        if tag in model.model_fields and part in get_args(model.model_fields[tag].annotation)
    )


def _models_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models in a field's type: itself, its items, its union's members."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in _models_of(part))
