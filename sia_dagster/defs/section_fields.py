"""Sections of the configuration as attributes of Dagster resources and components, so that a field is declared once."""

from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)
_AS_THEY_ARE: Final = (str, int, float, bool)


def with_fields_of(section: type[BaseModel], *names: str) -> Callable[[type[M]], type[M]]:
    """Class decorator that adds the fields of `section`, by default all, with their descriptions and defaults.

    Dagster's schemas know text, numbers, lists and mappings: a literal or a date becomes text, a section a mapping.
    Their values are checked where the section is built from them.
    """

    def add(target: type[M]) -> type[M]:
        fields: dict[str, Any] = {
            name: (_plain(field.annotation), _declared(field))
            for name, field in section.model_fields.items()
            if not names or name in names
        }
        return create_model(
            target.__name__, __base__=target, __module__=target.__module__, __doc__=target.__doc__, **fields
        )

    return add


def _declared(field: FieldInfo) -> Any:
    if field.is_required():
        return Field(description=field.description)
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json", exclude_defaults=True)
    return Field(default=list(default) if isinstance(default, tuple) else default, description=field.description)


def _plain(annotation: Any) -> Any:
    """The type of a field in Dagster's schemas."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin in (Union, UnionType):
        members = [_plain(member) for member in arguments if member is not type(None)]
        return members[0] | None if type(None) in arguments else members[0]
    if origin is tuple:
        return list[_plain(arguments[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _plain(arguments[1])]  # type: ignore[misc]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return dict[str, Any]
    return annotation if annotation in _AS_THEY_ARE else str
