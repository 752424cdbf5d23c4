"""The fields of the configuration's sections: names, time zones, rails, secrets and finite numbers."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict

from sia_dagster.core.records.value import Value

LONGEST_NAME: Final = 120
"""In characters. File systems take 255 bytes for a name, and names are parts of longer ones."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            f"{value!r} must be letters, digits and underscores: trace stores drop evaluations whose name holds "
            "a hyphen or a dot"
        )
    if len(value) > LONGEST_NAME:
        raise ValueError(
            f"the name has {len(value)} characters, and files are named after it: write at most {LONGEST_NAME}"
        )
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{value!r} is no IANA time zone such as 'Europe/Berlin'") from error
    return value


def _rails(value: object) -> object:
    """Accept `{label: score}`, a list of numbers, or a range such as `1..5`."""
    if isinstance(value, str) and (match := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", value.strip())):
        first, last = int(match[1]), int(match[2])
        return {str(number): float(number) for number in range(first, last + 1)}
    if isinstance(value, list):
        return {str(number): number for number in value}
    if isinstance(value, dict):
        return {str(label): score for label, score in value.items()}
    return value


def user_of(address: str) -> str:
    """The part before the host of an address: a user, perhaps with a password; empty where there is none."""
    try:
        return urlsplit(address).netloc.rpartition("@")[0]
    except ValueError:
        return ""


def holds_no_password(address: str) -> bool:
    """Whether an address may be shown to people. What may be a password counts as one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    user = user_of(address)
    return not (":" in user or "@" in user + parts.path or "password" in parts.query)


def _database(value: str) -> str:
    """Neither message repeats the value: it may hold a password."""
    if "://" not in value:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("must be postgresql://user@host/database, or ${NAME} of the variable that holds it")
        return value
    if value.partition("://")[0] not in ("postgresql", "postgres"):
        raise ValueError("only a Postgres database can hold the answers: postgresql://user@host/database")
    if not holds_no_password(value):
        raise ValueError("an address with a password is a secret: write ${NAME} of the variable that holds it")
    return value


Name = Annotated[str, AfterValidator(_name)]

Timezone = Annotated[str, AfterValidator(_timezone)]

Rails = Annotated[dict[str, float], BeforeValidator(_rails)]

SecretName = str
"""The *name* of the environment variable that holds a secret; its value is read where a client is built."""

DatabaseAddress = Annotated[str, AfterValidator(_database)]
"""A Postgres URL without a password, or the *name* of the environment variable that holds one, with it or without."""


class Section(Value):
    """A section of the file. Its numbers are finite: YAML has `.nan` and `.inf`, under which no rule means anything.

    The text below a field is its description, in the UI of Dagster as well.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Read the descriptions. Pydantic's own option asks every loaded module for each class's source: 0.1 CPU s."""
        texts = _texts_below_fields(cls.__module__).get(cls.__name__, {})
        for name, field in cls.model_fields.items():
            field.description = field.description or texts.get(name)


@cache
def _texts_below_fields(module: str) -> Mapping[str, Mapping[str, str]]:
    """By class and field of a module; empty where its source is not there."""
    try:
        classes = ast.parse(inspect.getsource(sys.modules[module])).body
    except (OSError, TypeError):
        return {}
    return {each.name: dict(_texts_in(each)) for each in classes if isinstance(each, ast.ClassDef)}


def _texts_in(section: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(section.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, inspect.cleandoc(words)
